//! What all threads share, held without all of them touching the same cache line.
//!
//! A state behind one `Arc` is counted by one word, and that word is where all threads meet: at every call, twice. So a state has
//! a handle for each home, and a thread takes the handle of its own.

use std::{
    cell::Cell,
    ops::Deref,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    thread,
};

/// More would cost more to look through than they save.
const MOST: usize = 16;

const UNSET: usize = usize::MAX;

thread_local! {
    static HOME: Cell<usize> = const { Cell::new(UNSET) };
}

/// A number of this thread: threads that begin one after the other have one after the other.
#[inline]
fn home() -> usize {
    match HOME.get() {
        UNSET => settle(),
        home => home,
    }
}

#[cold]
fn settle() -> usize {
    static NEXT: AtomicUsize = AtomicUsize::new(0);
    let home = NEXT.fetch_add(1, Ordering::Relaxed) % MOST;
    HOME.set(home);
    home
}

/// How many homes are worth while here. A power of two.
pub(crate) fn homes() -> usize {
    let threads = thread::available_parallelism().map_or(1, usize::from);
    threads.next_power_of_two().min(MOST)
}

/// A state that all threads share, with a handle for each [home](homes). Clones are of the same state.
pub(crate) struct Homes<T>(Arc<[Arc<Home<T>>]>);

/// A handle of the state.
#[derive(Debug)]
#[repr(align(128))]
pub(crate) struct Home<T> {
    pub(crate) shared: Arc<T>,
    /// Which home it is, below [`homes`].
    pub(crate) number: usize,
}

impl<T> Homes<T> {
    pub(crate) fn new(state: T) -> Self {
        let shared = Arc::new(state);
        let handle = |number| Home {
            shared: shared.clone(),
            number,
        };
        Self((0..homes()).map(|number| Arc::new(handle(number))).collect())
    }

    /// The handle of this thread.
    #[inline]
    pub(crate) fn here(&self) -> &Arc<Home<T>> {
        &self.0[home() & (self.0.len() - 1)]
    }
}

impl<T> Clone for Homes<T> {
    fn clone(&self) -> Self {
        Self(self.0.clone())
    }
}

impl<T> Deref for Home<T> {
    type Target = T;

    #[inline]
    fn deref(&self) -> &T {
        &self.shared
    }
}

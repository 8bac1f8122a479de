//! Which shard a thread is at home in.

use std::{
    cell::Cell,
    sync::atomic::{AtomicUsize, Ordering},
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
pub(super) fn home() -> usize {
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

/// How many shards are worth while here. A power of two.
pub(super) fn shards() -> usize {
    let threads = thread::available_parallelism().map_or(1, usize::from);
    threads.next_power_of_two().min(MOST)
}

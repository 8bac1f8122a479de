//! What is alive: every piece of work that runs on its own, with a name, an owner, an age, and what stops it.
//!
//! A handler's future is owned by its connection and dies with it. What was *spawned* has no such owner, and is what services
//! die of slowly. So everything this crate spawns is entered here first, and leaves when it is done or dropped:
//!
//! ```
//! # #[tokio::main(flavor = "current_thread")] async fn main() {
//! use buttress::{Context, registry};
//!
//! let task = Context::current().spawn("warm-cache", std::future::pending::<()>());
//! let alive = registry::snapshot();
//! assert!(alive.iter().any(|work| work.name == "warm-cache" && work.kind == registry::Kind::Task));
//! # task.abort();
//! # }
//! ```
//!
//! The registry is one for the process. It is cut into shards, one lock each, and a thread keeps to one shard, so that two
//! requests on two threads do not meet; a request that spawns nothing never comes here. [`snapshot`] locks one shard at a time.

mod census;
mod root;
mod sync;
#[cfg(test)]
mod tests;
mod work;

use std::{
    cell::Cell,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, AtomicUsize, Ordering},
    },
};

use slab::Slab;
use tokio::{task::AbortHandle, time::Instant};

pub(crate) use self::root::Root;
pub use self::work::{Kind, Owner, Work};

const SHARDS: usize = 16;

static LIVE: [Mutex<Slab<Living>>; SHARDS] = [const { Mutex::new(Slab::new()) }; SHARDS];

thread_local! {
    static SHARD: Cell<usize> = Cell::new({
        static NEXT: AtomicUsize = AtomicUsize::new(0);
        NEXT.fetch_add(1, Ordering::Relaxed) % SHARDS
    });
    /// The work in the midst of which this thread is.
    static CURRENT: Cell<Option<Owner>> = const { Cell::new(None) };
    /// The deadline that a layer further in holds a request to, as that began to wait.
    static HELD_TO: Cell<Option<Instant>> = const { Cell::new(None) };
}

/// A request that begins to wait is held to this deadline: for whoever enters it, further out.
#[inline]
pub(crate) fn holds_to(deadline: Instant) {
    HELD_TO.set(Some(deadline));
}

/// Of the request that is polled here, if it began to wait since this was last asked.
#[cfg(feature = "server")]
#[inline]
pub(crate) fn take_held_to() -> Option<Instant> {
    HELD_TO.take()
}

/// An entry, and how to end it.
struct Living {
    work: Work,
    root: Option<Arc<Root>>,
    end: Option<End>,
}

/// How a piece of work is ended that does not end by its context.
pub(crate) enum End {
    Task(AbortHandle),
    #[cfg(feature = "server")]
    Call(Arc<dyn Fn() + Send + Sync>),
}

/// All that is alive now, the oldest first.
pub fn snapshot() -> Vec<Work> {
    collect(|_| true)
}

/// All that is alive of this root, the oldest first.
pub(crate) fn snapshot_of(root: &Arc<Root>) -> Vec<Work> {
    collect(|living| living.root.as_ref().is_some_and(|of| Arc::ptr_eq(of, root)))
}

fn collect(is_wanted: impl Fn(&Living) -> bool) -> Vec<Work> {
    let of_shard = |shard| {
        let shard = lock(shard);
        let wanted = shard.iter().filter(|(_, living)| is_wanted(living));
        wanted.map(|(_, living)| living.work.clone()).collect::<Vec<_>>()
    };
    let mut all: Vec<_> = LIVE.iter().flat_map(of_shard).collect();
    all.sort_unstable_by_key(|work| work.id);
    all
}

/// How much is alive of this root, by the places of [`Kind::ALL`].
pub(crate) fn count_of(root: &Arc<Root>) -> [u64; Kind::ALL.len()] {
    let mut counts = [0; Kind::ALL.len()];
    for shard in &LIVE {
        for (_, living) in lock(shard).iter() {
            if living.root.as_ref().is_some_and(|of| Arc::ptr_eq(of, root)) {
                counts[living.work.kind as usize] += 1;
            }
        }
    }
    counts
}

/// Ends all that is alive of this root and can be made to end.
pub(crate) fn end_all(root: &Arc<Root>) {
    for shard in &LIVE {
        let ends: Vec<_> = lock(shard)
            .iter_mut()
            .filter(|(_, living)| living.root.as_ref().is_some_and(|of| Arc::ptr_eq(of, root)))
            .filter_map(|(_, living)| living.end.take())
            .collect();
        // Not under the lock: what ends leaves the registry.
        for end in ends {
            end.end();
        }
    }
}

impl End {
    fn end(self) {
        match self {
            Self::Task(task) => task.abort(),
            #[cfg(feature = "server")]
            Self::Call(end) => end(),
        }
    }
}

/// An entry's hold on the registry: the entry leaves when this is dropped.
#[derive(Debug)]
pub(crate) struct Entry {
    shard: usize,
    key: usize,
    this: Owner,
    root: Option<Arc<Root>>,
}

/// Enters a piece of work, unless what it belongs to is closed.
pub(crate) fn enter(
    kind: Kind,
    name: &'static str,
    deadline: Option<Instant>,
    root: Option<Arc<Root>>,
) -> Option<Entry> {
    static NEXT: AtomicU64 = AtomicU64::new(1);
    if root.as_ref().is_some_and(|root| !root.enter()) {
        return None;
    }
    let shard = SHARD.try_with(Cell::get).unwrap_or_default();
    let id = NEXT.fetch_add(1, Ordering::Relaxed);
    let key = lock(&LIVE[shard]).insert(Living {
        work: Work {
            id,
            kind,
            name,
            owner: CURRENT.try_with(Cell::get).unwrap_or_default(),
            started: Instant::now(),
            deadline,
        },
        root: root.clone(),
        end: None,
    });
    let this = Owner { id, kind, name };
    Some(Entry { shard, key, this, root })
}

impl Entry {
    /// Runs a poll of this work: what it starts is its own.
    pub(crate) fn enter<R>(&self, poll: impl FnOnce() -> R) -> R {
        let _within = Within {
            outer: CURRENT.replace(Some(self.this)),
        };
        poll()
    }

    /// How it is to be ended.
    pub(crate) fn ends_by(&self, end: End) {
        if let Some(living) = lock(&LIVE[self.shard]).get_mut(self.key) {
            living.end = Some(end);
        }
        // It was closed since this was entered, and all may have been ended before this could be.
        if self.root.as_ref().is_some_and(|root| root.is_closed()) {
            let end = lock(&LIVE[self.shard])
                .get_mut(self.key)
                .and_then(|living| living.end.take());
            if let Some(end) = end {
                end.end();
            }
        }
    }
}

impl Drop for Entry {
    fn drop(&mut self) {
        let living = lock(&LIVE[self.shard]).try_remove(self.key);
        // Not under the lock: a user's code may be dropped with it.
        drop(living);
        if let Some(root) = &self.root {
            root.leave();
        }
    }
}

struct Within {
    outer: Option<Owner>,
}

impl Drop for Within {
    fn drop(&mut self) {
        CURRENT.set(self.outer);
    }
}

// No code of a user's runs under these locks, so a poisoned one holds sound data.
fn lock(shard: &Mutex<Slab<Living>>) -> MutexGuard<'_, Slab<Living>> {
    shard.lock().unwrap_or_else(PoisonError::into_inner)
}

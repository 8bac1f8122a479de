//! What is alive: every piece of work that runs on its own, with a name, an age and a deadline.
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

use std::{
    cell::Cell,
    sync::{
        Mutex, MutexGuard, PoisonError,
        atomic::{AtomicUsize, Ordering},
    },
};

use slab::Slab;
use tokio::time::Instant;

const SHARDS: usize = 16;

static LIVE: [Mutex<Slab<Work>>; SHARDS] = [const { Mutex::new(Slab::new()) }; SHARDS];

thread_local! {
    static SHARD: Cell<usize> = Cell::new({
        static NEXT: AtomicUsize = AtomicUsize::new(0);
        NEXT.fetch_add(1, Ordering::Relaxed) % SHARDS
    });
}

/// What kind of work an entry is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Kind {
    /// Spawned by [`Context::spawn`](crate::Context::spawn): ends with its context.
    Task,
    /// Shielded by [`Context::shield`](crate::Context::shield): runs to its end although its caller left, at most so long.
    Shield,
}

impl Kind {
    /// The kind as a metric's attribute has it: `task`, `shield`.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Task => "task",
            Self::Shield => "shield",
        }
    }
}

/// One piece of work that is alive.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Work {
    /// What kind of work it is.
    pub kind: Kind,
    /// The name its code gave it.
    pub name: &'static str,
    /// When it was started.
    pub started: Instant,
    /// When it will be stopped, if nothing stops it before. `None`: nothing but the end of its context.
    pub deadline: Option<Instant>,
}

/// All that is alive now, in no particular order.
pub fn snapshot() -> Vec<Work> {
    LIVE.iter()
        .flat_map(|shard| lock(shard).iter().map(|(_, work)| work.clone()).collect::<Vec<_>>())
        .collect()
}

/// An entry's hold on the registry: the entry leaves when this is dropped.
#[derive(Debug)]
pub(crate) struct Entry {
    shard: usize,
    key: usize,
}

pub(crate) fn enter(kind: Kind, name: &'static str, deadline: Option<Instant>) -> Entry {
    let shard = SHARD.try_with(Cell::get).unwrap_or_default();
    let key = lock(&LIVE[shard]).insert(Work {
        kind,
        name,
        started: Instant::now(),
        deadline,
    });
    Entry { shard, key }
}

impl Drop for Entry {
    fn drop(&mut self) {
        lock(&LIVE[self.shard]).try_remove(self.key);
    }
}

// No code of a user's runs under these locks, so a poisoned one holds sound data.
fn lock(shard: &Mutex<Slab<Work>>) -> MutexGuard<'_, Slab<Work>> {
    shard.lock().unwrap_or_else(PoisonError::into_inner)
}

use std::{
    fmt,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

use tokio::sync::Notify;

use super::census::Census;

/// What a piece of work belongs to in the end: a process, of which there can be several in one where it is tested.
pub(crate) struct Root {
    id: u64,
    census: Census,
    idle: Notify,
}

impl Root {
    pub(crate) fn new() -> Arc<Self> {
        static NEXT: AtomicU64 = AtomicU64::new(1);
        Arc::new(Self {
            id: NEXT.fetch_add(1, Ordering::Relaxed),
            census: Census::new(),
            idle: Notify::new(),
        })
    }

    /// Counts one more, unless it is closed.
    pub(super) fn enter(&self) -> bool {
        self.census.enter()
    }

    pub(super) fn leave(&self) {
        if self.census.leave() {
            self.idle.notify_waiters();
        }
    }

    /// Lets nothing in any more.
    pub(crate) fn close(&self) {
        self.census.close();
    }

    pub(super) fn is_closed(&self) -> bool {
        self.census.is_closed()
    }

    /// How much is alive.
    pub(crate) fn live(&self) -> usize {
        self.census.live()
    }

    /// Until nothing is alive.
    pub(crate) async fn idle(&self) {
        loop {
            // It hears of every end from its creation on, so the look comes after it.
            let idle = self.idle.notified();
            if self.live() == 0 {
                return;
            }
            idle.await;
        }
    }
}

impl fmt::Debug for Root {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Root")
            .field("id", &self.id)
            .field("live", &self.live())
            .finish_non_exhaustive()
    }
}

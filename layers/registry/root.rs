use std::{
    fmt,
    sync::{
        Arc,
        atomic::{AtomicU64, AtomicUsize, Ordering},
    },
};

use tokio::sync::Notify;

/// What a piece of work belongs to in the end: a process, of which there can be several in one where it is tested.
///
/// It counts what lives and can be closed, in one word: whoever enters is counted before it is closed, or turned away.
pub(crate) struct Root {
    id: u64,
    /// The lowest bit says that it is closed; the rest counts.
    word: AtomicUsize,
    idle: Notify,
}

const CLOSED: usize = 1;
const ONE: usize = 2;

impl Root {
    pub(crate) fn new() -> Arc<Self> {
        static NEXT: AtomicU64 = AtomicU64::new(1);
        Arc::new(Self {
            id: NEXT.fetch_add(1, Ordering::Relaxed),
            word: AtomicUsize::new(0),
            idle: Notify::new(),
        })
    }

    /// Counts one more, unless it is closed.
    pub(super) fn enter(&self) -> bool {
        let before = self.word.fetch_add(ONE, Ordering::AcqRel);
        if before & CLOSED != 0 {
            self.leave();
            return false;
        }
        true
    }

    pub(super) fn leave(&self) {
        if self.word.fetch_sub(ONE, Ordering::AcqRel) < 2 * ONE {
            self.idle.notify_waiters();
        }
    }

    /// Lets nothing in any more.
    pub(crate) fn close(&self) {
        self.word.fetch_or(CLOSED, Ordering::AcqRel);
    }

    /// How much is alive.
    pub(crate) fn live(&self) -> usize {
        self.word.load(Ordering::Acquire) / ONE
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

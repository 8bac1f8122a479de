//! How much is alive, and whether anything more may come: one word.

use super::sync::{AtomicUsize, Ordering};

/// The lowest bit says that it is closed; the rest counts. So whoever enters is counted before it is closed, or turned away.
#[derive(Debug)]
pub(super) struct Census(AtomicUsize);

const CLOSED: usize = 1;
const ONE: usize = 2;

impl Census {
    pub(super) fn new() -> Self {
        Self(AtomicUsize::new(0))
    }

    /// Counts one more, unless it is closed.
    pub(super) fn enter(&self) -> bool {
        let next = |word| (word & CLOSED == 0).then_some(word + ONE);
        self.0.fetch_update(Ordering::AcqRel, Ordering::Acquire, next).is_ok()
    }

    /// One less. Whether it was the last.
    pub(super) fn leave(&self) -> bool {
        self.0.fetch_sub(ONE, Ordering::AcqRel) / ONE == 1
    }

    /// Lets nothing in any more.
    pub(super) fn close(&self) {
        self.0.fetch_or(CLOSED, Ordering::AcqRel);
    }

    pub(super) fn is_closed(&self) -> bool {
        self.0.load(Ordering::Acquire) & CLOSED != 0
    }

    /// How much is alive.
    pub(super) fn live(&self) -> usize {
        self.0.load(Ordering::Acquire) / ONE
    }
}

//! One clock read for an arrival, however many layers ask.

use std::cell::Cell;

use tokio::time::Instant;

thread_local! {
    static NOW: Cell<Option<Instant>> = const { Cell::new(None) };
}

/// Now: as the arrival at hand has [shared](Shared) it, or read.
#[inline]
pub(crate) fn now() -> Instant {
    NOW.get().unwrap_or_else(Instant::now)
}

/// Shares a clock read with the layers within, for the time of a `call`. What they do later, when they are polled, is at
/// another time.
#[must_use = "it is shared until this is dropped"]
pub(crate) struct Shared {
    outer: Option<Instant>,
}

impl Shared {
    #[inline]
    pub(crate) fn new(now: Option<Instant>) -> Self {
        Self {
            outer: NOW.replace(now),
        }
    }
}

impl Drop for Shared {
    #[inline]
    fn drop(&mut self) {
        NOW.set(self.outer);
    }
}

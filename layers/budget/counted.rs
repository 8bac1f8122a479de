//! A request is counted once, however many layers try it again.

use std::cell::Cell;

thread_local! {
    /// The budget that has counted the request which is being called.
    static COUNTED: Cell<usize> = const { Cell::new(0) };
}

/// For the time of a `call`, the layers within know that this budget has counted the request: a hedge within a retry must not
/// bring the same budget another share of it.
#[must_use = "it is known until this is dropped"]
pub(crate) struct Counted {
    outer: usize,
}

impl Counted {
    #[inline]
    pub(super) fn enter(budget: usize) -> Self {
        Self {
            outer: COUNTED.replace(budget),
        }
    }

    #[inline]
    pub(super) fn is_by(budget: usize) -> bool {
        COUNTED.get() == budget
    }
}

impl Drop for Counted {
    #[inline]
    fn drop(&mut self) {
        COUNTED.set(self.outer);
    }
}

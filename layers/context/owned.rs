//! The right to end a context.

use std::mem;

use tokio::time::Instant;

use super::{Cancelled, Frame, frame::InScope, marks::Cancellation};

/// A frame and the right to end it, held by the one who owns the work: a request's layer, an attempt.
#[derive(Debug)]
pub(crate) struct Scope(Frame);

impl From<Frame> for Scope {
    #[inline]
    fn from(frame: Frame) -> Self {
        Self(frame)
    }
}

impl Scope {
    /// A child of what is in scope here.
    #[inline]
    pub(crate) fn child() -> Self {
        Self(Frame::child())
    }

    /// See [`Frame::enter`].
    #[inline]
    pub(crate) fn enter<R>(&mut self, f: impl FnOnce() -> R) -> R {
        self.0.enter(f)
    }

    /// See [`Frame::hold`].
    #[inline]
    pub(crate) fn hold(mut self) -> InScope<Self> {
        let frame = mem::take(&mut self.0);
        mem::forget(self);
        frame.hold_for()
    }

    /// Ends it. The first reason stays; where nobody asked, there is nobody to tell.
    #[inline]
    pub(crate) fn end(&mut self, why: Cancelled) {
        match self.0.marks.cancellation() {
            Cancellation::Ended(_) => return,
            Cancellation::Asked => {
                if let Some(node) = &self.0.node {
                    node.cancel(why);
                }
            }
            // What is above is not its own.
            Cancellation::Unasked | Cancellation::Never => self.0.node = None,
        }
        self.0.marks = self.0.marks.with(Cancellation::Ended(why));
    }
}

/// Dropped before its end: the caller left, or the deadline took the work away.
impl Drop for Scope {
    #[inline]
    fn drop(&mut self) {
        // Where nobody asked, there is nobody to tell.
        if self.0.marks.cancellation() == Cancellation::Asked {
            self.abandon();
        }
    }
}

impl Scope {
    #[cold]
    fn abandon(&mut self) {
        let late = self.0.deadline().is_some_and(|deadline| deadline <= Instant::now());
        self.end(if late {
            Cancelled::DeadlineExceeded
        } else {
            Cancelled::Disconnected
        });
    }
}

//! The right to end a context.

use std::mem;

use tokio::time::Instant;

use super::{
    Cancelled, Context, Criticality, Frame,
    frame::Above,
    marks::{Cancellation, Marks},
};

/// A frame and the right to end it, held by the one who owns the work: a request's layer, an attempt.
#[derive(Debug)]
pub(crate) struct Scope(Frame);

/// A scope at its beginning: in scope around a call, before there is a future for it to live in.
#[must_use = "the scope ends when this is dropped"]
pub(crate) struct Beginning(Above);

impl Scope {
    /// A child of this context, of nothing that is in scope here, that ends at `deadline` if that is sooner.
    #[inline]
    pub(crate) fn below(context: &Context, deadline: Option<Instant>, criticality: Criticality, attempt: u32) -> Self {
        let mut frame = Frame::of(context.facts.until(deadline), context.node.clone());
        frame.marks = Marks::new(attempt, criticality, Cancellation::Unasked);
        Self(frame)
    }

    /// Puts a child of what is in scope here in its place, until it is [released](Beginning::release).
    #[inline]
    pub(crate) fn begin() -> Beginning {
        Beginning(Above::enter_child())
    }

    /// The same, as another attempt at the same request.
    #[inline]
    pub(crate) fn begin_attempt(attempt: u32) -> Beginning {
        Beginning(Above::enter_attempt(attempt))
    }

    /// Whether somebody below asked for its cancellation, and so would hear of its end.
    #[inline]
    pub(crate) fn is_asked(&self) -> bool {
        self.0.marks.cancellation() == Cancellation::Asked
    }

    /// See [`Frame::enter`].
    #[inline]
    pub(crate) fn enter<R>(&mut self, f: impl FnOnce() -> R) -> R {
        self.0.enter(f)
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

impl Beginning {
    /// Takes it out of scope again.
    #[inline]
    pub(crate) fn release(mut self) -> Scope {
        let scope = Scope(self.0.leave_child());
        mem::forget(self);
        scope
    }
}

/// By a panic: it ends as one whose caller left.
impl Drop for Beginning {
    fn drop(&mut self) {
        drop(Scope(self.0.leave_child()));
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

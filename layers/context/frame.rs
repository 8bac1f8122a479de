//! The task-local: the context that is in scope on this thread while a future of it is polled.
//!
//! A [`Frame`] is a context whose cancellation has not been asked for yet. It is moved into the thread's slot around every
//! poll and out again, together with what was made of it in between; so a request whose handler never asks pays two moves and
//! no allocation. Whatever leaves the scope (a clone, a child) asks first: an unasked frame is never copied, and there is
//! nothing that could miss its end.

use std::{cell::RefCell, mem, sync::Arc, time::Duration};

use tokio::time::Instant;

use super::{Cancelled, Context, Criticality, cancellation::Node};

/// The part of a context that is plain data.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Facts {
    pub(crate) deadline: Option<Instant>,
    pub(crate) criticality: Criticality,
    pub(crate) attempt: u32,
}

impl Facts {
    pub(super) const BACKGROUND: Self = Self {
        deadline: None,
        criticality: Criticality::Critical,
        attempt: 1,
    };

    /// The same, ending at `deadline` if that is sooner.
    pub(crate) fn until(self, deadline: Option<Instant>) -> Self {
        let deadline = match (self.deadline, deadline) {
            (Some(ours), Some(theirs)) => Some(ours.min(theirs)),
            (ours, theirs) => ours.or(theirs),
        };
        Self { deadline, ..self }
    }
}

#[derive(Debug)]
enum Cancellation {
    /// Nothing but the deadline ends it.
    Never,
    /// Its owner can end it, and nobody has asked yet. It will be a child of this.
    Unasked(Option<Arc<Node>>),
    Asked(Arc<Node>),
    /// It ended before anybody asked.
    Ended(Cancelled),
}

#[derive(Debug)]
pub(crate) struct Frame {
    pub(crate) facts: Facts,
    cancellation: Cancellation,
}

thread_local! {
    static CURRENT: RefCell<Frame> = const { RefCell::new(Frame::BACKGROUND) };
}

impl Frame {
    const BACKGROUND: Self = Self {
        facts: Facts::BACKGROUND,
        cancellation: Cancellation::Never,
    };

    /// Like these facts, but with `max` from now for a deadline, and no parent.
    pub(crate) fn detached(facts: Facts, max: Duration) -> Self {
        let facts = Facts {
            deadline: Instant::now().checked_add(max),
            ..facts
        };
        Self {
            facts,
            ..Self::BACKGROUND
        }
    }

    /// What is in scope here, without asking for its cancellation.
    pub(crate) fn facts() -> Facts {
        CURRENT
            .try_with(|current| current.borrow().facts)
            .unwrap_or(Facts::BACKGROUND)
    }

    /// A frame like the one in scope, that ends at `deadline` if that is sooner.
    pub(crate) fn until(deadline: Option<Instant>) -> Self {
        CURRENT
            .try_with(|current| {
                let mut current = current.borrow_mut();
                let cancellation = current.ask().map_or(Cancellation::Never, Cancellation::Asked);
                Self {
                    facts: current.facts.until(deadline),
                    cancellation,
                }
            })
            .unwrap_or(Self {
                facts: Facts::BACKGROUND.until(deadline),
                ..Self::BACKGROUND
            })
    }

    /// A frame with a cancellation of its own, below that of the frame in scope.
    fn child() -> Self {
        let Self { facts, cancellation } = Self::until(None);
        let above = match cancellation {
            Cancellation::Asked(node) => Some(node),
            _ => None,
        };
        Self {
            facts,
            cancellation: Cancellation::Unasked(above),
        }
    }

    /// The context of this frame: from here on it can be held anywhere, so its cancellation is made.
    pub(crate) fn context(&mut self) -> Context {
        Context {
            node: self.ask(),
            facts: self.facts,
        }
    }

    fn ask(&mut self) -> Option<Arc<Node>> {
        let node = match &self.cancellation {
            Cancellation::Never => return None,
            Cancellation::Asked(node) => return Some(node.clone()),
            Cancellation::Unasked(above) => Node::new(above.as_ref()),
            Cancellation::Ended(why) => {
                let node = Node::new(None);
                node.cancel(*why);
                node
            }
        };
        self.cancellation = Cancellation::Asked(node.clone());
        Some(node)
    }

    /// Runs `f` with this frame in scope. Not across an await: a future is polled through here, each time.
    pub(crate) fn enter<R>(&mut self, f: impl FnOnce() -> R) -> R {
        struct Leave<'a>(&'a mut Frame);
        impl Drop for Leave<'_> {
            fn drop(&mut self) {
                swap(self.0);
            }
        }
        swap(self);
        let _leave = Leave(self);
        f()
    }
}

/// The frame in scope, as a context.
pub(super) fn current() -> Context {
    CURRENT
        .try_with(|current| current.borrow_mut().context())
        .unwrap_or_default()
}

// A thread that is being torn down has no slot any more; what runs there has no context.
fn swap(frame: &mut Frame) {
    let _ = CURRENT.try_with(|current| mem::swap(&mut *current.borrow_mut(), frame));
}

impl Default for Frame {
    fn default() -> Self {
        Self::BACKGROUND
    }
}

impl From<Context> for Frame {
    fn from(Context { facts, node }: Context) -> Self {
        Self {
            facts,
            cancellation: node.map_or(Cancellation::Never, Cancellation::Asked),
        }
    }
}

/// A frame and the right to end it, held by the one who owns the work: a request's layer, an attempt.
#[derive(Debug)]
pub(crate) struct Scope {
    frame: Frame,
    ended: bool,
}

impl Scope {
    /// A child of what is in scope here.
    pub(crate) fn child() -> Self {
        Self {
            frame: Frame::child(),
            ended: false,
        }
    }

    pub(crate) fn enter<R>(&mut self, f: impl FnOnce() -> R) -> R {
        self.frame.enter(f)
    }

    pub(crate) fn context(&mut self) -> Context {
        self.frame.context()
    }

    /// Ends it. The first reason stays; where nobody asked, there is nobody to tell.
    pub(crate) fn end(&mut self, why: Cancelled) {
        if mem::replace(&mut self.ended, true) {
            return;
        }
        match &self.frame.cancellation {
            Cancellation::Asked(node) => node.cancel(why),
            _ => self.frame.cancellation = Cancellation::Ended(why),
        }
    }
}

/// Dropped before its end: the caller left, or the deadline took the work away.
impl Drop for Scope {
    fn drop(&mut self) {
        if !self.ended {
            let late = matches!(self.frame.cancellation, Cancellation::Asked(_))
                && self
                    .frame
                    .facts
                    .deadline
                    .is_some_and(|deadline| deadline <= Instant::now());
            self.end(if late {
                Cancelled::DeadlineExceeded
            } else {
                Cancelled::Disconnected
            });
        }
    }
}

//! The task-local: the context that is in scope on this thread while a future of it is polled.
//!
//! A [`Frame`] is a context whose cancellation has not been asked for yet. It is moved into the thread's slot around every
//! poll and out again, together with what was made of it in between; so a request whose handler never asks pays two moves and
//! no allocation. Whatever leaves the scope (a clone, a child) asks first: an unasked frame is never copied, and there is
//! nothing that could miss its end.

use std::{
    cell::{Cell, RefCell},
    mem,
    sync::Arc,
    time::Duration,
};

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
    // Apart, because plain data needs no destructor and costs a plain load or store.
    static FACTS: Cell<Facts> = const { Cell::new(Facts::BACKGROUND) };
    static CANCELLATION: RefCell<Cancellation> = const { RefCell::new(Cancellation::Never) };
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
        FACTS.get()
    }

    /// A frame like the one in scope, that ends at `deadline` if that is sooner.
    pub(crate) fn until(deadline: Option<Instant>) -> Self {
        let cancellation = asked().map_or(Cancellation::Never, Cancellation::Asked);
        Self {
            facts: FACTS.get().until(deadline),
            cancellation,
        }
    }

    /// The context of this frame: from here on it can be held anywhere, so its cancellation is made.
    pub(crate) fn context(&mut self) -> Context {
        Context {
            node: self.cancellation.ask(),
            facts: self.facts,
        }
    }

    /// Puts this frame in scope until the guard is dropped. Not across an await: a future is polled under it, each time.
    #[inline]
    pub(crate) fn enter(&mut self) -> Entered<'_> {
        let outer = FACTS.replace(self.facts);
        let swapped = swap(&mut self.cancellation);
        Entered {
            outer,
            cancellation: swapped.then_some(&mut self.cancellation),
        }
    }
}

/// A frame in scope. Dropping it takes the frame out again, with what was made of it.
#[must_use = "the frame is in scope as long as this lives"]
pub(crate) struct Entered<'a> {
    outer: Facts,
    cancellation: Option<&'a mut Cancellation>,
}

impl Drop for Entered<'_> {
    #[inline]
    fn drop(&mut self) {
        FACTS.set(self.outer);
        if let Some(cancellation) = &mut self.cancellation {
            swap(cancellation);
        }
    }
}

/// Exchanges what is in scope with this, unless neither is anything. A thread that is being torn down has no slot any more;
/// what runs there has no cancellation.
#[inline]
fn swap(cancellation: &mut Cancellation) -> bool {
    CANCELLATION
        .try_with(|current| {
            let current = &mut *current.borrow_mut();
            let differ = !matches!((&*current, &*cancellation), (Cancellation::Never, Cancellation::Never));
            if differ {
                mem::swap(current, cancellation);
            }
            differ
        })
        .unwrap_or(false)
}

/// The cancellation in scope, made if it was not.
fn asked() -> Option<Arc<Node>> {
    CANCELLATION
        .try_with(|current| current.borrow_mut().ask())
        .ok()
        .flatten()
}

impl Cancellation {
    #[inline]
    fn ask(&mut self) -> Option<Arc<Node>> {
        match self {
            Self::Never => None,
            Self::Asked(node) => Some(node.clone()),
            Self::Unasked(_) | Self::Ended(_) => Some(self.make()),
        }
    }

    #[cold]
    fn make(&mut self) -> Arc<Node> {
        let node = match self {
            Self::Unasked(above) => Node::new(above.as_ref()),
            Self::Ended(why) => {
                let node = Node::new(None);
                node.cancel(*why);
                node
            }
            Self::Never => Node::new(None),
            Self::Asked(node) => node.clone(),
        };
        *self = Self::Asked(node.clone());
        node
    }
}

/// The frame in scope, as a context.
pub(super) fn current() -> Context {
    Context {
        node: asked(),
        facts: FACTS.get(),
    }
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
        let cancellation = Cancellation::Unasked(asked());
        let frame = Frame {
            facts: FACTS.get(),
            cancellation,
        };
        Self { frame, ended: false }
    }

    pub(crate) fn enter(&mut self) -> Entered<'_> {
        self.frame.enter()
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

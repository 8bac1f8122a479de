//! The task-local: the context that is in scope on this thread while a future of it is polled.
//!
//! A [`Frame`] is a context whose cancellation has not been asked for yet. It is moved into the thread's slot around every
//! poll and out again, together with what was made of it in between; so a request whose handler never asks pays two moves and
//! no allocation. Whatever leaves the scope (a clone, a child) asks first: an unasked frame is never copied, and there is
//! nothing that could miss its end.
//!
//! Every request comes here some ten times, so it is made for the machine: a frame is flat, half a cache line of words that
//! are moved one by one. (A processor that wrote two words apart and reads them as one waits until both have reached its cache.)

use std::{cell::Cell, mem, mem::ManuallyDrop, sync::Arc, time::Duration};

use tokio::time::Instant;

use super::{
    Context, Criticality,
    cancellation::Node,
    marks::{Cancellation, Marks},
};
use crate::registry::Root;

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
    #[inline]
    pub(crate) fn until(self, deadline: Option<Instant>) -> Self {
        Self {
            deadline: sooner(self.deadline, deadline),
            ..self
        }
    }
}

#[inline]
fn sooner(ours: Option<Instant>, theirs: Option<Instant>) -> Option<Instant> {
    match (ours, theirs) {
        (Some(ours), Some(theirs)) => Some(ours.min(theirs)),
        (ours, theirs) => ours.or(theirs),
    }
}

#[derive(Debug)]
pub(crate) struct Frame {
    deadline: Option<Instant>,
    pub(super) node: Option<Arc<Node>>,
    pub(super) marks: Marks,
}

// The frame in scope, a cell for each of its words.
//
// Without a destructor, so that an access is an address and not a state to check. Nothing leaks: outside of every scope, and so
// when a thread ends, the background is here, which owns nothing.
thread_local! {
    static DEADLINE: Cell<Option<Instant>> = const { Cell::new(Facts::BACKGROUND.deadline) };
    static NODE: Cell<ManuallyDrop<Option<Arc<Node>>>> = const { Cell::new(ManuallyDrop::new(None)) };
    static MARKS: Cell<Marks> = const { Cell::new(Frame::BACKGROUND.marks) };
}

/// Exchanges the frame in scope for another.
#[inline]
fn exchange(frame: Frame) -> Frame {
    Frame {
        deadline: DEADLINE.replace(frame.deadline),
        node: exchange_node(frame.node),
        marks: MARKS.replace(frame.marks),
    }
}

#[inline]
fn exchange_node(node: Option<Arc<Node>>) -> Option<Arc<Node>> {
    ManuallyDrop::into_inner(NODE.replace(ManuallyDrop::new(node)))
}

/// The cancellation in scope, made if there is one and nobody asked before.
#[inline]
fn ask_current() -> Option<Arc<Node>> {
    let marks = MARKS.get();
    match marks.cancellation() {
        Cancellation::Never => None,
        _ => ask(marks),
    }
}

fn ask(marks: Marks) -> Option<Arc<Node>> {
    let node = match (marks.cancellation(), exchange_node(None)) {
        (Cancellation::Unasked, above) => {
            MARKS.set(marks.with(Cancellation::Asked));
            Some(Node::new(above.as_ref()))
        }
        (Cancellation::Ended(why), None) => {
            let ended = Node::new(None);
            ended.cancel(why);
            Some(ended)
        }
        (_, node) => node,
    };
    exchange_node(node.clone());
    node
}

impl Frame {
    const BACKGROUND: Self = Self {
        deadline: Facts::BACKGROUND.deadline,
        node: None,
        marks: Marks::new(
            Facts::BACKGROUND.attempt,
            Facts::BACKGROUND.criticality,
            Cancellation::Never,
        ),
    };

    /// Like these facts, but with `max` from now for a deadline, and no parent: it belongs to the same process, and to nothing else.
    pub(crate) fn detached(facts: Facts, max: Duration, root: Option<Arc<Root>>) -> Self {
        let facts = Facts {
            deadline: Instant::now().checked_add(max),
            ..facts
        };
        Self::of(facts, root.map(|root| Node::of_root(Some(root))))
    }

    /// A frame of what was asked for already.
    #[inline]
    pub(super) fn of(facts: Facts, node: Option<Arc<Node>>) -> Self {
        let cancellation = Cancellation::of(node.as_ref());
        Self {
            deadline: facts.deadline,
            node,
            marks: Marks::new(facts.attempt, facts.criticality, cancellation),
        }
    }

    /// What is in scope here, without asking for its cancellation.
    #[inline]
    pub(crate) fn facts() -> Facts {
        let marks = MARKS.get();
        Facts {
            deadline: DEADLINE.get(),
            criticality: marks.criticality(),
            attempt: marks.attempt(),
        }
    }

    /// What all that is in scope belongs to in the end.
    pub(crate) fn root() -> Option<Arc<Root>> {
        let node = exchange_node(None);
        let root = node.as_ref().and_then(|node| node.root().cloned());
        exchange_node(node);
        root
    }

    /// A frame like the one in scope, that ends at `deadline` if that is sooner.
    #[inline]
    pub(crate) fn until(deadline: Option<Instant>) -> Self {
        let node = ask_current();
        let cancellation = Cancellation::of(node.as_ref());
        Self {
            deadline: sooner(DEADLINE.get(), deadline),
            node,
            marks: MARKS.get().with(cancellation),
        }
    }

    #[inline]
    pub(crate) fn deadline(&self) -> Option<Instant> {
        self.deadline
    }

    /// Runs `f` with this frame in scope. Not across an await: a future is polled through here, each time.
    #[inline]
    pub(crate) fn enter<R>(&mut self, f: impl FnOnce() -> R) -> R {
        let inner = Self {
            node: self.node.take(),
            ..*self
        };
        let _visit = Visit {
            outer: ManuallyDrop::new(exchange(inner)),
            inner: self,
        };
        f()
    }

    /// Puts this frame in scope until it is [taken out](InScope::release): for a call, whose request is costly to move into a
    /// closure, before there is a future for the frame to live in.
    #[inline]
    pub(crate) fn hold(self) -> InScope {
        InScope { outer: exchange(self) }
    }
}

/// A frame held in scope.
#[must_use = "the frame leaves the scope when this is dropped"]
pub(crate) struct InScope {
    outer: Frame,
}

impl InScope {
    /// Takes it out again, with what was made of it.
    #[inline]
    pub(crate) fn release(mut self) -> Frame {
        let inner = self.restore();
        mem::forget(self);
        inner
    }

    #[inline]
    fn restore(&mut self) -> Frame {
        exchange(mem::take(&mut self.outer))
    }
}

/// By a panic.
impl Drop for InScope {
    fn drop(&mut self) {
        self.restore();
    }
}

/// Another criticality in scope. All else stays as it is around it, and stays where it is: no cancellation is asked for.
#[must_use = "the criticality leaves the scope when this is dropped"]
pub(crate) struct Graded {
    outer: Criticality,
}

impl Graded {
    #[inline]
    pub(crate) fn enter(criticality: Criticality) -> Self {
        let marks = MARKS.get();
        MARKS.set(marks.at(criticality));
        Self {
            outer: marks.criticality(),
        }
    }
}

/// What was made of the context in between, its cancellation, stays.
impl Drop for Graded {
    #[inline]
    fn drop(&mut self) {
        MARKS.set(MARKS.get().at(self.outer));
    }
}

/// The cancellation in scope around that of a child. All else of a child is as it is around it, and stays where it is.
pub(super) struct Above {
    node: Option<Arc<Node>>,
    marks: Marks,
}

impl Above {
    /// Puts a child of what is in scope in its place.
    #[inline]
    pub(super) fn enter_child() -> Self {
        let above = ask_current();
        let child = MARKS.get().with(Cancellation::Unasked);
        Self {
            node: exchange_node(above),
            marks: MARKS.replace(child),
        }
    }

    /// The same, as another attempt at the same request.
    #[inline]
    pub(super) fn enter_attempt(attempt: u32) -> Self {
        let above = Self::enter_child();
        MARKS.set(MARKS.get().attempted(attempt));
        above
    }

    /// Takes the child out again, with what was made of it. Once.
    #[inline]
    pub(super) fn leave_child(&mut self) -> Frame {
        Frame {
            deadline: DEADLINE.get(),
            node: exchange_node(self.node.take()),
            marks: MARKS.replace(self.marks),
        }
    }
}

/// A frame in scope that lives elsewhere. Its facts do not change there; its cancellation does, where somebody asks.
///
/// What it does at its end is laid out to be inlined: nothing in it is dropped.
struct Visit<'a> {
    inner: &'a mut Frame,
    outer: ManuallyDrop<Frame>,
}

impl Drop for Visit<'_> {
    #[inline]
    fn drop(&mut self) {
        let outer = mem::replace(&mut self.outer, ManuallyDrop::new(Frame::BACKGROUND));
        let inner = exchange(ManuallyDrop::into_inner(outer));
        // There is none: it was taken when the visit began.
        mem::forget(mem::replace(&mut self.inner.node, inner.node));
        self.inner.marks = inner.marks;
    }
}

/// The frame in scope, as a context.
pub(super) fn current() -> Context {
    Context {
        node: ask_current(),
        facts: Frame::facts(),
    }
}

impl Default for Frame {
    #[inline]
    fn default() -> Self {
        Self::BACKGROUND
    }
}

impl Context {
    /// That of a frame of which all was asked for.
    pub(super) fn from_frame(frame: &Frame) -> Self {
        Self {
            facts: Facts {
                deadline: frame.deadline,
                criticality: frame.marks.criticality(),
                attempt: frame.marks.attempt(),
            },
            node: frame.node.clone(),
        }
    }
}

impl From<Context> for Frame {
    fn from(Context { facts, node }: Context) -> Self {
        Self::of(facts, node)
    }
}

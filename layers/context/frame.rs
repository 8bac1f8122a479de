//! The task-local: the context that is in scope on this thread while a future of it is polled.
//!
//! A [`Frame`] is a context whose cancellation has not been asked for yet. It is moved into the thread's slot around every
//! poll and out again, together with what was made of it in between; so a request whose handler never asks pays two moves and
//! no allocation. Whatever leaves the scope (a clone, a child) asks first: an unasked frame is never copied, and there is
//! nothing that could miss its end.
//!
//! Every request comes here some ten times, so it is made for the machine: a frame is flat, half a cache line of words that
//! are moved one by one. (A processor that wrote two words apart and reads them as one waits until both have reached its cache.)

use std::{cell::Cell, marker::PhantomData, mem, mem::ManuallyDrop, sync::Arc, time::Duration};

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
    #[inline]
    pub(crate) fn until(self, deadline: Option<Instant>) -> Self {
        let deadline = match (self.deadline, deadline) {
            (Some(ours), Some(theirs)) => Some(ours.min(theirs)),
            (ours, theirs) => ours.or(theirs),
        };
        Self { deadline, ..self }
    }
}

/// What a frame's node is to it. Apart from the node, and not around it, so that both are moved in registers.
#[derive(Clone, Copy, Debug)]
pub(super) enum Cancellation {
    /// Nothing but the deadline ends it. No node.
    Never,
    /// Its owner can end it, and nobody has asked yet. It will be a child of the node, if there is one.
    Unasked,
    /// The node is its own.
    Asked,
    /// It ended. The node is its own, if somebody had asked.
    Ended(Cancelled),
}

#[derive(Debug)]
pub(crate) struct Frame {
    deadline: Option<Instant>,
    pub(super) node: Option<Arc<Node>>,
    attempt: u32,
    criticality: Criticality,
    pub(super) cancellation: Cancellation,
}

// The frame in scope, a cell for each of its words.
//
// Without a destructor, so that an access is an address and not a state to check. Nothing leaks: outside of every scope, and so
// when a thread ends, the background is here, which owns nothing.
thread_local! {
    static DEADLINE: Cell<Option<Instant>> = const { Cell::new(Facts::BACKGROUND.deadline) };
    static NODE: Cell<ManuallyDrop<Option<Arc<Node>>>> = const { Cell::new(ManuallyDrop::new(None)) };
    static ATTEMPT: Cell<u32> = const { Cell::new(Facts::BACKGROUND.attempt) };
    static CRITICALITY: Cell<Criticality> = const { Cell::new(Facts::BACKGROUND.criticality) };
    static CANCELLATION: Cell<Cancellation> = const { Cell::new(Cancellation::Never) };
}

/// Exchanges the frame in scope for another.
#[inline]
fn exchange(frame: Frame) -> Frame {
    Frame {
        deadline: DEADLINE.replace(frame.deadline),
        node: exchange_node(frame.node),
        attempt: ATTEMPT.replace(frame.attempt),
        criticality: CRITICALITY.replace(frame.criticality),
        cancellation: CANCELLATION.replace(frame.cancellation),
    }
}

#[inline]
fn exchange_node(node: Option<Arc<Node>>) -> Option<Arc<Node>> {
    ManuallyDrop::into_inner(NODE.replace(ManuallyDrop::new(node)))
}

/// The cancellation in scope, made if there is one and nobody asked before.
#[inline]
fn ask_current() -> Option<Arc<Node>> {
    match CANCELLATION.get() {
        Cancellation::Never => None,
        cancellation => ask_node(cancellation),
    }
}

fn ask_node(mut cancellation: Cancellation) -> Option<Arc<Node>> {
    let mut node = exchange_node(None);
    let asked = ask(&mut cancellation, &mut node);
    exchange_node(node);
    CANCELLATION.set(cancellation);
    asked
}

fn ask(cancellation: &mut Cancellation, node: &mut Option<Arc<Node>>) -> Option<Arc<Node>> {
    match (*cancellation, &*node) {
        (Cancellation::Never, _) => return None,
        (Cancellation::Asked, _) | (Cancellation::Ended(_), Some(_)) => {}
        (Cancellation::Unasked, above) => {
            *node = Some(Node::new(above.as_ref()));
            *cancellation = Cancellation::Asked;
        }
        (Cancellation::Ended(why), None) => {
            let ended = Node::new(None);
            ended.cancel(why);
            *node = Some(ended);
        }
    }
    node.clone()
}

impl Frame {
    const BACKGROUND: Self = Self {
        deadline: Facts::BACKGROUND.deadline,
        node: None,
        attempt: Facts::BACKGROUND.attempt,
        criticality: Facts::BACKGROUND.criticality,
        cancellation: Cancellation::Never,
    };

    #[inline]
    fn new(facts: Facts, node: Option<Arc<Node>>, cancellation: Cancellation) -> Self {
        Self {
            deadline: facts.deadline,
            node,
            attempt: facts.attempt,
            criticality: facts.criticality,
            cancellation,
        }
    }

    /// Like these facts, but with `max` from now for a deadline, and no parent.
    pub(crate) fn detached(facts: Facts, max: Duration) -> Self {
        let facts = Facts {
            deadline: Instant::now().checked_add(max),
            ..facts
        };
        Self::of(facts, None)
    }

    /// A frame of what was asked for already.
    #[inline]
    fn of(facts: Facts, node: Option<Arc<Node>>) -> Self {
        let cancellation = if node.is_some() {
            Cancellation::Asked
        } else {
            Cancellation::Never
        };
        Self::new(facts, node, cancellation)
    }

    /// What is in scope here, without asking for its cancellation.
    #[inline]
    pub(crate) fn facts() -> Facts {
        Facts {
            deadline: DEADLINE.get(),
            criticality: CRITICALITY.get(),
            attempt: ATTEMPT.get(),
        }
    }

    /// A frame like the one in scope, that ends at `deadline` if that is sooner.
    #[inline]
    pub(crate) fn until(deadline: Option<Instant>) -> Self {
        Self::of(Self::facts().until(deadline), ask_current())
    }

    /// A frame with a cancellation of its own, below that of the frame in scope.
    #[inline]
    pub(super) fn child() -> Self {
        Self::new(Self::facts(), ask_current(), Cancellation::Unasked)
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
    pub(crate) fn hold(self) -> InScope<Self> {
        self.hold_for()
    }

    #[inline]
    pub(super) fn hold_for<F: From<Self>>(self) -> InScope<F> {
        InScope {
            outer: exchange(self),
            inner: PhantomData,
        }
    }
}

/// A frame held in scope, or the [`Scope`] that it is of.
#[must_use = "the frame leaves the scope when this is dropped"]
pub(crate) struct InScope<F: From<Frame>> {
    outer: Frame,
    inner: PhantomData<F>,
}

impl<F: From<Frame>> InScope<F> {
    /// Takes it out again, with what was made of it.
    #[inline]
    pub(crate) fn release(mut self) -> F {
        let inner = self.restore();
        mem::forget(self);
        inner
    }

    #[inline]
    fn restore(&mut self) -> F {
        let outer = mem::take(&mut self.outer);
        F::from(exchange(outer))
    }
}

/// By a panic.
impl<F: From<Frame>> Drop for InScope<F> {
    fn drop(&mut self) {
        self.restore();
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
        self.inner.cancellation = inner.cancellation;
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

impl From<Context> for Frame {
    fn from(Context { facts, node }: Context) -> Self {
        Self::of(facts, node)
    }
}

//! What flows down: the deadline, the cancellation, the criticality and the attempt of the work at hand.
//!
//! Work that nobody stops is what services die of. In Go each call is handed a `context.Context`, and forgetting one is the
//! classic mistake. Here the context is ambient: a layer puts it in scope, and code of any depth reads it.
//!
//! ```
//! # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), buttress::Cancelled> {
//! use buttress::Context;
//! use std::time::Duration;
//!
//! async fn deep_in_a_handler() -> Result<u64, buttress::Cancelled> {
//!     let ctx = Context::current();
//!     let mut sum = 0;
//!     for n in 0..1_000 {
//!         ctx.check()?; // the caller left, or it is too late: stop
//!         sum += n;
//!     }
//!     Ok(sum)
//! }
//!
//! let ctx = Context::current().with_timeout(Duration::from_secs(2));
//! assert_eq!(ctx.scope(deep_in_a_handler()).await?, 499_500);
//! # Ok(()) }
//! ```
//!
//! # One tree
//!
//! Contexts form a tree: request, attempt, task. A child is only ever stricter than its parent: its deadline never grows, and
//! it ends when its parent ends, with its parent's [reason](Cancelled). A context is ended by its owner alone: the
//! [layer](crate::CancelLayer) of a request, or the holder of a [`ContextGuard`].
//!
//! # Where it lives
//!
//! In the task: [`scope`](Context::scope) and the layers put it in a thread-local slot around each poll. That costs a few
//! nanoseconds and works for a service of any request type. The cancellation is made when somebody first asks: who calls
//! [`Context::current`], or makes a child. Reading [`Context::current_deadline`] makes nothing.
//!
//! What a task-local does not cross is a foreign task: a bare `tokio::spawn`, tower's `Buffer`. Spawn with [`Context::spawn`]
//! instead; and for what cannot be changed, have the layers put the context [in the request's extensions
//! too](crate::CancelLayer::in_extensions) and a [`ScopeLayer`] take it up on the other side.
//!
//! # Limits
//!
//! A deadline is noticed by what waits for it or checks it; a handler that does neither, and never awaits, cannot be stopped
//! by anybody. Timers need a tokio runtime with its time driver.

mod cancellation;
pub(crate) mod clock;
mod criticality;
mod frame;
mod head;
pub(crate) mod home;
mod marks;
mod owned;
mod scope;
mod shield;
mod task;
#[cfg(test)]
mod tests;
pub mod wire;

use std::{fmt, future::Future, ops::Deref, sync::Arc, time::Duration};

use tokio::time::{Instant, sleep_until};

use self::cancellation::Node;
pub use self::{
    cancellation::Cancelled,
    criticality::{Criticality, UnknownCriticality},
    head::Head,
    scope::{ScopeLayer, ScopeService, Scoped},
    shield::Shield,
    task::{Task, TaskError},
};
pub(crate) use self::{
    frame::{Facts, Frame, Graded},
    owned::Scope,
};
use crate::registry::Root;

/// The deadline, cancellation, criticality and attempt of a piece of work. See the [module](self).
///
/// A clone is the same context: it is cheap, can be held and sent anywhere, and ends when the original ends. Dropping one
/// ends nothing. The [default](Context::default) has no deadline and never ends.
#[derive(Clone)]
pub struct Context {
    facts: Facts,
    node: Option<Arc<Node>>,
}

impl Context {
    /// The context in scope here; one without a deadline, that never ends, where there is none.
    ///
    /// The first call within a request makes its cancellation: one allocation.
    pub fn current() -> Self {
        frame::current()
    }

    /// The deadline in scope here: what `Context::current().deadline()` says, without making anything.
    pub fn current_deadline() -> Option<Instant> {
        Frame::facts().deadline
    }

    /// The context that a layer [put in a request's extensions](crate::CancelLayer::in_extensions).
    pub fn from_extensions(extensions: &http::Extensions) -> Option<Self> {
        extensions.get::<Self>().cloned()
    }

    /// When this work must be done.
    pub fn deadline(&self) -> Option<Instant> {
        self.facts.deadline
    }

    /// How long this work has left: zero when its deadline has passed, `None` when it has none.
    pub fn remaining(&self) -> Option<Duration> {
        self.facts
            .deadline
            .map(|deadline| deadline.saturating_duration_since(Instant::now()))
    }

    /// How much this work matters.
    pub fn criticality(&self) -> Criticality {
        self.facts.criticality
    }

    /// Which attempt at the same request this is. The first is 1.
    pub fn attempt(&self) -> u32 {
        self.facts.attempt
    }

    /// The same work, to be done within `timeout` from now if that is sooner than its own deadline.
    ///
    /// A timeout too long for the clock leaves the deadline as it is.
    #[must_use]
    pub fn with_timeout(&self, timeout: Duration) -> Self {
        self.until(Instant::now().checked_add(timeout))
    }

    /// The same work, to be done by `deadline` if that is sooner than its own.
    #[must_use]
    pub fn with_deadline(&self, deadline: Instant) -> Self {
        self.until(Some(deadline))
    }

    fn until(&self, deadline: Option<Instant>) -> Self {
        Self {
            facts: self.facts.until(deadline),
            node: self.node.clone(),
        }
    }

    /// The same work at another criticality.
    #[must_use]
    pub fn with_criticality(&self, criticality: Criticality) -> Self {
        Self {
            facts: Facts {
                criticality,
                ..self.facts
            },
            node: self.node.clone(),
        }
    }

    /// The same work as its `attempt`th attempt; the first is 1, and 0 is taken for 1.
    #[must_use]
    pub fn with_attempt(&self, attempt: u32) -> Self {
        Self {
            facts: Facts {
                attempt: attempt.max(1),
                ..self.facts
            },
            node: self.node.clone(),
        }
    }

    /// A child that can be ended without ending this. The guard owns it and ends it when dropped.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")] async fn main() {
    /// use buttress::{Cancelled, Context};
    ///
    /// let search = Context::current().child();
    /// let shard = search.spawn("search-shard", std::future::pending::<()>());
    /// drop(search); // found elsewhere: its tasks end
    /// assert_eq!(shard.await.unwrap_err().reason(), Some(Cancelled::Finished));
    /// # }
    /// ```
    pub fn child(&self) -> ContextGuard {
        ContextGuard(Self {
            facts: self.facts,
            node: Some(Node::new(self.node.as_ref())),
        })
    }

    /// Whether this work should go on: an error with the reason once it has ended. One clock read where it has a deadline.
    ///
    /// # Errors
    ///
    /// Why the context ended.
    pub fn check(&self) -> Result<(), Cancelled> {
        if let Some(why) = self.node.as_ref().and_then(|node| node.reason()) {
            return Err(why);
        }
        match self.facts.deadline {
            Some(deadline) if deadline <= Instant::now() => Err(Cancelled::DeadlineExceeded),
            _ => Ok(()),
        }
    }

    /// Waits until this work has ended, by cancellation or by its deadline, and says why. For ever if neither can be.
    ///
    /// Safe to drop at any time.
    pub async fn cancelled(&self) -> Cancelled {
        let ended = async {
            match &self.node {
                Some(node) => node.ended().await,
                None => std::future::pending().await,
            }
        };
        let late = async {
            match self.facts.deadline {
                Some(deadline) => sleep_until(deadline).await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            biased;
            why = ended => why,
            () = late => Cancelled::DeadlineExceeded,
        }
    }

    /// Runs `future` with this context in scope. It is not ended by the context: it is *told*.
    pub fn scope<F: Future>(&self, future: F) -> Scoped<F> {
        Scoped::new(Frame::from(self.clone()), future)
    }

    /// What all of it belongs to in the end.
    pub(crate) fn root(&self) -> Option<Arc<Root>> {
        self.node.as_ref()?.root().cloned()
    }

    /// The context of all that belongs to this root. The guard ends it.
    pub(crate) fn of_root(root: Arc<Root>) -> ContextGuard {
        ContextGuard(Self {
            facts: Facts::BACKGROUND,
            node: Some(Node::of_root(Some(root))),
        })
    }

    /// Runs `future` to its end even if the caller leaves: for the write that must not be half done.
    ///
    /// The returned future runs it in place. If it is dropped after its first poll and before its end, the rest is spawned.
    /// Inside, the context has this one's criticality and attempt, but `max` from now for a deadline and no cancellation. At
    /// `max` it is dropped at its next yield, and the shield answers [`Cancelled::DeadlineExceeded`].
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")] async fn main() {
    /// use buttress::Context;
    /// use std::time::Duration;
    ///
    /// async fn charge_card() -> u32 { 42 }
    ///
    /// let receipt = Context::current().shield("charge", Duration::from_secs(10), charge_card()).await;
    /// assert_eq!(receipt, Ok(42));
    /// # }
    /// ```
    ///
    /// Boxes the future, once. A shield that is dropped outside of a tokio runtime, or while it shuts down, ends there.
    pub fn shield<F>(&self, name: &'static str, max: Duration, future: F) -> Shield<F>
    where
        F: Future + Send + 'static,
        F::Output: Send + 'static,
    {
        Shield::new(Frame::detached(self.facts, max, self.root()), name, future)
    }
}

/// No deadline, never cancelled, critical, first attempt.
impl Default for Context {
    fn default() -> Self {
        Self {
            facts: Facts::BACKGROUND,
            node: None,
        }
    }
}

impl fmt::Debug for Context {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Context")
            .field("remaining", &self.remaining())
            .field("criticality", &self.facts.criticality)
            .field("attempt", &self.facts.attempt)
            .field("cancelled", &self.node.as_ref().and_then(|node| node.reason()))
            .finish()
    }
}

/// Owns a [child](Context::child) context: dropping it ends the child as [finished](Cancelled::Finished).
#[must_use = "the child ends when its guard is dropped"]
#[derive(Debug)]
pub struct ContextGuard(Context);

impl ContextGuard {
    /// Ends the child now, for this reason.
    pub fn cancel(self, why: Cancelled) {
        self.end(why);
    }

    pub(crate) fn end(&self, why: Cancelled) {
        if let Some(node) = &self.0.node {
            node.cancel(why);
        }
    }
}

impl Deref for ContextGuard {
    type Target = Context;

    fn deref(&self) -> &Context {
        &self.0
    }
}

impl Drop for ContextGuard {
    fn drop(&mut self) {
        self.end(Cancelled::Finished);
    }
}

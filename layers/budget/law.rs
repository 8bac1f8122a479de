use std::{fmt, sync::Arc};

use tokio::time::Instant;

use crate::outcome::Class;

/// A law of one's own: who may try again. See [`Budget::with_law`](super::Budget::with_law).
///
/// ```
/// use buttress::budget::{Budget, Law, Why};
/// use std::sync::atomic::{AtomicU32, Ordering};
/// use tokio::time::Instant;
///
/// /// So many, and never more: a batch that ends.
/// #[derive(Debug)]
/// struct Total(AtomicU32);
///
/// impl Law for Total {
///     fn first(&self, _: Instant) {}
///
///     fn again(&self, _: Why, _: Instant) -> bool {
///         let take = |left: u32| left.checked_sub(1);
///         self.0.fetch_update(Ordering::Relaxed, Ordering::Relaxed, take).is_ok()
///     }
///
///     fn unsent(&self, _: Why, _: Instant) {
///         self.0.fetch_add(1, Ordering::Relaxed);
///     }
/// }
///
/// let budget = Budget::with_law(Total(100.into()));
/// # assert_eq!(budget.snapshot().granted, 0);
/// ```
///
/// It is called by all threads at once, within `call` and `poll`: it must be quick, and must not block. Take and check in one
/// step, as above: who checks and then takes lets through as many as there are threads. The times that racing threads bring may
/// be slightly out of order.
#[diagnostic::on_unimplemented(
    message = "`{Self}` is not a law of a budget",
    note = "implement `Law` for a law of your own; `Budget::builder().ratio(0.1).build()` has the usual one"
)]
pub trait Law: fmt::Debug + Send + Sync + 'static {
    /// The first attempt of a request starts.
    fn first(&self, now: Instant);

    /// One more attempt wants to start. True: it is paid for.
    fn again(&self, why: Why, now: Instant) -> bool;

    /// Whether one more might be paid for now. It is asked before the wait for an attempt, so that nobody waits in vain; nothing is
    /// taken, and [`again`](Self::again) decides.
    fn may(&self, why: Why, now: Instant) -> bool {
        let _ = (why, now);
        true
    }

    /// An attempt that was paid for was never sent: what it cost is given back. Its end is not told.
    fn unsent(&self, why: Why, now: Instant);

    /// An attempt ended. Told only where this [follows ends](Self::follows_ends).
    fn ended(&self, ended: Ended, now: Instant) {
        let _ = (ended, now);
    }

    /// Whether it wants to be told how attempts end: only then are answers followed to their end for it.
    fn follows_ends(&self) -> bool {
        false
    }

    /// What is left, for the [snapshot](super::BudgetSnapshot).
    fn tokens(&self, now: Instant) -> Option<f64> {
        let _ = now;
        None
    }
}

/// Why there is to be one more attempt.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Why {
    /// The one before failed like this.
    Failed(Class),
    /// Those before are slow.
    Hedge,
}

/// How an attempt ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Ended {
    /// Why it was made. `None`: it was the first.
    pub again: Option<Why>,
    /// How it ended.
    pub how: How,
}

/// The ways in which an attempt ends, as far as a budget cares.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum How {
    /// It was answered in full.
    Success,
    /// It failed, in a way that is retried.
    Failure,
    /// Otherwise: it failed in a way that is not retried, was cancelled, or lost to another.
    Other,
}

impl Ended {
    /// The end of an attempt. The layers make it; a test of a law may, too.
    pub const fn new(again: Option<Why>, how: How) -> Self {
        Self { again, how }
    }
}

/// So that who made it can keep it: to read it, or to turn it.
impl<L: Law + ?Sized> Law for Arc<L> {
    fn first(&self, now: Instant) {
        (**self).first(now);
    }

    fn again(&self, why: Why, now: Instant) -> bool {
        (**self).again(why, now)
    }

    fn may(&self, why: Why, now: Instant) -> bool {
        (**self).may(why, now)
    }

    fn unsent(&self, why: Why, now: Instant) {
        (**self).unsent(why, now);
    }

    fn ended(&self, ended: Ended, now: Instant) {
        (**self).ended(ended, now);
    }

    fn follows_ends(&self) -> bool {
        (**self).follows_ends()
    }

    fn tokens(&self, now: Instant) -> Option<f64> {
        (**self).tokens(now)
    }
}

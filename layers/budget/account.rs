use std::{
    fmt,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

use tokio::time::Instant;

use super::{BudgetBuilder, BudgetSnapshot, Ended, InvalidBudget, Law, Why, builder, grpc::Grpc, ratio::Ratio};
use crate::context::home::Homes;

/// Who may try again. Clones are the same budget. See the [module](super).
#[derive(Clone)]
pub struct Budget {
    homes: Homes<Account>,
}

/// A law, and what was decided by it.
#[derive(Debug)]
pub(super) struct Account {
    pub(super) kind: Kind,
    pub(super) counts: Counts,
}

#[derive(Debug)]
pub(super) enum Kind {
    Ratio(Ratio),
    Grpc(Grpc),
    Own(Arc<dyn Law>),
}

/// On cache lines of its own: all requests read what stands beside it, and it is written where many of them fail.
#[derive(Debug, Default)]
#[repr(align(128))]
pub(super) struct Counts {
    granted: AtomicU64,
    rejected: AtomicU64,
    returned: AtomicU64,
}

impl Budget {
    pub(super) fn new(kind: Kind) -> Self {
        Self {
            homes: Homes::new(Account::new(kind)),
        }
    }

    /// A budget with a ratio, a floor, and a burst of one's own.
    ///
    /// ```
    /// # use buttress::budget::{Budget, InvalidBudget};
    /// let budget = Budget::builder().ratio(0.2).min_per_second(2.0).burst(20).build()?;
    /// assert_eq!(Budget::builder().ratio(20.0).build().unwrap_err(), InvalidBudget::Ratio);
    /// # Ok::<(), InvalidBudget>(())
    /// ```
    pub const fn builder() -> BudgetBuilder {
        BudgetBuilder::new()
    }

    /// gRPC's `retryThrottling` ([gRFC A6]), for those who must do as their neighbours do: a failure takes a token, a success
    /// brings `token_ratio` of one, and one may try again while more than half of `max_tokens` is left.
    ///
    /// Both count in thousandths. Attempts are followed to their ends, as a success is known there. Mind that it bounds the share
    /// of failures, not that of attempts: with a ratio of 0.1, one attempt in eleven can fail and be made again for ever; if
    /// more fail, none is, until fewer do.
    ///
    /// # Errors
    ///
    /// `max_tokens` is not between 1 and 1,000, or `token_ratio` is below a thousandth.
    ///
    /// [gRFC A6]: https://github.com/grpc/proposal/blob/master/A6-client-retries.md#throttling-retry-attempts-and-hedged-rpcs
    pub fn grpc(max_tokens: f64, token_ratio: f64) -> Result<Self, InvalidBudget> {
        builder::grpc(max_tokens, token_ratio)
    }

    /// A budget by a law of one's own.
    pub fn with_law(law: impl Law) -> Self {
        Self::new(Kind::Own(Arc::new(law)))
    }

    /// How it stands.
    pub fn snapshot(&self) -> BudgetSnapshot {
        self.homes.here().snapshot(Instant::now())
    }

    pub(super) fn homes(&self) -> &Homes<Account> {
        &self.homes
    }

    /// Its law and its terms, without its state. A law of the user's is that very one.
    pub(super) fn kind_anew(&self) -> Kind {
        match &self.homes.here().kind {
            Kind::Ratio(law) => Kind::Ratio(law.anew()),
            Kind::Grpc(law) => Kind::Grpc(law.anew()),
            Kind::Own(law) => Kind::Own(law.clone()),
        }
    }

    /// The same, as a law.
    pub(super) fn law_anew(&self) -> Arc<dyn Law> {
        match self.kind_anew() {
            Kind::Ratio(law) => Arc::new(law),
            Kind::Grpc(law) => Arc::new(law),
            Kind::Own(law) => law,
        }
    }
}

/// A budget is a law itself: within a law of one's own, or for a loop that is no layer's.
impl Law for Budget {
    #[inline]
    fn first(&self, now: Instant) {
        self.homes.here().kind.first(|| now);
    }

    fn again(&self, why: Why, now: Instant) -> bool {
        let account = self.homes.here();
        account.counts.again(account.kind.law(), why, now)
    }

    fn may(&self, why: Why, now: Instant) -> bool {
        let account = self.homes.here();
        account.counts.may(account.kind.law(), why, now)
    }

    fn unsent(&self, why: Why, now: Instant) {
        let account = self.homes.here();
        account.counts.unsent(account.kind.law(), why, now);
    }

    fn ended(&self, ended: Ended, now: Instant) {
        self.homes.here().kind.law().ended(ended, now);
    }

    fn follows_ends(&self) -> bool {
        self.homes.here().kind.law().follows_ends()
    }

    fn tokens(&self, now: Instant) -> Option<f64> {
        self.homes.here().kind.law().tokens(now)
    }
}

/// A tenth of the requests, one per second where there are few, ten at once.
impl Default for Budget {
    fn default() -> Self {
        BudgetBuilder::new().within_bounds()
    }
}

impl Account {
    pub(super) fn new(kind: Kind) -> Self {
        Self {
            kind,
            counts: Counts::default(),
        }
    }

    pub(super) fn snapshot(&self, now: Instant) -> BudgetSnapshot {
        self.counts.snapshot(self.kind.law().tokens(now))
    }
}

impl Kind {
    pub(super) fn law(&self) -> &dyn Law {
        match self {
            Self::Ratio(law) => law,
            Self::Grpc(law) => law,
            Self::Own(law) => &**law,
        }
    }

    /// What all requests do. The time is read where it matters, which for a default budget that is full it does not.
    #[inline]
    pub(super) fn first(&self, now: impl FnOnce() -> Instant) {
        match self {
            Self::Ratio(law) => law.first_at(now),
            // Only ends matter to it.
            Self::Grpc(_) => {}
            Self::Own(law) => law.first(now()),
        }
    }
}

impl Counts {
    pub(super) fn again(&self, law: &dyn Law, why: Why, now: Instant) -> bool {
        let granted = law.again(why, now);
        let count = if granted { &self.granted } else { &self.rejected };
        count.fetch_add(1, Ordering::Relaxed);
        granted
    }

    /// A no is counted: it keeps an attempt from being made as much as one that comes later.
    pub(super) fn may(&self, law: &dyn Law, why: Why, now: Instant) -> bool {
        let may = law.may(why, now);
        if !may {
            self.rejected.fetch_add(1, Ordering::Relaxed);
        }
        may
    }

    pub(super) fn unsent(&self, law: &dyn Law, why: Why, now: Instant) {
        law.unsent(why, now);
        self.returned.fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn reset(&self) {
        for count in [&self.granted, &self.rejected, &self.returned] {
            count.store(0, Ordering::Relaxed);
        }
    }

    pub(super) fn snapshot(&self, tokens: Option<f64>) -> BudgetSnapshot {
        BudgetSnapshot {
            tokens,
            granted: self.granted.load(Ordering::Relaxed),
            rejected: self.rejected.load(Ordering::Relaxed),
            returned: self.returned.load(Ordering::Relaxed),
        }
    }
}

impl fmt::Debug for Budget {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let account = &self.homes.here().shared;
        f.debug_struct("Budget")
            .field("law", &account.kind)
            .field("counts", &account.counts)
            .finish()
    }
}

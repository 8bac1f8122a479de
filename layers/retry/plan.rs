//! Whether there is another attempt, and when: decided once from what is known, without a clock and without dice.

use std::time::Duration;

use super::{Backoff, Verdict};
use crate::{body::replay::NotReplayable, outcome::Hint};

/// What bounds the attempts at a request.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Bounds {
    pub(crate) attempts: u32,
    pub(crate) backoff: Backoff,
    /// The longest hint that is followed.
    pub(crate) hint_cap: Duration,
    /// What an attempt needs at least to be worth starting.
    pub(crate) floor: Duration,
}

/// What is known when an attempt has ended.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Known {
    pub(crate) verdict: Verdict,
    /// Which attempt it was; the first is 1.
    pub(crate) attempt: u32,
    pub(crate) hint: Option<Hint>,
    /// gRPC's word is exact, HTTP's is spread.
    pub(crate) exact: bool,
    /// Why the body cannot be sent again, if it cannot.
    pub(crate) body: Option<NotReplayable>,
    /// Whether the work has ended: its caller left, its deadline passed, the process is shutting down.
    pub(crate) ended: bool,
    /// Up to the deadline.
    pub(crate) remaining: Option<Duration>,
    /// The dice, in `0.0..1.0`.
    pub(crate) share: f64,
}

/// What is done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Plan {
    /// The attempt is passed up.
    Pass(Kept),
    /// Another one, after this long.
    Again(Duration),
}

/// Why an attempt that failed is passed up.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Kept {
    /// It is not of a kind that is retried.
    Verdict,
    /// The caller left, the deadline passed, or the process is shutting down.
    Ended,
    /// The upstream, or one of ours in front of it, said not to.
    DoNotRetry,
    /// It was the last of the attempts.
    Attempts,
    /// The body was too large to be kept, is still being sent, or broke.
    Body,
    /// The upstream asked for a longer wait than is ever followed.
    LongWait,
    /// There is not enough time left for the wait and an attempt.
    Deadline,
    /// The budget is spent.
    Budget,
    /// The service is not ready for another call: it has more than it can do.
    NotReady,
}

impl Kept {
    /// All of them.
    pub const ALL: [Self; 9] = [
        Self::Verdict,
        Self::Ended,
        Self::DoNotRetry,
        Self::Attempts,
        Self::Body,
        Self::LongWait,
        Self::Deadline,
        Self::Budget,
        Self::NotReady,
    ];

    /// The reason as a metric's attribute has it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Verdict => "verdict",
            Self::Ended => "ended",
            Self::DoNotRetry => "do_not_retry",
            Self::Attempts => "attempts",
            Self::Body => "body",
            Self::LongWait => "long_wait",
            Self::Deadline => "deadline",
            Self::Budget => "budget",
            Self::NotReady => "not_ready",
        }
    }

    /// Whether those above are told not to try either: what could be done about it was done here.
    pub(crate) const fn is_final(self) -> bool {
        matches!(self, Self::Attempts | Self::Budget)
    }
}

impl Bounds {
    /// Whether the budget has anything left is asked last: it counts the times when it has not.
    pub(crate) fn plan(&self, known: &Known, affordable: impl FnOnce() -> bool) -> Plan {
        let Known { verdict, attempt, .. } = *known;
        if verdict == Verdict::Pass {
            return Plan::Pass(Kept::Verdict);
        }
        if known.ended {
            return Plan::Pass(Kept::Ended);
        }
        let wait = match known.hint.map(|hint| hint.capped(self.hint_cap)) {
            Some(Hint::After(wait)) if known.exact => wait,
            Some(Hint::After(wait)) => wait.saturating_add(spread(wait).mul_f64(known.share)),
            Some(Hint::DoNotRetry) if known.hint == Some(Hint::DoNotRetry) => return Plan::Pass(Kept::DoNotRetry),
            Some(Hint::DoNotRetry) => return Plan::Pass(Kept::LongWait),
            None if verdict == Verdict::RetryAtOnce => Duration::ZERO,
            None => self.backoff.after(attempt, known.share),
        };
        if attempt >= self.attempts {
            return Plan::Pass(Kept::Attempts);
        }
        if known.body.is_some() {
            return Plan::Pass(Kept::Body);
        }
        let needed = wait.saturating_add(self.floor);
        if known.remaining.is_some_and(|remaining| remaining <= needed) {
            return Plan::Pass(Kept::Deadline);
        }
        if !affordable() {
            return Plan::Pass(Kept::Budget);
        }
        Plan::Again(wait)
    }
}

/// By how much a wait is longer at most, so that those who were told the same do not come as one: a quarter, and a second at most.
fn spread(wait: Duration) -> Duration {
    (wait / 4).min(Duration::from_secs(1))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const MS: Duration = Duration::from_millis(1);

    fn bounds() -> Bounds {
        Bounds {
            attempts: 3,
            backoff: Backoff::default(),
            hint_cap: Hint::DEFAULT_CAP,
            floor: MS,
        }
    }

    fn failed() -> Known {
        Known {
            verdict: Verdict::Retry,
            attempt: 1,
            hint: None,
            exact: false,
            body: None,
            ended: false,
            remaining: None,
            share: 1.0,
        }
    }

    #[test]
    fn each_reason_to_pass_it_up() {
        let pass = |known: Known, why| {
            let plan = bounds().plan(&known, || why != Kept::Budget);
            assert_eq!(plan, Plan::Pass(why), "{known:?}");
        };
        pass(
            Known {
                verdict: Verdict::Pass,
                ..failed()
            },
            Kept::Verdict,
        );
        pass(
            Known {
                ended: true,
                ..failed()
            },
            Kept::Ended,
        );
        pass(
            Known {
                hint: Some(Hint::DoNotRetry),
                ..failed()
            },
            Kept::DoNotRetry,
        );
        pass(
            Known {
                hint: Some(Hint::After(30_001 * MS)),
                ..failed()
            },
            Kept::LongWait,
        );
        pass(Known { attempt: 3, ..failed() }, Kept::Attempts);
        pass(
            Known {
                body: Some(NotReplayable::TooLarge),
                ..failed()
            },
            Kept::Body,
        );
        pass(
            Known {
                remaining: Some(51 * MS),
                ..failed()
            },
            Kept::Deadline,
        );
        pass(failed(), Kept::Budget);
        let fits = Known {
            remaining: Some(52 * MS),
            ..failed()
        };
        assert_eq!(bounds().plan(&fits, || true), Plan::Again(50 * MS));
    }

    #[test]
    fn a_hint_takes_the_place_of_the_backoff() {
        let again = |known: Known| bounds().plan(&known, || true);
        let hinted = Known {
            hint: Some(Hint::After(2_000 * MS)),
            ..failed()
        };
        assert_eq!(again(hinted), Plan::Again(2_500 * MS));
        assert_eq!(again(Known { share: 0.0, ..hinted }), Plan::Again(2_000 * MS));
        assert_eq!(again(Known { exact: true, ..hinted }), Plan::Again(2_000 * MS));
        let long = Known {
            hint: Some(Hint::After(20_000 * MS)),
            ..failed()
        };
        assert_eq!(again(long), Plan::Again(21_000 * MS));
        let at_once = Known {
            verdict: Verdict::RetryAtOnce,
            ..failed()
        };
        assert_eq!(again(at_once), Plan::Again(Duration::ZERO));
        assert_eq!(
            again(Known {
                verdict: Verdict::RetryAtOnce,
                ..hinted
            }),
            Plan::Again(2_500 * MS)
        );
    }

    proptest! {
        #[test]
        fn a_wait_always_leaves_time_for_an_attempt(
            remaining: Duration, hint: Option<Duration>, attempt in 1_u32..3, share in 0.0..1.0, exact: bool, floor in 0_u64..100,
        ) {
            let bounds = Bounds { floor: Duration::from_millis(floor), ..bounds() };
            let known = Known { hint: hint.map(Hint::After), remaining: Some(remaining), attempt, share, exact, ..failed() };
            if let Plan::Again(wait) = bounds.plan(&known, || true) {
                prop_assert!(wait + bounds.floor < remaining);
                prop_assert!(hint.is_none_or(|hint| hint <= wait && hint <= bounds.hint_cap));
            }
        }
    }
}

//! The numbers of a circuit, kept within what makes sense.

use std::time::Duration;

use super::history::{STEPS, Sums};

/// An open circuit doubles its time up to this, if it does not begin with more; and a hint is followed no further.
pub(super) const LONGEST: Duration = Duration::from_secs(30);

/// By what a window moves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Span {
    /// Nanoseconds.
    Time(u64),
    /// Calls.
    Calls(u64),
}

/// What a circuit goes by.
#[derive(Clone, Copy, Debug)]
pub(super) struct Law {
    pub(super) failure_rate: f64,
    /// Longer than this is slow, and this share of slow calls too many.
    pub(super) slow: Option<(Duration, f64)>,
    pub(super) minimum: u64,
    /// A tenth of the window.
    pub(super) step: Span,
    pub(super) probes: u16,
    pub(super) open_for: Duration,
}

impl Default for Law {
    fn default() -> Self {
        Self {
            failure_rate: 0.5,
            slow: None,
            minimum: 20,
            step: Span::Time(1_000_000_000),
            probes: 3,
            open_for: Duration::from_secs(1),
        }
    }
}

impl Law {
    /// A share of the calls: more than none, or a circuit would open without cause. What is no number is all of them.
    pub(super) fn share(share: f64) -> f64 {
        if share.is_nan() { 1.0 } else { share.clamp(0.001, 1.0) }
    }

    pub(super) fn time(window: Duration) -> Span {
        let step = window.as_nanos() / STEPS as u128;
        Span::Time(u64::try_from(step).unwrap_or(u64::MAX).max(1_000_000))
    }

    pub(super) fn calls(window: u64) -> Span {
        Span::Calls(window.div_ceil(STEPS as u64).max(1))
    }

    /// Whether arrivals must say when they come.
    #[inline]
    pub(super) fn is_timed(&self) -> bool {
        matches!(self.step, Span::Time(_))
    }

    /// Whether so much is too much.
    #[expect(clippy::cast_precision_loss, reason = "counts of calls in a window")]
    pub(super) fn condemns(&self, recent: Sums) -> bool {
        let reaches = |count: u64, share: f64| count as f64 >= share * recent.calls as f64;
        recent.calls >= self.least()
            && (recent.failures > 0 && reaches(recent.failures, self.failure_rate)
                || self
                    .slow
                    .is_some_and(|(_, rate)| recent.slow > 0 && reaches(recent.slow, rate)))
    }

    /// How many calls it takes to judge: no more than the window always has.
    fn least(&self) -> u64 {
        match self.step {
            Span::Time(_) => self.minimum,
            Span::Calls(step) => self.minimum.min(step * (STEPS as u64 - 1) + 1),
        }
    }

    /// How long to stay open, after so many times without success. `spread` is from 0 to 1.
    pub(super) fn open_time(&self, streak: u32, hint: Option<Duration>, spread: f64) -> Duration {
        let longest = self.open_for.max(LONGEST);
        let doubled = self.open_for.saturating_mul(2_u32.saturating_pow(streak)).min(longest);
        let spread = doubled.saturating_add((doubled / 4).mul_f64(spread.clamp(0.0, 1.0)));
        spread.max(hint.unwrap_or_default().min(LONGEST))
    }
}

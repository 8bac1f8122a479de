//! The default law: a share of the requests, and a floor for those who make few.

use std::sync::OnceLock;

use tokio::time::Instant;

use super::{
    Law, Why,
    level::{HALF, Level, MILLIS, RATE_BITS, TICKS, Terms},
};

#[derive(Debug)]
pub(super) struct Ratio {
    level: Level,
    /// When it was first asked. All times are counted from it.
    epoch: OnceLock<Instant>,
}

/// Above it, a share would be too coarse.
pub(super) const MOST_BURST: u32 = 1_000;

impl Terms {
    /// In the finest units that leave room for `burst`, which is at most [`MOST_BURST`]; rounded down.
    pub(super) fn of(ratio: f64, min_per_second: f64, burst: u32) -> Self {
        let one = 1_u64 << (19 - burst.max(1).ilog2());
        let cap = one * u64::from(burst);
        let per_tick = min_per_second * to_f64(MILLIS) / to_f64(TICKS) / 1_000.0;
        let rate = floor(per_tick * to_f64(one << RATE_BITS));
        Self {
            one,
            cap,
            deposit: floor(ratio * to_f64(one)).min(cap),
            rate,
            kept: (rate.saturating_mul(2 * HALF) >> RATE_BITS).min(cap),
        }
    }
}

impl Ratio {
    pub(super) fn new(terms: Terms) -> Self {
        Self {
            level: Level::new(terms, 0),
            epoch: OnceLock::new(),
        }
    }

    /// One with the same terms, which has seen nothing.
    pub(super) fn anew(&self) -> Self {
        Self::new(*self.level.terms())
    }

    pub(super) fn reset(&self, now: Instant) {
        self.level.reset(self.ticks(now));
    }

    /// Whether it has what a new one has.
    pub(super) fn is_idle(&self, now: Instant) -> bool {
        self.level.amount(self.ticks(now)) == self.level.terms().kept
    }

    /// A first attempt, at a time that is read where it matters: not where the bucket is full for good.
    #[inline]
    pub(super) fn first_at(&self, now: impl FnOnce() -> Instant) {
        self.level.first(|| self.ticks(now()));
    }

    #[inline]
    fn ticks(&self, now: Instant) -> u64 {
        let since = now.saturating_duration_since(*self.epoch.get_or_init(|| now));
        let millis = since.as_secs().saturating_mul(1_000) + u64::from(since.subsec_millis());
        millis.wrapping_mul(TICKS) / MILLIS
    }
}

impl Law for Ratio {
    #[inline]
    fn first(&self, now: Instant) {
        self.first_at(|| now);
    }

    fn again(&self, _: Why, now: Instant) -> bool {
        self.level.again(self.ticks(now))
    }

    fn may(&self, _: Why, now: Instant) -> bool {
        self.level.amount(self.ticks(now)) >= self.level.terms().one
    }

    fn unsent(&self, _: Why, now: Instant) {
        self.level.unsent(self.ticks(now));
    }

    fn tokens(&self, now: Instant) -> Option<f64> {
        let amount = self.level.amount(self.ticks(now));
        Some(to_f64(amount) / to_f64(self.level.terms().one))
    }
}

#[expect(clippy::cast_precision_loss, reason = "all that is converted is below 2^53")]
fn to_f64(amount: u64) -> f64 {
    amount as f64
}

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "it is not negative, and whatever is too large is at the cap"
)]
fn floor(amount: f64) -> u64 {
    amount as u64
}

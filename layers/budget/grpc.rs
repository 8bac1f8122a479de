//! gRPC's law, as its service config has it: `retryThrottling`.

use std::sync::atomic::{AtomicU64, Ordering};

use tokio::time::Instant;

use super::{Ended, How, Law, Why};

/// A token, in the units that are counted: gRPC's core counts thousandths, too.
const TOKEN: u64 = 1_000;

#[derive(Debug)]
pub(super) struct Grpc {
    tokens: AtomicU64,
    most: u64,
    ratio: u64,
}

impl Grpc {
    /// In thousandths of a token, 1 at least.
    pub(super) fn new(most: u64, ratio: u64) -> Self {
        Self {
            tokens: AtomicU64::new(most),
            most,
            ratio,
        }
    }

    /// One with the same terms, which has seen nothing.
    pub(super) fn anew(&self) -> Self {
        Self::new(self.most, self.ratio)
    }

    pub(super) fn reset(&self) {
        self.tokens.store(self.most, Ordering::Relaxed);
    }

    /// Whether it has what a new one has.
    pub(super) fn is_idle(&self) -> bool {
        self.tokens.load(Ordering::Relaxed) == self.most
    }

    fn change(&self, next: impl Fn(u64) -> u64) {
        let next = |tokens| Some(next(tokens)).filter(|next| *next != tokens);
        // An error says that nothing was to be changed: where it is full, a success writes nothing.
        let _ = self.tokens.fetch_update(Ordering::Relaxed, Ordering::Relaxed, next);
    }
}

impl Law for Grpc {
    fn first(&self, _: Instant) {}

    fn again(&self, why: Why, now: Instant) -> bool {
        self.may(why, now)
    }

    fn may(&self, _: Why, _: Instant) -> bool {
        2 * self.tokens.load(Ordering::Relaxed) > self.most
    }

    /// Nothing was taken: what counts is how attempts end.
    fn unsent(&self, _: Why, _: Instant) {}

    fn ended(&self, ended: Ended, _: Instant) {
        match ended.how {
            How::Success => self.change(|tokens| (tokens + self.ratio).min(self.most)),
            How::Failure => self.change(|tokens| tokens.saturating_sub(TOKEN)),
            How::Other => {}
        }
    }

    fn follows_ends(&self) -> bool {
        true
    }

    #[expect(clippy::cast_precision_loss, reason = "there are no more than a million")]
    fn tokens(&self, _: Instant) -> Option<f64> {
        Some(self.tokens.load(Ordering::Relaxed) as f64 / TOKEN as f64)
    }
}

//! Two laws of others, as a user writes them.

use std::sync::atomic::{AtomicI64, AtomicU32, Ordering::Relaxed};

use buttress::{
    budget::{Ended, How, Law, Why},
    outcome::Class,
};
use tokio::time::Instant;

/// AWS's standard mode: 500 tokens, a retry costs 5 and one after a timeout 10; a success brings what the last retry cost, else 1.
#[derive(Debug)]
pub(crate) struct Aws(AtomicU32);

impl Aws {
    const MOST: u32 = 500;

    fn cost(why: Why) -> u32 {
        match why {
            Why::Failed(Class::Http(status)) if matches!(status.as_u16(), 408 | 504) => 10,
            _ => 5,
        }
    }

    fn add(&self, tokens: u32) {
        let add = |now: u32| Some((now + tokens).min(Self::MOST));
        self.0.fetch_update(Relaxed, Relaxed, add).unwrap();
    }
}

impl Default for Aws {
    fn default() -> Self {
        Self(Self::MOST.into())
    }
}

impl Law for Aws {
    fn first(&self, _: Instant) {}

    fn again(&self, why: Why, _: Instant) -> bool {
        let take = |now: u32| now.checked_sub(Self::cost(why));
        self.0.fetch_update(Relaxed, Relaxed, take).is_ok()
    }

    fn unsent(&self, why: Why, _: Instant) {
        self.add(Self::cost(why));
    }

    fn ended(&self, ended: Ended, _: Instant) {
        if ended.how == How::Success {
            self.add(ended.again.map_or(1, Self::cost));
        }
    }

    fn follows_ends(&self) -> bool {
        true
    }

    fn tokens(&self, _: Instant) -> Option<f64> {
        Some(self.0.load(Relaxed).into())
    }
}

/// Envoy's: of what is in flight, a fifth may be retries, and three in any case. As there, it checks and then takes.
#[derive(Debug, Default)]
pub(crate) struct Envoy {
    in_flight: AtomicI64,
    retries: AtomicI64,
}

impl Law for Envoy {
    fn first(&self, _: Instant) {
        self.in_flight.fetch_add(1, Relaxed);
    }

    fn again(&self, _: Why, _: Instant) -> bool {
        let most = (self.in_flight.load(Relaxed) / 5).max(3);
        let granted = self.retries.load(Relaxed) < most;
        if granted {
            self.in_flight.fetch_add(1, Relaxed);
            self.retries.fetch_add(1, Relaxed);
        }
        granted
    }

    fn unsent(&self, why: Why, now: Instant) {
        self.ended(Ended::new(Some(why), How::Other), now);
    }

    fn ended(&self, ended: Ended, _: Instant) {
        self.in_flight.fetch_sub(1, Relaxed);
        self.retries.fetch_sub(i64::from(ended.again.is_some()), Relaxed);
    }

    fn follows_ends(&self) -> bool {
        true
    }
}

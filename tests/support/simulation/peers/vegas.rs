//! The Vegas law of Netflix's concurrency-limits.

use buttress::admission::concurrency::{Limit, Window};
use fastrand::Rng;

use super::{in_flight, seconds, step, whole};

const MOST: f64 = 1_000.0;
/// The least latency is forgotten after so many calls for each one of the limit, more or less.
const PROBE: f64 = 30.0;

/// `VegasLimit` of Netflix's concurrency-limits (0.5): the queue is estimated by how much longer a call took than the quickest, and kept
/// between three and six times the logarithm of the limit.
#[derive(Debug)]
pub(crate) struct Vegas {
    limit: f64,
    least: f64,
    calls: f64,
    jitter: f64,
    rng: Rng,
}

impl Vegas {
    pub(crate) fn new(seed: u64) -> Self {
        let mut rng = Rng::with_seed(seed);
        Self {
            limit: 20.0,
            least: f64::INFINITY,
            calls: 0.0,
            jitter: 0.5 + rng.f64() / 2.0,
            rng,
        }
    }
}

impl Limit for Vegas {
    fn limit(&self) -> usize {
        whole(self.limit)
    }

    fn update(&mut self, window: &Window<'_>) {
        let took = seconds(window);
        self.calls += 1.0;
        if self.calls >= self.jitter * PROBE * self.limit {
            self.jitter = 0.5 + self.rng.f64() / 2.0;
            self.calls = 0.0;
            self.least = took;
            return;
        }
        if took < self.least {
            self.least = took;
            return;
        }
        let step = step(self.limit);
        let queue = (self.limit * (1.0 - self.least / took)).ceil();
        let by = if window.rejected > 0 {
            -step
        } else if in_flight(window) * 2.0 < self.limit {
            0.0
        } else if queue <= step {
            6.0 * step
        } else if queue < 3.0 * step {
            step
        } else if queue > 6.0 * step {
            -step
        } else {
            0.0
        };
        self.limit = (self.limit + by).clamp(1.0, MOST);
    }
}

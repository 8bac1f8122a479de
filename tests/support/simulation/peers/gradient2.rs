//! The gradient law of Netflix's concurrency-limits.

use buttress::admission::concurrency::{Limit, Window};

use super::{in_flight, seconds, whole};

const LEAST: f64 = 20.0;
const MOST: f64 = 200.0;
const SMOOTHING: f64 = 0.2;
const TOLERANCE: f64 = 1.5;
const QUEUE: f64 = 4.0;
/// Of the long average, in calls.
const LONG: f64 = 600.0;
const WARM_UP: f64 = 10.0;

/// `Gradient2Limit` of Netflix's concurrency-limits (0.5): each call against a long average of all.
#[derive(Debug)]
pub(crate) struct Gradient2 {
    limit: f64,
    long: f64,
    calls: f64,
}

impl Gradient2 {
    pub(crate) fn new() -> Self {
        Self {
            limit: 20.0,
            long: 0.0,
            calls: 0.0,
        }
    }
}

impl Limit for Gradient2 {
    fn limit(&self) -> usize {
        whole(self.limit)
    }

    fn update(&mut self, window: &Window<'_>) {
        let took = seconds(window);
        self.calls = (self.calls + 1.0).min(WARM_UP + 1.0);
        let weight = if self.calls <= WARM_UP {
            1.0 / self.calls
        } else {
            2.0 / (LONG + 1.0)
        };
        self.long += (took - self.long) * weight;
        let long = self.long;
        if long / took > 2.0 {
            self.long *= 0.95;
        }
        if in_flight(window) < self.limit / 2.0 {
            return;
        }
        let gradient = (TOLERANCE * long / took).clamp(0.5, 1.0);
        let wanted = self.limit * gradient + QUEUE;
        self.limit = (self.limit + (wanted - self.limit) * SMOOTHING).clamp(LEAST, MOST);
    }
}

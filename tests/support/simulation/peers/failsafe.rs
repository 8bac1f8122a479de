//! failsafe-go's adaptive limiter.

use std::{collections::VecDeque, time::Duration};

use buttress::admission::concurrency::{Limit, Window};
use tokio::time::Instant;

use super::{in_flight, seconds, step, whole};

const MOST: f64 = 200.0;
const MOST_OF_IN_FLIGHT: f64 = 5.0;
const QUANTILE: f64 = 0.9;
const SAMPLES: usize = 50;
const LEAST_WINDOW: f64 = 1.0;
const MOST_WINDOW: f64 = 30.0;
const WARM_UP: usize = 10;
const SMOOTHED: usize = 5;
const BASELINE: usize = 10;
const CORRELATED: usize = 50;

/// The adaptive limiter of failsafe-go (0.9): the 90th percentile of each second against an average of those, held back where the rate
/// does not go with the calls in flight.
#[derive(Debug)]
pub(crate) struct Failsafe {
    limit: f64,
    took: Vec<f64>,
    most: f64,
    next: Option<Instant>,
    median: VecDeque<f64>,
    recent: Average,
    baseline: Average,
    rates: Correlation,
    latencies: Correlation,
}

impl Failsafe {
    pub(crate) fn new() -> Self {
        Self {
            limit: 20.0,
            took: Vec::new(),
            most: 0.0,
            next: None,
            median: VecDeque::from([0.0; SMOOTHED]),
            recent: Average::new(SMOOTHED),
            baseline: Average::new(BASELINE),
            rates: Correlation::default(),
            latencies: Correlation::default(),
        }
    }

    fn change(&mut self, quantile: f64, full: bool) {
        self.median.pop_front();
        self.median.push_back(quantile);
        let filtered = if self.median.contains(&0.0) {
            quantile
        } else {
            middle(&self.median)
        };
        let recent = self.recent.add(filtered);
        let baseline = self.baseline.add(recent);
        let queue = (self.limit * (1.0 - baseline / recent)).ceil();
        let (rate, spread) = self.rates.add(self.most, self.most / recent);
        let (latency, _) = self.latencies.add(self.most, recent);
        let step = step(self.limit);
        let drops = full && (rate < 0.0 || latency > 0.5 && (rate < 0.3 || spread < 0.2));
        let wanted = if queue > 6.0 * step || drops {
            self.limit - step
        } else if queue < 3.0 * step {
            self.limit + step
        } else {
            self.limit
        };
        let most = MOST_OF_IN_FLIGHT * self.most;
        self.limit = match wanted > most {
            true if self.limit > most => self.limit - step,
            true => most,
            false => wanted,
        };
        self.limit = self.limit.clamp(1.0, MOST);
    }
}

impl Limit for Failsafe {
    fn limit(&self) -> usize {
        whole(self.limit)
    }

    fn update(&mut self, window: &Window<'_>) {
        if window.rejected == 0 {
            self.took.push(seconds(window));
            self.most = self.most.max(in_flight(window));
        }
        let next = *self.next.get_or_insert(window.end);
        if window.end <= next || self.took.len() < SAMPLES {
            return;
        }
        self.took.sort_unstable_by(f64::total_cmp);
        let place = whole(QUANTILE * f64::from(u32::try_from(self.took.len()).unwrap_or(u32::MAX)));
        let (quantile, least) = (self.took[place.min(self.took.len() - 1)], self.took[0]);
        self.change(quantile, window.queued > 0);
        self.took.clear();
        self.most = 0.0;
        let wait = (2.0 * least).clamp(LEAST_WINDOW, MOST_WINDOW);
        self.next = Some(window.end + Duration::from_secs_f64(wait));
    }
}

fn middle(values: &VecDeque<f64>) -> f64 {
    let mut sorted: Vec<f64> = values.iter().copied().collect();
    sorted.sort_unstable_by(f64::total_cmp);
    sorted[sorted.len() / 2]
}

/// An exponential average, plain at first.
#[derive(Debug)]
struct Average {
    value: f64,
    count: usize,
    weight: f64,
}

impl Average {
    fn new(age: usize) -> Self {
        Self {
            value: 0.0,
            count: 0,
            weight: 2.0 / (real(age) + 1.0),
        }
    }

    fn add(&mut self, value: f64) -> f64 {
        self.count += 1;
        let weight = if self.count <= WARM_UP {
            1.0 / real(self.count)
        } else {
            self.weight
        };
        self.value += (value - self.value) * weight;
        self.value
    }
}

/// How two values went together of late.
#[derive(Debug, Default)]
struct Correlation(VecDeque<(f64, f64)>);

impl Correlation {
    /// The coefficient, and the relative deviation of the second. 0 where there is too little to tell.
    fn add(&mut self, x: f64, y: f64) -> (f64, f64) {
        self.0.push_back((x, y));
        if self.0.len() > CORRELATED {
            self.0.pop_front();
        }
        let n = real(self.0.len());
        let mean = |of: fn(&(f64, f64)) -> f64| self.0.iter().map(of).sum::<f64>() / n;
        let (x, y) = (mean(|pair| pair.0), mean(|pair| pair.1));
        let (xx, yy) = (
            mean(|pair| pair.0 * pair.0) - x * x,
            mean(|pair| pair.1 * pair.1) - y * y,
        );
        if self.0.len() < WARM_UP || xx <= 0.0 || yy <= 0.0 {
            return (0.0, 0.0);
        }
        let spread = yy.sqrt() / y;
        if xx.sqrt() / x < 0.01 || spread < 0.01 {
            return (0.0, spread);
        }
        let together = mean(|pair| pair.0 * pair.1) - x * y;
        (together / (xx.sqrt() * yy.sqrt()), spread)
    }
}

fn real(count: usize) -> f64 {
    f64::from(u32::try_from(count).unwrap_or(u32::MAX))
}

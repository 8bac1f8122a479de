use super::super::{Window, real_u64};

/// Windows, added up.
#[derive(Clone, Debug, Default)]
pub(super) struct Pool {
    pub(super) seconds: f64,
    pub(super) successes: f64,
    pub(super) rejected: f64,
    pub(super) peak: usize,
    /// By route, in order.
    pub(super) routes: Vec<Timed>,
}

/// What was timed of a route.
#[derive(Clone, Copy, Debug)]
pub(super) struct Timed {
    pub(super) route: usize,
    pub(super) samples: f64,
    /// In all.
    pub(super) seconds: f64,
}

impl Timed {
    pub(super) fn mean(&self) -> f64 {
        self.seconds / self.samples
    }
}

impl Pool {
    pub(super) fn of(window: &Window<'_>) -> Self {
        let mut pool = Self {
            seconds: window.duration.as_secs_f64(),
            successes: real_u64(window.successes),
            rejected: real_u64(window.rejected),
            peak: window.peak,
            routes: Vec::with_capacity(window.routes.len()),
        };
        for timed in window.routes.iter().filter(|timed| timed.samples > 0) {
            pool.time(Timed {
                route: timed.route,
                samples: real_u64(timed.samples),
                seconds: timed.total.as_secs_f64(),
            });
        }
        pool
    }

    pub(super) fn add(&mut self, other: &Self) {
        self.seconds += other.seconds;
        self.successes += other.successes;
        self.rejected += other.rejected;
        self.peak = self.peak.max(other.peak);
        other.routes.iter().for_each(|timed| self.time(*timed));
    }

    fn time(&mut self, timed: Timed) {
        match self.routes.binary_search_by_key(&timed.route, |known| known.route) {
            Ok(known) => {
                self.routes[known].samples += timed.samples;
                self.routes[known].seconds += timed.seconds;
            }
            Err(place) => self.routes.insert(place, timed),
        }
    }

    /// Whether there is nothing to learn from.
    pub(super) fn is_empty(&self) -> bool {
        self.routes.is_empty() || self.successes <= 0.0 || self.seconds <= 0.0
    }

    /// The mean latency, in seconds.
    pub(super) fn latency(&self) -> f64 {
        let samples: f64 = self.routes.iter().map(|timed| timed.samples).sum();
        let seconds: f64 = self.routes.iter().map(|timed| timed.seconds).sum();
        seconds / samples.max(1.0)
    }

    /// Successes a second.
    pub(super) fn rate(&self) -> f64 {
        self.successes / self.seconds
    }
}

use crate::admission::concurrency::law::{Window, real_u64};

/// What was measured at one limit: windows, added up.
#[derive(Clone, Debug, Default)]
pub(super) struct Pool {
    pub(super) seconds: f64,
    pub(super) successes: f64,
    pub(super) rejected: f64,
    pub(super) queued: f64,
    pub(super) peak: usize,
    /// Of each route: its number, how many were timed, and for how many seconds in all.
    pub(super) routes: Vec<Timed>,
}

#[derive(Clone, Copy, Debug)]
pub(super) struct Timed {
    pub(super) route: usize,
    pub(super) samples: f64,
    pub(super) seconds: f64,
}

impl Timed {
    pub(super) fn mean(&self) -> f64 {
        self.seconds / self.samples
    }
}

impl Pool {
    pub(super) fn add(&mut self, window: &Window<'_>) {
        self.seconds += window.duration.as_secs_f64();
        self.successes += real_u64(window.successes);
        self.rejected += real_u64(window.rejected);
        self.queued += real_u64(window.queued);
        self.peak = self.peak.max(window.peak);
        for timed in window.routes.iter().filter(|timed| timed.samples > 0) {
            let timed = Timed {
                route: timed.route,
                samples: real_u64(timed.samples),
                seconds: timed.total.as_secs_f64(),
            };
            match self.routes.binary_search_by_key(&timed.route, |known| known.route) {
                Ok(known) => {
                    self.routes[known].samples += timed.samples;
                    self.routes[known].seconds += timed.seconds;
                }
                Err(place) => self.routes.insert(place, timed),
            }
        }
    }

    /// Whether there is anything to learn from.
    pub(super) fn is_empty(&self) -> bool {
        self.routes.is_empty() || self.successes <= 0.0 || self.seconds <= 0.0
    }

    /// The mean latency, in seconds.
    pub(super) fn latency(&self) -> f64 {
        let samples: f64 = self.routes.iter().map(|timed| timed.samples).sum();
        let seconds: f64 = self.routes.iter().map(|timed| timed.seconds).sum();
        if samples > 0.0 { seconds / samples } else { 0.0 }
    }
}

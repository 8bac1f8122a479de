use super::pool::{Pool, Timed};

/// How many routes have a baseline of their own. The window bounds them too; this is for windows made by hand.
const ROUTES: usize = 1_000;
/// Latencies below a nanosecond are not measured.
const LEAST: f64 = 1e-9;

/// What a call of each route takes when nobody is in its way, in seconds. 0: not known yet.
#[derive(Clone, Debug, Default)]
pub(super) struct Baselines(Vec<f64>);

/// What a pool is worth by the baselines.
#[derive(Clone, Copy, Debug)]
pub(super) struct Worth {
    /// Latency over baseline: 1 when nobody is in anybody's way.
    pub(super) signal: f64,
    /// How many workers the successes kept busy.
    pub(super) busy: f64,
}

impl Baselines {
    /// The pool by these baselines. Routes that are new get one: what they take now, less what all others wait now.
    pub(super) fn weigh(&mut self, pool: &Pool) -> Option<Worth> {
        if pool.is_empty() {
            return None;
        }
        let known = |timed: &&Timed| self.of(timed.route) > 0.0;
        let taken: f64 = pool.routes.iter().filter(known).map(|timed| timed.seconds).sum();
        let worth: f64 = pool
            .routes
            .iter()
            .filter(known)
            .map(|timed| timed.samples * self.of(timed.route))
            .sum();
        let signal = if worth > 0.0 { (taken / worth).max(1.0) } else { 1.0 };
        for timed in &pool.routes {
            if self.of(timed.route) <= 0.0 {
                self.set(timed.route, timed.mean() / signal);
            }
        }
        let taken: f64 = pool.routes.iter().map(|timed| timed.seconds).sum();
        let samples: f64 = pool.routes.iter().map(|timed| timed.samples).sum();
        let worth: f64 = pool
            .routes
            .iter()
            .map(|timed| timed.samples * self.of(timed.route))
            .sum();
        Some(Worth {
            signal: (taken / worth).max(LEAST),
            busy: worth / samples * pool.successes / pool.seconds,
        })
    }

    /// Moves each baseline towards what the pool has of its route: all the way at `weight` 1, and by less where there are few samples,
    /// `half` of them moving it half as far.
    pub(super) fn follow(&mut self, pool: &Pool, weight: f64, half: f64) {
        for timed in &pool.routes {
            let known = self.of(timed.route);
            let weight = weight * timed.samples / (timed.samples + half);
            self.set(timed.route, known + (timed.mean() - known) * weight);
        }
    }

    fn of(&self, route: usize) -> f64 {
        self.0.get(route.min(ROUTES - 1)).copied().unwrap_or(0.0)
    }

    fn set(&mut self, route: usize, seconds: f64) {
        let route = route.min(ROUTES - 1);
        if self.0.len() <= route {
            self.0.resize(route + 1, 0.0);
        }
        self.0[route] = seconds.max(LEAST);
    }
}

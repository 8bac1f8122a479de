use std::time::Duration;

use fastrand::Rng;

use self::{
    baseline::{Baselines, Worth},
    pool::Pool,
};
use super::{Limit, Span, Window, real, whole};

mod baseline;
mod pool;

/// The default law.
#[derive(Clone, Debug)]
pub struct Adaptive {
    min: f64,
    max: f64,
    initial: f64,
    headroom: f64,
    every: f64,
    rng: Rng,

    limit: f64,
    baselines: Baselines,
    phase: Phase,
    pool: Pool,
    before: Option<(f64, Pool)>,
    settling: f64,
    until_probe: f64,
    usual: f64,
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Phase {
    /// Nobody is turned away.
    Free,
    /// More is asked for than the limit lets in.
    Loaded,
    /// The same, and the limit is elsewhere for a moment, to see what becomes of the rate.
    Probing { home: f64 },
}

impl Adaptive {
    /// The law with its defaults, and a seed for its jitter.
    pub fn new(seed: u64) -> Self {
        let mut law = Self {
            min: 1.0,
            max: 10_000.0,
            initial: 20.0,
            headroom: 1.2,
            every: 5.0,
            rng: Rng::with_seed(seed),
            limit: 20.0,
            baselines: Baselines::default(),
            phase: Phase::Free,
            pool: Pool::default(),
            before: None,
            settling: 0.0,
            until_probe: 0.0,
            usual: 0.0,
        };
        law.schedule();
        law
    }

    /// The limit to begin with: 20 unless set.
    #[must_use]
    pub fn initial(mut self, limit: usize) -> Self {
        self.initial = real(limit).clamp(self.min, self.max);
        self.limit = self.initial;
        self
    }

    /// The least and the most that the limit may be.
    #[must_use]
    pub fn bounds(mut self, min: usize, max: usize) -> Self {
        self.min = real(min.max(1));
        self.max = real(max).max(self.min);
        self.initial = self.initial.clamp(self.min, self.max);
        self.limit = self.limit.clamp(self.min, self.max);
        self
    }

    fn schedule(&mut self) {
        self.until_probe = self.every * (0.75 + 0.5 * self.rng.f64());
    }

    fn go(&mut self, limit: f64) {
        let limit = limit.clamp(self.min, self.max);
        let pool = std::mem::take(&mut self.pool);
        if (limit / self.limit).ln().abs() >= 0.1 {
            self.settling = if pool.is_empty() { self.usual } else { pool.latency() };
            self.before = Some((self.limit, pool));
        }
        self.limit = limit;
    }

    fn free(&mut self, window: &Window<'_>) {
        self.pool = Pool::default();
        self.pool.add(window);
        let Some(worth) = self.baselines.weigh(&self.pool) else {
            return;
        };
        let peak = real(window.peak);
        if peak < 0.5 * self.limit || worth.signal < 1.0 {
            self.baselines.follow(&self.pool, 1.0, 1_000.0);
        }
        if window.rejected > 0 {
            self.phase = Phase::Loaded;
            self.settling = self.pool.latency();
        }
        if window.rejected + window.queued > 0 {
            if worth.signal < self.headroom {
                self.limit = (self.limit * 1.5).min(self.max);
            }
        } else if 2.0 * peak > self.limit {
            if worth.signal < self.headroom {
                self.limit = (2.0 * peak).min(self.max);
            }
        } else {
            let floor = (2.0 * peak).max(self.initial).min(self.limit);
            self.limit = floor + (self.limit - floor) * (-self.pool.seconds / 10.0).exp();
        }
        self.pool = Pool::default();
        self.before = None;
    }

    fn loaded(&mut self, window: &Window<'_>) {
        self.pool.add(window);
        self.until_probe -= window.duration.as_secs_f64();
        let Some(worth) = self.baselines.weigh(&self.pool) else {
            return;
        };
        if self.compare(30.0) {
            return;
        }
        let n = self.pool.successes;
        let noise = 1.0 / n.sqrt();
        let whole = n >= 100.0 && self.pool.seconds >= 0.25;
        if whole && worth.signal < 1.0 {
            self.baselines.follow(&self.pool, 0.3, 100.0);
        }
        if whole && self.until_probe <= 0.0 {
            self.probe();
            return;
        }
        let off = (self.target(worth) / self.limit).ln();
        if off.abs() > 3.0 * noise {
            self.go(self.limit * off.exp());
        } else if whole {
            self.go(self.limit * (0.3 * off).exp());
        }
    }

    fn target(&self, worth: Worth) -> f64 {
        let busy = worth.busy.max(self.limit / worth.signal);
        let grow = self.headroom - 2.0 / self.pool.successes.sqrt();
        let target = self.headroom * busy + busy.sqrt();
        if worth.signal < grow {
            target.max(1.5 * self.limit)
        } else {
            target
        }
    }

    fn probe(&mut self) {
        let home = self.limit;
        let to = if whole(home * 0.7) < whole(home) {
            home * 0.7
        } else {
            home + 1.0
        };
        self.go(to);
        self.phase = Phase::Probing { home };
        self.schedule();
    }

    fn probing(&mut self, window: &Window<'_>, home: f64) {
        self.pool.add(window);
        let long = self.pool.seconds >= 0.1 && self.pool.successes >= 200.0;
        let enough = long || self.pool.seconds >= 0.5 && self.pool.successes >= 30.0;
        if !enough {
            return;
        }
        let certain = self.compare(0.0);
        let before = self.pool.clone();
        if !certain
            && self.limit < home
            && let Some(worth) = self.baselines.weigh(&before)
            && worth.signal < 1.0
        {
            self.baselines.follow(&before, 0.5, 100.0);
        }
        self.phase = Phase::Loaded;
        self.go(home);
        self.before = None;
    }

    /// Whether the rate rose with the limit: then the lower one was not a queue, and its latency is a baseline.
    fn compare(&mut self, least: f64) -> bool {
        let Some((limit, before)) = self.before.take() else {
            return false;
        };
        let (Some(now), Some(then)) = (self.baselines.weigh(&self.pool), self.baselines.weigh(&before)) else {
            return false;
        };
        let step = (self.limit / limit).ln();
        let rise = (now.busy / then.busy).ln();
        let noise = (1.0 / self.pool.successes + 1.0 / before.successes).sqrt();
        let known = rise / step > 0.4 && rise.abs() > 2.0 * noise && self.pool.successes >= least;
        if !known {
            self.before = Some((limit, before));
            return false;
        }
        if step < 0.0 {
            self.baselines.follow(&self.pool, 0.7, 30.0);
            if self.phase == Phase::Loaded {
                self.go(limit);
                self.before = None;
            }
        } else {
            self.baselines.follow(&before, 0.7, 30.0);
            return false;
        }
        true
    }
}

impl Default for Adaptive {
    fn default() -> Self {
        Self::new(fastrand::u64(..))
    }
}

impl Limit for Adaptive {
    fn limit(&self) -> usize {
        whole(self.limit.clamp(self.min, self.max))
    }

    fn update(&mut self, window: &Window<'_>) {
        if self.settling > 0.0 {
            self.settling = 0.0;
            return;
        }
        match self.phase {
            Phase::Free => self.free(window),
            Phase::Loaded if window.rejected == 0 => {
                self.phase = Phase::Free;
                self.free(window);
            }
            Phase::Loaded => self.loaded(window),
            Phase::Probing { home } => self.probing(window, home),
        }
    }

    fn span(&self) -> Span {
        if self.settling > 0.0 {
            return Span {
                duration: Duration::try_from_secs_f64(self.settling).unwrap_or_default(),
                successes: 1,
            };
        }
        Span {
            duration: Duration::from_millis(50),
            successes: 10,
        }
    }
}

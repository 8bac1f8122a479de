use std::mem;

use super::{
    super::{Window, real},
    Adaptive, Phase,
    baseline::Worth,
    pool::Pool,
};

/// An unused limit comes back to what it was in the beginning with this time constant, in seconds.
const FADE: f64 = 60.0;
/// More than this part turned away: it is more than chance that the limit holds back.
const LOADED: f64 = 0.01;

/// While nobody is turned away.
impl Adaptive {
    pub(super) fn free(&mut self, window: &Window<'_>, pool: &Pool) {
        let Some(worth) = self.baselines.weigh(pool) else {
            return;
        };
        self.learn_while_free(pool);
        self.follow_use(window, pool, worth);
        if self.gauge.pressure > LOADED && window.rejected > 0 {
            self.phase = Phase::Loaded { calm: 0.0 };
            // What is measured next began in another time.
            self.settling = pool.latency().min(10.0);
            self.pool = Pool::default();
            self.before = None;
            self.probes.begin(self.baselines.are_known());
        }
    }

    /// While the limit is not half used, nobody is in anybody's way. Else somebody may be, and only what was quicker is believed.
    fn learn_while_free(&mut self, window: &Pool) {
        if self.gauge.is_cold() {
            // The first calls to end are the short ones: what was known of them is worth nothing.
            self.baselines.follow(window, 1.0, 0.0);
            return;
        }
        self.pool.add(window);
        if self.pool.successes < 100.0 && self.pool.seconds < 2.0 {
            return;
        }
        let pool = mem::take(&mut self.pool);
        let Some(worth) = self.baselines.weigh(&pool) else {
            return;
        };
        if worth.signal < 1.0 - 2.5 * self.gauge.noise(pool.successes) {
            self.baselines.follow(&pool, 1.0, 10.0);
        } else if worth.signal < 1.0 || real(pool.peak) < 0.5 * self.limit {
            self.baselines.learn(&pool);
        }
    }

    /// There is twice as much room as is used, as long as calls do not become slower for that.
    fn follow_use(&mut self, window: &Window<'_>, pool: &Pool, worth: Worth) {
        let cold = self.gauge.is_cold();
        let least = if cold { self.probes.least(pool.latency()) } else { 0.0 };
        let unhindered = worth.signal < 1.0 + 2.0 * self.gauge.noise(pool.successes) || pool.latency() < 3.0 * least;
        let wanted = 2.0 * real(window.peak);
        let limit = if window.rejected + window.queued > 0 {
            match (unhindered, cold) {
                (true, true) => 2.0 * self.limit,
                (true, false) => 1.5 * self.limit,
                (false, _) => (1.1 * self.limit).min(self.most_for(pool, worth)).max(self.limit),
            }
        } else if wanted <= self.limit {
            let floor = wanted.max(self.initial).min(self.limit);
            floor + (self.limit - floor) * (-pool.seconds / FADE).exp()
        } else if unhindered {
            wanted
        } else {
            self.limit
        };
        self.limit = limit.clamp(self.min, self.max);
    }
}

use super::{super::Window, Adaptive, Phase, baseline::Worth, pool::Pool};

/// So many seconds without anybody turned away, and it is over.
const CALM: f64 = 0.5;
/// A limit that is used less than this, on average, is not always in the way: it is bursts that fill it.
const FULL: f64 = 0.8;
/// What comes on top of the busy workers is never more than what is done in so many seconds.
const MOST_EXTRA: f64 = 0.25;

/// By how much the rate changed with the limit, when that was last moved.
#[derive(Clone, Copy, Debug)]
pub(super) struct Change {
    /// 0: not at all. 1: as much.
    elasticity: f64,
    /// How many times more than by chance.
    pub(super) sure: f64,
}

impl Change {
    /// Whether more of the step was felt than not.
    pub(super) fn is_elastic(&self) -> bool {
        self.elasticity > 0.4
    }
}

/// While more is asked for than the limit lets in.
impl Adaptive {
    pub(super) fn loaded(&mut self, window: &Window<'_>, measured: &Pool, calm: f64) {
        self.probes.pass(measured.seconds);
        let quiet = window.rejected == 0 && window.queued < window.successes / 2;
        let calm = if quiet { calm + measured.seconds } else { 0.0 };
        self.phase = Phase::Loaded { calm };
        if calm > CALM {
            self.phase = Phase::Free;
            self.pool = Pool::default();
            self.before = None;
            // Chance alone fills a small limit, as close to the capacity as it has just been.
            if let Some(worth) = self.baselines.weigh(measured) {
                let room = self.most_for(measured, worth).min(self.initial);
                self.limit = self.limit.max(room);
            }
            return;
        }
        self.pool.add(measured);
        let Some(worth) = self.baselines.weigh(&self.pool) else {
            return;
        };
        let samples = self.pool.successes;
        let enough = samples >= 100.0 && self.pool.seconds >= 0.25;
        if self.pool.rate() * self.pool.latency() < FULL * self.limit {
            if enough {
                self.absorb_bursts(worth);
            }
            return;
        }
        if worth.signal < 1.0 - 3.5 * self.gauge.noise(samples) {
            self.baselines.follow(&self.pool, 1.0, 10.0);
            self.go(self.limit);
            return;
        }
        let change = self.change();
        if let Some(change) = change {
            if change.is_elastic() && (change.sure > 3.5 || enough && change.sure > 2.0) {
                self.learn_from_change();
                return;
            }
            if enough {
                self.before = None;
            }
        }
        if enough && worth.signal < 1.0 {
            self.baselines.follow(&self.pool, 0.3, 100.0);
        }
        if self.probes.is_due(samples, enough) {
            self.probe(worth);
            return;
        }
        self.approach(self.target(worth, change), enough);
    }

    /// Where it should be.
    fn target(&self, worth: Worth, change: Option<Change>) -> f64 {
        // By the rate, or by what there is in flight and how much of it waits: the former counts no failures, the latter lags
        // behind a step. More workers than calls cannot be busy.
        let busy = worth.busy.max(self.limit / worth.signal).min(self.limit);
        let spared = (1.0 - self.gauge.pressure) / self.gauge.pressure;
        let target = self.limit_for(busy) + spared.min(MOST_EXTRA * self.pool.rate());
        let unhindered = worth.signal < self.headroom - 2.0 * self.gauge.noise(self.pool.successes);
        let target = if unhindered {
            target.max(1.5 * self.limit)
        } else {
            target
        };
        match change {
            // The last step down may have cost as much as it took away: no further, until that is known.
            Some(change) if change.is_elastic() && self.has_fallen() => target.max(self.limit),
            // The last step up gave as much as it added.
            Some(change) if change.is_elastic() => target.max(1.7 * self.limit),
            _ => target,
        }
    }

    /// All the way where it is certain that it is wrong, a part of it where enough was measured.
    fn approach(&mut self, target: f64, enough: bool) {
        let off = (target / self.limit).ln();
        if off.abs() > 3.0 * self.gauge.noise(self.pool.successes) {
            if off.abs() > 0.25 {
                self.probes.hurry();
            }
            self.go(target);
        } else if enough {
            self.go(self.limit * (0.3 * off).exp());
        }
    }

    /// Some were turned away, though there was room in between: there is to be more of it.
    fn absorb_bursts(&mut self, worth: Worth) {
        let most = self.most_for(&self.pool, worth);
        let more = if self.pool.rejected > 0.0 {
            1.2 * self.limit
        } else {
            self.limit
        };
        self.leave_for(more.min(most).max(self.limit));
    }

    /// As much as the limit may be for bursts.
    pub(super) fn most_for(&self, pool: &Pool, worth: Worth) -> f64 {
        self.limit_for(worth.busy) + MOST_EXTRA * pool.rate()
    }

    /// By how much the rate changed with the limit.
    pub(super) fn change(&mut self) -> Option<Change> {
        let (limit, before) = self.before.as_ref()?;
        let (now, then) = (self.baselines.weigh(&self.pool)?, self.baselines.weigh(before)?);
        let rise = (now.busy / then.busy).ln();
        let noise = self
            .gauge
            .noise(self.pool.successes)
            .hypot(self.gauge.noise(before.successes));
        Some(Change {
            elasticity: rise / (self.limit / limit).ln(),
            sure: rise.abs() / noise,
        })
    }

    /// The rate changed with the limit: so there was no queue at the lower one, and what calls took there is their baseline, give or
    /// take the noise. For when calls happen to be long, the rate falls, too.
    pub(super) fn learn_from_change(&mut self) {
        let Some((limit, before)) = self.before.take() else {
            return;
        };
        let low = if self.limit < limit { &self.pool } else { &before };
        if let Some(worth) = self.baselines.weigh(low) {
            let chance = self.gauge.noise(low.successes) / (worth.signal - 1.0).abs();
            self.baselines.follow(low, 1.0 - chance.min(1.0), 10.0);
        }
        if self.limit < limit && matches!(self.phase, Phase::Loaded { .. }) {
            self.leave_for(limit);
        }
    }
}

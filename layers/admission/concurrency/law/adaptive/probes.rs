use std::time::Duration;

use fastrand::Rng;

use super::{Adaptive, Phase, baseline::Worth, pool::Pool};

/// Every so many seconds, unless set.
const EVERY: f64 = 5.0;
/// Up to so many times as long, if nothing new is found.
const RARER: f64 = 6.0;
/// No more than one in so many seconds is spent in probes.
const SPENT: f64 = 20.0;
/// Probes go to this part of the workers that are busy.
const DEPTH: f64 = 0.9;
/// The one after one that found a queue.
const DEEPER: f64 = 0.7;
/// While next to nothing is known.
const DEEPEST: f64 = 0.25;
/// The first comes so many seconds after it began, if there is no hurry.
const SETTLED: f64 = 2.0;

/// When the limit is probed, and how deep.
#[derive(Clone, Debug)]
pub(super) struct Probes {
    every: f64,
    rng: Rng,
    /// Seconds until the next.
    until: f64,
    /// Seconds from one to the next, before jitter.
    pause: f64,
    depth: f64,
    /// Seconds that this one has taken.
    spent: f64,
    /// The least mean latency of the first windows.
    least: f64,
}

impl Probes {
    pub(super) fn new(rng: Rng) -> Self {
        Self {
            every: EVERY,
            rng,
            until: 0.0,
            pause: 0.0,
            depth: DEEPEST,
            spent: 0.0,
            least: f64::INFINITY,
        }
    }

    pub(super) fn set_pause(&mut self, pause: Duration) {
        self.every = pause.as_secs_f64().clamp(1.0, 3_600.0);
    }

    pub(super) fn seed(&mut self, seed: u64) {
        self.rng = Rng::with_seed(seed);
    }

    /// The least latency so far, this one included.
    pub(super) fn least(&mut self, latency: f64) -> f64 {
        self.least = self.least.min(latency);
        self.least
    }

    /// More is asked for than the limit lets in, from now on. If nobody has been seen yet who was in nobody's way, that is looked for
    /// at once, and deep.
    pub(super) fn begin(&mut self, known: bool) {
        (self.until, self.depth) = if known {
            (self.until.max(SETTLED), DEPTH)
        } else {
            (0.0, DEEPEST)
        };
    }

    /// Time goes by.
    pub(super) fn pass(&mut self, seconds: f64) {
        self.until -= seconds;
    }

    /// Something has changed: it is looked into soon.
    pub(super) fn hurry(&mut self) {
        self.until = self.until.min(1.0);
        self.pause = 0.0;
    }

    /// Whether it is time. One that follows another at once needs fewer samples to be compared to.
    pub(super) fn is_due(&self, samples: f64, enough: bool) -> bool {
        self.until <= 0.0 && (enough || self.depth < DEPTH && samples >= 30.0)
    }

    /// One has ended: the next is after a while, which is longer than the last, or at once.
    fn end(&mut self, found: &Found) {
        let seeks = self.depth <= DEEPEST;
        self.depth = match found {
            // Until workers have been missed for the first time, as deep as can be.
            Found::Queue { .. } | Found::Nothing if seeks => DEEPEST,
            Found::Queue { .. } => DEEPER,
            Found::Workers | Found::Nothing => DEPTH,
        };
        self.pause = match found {
            Found::Queue { .. } => 0.0,
            Found::Workers => self.every,
            Found::Nothing => (1.5 * self.pause).clamp(self.every, RARER * self.every),
        };
        let jitter = 0.75 + 0.5 * self.rng.f64();
        self.until = match found {
            Found::Queue { .. } => 0.0,
            Found::Workers | Found::Nothing => (jitter * self.pause).max(SPENT * self.spent),
        };
    }
}

/// What a probe found.
enum Found {
    /// The rate went with the limit: the workers that were missing were missed.
    Workers,
    /// It did not, and calls were quicker: there was a queue. The limit that is enough.
    Queue { limit: f64 },
    /// Nothing that is more than chance.
    Nothing,
}

impl Adaptive {
    pub(super) fn probe(&mut self, worth: Worth) {
        let home = self.limit;
        // Down, for up would let in what then queues; but from 1 there is no way down.
        let to = if home < 1.5 {
            2.0
        } else {
            (self.probes.depth * worth.busy)
                .round()
                .clamp(1.0, (home - 1.0).max(1.0))
        };
        self.go(to);
        self.probes.spent = self.settling;
        self.phase = Phase::Probing { home };
    }

    pub(super) fn probing(&mut self, window: &Pool, home: f64) {
        self.pool.add(window);
        self.probes.spent += window.seconds;
        let (samples, seconds) = (self.pool.successes, self.pool.seconds);
        let change = self.change();
        let found = if change.is_some_and(|change| change.is_elastic() && change.sure > 2.5) && samples >= 40.0 {
            self.learn_from_change();
            Found::Workers
        } else if seconds >= 0.1 && samples >= 200.0 || seconds >= 0.5 && samples >= 30.0 {
            let elastic = change.is_some_and(|change| change.is_elastic());
            self.learn_from_probe(home, elastic)
        } else {
            return;
        };
        self.probes.end(&found);
        self.phase = Phase::Loaded { calm: 0.0 };
        self.leave_for(match found {
            Found::Queue { limit } => limit,
            Found::Workers | Found::Nothing => home,
        });
    }

    /// The rate did not go with the limit, or not for certain. No call is quicker than its work, so what was quicker is believed.
    fn learn_from_probe(&mut self, home: f64, elastic: bool) -> Found {
        let Some(worth) = self.baselines.weigh(&self.pool) else {
            return Found::Nothing;
        };
        if self.limit >= home || worth.signal >= 1.0 {
            return Found::Nothing;
        }
        let certain = worth.signal < 1.0 - (3.0 * self.gauge.noise(self.pool.successes)).max(0.12);
        self.baselines.follow(&self.pool, if certain { 1.0 } else { 0.5 }, 30.0);
        if certain && !elastic {
            let limit = self.limit_for(self.limit);
            return Found::Queue { limit };
        }
        Found::Nothing
    }
}

use std::{fmt, mem, time::Duration};

use fastrand::Rng;

use self::{baseline::Baselines, gauge::Gauge, pool::Pool, probes::Probes};
use super::{Limit, Span, Window, real, whole};

mod baseline;
mod free;
mod gauge;
mod loaded;
mod pool;
mod probes;
#[cfg(test)]
mod tests;

/// Finds the limit at which the service does best: the default law.
///
/// A service with so many workers does the more the more it is given, until all of them are busy. What it is given beyond that
/// only waits inside of it. So the law wants to know how many are busy, and that is Little's law: `rate * baseline`, where the
/// *baseline* is what a call takes when nobody is in its way. The limit is somewhat more than that:
///
/// ```text
/// limit = headroom * busy + sqrt(busy) / 2 + served / turned away
/// ```
///
/// The headroom and the root keep a queue within the service that is short and never empty, by the square-root rule of
/// staffing. (The root is why one setting does for one worker and for a thousand.) The last term is for a service that is close
/// to its capacity, and not beyond: there chance alone fills any limit now and then, so the fewer are turned away, the more room
/// there is for chance, up to what is done in 250 ms.
///
/// All hangs on the baseline, for a law that learns it from latencies that it is itself inflating drifts upwards, and one that takes
/// the minimum for it spirals down. So *latency suggests, and throughput decides*:
///
/// - While nobody is turned away and the limit is not half used, nobody is in anybody's way: latency is baseline.
/// - Latency below the baseline is always believed: no call is quicker than its work.
/// - While more is asked for than the limit lets in, the limit goes down for a moment, now and then, to a [probe](Self::probe_every).
///   If the rate goes down with it, there was no queue at the lower limit, and the latency seen there is the baseline. If it does not, there
///   *was* a queue, and the latency seen there is nearer to the baseline than what was known.
/// - The same holds for each step of the limit: a step down is followed by another only where the first cost nothing, a step up that
///   the rate follows is followed by a greater one.
///
/// Latency is compared route by route, so a change of their mix is not taken for load. Chance is reckoned with: the law measures how much
/// its measurements scatter, and acts the sooner the more certain it is. A service a hundred times too full is
/// noticed after ten calls.
///
/// # Limits
///
/// - It begins with [20](Self::initial). A service that at once takes in some hundreds is found within a second or two, and turns some
///   away till then; say so beforehand where that matters.
/// - With one or two workers a probe cannot be a small one. The limit may be at two or three times the workers there for a while.
/// - Where latencies scatter much more than those of an exponential distribution, and calls are few, it takes seconds.
/// - It cannot tell the capacity of a service that does the less the more it is given from that of one that is slower today.
///   It follows either.
///
/// ```
/// use buttress::{ConcurrencyLimitLayer, admission::concurrency::Adaptive};
///
/// let layer = ConcurrencyLimitLayer::with_law(Adaptive::new().initial(50).bounds(10, 500));
/// ```
#[derive(Clone)]
pub struct Adaptive {
    min: f64,
    max: f64,
    initial: f64,
    headroom: f64,
    limit: f64,
    phase: Phase,
    baselines: Baselines,
    gauge: Gauge,
    probes: Probes,
    /// What was measured since the limit was last moved.
    pool: Pool,
    /// What was measured before that, and the limit it was measured at.
    before: Option<(f64, Pool)>,
    /// For so many seconds, calls still end that were let in at another limit.
    settling: f64,
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Phase {
    /// Nobody is turned away.
    Free,
    /// More is asked for than the limit lets in; except for so many seconds by now.
    Loaded { calm: f64 },
    /// The same, and the limit is elsewhere for a moment, to see what becomes of the rate.
    Probing { home: f64 },
}

impl Adaptive {
    /// The law with its defaults.
    pub fn new() -> Self {
        Self {
            min: 1.0,
            max: 10_000.0,
            initial: 20.0,
            headroom: 1.15,
            limit: 20.0,
            phase: Phase::Free,
            baselines: Baselines::default(),
            gauge: Gauge::default(),
            probes: Probes::new(Rng::new()),
            pool: Pool::default(),
            before: None,
            settling: 0.0,
        }
    }

    /// The limit to begin with, and what an unused limit comes back to: 20 unless set.
    #[must_use]
    pub fn initial(mut self, limit: usize) -> Self {
        self.initial = real(limit).clamp(self.min, self.max);
        self.limit = self.initial;
        self
    }

    /// The least and the most that the limit may be: 1 and 10,000 unless set. The least is 1 at least, the most not less than
    /// the least.
    #[must_use]
    pub fn bounds(mut self, min: usize, max: usize) -> Self {
        self.min = real(min).max(1.0);
        self.max = real(max).max(self.min);
        self.initial = self.initial.clamp(self.min, self.max);
        self.limit = self.limit.clamp(self.min, self.max);
        self
    }

    /// How many times the workers that are busy the limit is, beside the root: 1.15 unless set. Between 1 and 3. More makes sure of the
    /// rate where calls scatter, at the cost of latency.
    #[must_use]
    pub fn headroom(mut self, times: f64) -> Self {
        self.headroom = if times.is_nan() { 1.15 } else { times.clamp(1.0, 3.0) };
        self
    }

    /// How often the limit is probed while more is asked for than it lets in: every 5 seconds unless set. Probes that find nothing new
    /// become rarer, up to a sixth of that; one that finds something is followed by the next at once. A probe goes to
    /// 0.9 of the workers that are busy, takes 100 ms to 500 ms, and no more than a twentieth of the time.
    ///
    /// Between a second and an hour.
    #[must_use]
    pub fn probe_every(mut self, pause: Duration) -> Self {
        self.probes.set_pause(pause);
        self
    }

    /// Makes the jitter of the probes, which is random, the same each time: for tests.
    #[must_use]
    pub fn seed(mut self, seed: u64) -> Self {
        self.probes.seed(seed);
        self
    }

    /// Moves the limit. What was measured at the old one becomes what the new one is compared to, if that is another.
    fn go(&mut self, limit: f64) {
        let limit = limit.clamp(self.min, self.max);
        let pool = mem::take(&mut self.pool);
        if (limit / self.limit).ln().abs() >= 0.1 {
            // By Little's law, as long as a call takes: so long it takes until none is left of those before.
            self.settling = if pool.is_empty() {
                self.gauge.usual
            } else {
                pool.latency()
            }
            .min(10.0);
            // Down, and down again: what is lost is seen against where it began.
            if !(limit < self.limit && self.has_fallen()) {
                self.before = Some((self.limit, pool));
            }
        }
        self.limit = limit;
    }

    /// Moves it to where nothing is to be concluded from.
    fn leave_for(&mut self, limit: f64) {
        self.go(limit);
        self.before = None;
    }

    fn has_fallen(&self) -> bool {
        self.before.as_ref().is_some_and(|(before, _)| *before > self.limit)
    }

    /// The limit for so many busy workers.
    fn limit_for(&self, busy: f64) -> f64 {
        self.headroom * busy + 0.5 * busy.sqrt()
    }
}

/// What was set; what was found out is in the limit's snapshot.
impl fmt::Debug for Adaptive {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Adaptive")
            .field("min", &self.min)
            .field("max", &self.max)
            .field("initial", &self.initial)
            .field("headroom", &self.headroom)
            .finish_non_exhaustive()
    }
}

impl Default for Adaptive {
    fn default() -> Self {
        Self::new()
    }
}

impl Limit for Adaptive {
    fn limit(&self) -> usize {
        whole(self.limit)
    }

    fn update(&mut self, window: &Window<'_>) {
        let pool = Pool::of(window);
        if pool.is_empty() {
            return;
        }
        let settling = mem::take(&mut self.settling) > 0.0;
        let alone = match self.phase {
            _ if settling => false,
            Phase::Free => real(window.peak) < 0.5 * self.limit,
            Phase::Loaded { .. } | Phase::Probing { .. } => true,
        };
        self.gauge
            .watch(&pool, self.baselines.weigh(&pool), alone, self.phase != Phase::Free);
        if settling {
            return;
        }
        match self.phase {
            Phase::Free => self.free(window, &pool),
            Phase::Loaded { calm } => self.loaded(window, &pool, calm),
            Phase::Probing { home } => self.probing(&pool, home),
        }
    }

    /// Ten successes and three times what a call takes, 50 ms at least and a second at most. Shorter at first, and as long as it takes
    /// to settle after a step.
    fn span(&self) -> Span {
        if self.settling > 0.0 {
            return Span {
                duration: Duration::try_from_secs_f64(self.settling).unwrap_or_default(),
                successes: 1,
            };
        }
        let least = if self.gauge.is_cold() { 0.01 } else { 0.05 };
        let seconds = (3.0 * self.gauge.usual).clamp(least, 1.0);
        Span {
            duration: Duration::try_from_secs_f64(seconds).unwrap_or_default(),
            successes: 10,
        }
    }
}

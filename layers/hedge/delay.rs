use std::{
    fmt,
    sync::{
        Mutex,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use tokio::time::Instant;

use crate::{
    context::Head,
    destination::{Destinations, MOST, Seat, Tenant},
    outcome::latency::{Counted, Recent},
};

/// What is known of a destination is looked at anew this often.
const EVERY: Duration = Duration::from_millis(500);
/// After this time, what is known of it counts for half.
const HALF_LIFE: Duration = Duration::from_secs(10);
/// How many latencies must be known for a quantile of them.
const ENOUGH: f32 = 20.0;

/// How long the first attempt has before it gets company.
#[derive(Clone)]
pub(super) enum Delay {
    Fixed(Duration),
    /// What so large a share of the calls of a destination take at most.
    Quantile(f32, Destinations<Observed>),
}

/// A call of which the latency is of interest.
#[derive(Debug)]
pub(super) enum Timed {
    /// It is not.
    Not(Duration),
    Since(Instant, Seat<Observed>, Option<Duration>),
}

/// The latencies of one destination.
#[derive(Debug)]
pub(super) struct Observed {
    share: f32,
    counted: Counted,
    /// Whoever finds it taken leaves the look to who has it.
    recent: Mutex<(Recent, Option<Instant>)>,
    /// In nanoseconds. 0 where it is not known.
    quantile: AtomicU64,
    /// When the next look is due, in nanoseconds since the start.
    due: AtomicU64,
    start: Instant,
}

impl Delay {
    pub(super) fn quantile(share: f32) -> Self {
        let share = if share.is_nan() { 0.95 } else { share.clamp(0.5, 0.999) };
        Self::Quantile(
            share,
            Destinations::new(MOST, move || Observed::new(share, Instant::now())),
        )
    }

    /// Begins a call.
    pub(super) fn begin(&self, head: Head<'_>, now: impl FnOnce() -> Instant) -> Timed {
        match self {
            Self::Fixed(delay) => Timed::Not(*delay),
            Self::Quantile(_, destinations) => {
                let now = now();
                let seat = destinations.find(Some(head), now);
                let delay = seat.quantile();
                Timed::Since(now, seat, delay)
            }
        }
    }
}

impl Timed {
    /// How long the first attempt has. `None`: that is not known, and it gets no company.
    pub(super) fn delay(&self) -> Option<Duration> {
        match self {
            Self::Not(delay) => Some(*delay),
            Self::Since(_, _, delay) => *delay,
        }
    }

    /// When another attempt begins, if that is of interest.
    pub(super) fn begins(&self) -> Option<Instant> {
        matches!(self, Self::Since(..)).then(Instant::now)
    }

    /// The attempt that began then has won.
    pub(super) fn won(&self, began: Option<Instant>) {
        if let Self::Since(first, seat, _) = self
            && seat.is_current()
        {
            let now = Instant::now();
            seat.count(now.saturating_duration_since(began.unwrap_or(*first)), now);
        }
    }
}

impl Observed {
    fn new(share: f32, now: Instant) -> Self {
        Self {
            share,
            counted: Counted::new(),
            recent: Mutex::new((Recent::new(), None)),
            quantile: AtomicU64::new(0),
            due: AtomicU64::new(0),
            start: now,
        }
    }

    fn quantile(&self) -> Option<Duration> {
        let nanos = self.quantile.load(Ordering::Relaxed);
        (nanos > 0).then(|| Duration::from_nanos(nanos))
    }

    fn count(&self, latency: Duration, now: Instant) {
        self.counted.count(latency);
        let at = nanos(now.saturating_duration_since(self.start));
        if at >= self.due.load(Ordering::Relaxed) {
            self.look(now, at);
        }
    }

    #[cold]
    fn look(&self, now: Instant, at: u64) {
        let Ok(mut recent) = self.recent.try_lock() else { return };
        let (recent, last) = &mut *recent;
        let passed = last.map_or(Duration::ZERO, |last| now.saturating_duration_since(last));
        recent.fade(0.5_f32.powf(passed.as_secs_f32() / HALF_LIFE.as_secs_f32()), ENOUGH);
        self.counted.take(recent);
        *last = Some(now);
        let quantile = recent.quantile(self.share, ENOUGH).unwrap_or_default();
        self.quantile.store(nanos(quantile), Ordering::Relaxed);
        // Until there are enough, each call is a reason to look.
        let pause = if quantile.is_zero() { 0 } else { nanos(EVERY) };
        self.due.store(at + pause, Ordering::Relaxed);
    }
}

impl Tenant for Observed {
    fn reset(&self, _: Instant) {
        if let Ok(mut recent) = self.recent.lock() {
            self.counted.take(&mut Recent::new());
            *recent = (Recent::new(), None);
        }
        self.quantile.store(0, Ordering::Relaxed);
        self.due.store(0, Ordering::Relaxed);
    }

    fn is_idle(&self, _: Instant) -> bool {
        self.quantile.load(Ordering::Relaxed) == 0
    }
}

fn nanos(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX / 2)
}

impl fmt::Debug for Delay {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Fixed(delay) => f.debug_tuple("Fixed").field(delay).finish(),
            Self::Quantile(share, _) => f.debug_tuple("Quantile").field(share).finish(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: Duration = Duration::from_millis(1);

    #[test]
    fn a_quantile_is_known_after_enough_calls_and_follows_the_recent() {
        let start = Instant::now();
        let observed = Observed::new(0.95, start);
        for n in 1..20 {
            observed.count(100 * MS, start + n * MS);
            assert_eq!(observed.quantile(), None);
        }
        observed.count(100 * MS, start + 20 * MS);
        let known = observed.quantile().unwrap();
        assert!(known > 80 * MS && known <= 100 * MS, "{known:?}");

        for n in 0..10_000 {
            observed.count(10 * MS, start + 100 * MS + n * 10 * MS);
        }
        assert!(observed.quantile().unwrap() <= 10 * MS);

        observed.reset(start);
        assert!(observed.is_idle(start) && observed.quantile().is_none());
    }
}

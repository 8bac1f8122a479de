//! Times as numbers, counted from when the circuit was made.

use std::time::Duration;

use tokio::time::Instant;

#[derive(Clone, Copy, Debug)]
pub(super) struct Clock {
    origin: Instant,
}

impl Clock {
    pub(super) const fn new(origin: Instant) -> Self {
        Self { origin }
    }

    #[inline]
    pub(super) fn nanos(self, now: Instant) -> u64 {
        whole(now.saturating_duration_since(self.origin))
    }

    pub(super) fn millis(self, now: Instant) -> u64 {
        self.nanos(now) / 1_000_000
    }

    /// So long after now, and no sooner.
    pub(super) fn millis_after(self, now: Instant, wait: Duration) -> u64 {
        self.nanos(now).saturating_add(whole(wait)).div_ceil(1_000_000)
    }

    pub(super) fn at_millis(self, millis: u64) -> Instant {
        let since = Duration::from_millis(millis);
        self.origin.checked_add(since).unwrap_or(self.origin)
    }
}

/// In nanoseconds, for 584 years.
#[inline]
fn whole(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}

use std::{fmt, time::Duration};

/// The longest time that a quota reckons with, 36 years: how far apart two requests of it can be, and how long it can take to
/// fill. Sums of a few such times fit 64 bits of nanoseconds.
pub(super) const SPAN: u64 = 1 << 60;

/// So many requests in so much time, and so many at once.
///
/// ```
/// use buttress::admission::rate::Quota;
/// use std::time::Duration;
///
/// let quota = Quota::per_second(100).burst(20);
/// assert_eq!(format!("{quota:?}"), r#"Quota("per-second", 100 in 1s, 1 every 10ms, burst 20)"#);
/// assert_eq!(quota.interval(), Duration::from_millis(10));
/// ```
///
/// The law is GCRA, a leaky bucket that needs no timer: a bucket holds `burst` requests, each takes one, and one comes back
/// every `period / count`, evenly, not all at the end of a window. So whoever was idle may send `burst` at once; in any span
/// of time no more than `burst` plus what came back in it are admitted. Unless it is [set](Self::burst), the burst is the
/// count: a new caller may spend a minute's quota in its first second, and then gets one at a time.
///
/// What is written is what happens. The interval is in whole nanoseconds, rounded down, so that a second brings the 3 of
/// `per_second(3)` and never 2. `Debug` says the effective interval and burst; the rate is above the written one by less than a
/// millionth up to 1,000 per second, and by less than a thousandth up to a million.
///
/// | written | happens |
/// |---|---|
/// | a count or burst of 0 | all are rejected |
/// | more than 10⁹ per second | 10⁹ per second |
/// | a bucket that fills in more than 36 years | the burst that fills in 36 years, and 1 at least |
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Quota {
    count: u32,
    burst: u32,
    period: Duration,
    /// Nanoseconds between two requests, 1 to [`SPAN`].
    interval: u64,
    name: &'static str,
}

impl Quota {
    /// So many per second, and at once.
    pub const fn per_second(count: u32) -> Self {
        Self::per(count, Duration::from_secs(1)).named("per-second")
    }

    /// So many per minute, and at once.
    pub const fn per_minute(count: u32) -> Self {
        Self::per(count, Duration::from_secs(60)).named("per-minute")
    }

    /// So many per hour, and at once.
    pub const fn per_hour(count: u32) -> Self {
        Self::per(count, Duration::from_secs(60 * 60)).named("per-hour")
    }

    /// So many per day of 24 hours, and at once.
    pub const fn per_day(count: u32) -> Self {
        Self::per(count, Duration::from_secs(24 * 60 * 60)).named("per-day")
    }

    /// One every `interval`, and one at once.
    pub const fn every(interval: Duration) -> Self {
        Self::per(1, interval)
    }

    /// So many in each `period`, and at once.
    pub const fn per(count: u32, period: Duration) -> Self {
        let interval = if count == 0 {
            SPAN as u128
        } else {
            period.as_nanos() / count as u128
        };
        let quota = Self {
            count,
            burst: count,
            period,
            interval: match interval {
                0 => 1,
                #[expect(clippy::cast_possible_truncation, reason = "it is no more than SPAN")]
                interval if interval < SPAN as u128 => interval as u64,
                _ => SPAN,
            },
            name: "quota",
        };
        quota.burst(count)
    }

    /// So many at once, after a time of rest. The rate stays.
    #[must_use]
    pub const fn burst(mut self, burst: u32) -> Self {
        let most = SPAN / self.interval;
        #[expect(clippy::cast_possible_truncation, reason = "it is less than a u32")]
        if burst as u64 > most {
            self.burst = most as u32;
        } else {
            self.burst = burst;
        }
        self
    }

    /// What callers are told it is called: the name of its policy in the `ratelimit` fields. Several that stand together want
    /// names that differ. `per-second`, `per-minute` and so on unless set, and `quota` where it is not printable ASCII.
    #[must_use]
    pub const fn named(mut self, name: &'static str) -> Self {
        self.name = name;
        self
    }

    /// How often one comes back: the effective rate.
    pub const fn interval(&self) -> Duration {
        Duration::from_nanos(self.interval)
    }

    /// How many are admitted at once after a time of rest.
    pub const fn burst_size(&self) -> u32 {
        self.burst
    }

    /// Whether it rejects all.
    pub const fn is_closed(&self) -> bool {
        self.count == 0 || self.burst == 0
    }

    pub(super) const fn interval_nanos(&self) -> u64 {
        self.interval
    }

    pub(super) const fn name(&self) -> &'static str {
        self.name
    }

    /// The count and the window as `ratelimit-policy` has them: whole seconds, where it can be said in such.
    pub(super) fn window(&self) -> (u64, Option<u64>) {
        const SECOND: u128 = 1_000_000_000;
        let (count, period) = (u64::from(self.count), self.period.as_nanos());
        if period > 0 && period.is_multiple_of(SECOND) {
            (count, Some(self.period.as_secs()))
        } else if SECOND.is_multiple_of(period) {
            let periods = u64::try_from(SECOND / period).unwrap_or(u64::MAX);
            (count.saturating_mul(periods), Some(1))
        } else {
            (count, None)
        }
    }
}

impl fmt::Debug for Quota {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.is_closed() {
            return write!(f, "Quota({:?}, none)", self.name);
        }
        write!(
            f,
            "Quota({:?}, {} in {:?}, 1 every {:?}, burst {})",
            self.name,
            self.count,
            self.period,
            self.interval(),
            self.burst
        )
    }
}

/// Quotas that stand together: who is over one of them is rejected, and takes from none.
///
/// ```
/// use buttress::admission::rate::{Quota, Quotas};
///
/// let quotas = Quotas::from([Quota::per_second(10), Quota::per_hour(1_000)]);
/// # assert_eq!(quotas.as_slice().len(), 2);
/// ```
///
/// There can be [`MAX`](Self::MAX) of them; more do not compile. None of them admits all.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Quotas {
    len: usize,
    quotas: [Quota; Self::MAX],
}

impl Quotas {
    /// How many can stand together: 4.
    pub const MAX: usize = 4;

    /// The quotas, in the order they were given.
    pub fn as_slice(&self) -> &[Quota] {
        self.quotas.get(..self.len).unwrap_or(&self.quotas)
    }
}

impl From<Quota> for Quotas {
    fn from(quota: Quota) -> Self {
        [quota].into()
    }
}

impl<const N: usize> From<[Quota; N]> for Quotas {
    fn from(given: [Quota; N]) -> Self {
        const { assert!(N <= Quotas::MAX, "no more than four quotas can stand together") };
        let mut quotas = [Quota::per_second(0); Self::MAX];
        for (place, quota) in quotas.iter_mut().zip(given) {
            *place = quota;
        }
        Self { len: N, quotas }
    }
}

impl fmt::Debug for Quotas {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.as_slice()).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_what_happens() {
        for (quota, interval, burst) in [
            (Quota::per_second(100).burst(20), Duration::from_millis(10), 20),
            (Quota::per_minute(5), Duration::from_secs(12), 5),
            (Quota::per_hour(1_000), Duration::from_millis(3_600), 1_000),
            (Quota::per_day(1), Duration::from_secs(86_400), 1),
            (Quota::every(Duration::from_millis(250)), Duration::from_millis(250), 1),
            (
                Quota::per(3, Duration::from_secs(1)),
                Duration::from_nanos(333_333_333),
                3,
            ),
            // The corners, defined.
            (Quota::every(Duration::ZERO), Duration::from_nanos(1), 1),
            (Quota::per_second(u32::MAX), Duration::from_nanos(1), u32::MAX),
            (Quota::every(Duration::MAX), Duration::from_nanos(SPAN), 1),
            (Quota::per_hour(1).burst(u32::MAX), Duration::from_secs(3_600), 320_255),
            (Quota::per_second(0), Duration::from_nanos(SPAN), 0),
            (Quota::per_second(1).burst(0), Duration::from_secs(1), 0),
        ] {
            assert_eq!((quota.interval(), quota.burst_size()), (interval, burst), "{quota:?}");
            assert_eq!(quota.is_closed(), burst == 0, "{quota:?}");
        }
        // A count of 0 stays closed, whatever burst it is given.
        assert!(Quota::per_second(0).burst(5).is_closed());
    }

    #[test]
    fn a_window_is_told_in_whole_seconds_or_not_at_all() {
        for (quota, window) in [
            (Quota::per_second(100).burst(20), (100, Some(1))),
            (Quota::per_hour(1_000), (1_000, Some(3_600))),
            (Quota::every(Duration::from_millis(250)), (4, Some(1))),
            (Quota::every(Duration::from_millis(300)), (1, None)),
            (Quota::every(Duration::from_millis(1_500)), (1, None)),
            (Quota::every(Duration::ZERO), (1, None)),
        ] {
            assert_eq!(quota.window(), window, "{quota:?}");
        }
    }

    #[test]
    fn debug_says_the_effective_rate() {
        let tells = |quota: Quota| format!("{quota:?}");
        assert_eq!(
            tells(Quota::per_second(3).named("api")),
            r#"Quota("api", 3 in 1s, 1 every 333.333333ms, burst 3)"#
        );
        assert_eq!(tells(Quota::per_second(0)), r#"Quota("per-second", none)"#);
    }
}

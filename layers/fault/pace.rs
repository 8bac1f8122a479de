//! When the next bytes of a slow body go out. Told the time, it never asks for it.

use std::time::Duration;

use tokio::time::Instant;

/// So often a second bytes go out of a body that has a rate, where there are enough of them.
const STEPS: u64 = 16;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Pace {
    /// Bytes per second, at least 1.
    Rate(u64),
    /// Between two frames.
    Pause(Duration),
}

impl Pace {
    pub(super) fn rate(bytes_per_second: u64) -> Self {
        Self::Rate(bytes_per_second.max(1))
    }

    /// How much goes out at once, at most.
    pub(super) fn most(self) -> u64 {
        match self {
            Self::Rate(rate) => (rate / STEPS).max(1),
            Self::Pause(_) => u64::MAX,
        }
    }
}

/// How far a slow body has come.
#[derive(Clone, Copy, Debug)]
pub(super) struct Progress {
    pace: Pace,
    sent: u64,
    start: Option<Instant>,
}

impl Progress {
    pub(super) fn new(pace: Pace) -> Self {
        Self {
            pace,
            sent: 0,
            start: None,
        }
    }

    pub(super) fn most(&self) -> u64 {
        self.pace.most()
    }

    /// So many bytes go out now: when others may follow. `None`: never, as far as the clock goes.
    pub(super) fn sent(&mut self, bytes: u64, now: Instant) -> Option<Instant> {
        let start = *self.start.get_or_insert(now);
        self.sent = self.sent.saturating_add(bytes);
        match self.pace {
            Pace::Pause(pause) => now.checked_add(pause),
            Pace::Rate(rate) => {
                let nanos = u128::from(self.sent) * 1_000_000_000 / u128::from(rate);
                start.checked_add(Duration::from_nanos(u64::try_from(nanos).ok()?))
            }
        }
    }
}

#[cfg(test)]
#[allow(clippy::cast_precision_loss, reason = "what is lost is less than the tolerance")]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn a_rate_is_kept_from_the_first_byte_on(rate in 1_u64..1 << 32, frames in 1_usize..100, late in 0_u64..1_000) {
            let pace = Pace::rate(rate);
            let mut progress = Progress::new(pace);
            let start = Instant::now();
            let (mut now, mut sent) = (start, 0);
            for _ in 0..frames {
                sent += pace.most();
                let next = progress.sent(pace.most(), now).unwrap();
                // A reader that comes late is not made to wait for what it could have had.
                now = now.max(next) + Duration::from_millis(late);
                let passed = (next - start).as_secs_f64();
                prop_assert!((passed * rate as f64 - sent as f64).abs() <= 1.0 + 1e-6 * sent as f64);
            }
        }

        #[test]
        fn a_pause_is_between_any_two(pause in 0_u64..10_000, bytes: u64) {
            let mut progress = Progress::new(Pace::Pause(Duration::from_millis(pause)));
            let now = Instant::now();
            for n in 0..3 {
                let now = now + Duration::from_secs(n);
                prop_assert_eq!(progress.sent(bytes, now), Some(now + Duration::from_millis(pause)));
            }
        }
    }
}

//! How long calls take: counted as they end, by all threads at once, and a quantile of the recent ones.

use std::{
    sync::atomic::{AtomicU32, AtomicU64, Ordering},
    time::Duration,
};

/// Four to an octave of microseconds, up to 2^32 of them, which is more than an hour.
const BUCKETS: usize = 4 * 31;

/// Latencies since they were last taken.
#[derive(Debug)]
pub(crate) struct Counted {
    nanos: AtomicU64,
    buckets: [AtomicU32; BUCKETS],
}

/// What was taken, and what is left of what was taken before: the recent weighs more.
#[derive(Clone, Debug)]
pub(crate) struct Recent {
    weights: [f32; BUCKETS],
}

/// What was taken.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Sum {
    pub(crate) samples: u64,
    pub(crate) total: Duration,
}

impl Counted {
    pub(crate) fn new() -> Self {
        Self {
            nanos: AtomicU64::new(0),
            buckets: [const { AtomicU32::new(0) }; BUCKETS],
        }
    }

    pub(crate) fn count(&self, latency: Duration) {
        let nanos = u64::try_from(latency.as_nanos()).unwrap_or(u64::MAX >> 16);
        self.nanos.fetch_add(nanos, Ordering::Relaxed);
        self.buckets[bucket(nanos / 1_000)].fetch_add(1, Ordering::Relaxed);
    }

    /// Takes what was counted, and adds it to `recent`.
    pub(crate) fn take(&self, recent: &mut Recent) -> Sum {
        let mut samples = 0;
        for (bucket, weight) in self.buckets.iter().zip(&mut recent.weights) {
            // A look first: most are empty, and a look is a tenth of an exchange.
            if bucket.load(Ordering::Relaxed) > 0 {
                let count = bucket.swap(0, Ordering::Relaxed);
                samples += u64::from(count);
                *weight += as_weight(count);
            }
        }
        Sum {
            samples,
            total: Duration::from_nanos(self.nanos.swap(0, Ordering::Relaxed)),
        }
    }
}

impl Recent {
    pub(crate) fn new() -> Self {
        Self {
            weights: [0.0; BUCKETS],
        }
    }

    /// Lets what is known count for so much of what it did, but for no fewer than so many.
    pub(crate) fn fade(&mut self, share: f32, least: f32) {
        let all: f32 = self.weights.iter().sum();
        let share = share.max((least / all).min(1.0));
        for weight in &mut self.weights {
            *weight *= share;
        }
    }

    /// What `share` of the latencies stay below, if `enough` are known: the lower end of its bucket, for who is turned away by it
    /// should be too late for certain.
    pub(crate) fn quantile(&self, share: f32, enough: f32) -> Option<Duration> {
        let all: f32 = self.weights.iter().sum();
        if all < enough {
            return None;
        }
        let mut below = 0.0;
        let at = self.weights.iter().position(|weight| {
            below += weight;
            below >= all * share
        });
        at.map(|bucket| Duration::from_micros(lower_end(bucket)))
    }
}

fn bucket(micros: u64) -> usize {
    let micros = micros.clamp(2, (1 << 32) - 1);
    let octave = micros.ilog2();
    let quarter = (micros << 2 >> octave) & 3;
    (octave as usize - 1) * 4 + usize::try_from(quarter).unwrap_or_default()
}

fn lower_end(bucket: usize) -> u64 {
    let octave = bucket / 4 + 1;
    (4 + bucket as u64 % 4) << octave >> 2
}

#[expect(
    clippy::cast_precision_loss,
    reason = "the first 16 million are exact, and all of them fade"
)]
fn as_weight(count: u32) -> f32 {
    count as f32
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn a_bucket_begins_at_most_a_fifth_below_what_is_in_it(micros in 2_u64..1 << 32) {
            let lower = lower_end(bucket(micros));
            prop_assert!(lower <= micros && micros - lower <= micros / 5, "{lower} {micros}");
            prop_assert!(bucket(micros) < BUCKETS);
        }

        #[test]
        fn any_duration_has_a_bucket(nanos: u64, seconds in 0_u64..1 << 40) {
            Counted::new().count(Duration::from_nanos(nanos));
            Counted::new().count(Duration::from_secs(seconds));
        }
    }

    #[test]
    fn a_quantile_is_of_the_recent() {
        let (counted, mut recent) = (Counted::new(), Recent::new());
        for _ in 0..100 {
            counted.count(Duration::from_millis(100));
        }
        let sum = counted.take(&mut recent);
        assert_eq!((sum.samples, sum.total), (100, Duration::from_secs(10)));
        assert_eq!(recent.quantile(0.95, 101.0), None);
        let slow = recent.quantile(0.95, 100.0).unwrap();
        assert!(
            slow > Duration::from_millis(80) && slow <= Duration::from_millis(100),
            "{slow:?}"
        );

        for _ in 0..20 {
            for _ in 0..50 {
                counted.count(Duration::from_millis(10));
            }
            recent.fade(0.8, 200.0);
            counted.take(&mut recent);
        }
        assert!(recent.quantile(0.95, 100.0).unwrap() <= Duration::from_millis(10));
        for _ in 0..1_000 {
            recent.fade(0.8, 100.0);
        }
        assert!(recent.quantile(0.95, 99.0).is_some());
        assert_eq!(recent.quantile(0.95, 101.0), None);
        assert_eq!(counted.take(&mut recent).samples, 0);
    }
}

use std::time::Duration;

/// How long jobs take: a mean in which each of the last eight or so counts, and the recent count for more.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Mean {
    nanos: u64,
    samples: u64,
}

/// What one sample counts for, once there are so many: an eighth.
const WEIGHT: u64 = 8;

impl Mean {
    /// Until there are enough it is the plain mean, so that the first job does not count for more than it is.
    pub(super) fn add(&mut self, took: Duration) {
        // Half of the range, so that a difference fits: almost 300 years.
        let took = u64::try_from(took.as_nanos()).unwrap_or(u64::MAX) / 2;
        let difference = took.abs_diff(self.nanos);
        let step = if self.samples == WEIGHT {
            difference / WEIGHT
        } else {
            self.samples += 1;
            difference / self.samples
        };
        self.nanos = if took > self.nanos {
            self.nanos + step
        } else {
            self.nanos - step
        };
    }

    pub(super) fn get(&self) -> Option<Duration> {
        (self.samples > 0).then(|| Duration::from_nanos(self.nanos) * 2)
    }

    /// How long so many jobs take, so many at a time. Zero where nothing is known.
    pub(super) fn of_all(&self, jobs: usize, at_a_time: usize) -> Duration {
        let nanos = u128::from(self.nanos) * 2 * jobs as u128 / at_a_time.max(1) as u128;
        Duration::from_nanos(u64::try_from(nanos).unwrap_or(u64::MAX))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const MS: Duration = Duration::from_millis(1);

    #[test]
    fn nothing_is_known_at_first_and_then_it_is_the_mean() {
        let mut mean = Mean::default();
        assert_eq!((mean.get(), mean.of_all(10, 1)), (None, Duration::ZERO));
        mean.add(10 * MS);
        mean.add(30 * MS);
        assert_eq!(mean.get(), Some(20 * MS));
        assert_eq!((mean.of_all(10, 1), mean.of_all(10, 4)), (200 * MS, 50 * MS));
    }

    #[test]
    fn what_is_recent_counts_for_more() {
        let mut mean = Mean::default();
        (0..100).for_each(|_| mean.add(100 * MS));
        (0..24).for_each(|_| mean.add(10 * MS));
        assert!(mean.get().unwrap() < 15 * MS, "{mean:?}");
    }

    proptest! {
        #[test]
        fn it_stays_between_the_least_and_the_most(samples in prop::collection::vec(any::<Duration>(), 1..50), jobs: usize) {
            let mut mean = Mean::default();
            for sample in &samples {
                mean.add(*sample);
            }
            let [least, most] = [samples.iter().min().unwrap(), samples.iter().max().unwrap()];
            let got = mean.get().unwrap();
            prop_assert!(got <= *most && got + 2 * Duration::from_nanos(8) >= (*least).min(Duration::from_nanos(u64::MAX - 8)));
            prop_assert!(mean.of_all(jobs, 0) <= Duration::from_nanos(u64::MAX));
        }
    }
}

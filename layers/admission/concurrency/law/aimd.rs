use std::time::Duration;

use super::{Limit, Span, Window, real, whole};

/// Additive increase, multiplicative decrease, by a latency that one names: the law of TCP, and the simplest that works.
///
/// While calls are faster than the [threshold](Self::new) and the limit is in the way, it grows by one a window; a window that
/// was slower takes a [tenth](Self::decrease) of it. So it swings about the limit at which the mean latency is the threshold,
/// which is the right one as long as the threshold is: a service whose calls change wants [`Adaptive`](super::Adaptive), which
/// finds it.
///
/// It goes back to D.-M. Chiu and R. Jain, "Analysis of the Increase and Decrease Algorithms for Congestion Avoidance in
/// Computer Networks" (1989), who show that of the linear laws this one alone comes to rest where all who share get the same.
///
/// ```
/// use buttress::admission::concurrency::Aimd;
/// use std::time::Duration;
///
/// let law = Aimd::new(Duration::from_millis(50)).initial(20).bounds(5, 200);
/// ```
#[derive(Clone, Debug)]
pub struct Aimd {
    threshold: Duration,
    decrease: f64,
    min: usize,
    max: usize,
    limit: f64,
}

impl Aimd {
    /// Keeps the mean latency, measured from when a call is let in to its head, about this `threshold`.
    pub fn new(threshold: Duration) -> Self {
        Self {
            threshold,
            decrease: 0.9,
            min: 1,
            max: 1_000,
            limit: 20.0,
        }
    }

    /// The limit to begin with: 20 unless set.
    #[must_use]
    pub fn initial(mut self, limit: usize) -> Self {
        self.limit = real(limit);
        self
    }

    /// The least and the most that the limit may be: 1 and 1,000 unless set. The least is 1 at least, the most not less than
    /// the least.
    #[must_use]
    pub fn bounds(mut self, min: usize, max: usize) -> Self {
        self.min = min.max(1);
        self.max = max.max(self.min);
        self
    }

    /// What a slow window leaves of the limit: 0.9 unless set. Between 0.1 and 0.99.
    #[must_use]
    pub fn decrease(mut self, to: f64) -> Self {
        self.decrease = if to.is_nan() { 0.9 } else { to.clamp(0.1, 0.99) };
        self
    }
}

impl Limit for Aimd {
    fn limit(&self) -> usize {
        whole(self.limit).clamp(self.min, self.max)
    }

    fn update(&mut self, window: &Window<'_>) {
        let Some(latency) = window.latency() else { return };
        let limit = self.limit();
        if latency > self.threshold {
            self.limit = real(limit) * self.decrease;
        } else if window.rejected + window.queued > 0 || window.peak >= limit {
            self.limit = real(limit) + 1.0;
        }
        self.limit = self.limit.clamp(real(self.min), real(self.max));
    }

    /// Ten successes and 50 ms: it takes many steps.
    fn span(&self) -> Span {
        Span {
            duration: Duration::from_millis(50),
            successes: 10,
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::{super::tests::*, *};

    fn law() -> Aimd {
        Aimd::new(Duration::from_millis(50))
    }

    #[test]
    fn it_grows_by_one_where_it_is_in_the_way() {
        let mut law = law();
        law.update(&window(100.0, 0.01).rejecting(1.0).window());
        assert_eq!(law.limit(), 21);
    }

    #[test]
    fn it_stays_where_it_is_not_in_the_way() {
        let mut law = law();
        law.update(&window(100.0, 0.01).peak(19).window());
        assert_eq!(law.limit(), 20);
    }

    #[test]
    fn a_slow_window_takes_a_tenth() {
        let mut law = law();
        law.update(&window(100.0, 0.051).window());
        assert_eq!(law.limit(), 18);
    }

    #[test]
    fn settings_that_make_no_sense_are_put_right() {
        let law = law().bounds(0, 0).decrease(f64::NAN).initial(0);
        assert_eq!(law.limit(), 1);
        assert!((law.decrease - 0.9).abs() < f64::EPSILON);
    }

    proptest! {
        #[test]
        fn it_stays_within_its_bounds(windows in any_windows(), min in 0_usize..50, max in 0_usize..2_000) {
            let mut law = law().bounds(min, max);
            for window in &windows {
                law.update(&window.window());
                prop_assert!((min.max(1)..=max.max(min).max(1)).contains(&law.limit()));
            }
        }
    }
}

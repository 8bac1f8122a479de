use std::time::Duration;

/// How long to wait before another attempt, where nobody has said: full jitter under a bound that doubles.
///
/// The wait before attempt `n + 1` is drawn evenly from zero to `base * 2^(n - 1)`, and that is never above `max`. Clients that
/// failed together so come back apart. Source: "Exponential Backoff And Jitter", AWS Architecture Blog, 2015.
///
/// The default is 50 ms, up to 5 s. A base above `max` is `max`; a base of zero never waits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Backoff {
    base: Duration,
    max: Duration,
}

impl Backoff {
    /// From zero to `base` before the second attempt, to twice that before the third, and so on up to `max`.
    pub const fn new(base: Duration, max: Duration) -> Self {
        Self { base, max }
    }

    /// The wait after the `attempt`th attempt, the first being 1. `share` is in `0.0..1.0`: the dice.
    pub(crate) fn after(&self, attempt: u32, share: f64) -> Duration {
        let doublings = attempt.saturating_sub(1).min(31);
        let bound = self.base.saturating_mul(1 << doublings).min(self.max);
        bound.mul_f64(share.clamp(0.0, 1.0))
    }
}

impl Default for Backoff {
    fn default() -> Self {
        Self::new(Duration::from_millis(50), Duration::from_secs(5))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn the_bound_doubles_up_to_the_maximum() {
        let backoff = Backoff::default();
        let bounds = [1, 2, 3, 7, 8, 100, u32::MAX].map(|attempt| backoff.after(attempt, 1.0).as_millis());
        assert_eq!(bounds, [50, 100, 200, 3_200, 5_000, 5_000, 5_000]);
        assert_eq!(backoff.after(3, 0.5), Duration::from_millis(100));
        assert_eq!(backoff.after(3, 0.0), Duration::ZERO);
    }

    proptest! {
        #[test]
        fn a_wait_is_never_above_the_maximum(base: Duration, max: Duration, attempt: u32, share in 0.0..1.0) {
            let wait = Backoff::new(base, max).after(attempt, share);
            // Where a duration has more digits than a float, the last ones are rounded.
            prop_assert!(wait.as_secs_f64() <= max.as_secs_f64() * 1.000_001);
        }
    }
}

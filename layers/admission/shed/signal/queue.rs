use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use tokio::time::Instant;

use super::{Signal, ratio};

/// How long requests wait in a queue, told by whoever has one.
///
/// The level is the mean of what was [recorded](Self::record) since the last sample, in parts of the delay that is as
/// bad as it gets. DAGOR sheds by this signal alone, at a mean of 20 ms. Clones are the same signal:
///
/// ```
/// use buttress::{LoadShedLayer, admission::shed::QueueDelay};
/// use std::time::Duration;
///
/// let delay = QueueDelay::new(Duration::from_millis(25)); // at the set point of 0.8: 20 ms
/// let layer = LoadShedLayer::new().signal(delay.clone());
///
/// delay.record(Duration::from_millis(3)); // where a request leaves the queue
/// ```
///
/// Record every departure: zero for those who did not wait, and those who gave up with what they waited. A queue that
/// stands still lets nobody go, and so says nothing: where yours can tell how long its oldest has waited, a closure
/// over that is better.
#[derive(Clone, Debug)]
pub struct QueueDelay(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    worst: Duration,
    /// Microseconds.
    sum: AtomicU64,
    count: AtomicU64,
}

impl QueueDelay {
    /// With the mean delay that is as bad as it gets, the level 1. Of zero, any delay is.
    pub fn new(worst: Duration) -> Self {
        Self(Arc::new(Shared {
            worst,
            sum: AtomicU64::new(0),
            count: AtomicU64::new(0),
        }))
    }

    /// A request has left the queue after this wait. Two additions.
    pub fn record(&self, wait: Duration) {
        let micros = u64::try_from(wait.as_micros()).unwrap_or(u64::MAX).min(1 << 40);
        self.0.sum.fetch_add(micros, Ordering::Relaxed);
        self.0.count.fetch_add(1, Ordering::Relaxed);
    }
}

impl Signal for QueueDelay {
    fn name(&self) -> &'static str {
        "queue-delay"
    }

    fn level(&self, _: Instant) -> Option<f64> {
        // Between the two a record may fall: it is counted in one window and summed in the next.
        let count = self.0.count.swap(0, Ordering::Relaxed);
        let sum = self.0.sum.swap(0, Ordering::Relaxed);
        Some(ratio(Duration::from_micros(sum / count.max(1)), self.0.worst))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn its_level_is_the_mean_since_it_was_last_asked() {
        let (delay, now) = (QueueDelay::new(Duration::from_millis(100)), Instant::now());
        for millis in [0, 25, 50] {
            delay.clone().record(Duration::from_millis(millis));
        }
        assert_eq!(delay.level(now), Some(0.25));
        assert_eq!(delay.level(now), Some(0.0), "nobody waited");
        delay.record(Duration::MAX);
        assert_eq!(delay.level(now), Some(1.0));
        let none = QueueDelay::new(Duration::ZERO);
        assert_eq!(none.level(now), Some(0.0));
        none.record(Duration::from_micros(1));
        assert_eq!(none.level(now), Some(1.0));
    }
}

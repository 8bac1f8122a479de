//! What tells trouble: levels from 0 to 1.

mod kernel;
mod lag;
mod memory;
mod pressure;
mod queue;

use std::{error, fmt, sync::Arc, time::Duration};

use tokio::time::Instant;

pub use self::{lag::RuntimeLag, memory::Memory, pressure::CpuPressure, queue::QueueDelay};

/// Something that tells how badly the process is doing.
///
/// It is asked every 100 ms at most, by one caller at a time, on the path of a request: it must not block. What is
/// costly to know it should remember for a while. A pair of a name and a closure is a signal:
///
/// ```
/// use buttress::LoadShedLayer;
/// # struct Pool; impl Pool { fn in_use(&self) -> f64 { 0.5 } }
/// # let pool = Pool;
/// let layer = LoadShedLayer::new().signal(("database-pool", move || pool.in_use()));
/// ```
///
/// It must not ask the policy that asks it, which would wait for itself.
#[diagnostic::on_unimplemented(
    message = "`{Self}` is not a signal",
    note = "a signal implements `Signal`, or is a pair `(\"name\", || 0.5)` of a name and a closure"
)]
pub trait Signal: Send + Sync {
    /// Its name, as metrics have it.
    fn name(&self) -> &'static str;

    /// How bad it is at this time: 0 is nothing at all, 1 is as bad as it gets; what is beyond is taken for these.
    /// `None`, or not a number: it cannot be known here, and does not count.
    fn level(&self, now: Instant) -> Option<f64>;

    /// A [`Monitor`](super::Monitor) was woken, so much later than it wanted. Most signals need not care.
    fn woken(&self, now: Instant, late: Duration) {
        let _ = (now, late);
    }

    /// Whether it sees more where a [`Monitor`](super::Monitor) runs.
    fn wants_monitor(&self) -> bool {
        false
    }
}

impl<F: Fn() -> f64 + Send + Sync> Signal for (&'static str, F) {
    fn name(&self) -> &'static str {
        self.0
    }

    fn level(&self, _: Instant) -> Option<f64> {
        Some(self.1())
    }
}

impl<T: Signal + ?Sized> Signal for Arc<T> {
    fn name(&self) -> &'static str {
        (**self).name()
    }

    fn level(&self, now: Instant) -> Option<f64> {
        (**self).level(now)
    }

    fn woken(&self, now: Instant, late: Duration) {
        (**self).woken(now, late);
    }

    fn wants_monitor(&self) -> bool {
        (**self).wants_monitor()
    }
}

/// The level at which a signal is held: above it requests are shed, below it they are let in again.
///
/// The [default](SetPoint::default) is 0.8.
#[derive(Clone, Copy, Debug, PartialEq, PartialOrd)]
pub struct SetPoint(f64);

impl SetPoint {
    /// Of memory, which is meant to be used.
    pub(super) const MEMORY: Self = Self(0.9);

    /// This level.
    ///
    /// # Errors
    ///
    /// Where it is not between 0.01 and 0.99.
    pub fn new(level: f64) -> Result<Self, InvalidSetPoint> {
        if (0.01..=0.99).contains(&level) {
            Ok(Self(level))
        } else {
            Err(InvalidSetPoint)
        }
    }

    /// The level.
    pub const fn get(self) -> f64 {
        self.0
    }
}

impl Default for SetPoint {
    fn default() -> Self {
        Self(0.8)
    }
}

/// A [`SetPoint`] must be between 0.01 and 0.99.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct InvalidSetPoint;

impl fmt::Display for InvalidSetPoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a set point must be between 0.01 and 0.99")
    }
}

impl error::Error for InvalidSetPoint {}

/// `part` of `whole`, 0 to 1. Nothing of nothing is 0.
fn ratio(part: Duration, whole: Duration) -> f64 {
    if part.is_zero() {
        0.0
    } else {
        (part.as_secs_f64() / whole.as_secs_f64()).min(1.0)
    }
}

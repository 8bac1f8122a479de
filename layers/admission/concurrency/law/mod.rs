//! Laws: how many calls may be in flight, as measurements have it.
//!
//! A law is a pure core. It is handed one [`Window`] of measurements after another, and says what the limit is; it reads no
//! clock, takes no lock, and knows nothing of requests. One's own takes two methods:
//!
//! ```
//! use buttress::admission::concurrency::{Limit, Window};
//!
//! /// Keeps the mean latency below 50 ms, clumsily.
//! #[derive(Debug)]
//! struct Clumsy(usize);
//!
//! impl Limit for Clumsy {
//!     fn limit(&self) -> usize {
//!         self.0
//!     }
//!
//!     fn update(&mut self, window: &Window<'_>) {
//!         let slow = window.latency().is_some_and(|mean| mean.as_millis() >= 50);
//!         self.0 = if slow { (self.0 / 2).max(1) } else { self.0 + 1 };
//!     }
//! }
//! ```

mod adaptive;
mod aimd;
mod fixed;
#[cfg(test)]
mod tests;

use std::{fmt, time::Duration};

use tokio::time::Instant;

pub use self::{adaptive::Adaptive, aimd::Aimd, fixed::Fixed};

/// A law that says how many calls may be in flight. See the [module](crate::admission::concurrency::law).
#[diagnostic::on_unimplemented(
    message = "`{Self}` is not a law for a concurrency limit",
    note = "implement `Limit`: `limit` says how many may be in flight, `update` learns from a window"
)]
pub trait Limit: fmt::Debug + Send {
    /// How many calls may be in flight, from now until the next window has ended. 0 rejects all.
    fn limit(&self) -> usize;

    /// A window has ended: learns from it.
    fn update(&mut self, window: &Window<'_>);

    /// How long a window lasts at least. Asked after each.
    fn span(&self) -> Span {
        Span::default()
    }
}

/// How long a [`Window`] lasts: to the first success after both.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Span {
    /// 250 ms unless set.
    pub duration: Duration,
    /// Successes, 100 unless set.
    pub successes: u64,
}

impl Default for Span {
    fn default() -> Self {
        Self {
            duration: Duration::from_millis(250),
            successes: 100,
        }
    }
}

/// What was measured since the window before.
#[derive(Clone, Copy, Debug)]
pub struct Window<'a> {
    /// When it ended.
    pub end: Instant,
    /// How long it was.
    pub duration: Duration,
    /// Calls that ended well. Those that failed, were rejected further in, or were left by their caller are nowhere in here: a
    /// failure is often quick, and says nothing of how long the work takes.
    pub successes: u64,
    /// Arrivals that this limit turned away, at once or out of its queue, for want of room.
    pub rejected: u64,
    /// Arrivals that waited in the queue. With [`rejected`](Self::rejected), how much was asked for beyond the limit.
    pub queued: u64,
    /// The most calls that were seen in flight.
    pub peak: usize,
    /// The latencies, by route; only those of which there are.
    pub routes: &'a [RouteWindow],
}

/// What was measured of one route. A route is what takes about the same time: a gRPC method, an HTTP route.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RouteWindow {
    /// Which. The same number is the same route in every window, and below 1,000.
    pub route: usize,
    /// How many successes were timed. All of them, unless there are thousands in a second; then some, evenly.
    pub samples: u64,
    /// The sum of their latencies, each from when it was let in to its head.
    pub total: Duration,
}

impl Window<'_> {
    /// The mean latency of all routes. `None` where nothing was timed.
    pub fn latency(&self) -> Option<Duration> {
        let samples: u64 = self.routes.iter().map(|route| route.samples).sum();
        let total: Duration = self.routes.iter().map(|route| route.total).sum();
        total.checked_div(u32::try_from(samples).unwrap_or(u32::MAX))
    }
}

/// The number that a limit is for the arithmetic of a law.
#[expect(clippy::cast_precision_loss, reason = "exact below 2^53")]
fn real(limit: usize) -> f64 {
    limit as f64
}

/// The number that a count is for the arithmetic of a law.
#[expect(clippy::cast_precision_loss, reason = "exact below 2^53")]
fn real_u64(count: u64) -> f64 {
    count as f64
}

/// The limit next to a number. 0 for what is none.
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "a cast from f64 saturates"
)]
fn whole(limit: f64) -> usize {
    limit.round() as usize
}

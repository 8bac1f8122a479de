//! The laws of other products, with their defaults, written anew from reading them: for comparison only.
//!
//! Each is told of every call, as in its product ([`Plain`](super::Plain)). There, none has a queue unless one is asked for.

mod failsafe;
mod gradient2;
mod vegas;

pub(crate) use self::{failsafe::Failsafe, gradient2::Gradient2, vegas::Vegas};

use buttress::admission::concurrency::Window;

/// The decimal logarithm of a limit, as whole steps, and never less than one: what Vegas and failsafe-go move by.
fn step(limit: f64) -> f64 {
    limit.log10().floor().max(1.0)
}

/// How long the call took, in seconds.
fn seconds(window: &Window<'_>) -> f64 {
    window.latency().unwrap_or_default().as_secs_f64()
}

#[expect(clippy::cast_precision_loss, reason = "counts of calls")]
fn in_flight(window: &Window<'_>) -> f64 {
    window.peak as f64
}

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "limits are small and positive"
)]
fn whole(limit: f64) -> usize {
    limit as usize
}

//! Concurrency limits, fixed and adaptive, with a queue in front.
//!
//! A service does so much work at a time, and not more for being asked for more: what it takes in beyond that only waits inside of
//! it, where nobody can turn it away, until all of it is late. A limit keeps it at its best, and says no early to the rest:
//!
//! ```
//! # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), buttress::BoxError> {
//! use axum::{Router, routing::get};
//! use buttress::ConcurrencyLimitLayer;
//! # use tower::ServiceExt;
//!
//! let layer = ConcurrencyLimitLayer::adaptive(); // or ::new(64)
//! let limit = layer.limit();
//! let app: Router = Router::new().route("/", get(|| async { "hello" })).layer(layer);
//!
//! let response = app.oneshot(http::Request::get("/").body(axum::body::Body::empty())?).await?;
//! assert_eq!(limit.snapshot().in_flight, 1); // its body is still to be read
//! drop(response);
//! assert_eq!(limit.snapshot().in_flight, 0);
//! # Ok(()) }
//! ```
//!
//! # Who is let in
//!
//! - There is one limit for all services made from a layer: routes, connections, clones.
//! - A call holds its place to the end of its answer's body. A reader who stalls holds it no longer than a second beyond
//!   the request's deadline: whoever comes then takes it, and who waits already within another second. Event streams and upgrades
//!   give it back at their head.
//! - Who finds no place waits in a queue, bounded in length and in time. The more [critical](crate::Criticality) is served
//!   first, and takes the place of the less critical where the queue is full. A queue in which somebody has always waited for a
//!   twentieth of the longest wait, for 100 ms, is not one of a burst: until it is empty, it is served from its other end.
//! - Whose deadline leaves less time than 95 of 100 calls of its [route](ConcurrencyLimitLayer::route) took of late is not let in,
//!   on arrival or out of the queue: its work would be done for nobody. Nothing of it is known before 100 calls.
//! - Who leaves while waiting costs nothing.
//!
//! # How many
//!
//! As many as the [`Limit`] says, a law: [`Fixed`], or [`Adaptive`], which finds out, or one's own. It learns from how long calls
//! take from when they are let in to their head, and from how many succeed.
//!
//! # What it costs
//!
//! A call that finds a place takes no lock: one exchange of a word to take it, one to give it back, on a cache line of its own
//! processor. Beyond some thousand calls in a second only some are timed. A rejection reads the clock where there is a queue, and arms
//! no timer.

mod counts;
mod gate;
pub mod law;
mod layer;
mod limit;
mod meter;
mod permit;
mod permits;
mod queue;
mod routes;
mod settings;
mod snapshot;
mod stalled;
mod sync;
mod wait;

pub use self::{
    counts::NotAdmitted,
    law::{Adaptive, Aimd, Fixed, Limit, RouteWindow, Span, Window},
    layer::{ConcurrencyLimitLayer, HoldUntil},
    limit::ConcurrencyLimit,
    permit::Permit,
    snapshot::ConcurrencySnapshot,
    wait::Waiting,
};

/// As rejections and metrics name it.
const NAME: &str = "concurrency";

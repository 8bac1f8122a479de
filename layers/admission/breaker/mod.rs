//! The circuit breaker: leave a destination alone that keeps failing.
//!
//! A destination that is down is not helped by more calls, and neither are its callers: each waits for what will not come, and
//! holds its own place and its caller's meanwhile. A breaker sees that most calls of late failed, and answers the next at once.
//! After a while it sends a few to find out. The usual ones fail when they are needed: a window that does not slide takes ten
//! thousand failures to open after ten thousand successes; a probe whose caller leaves is never given back, and nothing is
//! let in any more; an answer from before the trouble closes what should stay open; our own limit's rejections open it; and one
//! sick destination stops the calls to all. Here:
//!
//! ```
//! # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), buttress::BoxError> {
//! use buttress::{BreakerLayer, admission::breaker::CircuitState};
//! use http::{Request, Response, StatusCode};
//! use tower::{Layer, ServiceExt, service_fn};
//!
//! let layer = BreakerLayer::new().per_destination().minimum_calls(10);
//! let breaker = layer.breaker();
//! let client = layer.layer(service_fn(async |request: Request<()>| {
//!     let mut response = Response::new(http_body_util::Empty::<bytes::Bytes>::new());
//!     if request.uri().host() == Some("sick.example") {
//!         *response.status_mut() = StatusCode::INTERNAL_SERVER_ERROR;
//!     }
//!     Ok::<_, std::convert::Infallible>(response)
//! }));
//!
//! for _ in 0..10 {
//!     client.clone().oneshot(Request::get("http://sick.example/").body(())?).await?;
//! }
//! let rejected = client.clone().oneshot(Request::get("http://sick.example/").body(())?).await?;
//! assert_eq!(rejected.status(), 503);
//! assert!(rejected.headers().contains_key("retry-after"));
//! assert_eq!(breaker.snapshot().state, CircuitState::Open);
//!
//! let well = client.oneshot(Request::get("http://well.example/").body(())?).await?;
//! assert_eq!(well.status(), 200);
//! # Ok(()) }
//! ```
//!
//! # What is guaranteed
//!
//! - **The window slides**, by tenths, in constant time, after a gap of any length too. It is judged whenever a call ends that was not
//!   fine. Time moves it on as calls arrive: what ends while none arrives is counted with the last that did.
//! - **Half-open is never a trap.** So many probes are let in. One that is cancelled, or says nothing, gives its place back. When all
//!   have succeeded it closes; the first that fails opens it, for twice as long. Probes that hang for 30 s (or
//!   [`open_for`](BreakerLayer::open_for), if that is longer) are given up, and others are sent.
//! - **No verdict on old evidence.** A call counts only in the state that let it in.
//! - **The rejection** is 503 (gRPC 14), not executed, with a `retry-after` of what remains of the time, or more. While probes are under way,
//!   that is `open_for`.
//! - **A bound.** Per destination, it remembers [so many](BreakerLayer::keys).
//! - **Cost.** A call to a closed circuit that succeeds takes no lock: a load and a clock read on arrival (none with a
//!   [window of calls](BreakerLayer::window_calls)), and a count at its end, on a cache line of its own thread's home. One that fails
//!   takes a short lock. Nothing allocates, and there is no timer.
//!
//! # What is a failure
//!
//! What speaks against the destination, known at the end of the answer's body:
//!
//! | | |
//! |---|---|
//! | failure | [`Outcome::Failure`]: HTTP 5xx, 408, 421, 425; gRPC UNKNOWN, `DEADLINE_EXCEEDED`, UNIMPLEMENTED, INTERNAL, UNAVAILABLE, `DATA_LOSS`, no status; an error; a body that breaks |
//! | failure | a [`TimeoutLayer`](crate::TimeoutLayer) below gave up waiting, or one of us found it unreachable |
//! | neither | over a quota: HTTP 429, gRPC `RESOURCE_EXHAUSTED` |
//! | neither | rejected by another of our layers below, deadlines included; cancelled before its answer |
//! | success | all else; a good answer of which nobody read the body, too (gRPC's is not known before its end: neither) |
//!
//! A quota is the caller's, not the destination's health: to open would turn "fewer, please" into an outage of all that
//! is within it, while a success would hide that all that *is* let through fails, where a gateway counts quotas in front of a dead
//! backend. The [throttle](super::throttle) answers quotas, and [`failing`](BreakerLayer::failing) can say otherwise.
//!
//! A caller's own deadline says more of the caller: one who gives a millisecond would open it for all. But where
//! [slow calls](BreakerLayer::slow_call) are counted, one that was cut off by its deadline after as long is one.
//!
//! A failure that opens it may say when to come back (`retry-after`): it is not asked before, up to 30 s.
//!
//! # Where it stands
//!
//! Below retry, so that each attempt is evidence and is asked anew; above a [`TimeoutLayer`](crate::TimeoutLayer), a throttle and a
//! concurrency limit. A timeout above it is to it a caller that left.
//!
//! # Limits
//!
//! It knows what this process saw. Its state is read without a lock, so a call that ends in the very moment of a change may be counted
//! after it. A share of failures below the [rate](BreakerLayer::failure_rate) opens nothing, for however long it lasts: that is for retries and
//! alerts.
//!
//! [`Outcome::Failure`]: crate::outcome::Outcome::Failure

mod cell;
mod circuit;
mod clock;
mod evidence;
mod history;
mod law;
mod layer;
mod permit;
mod policy;
mod settings;
mod snapshot;
mod sync;
mod tally;
#[cfg(test)]
mod tests;
mod ticket;
mod word;

pub use self::{
    layer::BreakerLayer,
    permit::BreakerPermit,
    policy::Breaker,
    snapshot::{BreakerSnapshot, CircuitState, DestinationSnapshot},
};
use super::sliding;

/// As rejections and metrics name it.
const NAME: &str = "breaker";

/// What an operator holds a breaker to, whatever it finds. See [`Breaker::force`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Forced {
    /// Nothing is let in.
    Open,
    /// All is let in, and not judged.
    Closed,
}

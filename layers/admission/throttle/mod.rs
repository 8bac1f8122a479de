//! The client throttle: do not send what would be refused.
//!
//! To refuse costs a destination too: it reads a request, and answers. Where enough is asked of one that is overloaded, it does
//! nothing but refuse. So a client that is refused much holds back by itself, by as much as it is refused, and lets the
//! rest through, to learn when there is room again. It is the adaptive throttle of Google's SRE book ("Handling Overload",
//! chapter 21): a request is rejected here with the probability
//!
//! ```text
//! max(0, (requests - K * accepts) / (requests + 1))
//! ```
//!
//! over the last two minutes, where `requests` are all, those included that are rejected here, and `accepts` those that the
//! destination accepted. Fewer than ten requests are no evidence: none is rejected then, or a client that asks seldom could
//! not try again what failed once.
//!
//! ```
//! # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), buttress::BoxError> {
//! use buttress::{Criticality, ThrottleLayer};
//! use http::{Request, Response, StatusCode};
//! use tower::{Layer, ServiceExt, service_fn};
//!
//! let layer = ThrottleLayer::new().per_destination();
//! let throttle = layer.throttle();
//! let client = layer.layer(service_fn(async |_: Request<()>| {
//!     let mut response = Response::new(http_body_util::Empty::<bytes::Bytes>::new());
//!     *response.status_mut() = StatusCode::SERVICE_UNAVAILABLE;
//!     Ok::<_, std::convert::Infallible>(response)
//! }));
//!
//! for _ in 0..1_000 {
//!     client.clone().oneshot(Request::get("http://full.example/").body(())?).await?;
//! }
//! let snapshot = throttle.snapshot();
//! assert_eq!((snapshot.requests, snapshot.accepts), (1_000, 0));
//! assert!(snapshot.rejected > 900, "the destination was spared them");
//! assert!(snapshot.probability(Criticality::Critical) > 0.99);
//! # Ok(()) }
//! ```
//!
//! # What is guaranteed
//!
//! - **`K` times** what it accepts is what the destination is asked, about, however much there is to ask: with 2, one refusal for
//!   each accepted. While it accepts half of what it is asked, nothing is rejected here.
//! - **The less critical go first**: `K` is 2 for critical requests, 1.5 for `sheddable-plus` and 1.1 for `sheddable`.
//! - **The window slides**, by twelfths, in constant time. A request counts when it ends: those that are under way are neither
//!   refused nor accepted yet. To count them at their start would reject most of a first burst for being under way.
//! - **The rejection** is 503 (gRPC 14), not executed, to come back after a second. A retry of ours above does not try it again.
//! - **A bound.** Per destination, it remembers [so many](ThrottleLayer::keys).
//! - **Cost.** No lock that all requests take: a clock read and a load on arrival, a count at the end, on a cache line of its own
//!   thread's home. Nothing allocates.
//!
//! # What is a refusal
//!
//! HTTP 429 and 503; gRPC `RESOURCE_EXHAUSTED` and UNAVAILABLE; no answer at all: an error, or one of ours that found it unreachable.
//! Every other answer was accepted, a failure too: the destination did the work. What was cancelled before its answer, or rejected
//! by another of our layers below, is not counted.
//!
//! # Limits
//!
//! After an outage of two minutes hardly anything is let through, and it takes about eleven minutes to be back to all of it (in
//! simulation, at 500 requests a second): the odds follow a window of two minutes, and grow from the little that is accepted. With a
//! [window](ThrottleLayer::window) of ten seconds it takes 43 s. What hangs is neither refused nor accepted; that is for a
//! [breaker](super::breaker).

mod layer;
mod odds;
mod policy;
mod settings;
mod snapshot;
#[cfg(test)]
mod tests;

pub use self::{
    layer::ThrottleLayer,
    policy::{Throttle, ThrottlePermit},
    snapshot::{DestinationSnapshot, ThrottleSnapshot},
};

/// As rejections and metrics name it.
const NAME: &str = "throttle";

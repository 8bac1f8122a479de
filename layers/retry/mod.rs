//! Another attempt, where that is safe, in time, and affordable.
//!
//! Most failures of a call are over when they are seen: a connection that went stale, a server that was replaced, a queue that was
//! full for a moment. A second attempt hides them. But an attempt is load, and load is what has failed: retries of retries, tier
//! above tier, make out of one fault the storm that ends the service. So a retry asks seven questions first. May the request be sent
//! twice? Did the upstream say when, or never? Is there time left to wait and to try? Is the body still at hand? Is the service
//! ready? Has this been tried often enough? And last: is there anything left in the [budget](crate::budget)?
//!
//! ```
//! # #[tokio::main(flavor = "current_thread", start_paused = true)] async fn main() {
//! use buttress::{PropagateDeadlineLayer, RetryLayer, budget::Budget};
//! use http::{Request, Response, StatusCode};
//! use http_body_util::Full;
//! use std::{convert::Infallible, sync::{Arc, atomic::{AtomicU32, Ordering}}};
//! use tower::{ServiceBuilder, ServiceExt};
//!
//! let calls = Arc::new(AtomicU32::new(0));
//! let seen = calls.clone();
//! let upstream = tower::service_fn(move |_| {
//!     let mut response = Response::new(Full::<bytes::Bytes>::default());
//!     if seen.fetch_add(1, Ordering::Relaxed) == 0 {
//!         *response.status_mut() = StatusCode::SERVICE_UNAVAILABLE;
//!     }
//!     async { Ok::<_, Infallible>(response) }
//! });
//!
//! // One budget, cloned into every client of the process.
//! let budget = Budget::default();
//! let client = ServiceBuilder::new()
//!     .layer(RetryLayer::http().budget(budget.clone()))
//!     .layer(PropagateDeadlineLayer::new())
//!     .service(upstream);
//!
//! let response = client.oneshot(Request::get("/").body(Full::<bytes::Bytes>::default()).unwrap()).await.unwrap();
//! assert_eq!((response.status(), calls.load(Ordering::Relaxed)), (StatusCode::OK, 2));
//! # }
//! ```
//!
//! # What is retried
//!
//! | how an attempt ended | safe or idempotent, or with an `idempotency-key` | POST, PATCH |
//! |---|---|---|
//! | never sent: no connection, handed back unsent, `REFUSED_STREAM`, 421 | yes, the first time at once | the same |
//! | broke on a connection that had been used before | yes, at once | no |
//! | broke on a fresh connection | yes | no |
//! | 429 with a hint | yes | [opt-in](RetryLayer::retry_hinted) |
//! | 503 | yes | with a hint, the same opt-in |
//! | 408, 502, 504; an attempt's own [timeout](crate::TimeoutLayer) | yes | no |
//! | 500, 409, 425 | [opt-in](RetryLayer::retry_status) | no |
//! | rejected by one of our layers below | no, and nothing is paid | no |
//! | the caller left, the deadline passed, the process is shutting down | never | never |
//!
//! A gRPC call is judged by its code, in an answer that ends with its head: UNAVAILABLE; `RESOURCE_EXHAUSTED` where the server says when
//! to come back; others by [opt-in](RetryLayer::retry_code); CANCELLED and `DEADLINE_EXCEEDED` never. Where you know better, a
//! [closure](Classify) does.
//!
//! # What an attempt is
//!
//! Each attempt is made in a [child](crate::Context) of the caller's context, that ends with it. Its number is in the context, and the upstream is
//! told how many came before it: `x-retry-attempt`, or `grpc-previous-rpc-attempts`. Layers below see every attempt: a
//! [`TimeoutLayer`](crate::TimeoutLayer) there is a bound for each, and a [`PropagateDeadlineLayer`](crate::PropagateDeadlineLayer)
//! writes what is left at each.
//!
//! # The wait
//!
//! The upstream's word is followed: a [hint](crate::outcome::Hint) is waited for, and some more at random; a gRPC pushback exactly. Where
//! there is none it is the [`Backoff`]. A wait that would leave no time for an attempt is not begun: the caller gets the answer at hand, now.
//!
//! # What is passed up
//!
//! The last answer or error, as it came. Where attempts or budget have run out the answer is marked (`x-should-retry: false`, a pushback
//! of -1), and the layers of this kind in the tiers above do not try again: of a chain, only the tier next to the fault retries. Once the
//! head of an answer is with the caller there is no retry.
//!
//! # Limits
//!
//! The body is [recorded](crate::body::replay) as it is sent. One that is larger than the limit, or still being sent when the answer comes,
//! is not sent again. Whether a connection had been used before is known where the transport's adapter can tell; elsewhere it is taken
//! for fresh.

mod attempt;
mod backoff;
mod counts;
mod ending;
mod future;
mod layer;
mod marks;
mod pause;
mod plan;
mod rules;
mod service;
mod settings;

pub use self::{
    attempt::{Attempt, Classify, Verdict},
    backoff::Backoff,
    counts::RetrySnapshot,
    ending::Ending,
    future::RetryFuture,
    layer::RetryLayer,
    plan::Kept,
    rules::Rules,
    service::Retry,
};
pub(crate) use self::{
    ending::Paid,
    marks::{write_attempt, write_do_not_retry},
    service::Again,
    settings::Settings,
};

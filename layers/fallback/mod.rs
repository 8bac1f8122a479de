//! Something else where a call failed: a value, what a function makes of it, or what another service answers.
//!
//! Not every call matters as much as the page it is for. Where the recommendations do not come, a shop is better off with the bestsellers of
//! last week than with an error. A fallback is that decision, made where the call is: it stands outside of the retries, which are to make the
//! failure go away, and says what is answered when it did not.
//!
//! ```
//! # #[tokio::main(flavor = "current_thread", start_paused = true)] async fn main() {
//! use buttress::{FallbackLayer, RetryLayer, fallback::FellBack};
//! use bytes::Bytes;
//! use http::{Request, Response, StatusCode};
//! use http_body_util::{BodyExt, Full};
//! use std::convert::Infallible;
//! use tower::{ServiceBuilder, ServiceExt};
//!
//! let down = tower::service_fn(|_| async {
//!     let mut response = Response::new(Full::<Bytes>::default());
//!     *response.status_mut() = StatusCode::SERVICE_UNAVAILABLE;
//!     Ok::<_, Infallible>(response)
//! });
//! let bestsellers = Response::new(Bytes::from_static(b"[1, 2, 3]"));
//! let client = ServiceBuilder::new()
//!     .layer(FallbackLayer::value(bestsellers))
//!     .layer(RetryLayer::http())
//!     .service(down);
//!
//! let response = client.oneshot(Request::get("/for-you").body(Full::<Bytes>::default()).unwrap()).await.unwrap();
//! assert_eq!(response.status(), StatusCode::OK);
//! assert!(response.extensions().get::<FellBack>().is_some()); // not what was asked for, and it can be told
//! assert_eq!(response.into_body().collect().await.unwrap().to_bytes(), "[1, 2, 3]");
//! # }
//! ```
//!
//! # Where the other answer comes from
//!
//! | | gets | fails |
//! |---|---|---|
//! | [`value`](FallbackLayer::value) | nothing | never |
//! | [`with`](FallbackLayer::with) | how the call [failed](Failed) | with `None` |
//! | [`with_kept`](FallbackLayer::with_kept) | that, and what it asked to keep of the head | with `None` |
//! | [`service`](FallbackLayer::service) | the request, with a body of [`Replay`](crate::body::replay::Replay) | with an error |
//! | [`on_error`](FallbackLayer::on_error) | the error, around a service that is not HTTP | with `None` |
//!
//! A fallback that fails changes nothing: the caller gets the failure that was to be replaced. One that answers is believed, whatever its status:
//! for two of them, put one around the other.
//!
//! # What is answered otherwise
//!
//! | how the call failed | |
//! |---|---|
//! | an error of the service, a status of 5xx | yes |
//! | gRPC: UNAVAILABLE, in an answer that ends with its head | yes |
//! | rejected by a layer of ours below: a limit, a breaker, a quota, an upstream that cannot be reached | yes |
//! | the deadline passed, here or below; no time is left | no |
//! | the caller left, the process is shutting down | no |
//! | 4xx, another gRPC status | no |
//!
//! [`when`](FallbackLayer::when) says it otherwise: it is asked of all of these, and its word is the last. [`only`](FallbackLayer::only) says for
//! which requests.
//!
//! # The same request, of another service
//!
//! The body is [recorded](crate::body::replay) as it is sent, as for a [retry](crate::retry), and the head is cloned. A body that is larger than the
//! [limit](FallbackLayer::body_limit), or still being sent when the answer comes, is not sent again; nor is a request that the first service
//! may have acted on, and that does more if it is done twice: a POST behind a 500. Both are counted, and the failure is passed up.
//!
//! # What is guaranteed
//!
//! - `S::Error` stays, and no service need be `Clone` but the other one. `poll_ready` is the inner service's; the other is asked when it is needed.
//! - [`FellBack`] is in the extensions of what took another answer's place, with how that failed. Layers above see an answer like any other.
//! - The fallback runs in the call's context, ends at its deadline, and when the call is dropped. Nothing is spawned.
//! - A call that is answered allocates nothing here, but for what another service is to get.
//!
//! # Limits
//!
//! It is decided by the head. A body that breaks, and a gRPC status in trailers behind messages, come when the answer is with the caller
//! already. A value is in the protocol that it was written in: a gRPC client wants a gRPC answer. The failure is held until the other answer has
//! come, and with it whatever its body holds, a permit of a limit below, say: two services behind one limit want room for both.
//!
//! A fallback hides failures: watch [`FallbackSnapshot`], or `buttress.fallback.answers`. And it is tried on the worst day: one that
//! costs more than what it replaces makes that day worse ([Avoiding fallback in distributed systems]).
//!
//! [Avoiding fallback in distributed systems]: https://aws.amazon.com/builders-library/avoiding-fallback-in-distributed-systems/

mod body;
mod counts;
mod failed;
mod future;
mod layer;
mod other;
mod service;
mod source;
mod typed;

pub use self::{
    body::{FallbackBody, Whole},
    counts::FallbackSnapshot,
    failed::{Failed, Usual, When},
    future::FallbackFuture,
    layer::FallbackLayer,
    other::{Again, Other, OtherFuture},
    service::Fallback,
    source::{Function, FunctionFuture, Keeping, Source, TypedFunctionFuture, TypedSource, Value},
    typed::TypedFallbackFuture,
};
use crate::outcome::Outcome;

/// Marks, in its extensions, an answer that took the place of another: how that one failed.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct FellBack {
    /// How the call failed.
    pub outcome: Outcome,
}

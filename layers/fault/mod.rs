//! Faults on purpose: calls that are late, fail, break off or trickle, for tests and for staging.
//!
//! Retries, breakers, deadlines and fallbacks are code for a bad day, and a bad day does not come to a test by itself. So they are first
//! tried when everything else fails, too. A layer that fails as an upstream does, in the place of that upstream, brings the bad day
//! to where it can be looked at: as much of it as wanted, and the same again tomorrow.
//!
//! ```
//! # #[tokio::main(flavor = "current_thread", start_paused = true)] async fn main() {
//! use buttress::{FaultLayer, RetryLayer, fault::{Injected, Rule}};
//! use http::{Request, Response, StatusCode};
//! use http_body_util::Full;
//! use std::{convert::Infallible, time::Duration};
//! use tower::{ServiceBuilder, ServiceExt};
//!
//! let faults = FaultLayer::new()
//!     .rule(Rule::delay(Duration::from_millis(20)..=Duration::from_millis(200)).share(0.2))
//!     .rule(Rule::abort(StatusCode::SERVICE_UNAVAILABLE).share(0.1))
//!     .seed(7)
//!     .enabled(true); // nothing happens without this
//! let client = ServiceBuilder::new()
//!     .layer(RetryLayer::http())
//!     .layer(faults.clone()) // where the upstream is
//!     .service(tower::service_fn(|_| async { Ok::<_, Infallible>(Response::new(Full::<bytes::Bytes>::default())) }));
//!
//! let mut failed = 0;
//! for _ in 0..100 {
//!     let request = Request::get("/").body(Full::<bytes::Bytes>::default()).unwrap();
//!     failed += u32::from(client.clone().oneshot(request).await.unwrap().status() != StatusCode::OK);
//! }
//! let now = faults.snapshot();
//! assert!(now.injected(Injected::Abort) > 5 && now.injected(Injected::Delay) > 10);
//! assert_eq!(failed, 0); // the retry hid them all
//! # }
//! ```
//!
//! # What there is
//!
//! | fault | what happens | seen by the layers above, and by the peer |
//! |---|---|---|
//! | [`delay`](Rule::delay) | the request waits, and is handed on | a slow service |
//! | [`abort`](Rule::abort), [`abort_grpc`](Rule::abort_grpc) | it is answered in the request's protocol | an answer of the service itself: a retry tries again, a breaker counts it |
//! | [`reject`](Rule::reject) | it is rejected | a [`Rejection`](crate::Rejection) of this process, by the layer `fault` |
//! | [`reset`](Rule::reset) | no answer | an error, where there [is one](FaultLayer::error); else a body that breaks before its first byte, and so a connection or a stream that breaks before its head |
//! | [`reset_body`](Rule::reset_body) | the answer breaks off after so many bytes | a body error, a stream that is reset |
//! | [`slow_body`](Rule::slow_body), [`pause_body`](Rule::pause_body) | the answer trickles | a slow body |
//!
//! Each befalls all requests, a [share](Rule::share) of them, or those of which a [function of the head](Rule::when) says so; or those that
//! [ask for it in a header](FaultLayer::header) of a name of yours. All rules that are for a request befall it, of each kind the first: it is
//! delayed, and then ends, or is handed on and has its body broken and slowed.
//!
//! # Off unless enabled
//!
//! A layer that was built is off, so that a stack can carry it to where it must never act. It is enabled as it is
//! [built](FaultLayer::enabled), by configuration say, and at any time by its [switch](FaultSwitch):
//!
//! ```
//! use buttress::{FaultLayer, fault::Rule};
//!
//! let layer = FaultLayer::new().rule(Rule::reset().share(0.5)).enabled(false);
//! let switch = layer.switch(); // for an admin's endpoint, or a test
//! switch.set(true);
//! assert!(layer.snapshot().enabled);
//! ```
//!
//! While it is off it costs a load: no header is read, no dice are thrown, nothing is counted. Its measure `buttress.fault.enabled` is
//! what an alert in production looks at.
//!
//! # The same faults again
//!
//! Requests are numbered as they come, over all services of the layer and its clones, while it is on. What befalls a request is a function of
//! the [seed](FaultLayer::seed), its number, the rules and its head, and of nothing else: not of time, not of other requests, not of how
//! the other dice fell. So:
//!
//! - requests that come one after the other meet the same faults in every run;
//! - of requests that come at the same time, which one is the seventh is the scheduler's choice; that there is a seventh, and what becomes of
//!   it, is not. Where no rule looks at the head, `n` requests meet the same faults, and as many of each kind, in every run;
//! - a rule that is added at the end changes nothing for those before it.
//!
//! # What is guaranteed
//!
//! - `poll_ready` is the inner service's. A request that is delayed keeps the service that was made ready for it, which is what `Clone` is for.
//! - A delay ends with its work: at the deadline, or when the caller leaves or the process ends, and is answered as
//!   [that](crate::context::Cancelled) is. So does the wait of a slow body, with a body error. Dropping the call ends both at once.
//! - What is cut short is dropped before the peer hears of it.
//! - [`Injected`] marks an answer that is an abort, in its extensions: for a log that must not call it the upstream's.
//!
//! # Limits
//!
//! - The body of the request is left alone.
//! - An answer without a body cannot break off: one to `HEAD`, 204, 304. There, a reset without an error is an empty 200.
//! - A reset without an error is for servers. The layers above it in the same process see a 200, and a body that breaks. And on HTTP/2, with
//!   several threads, the head can just have left.
//! - What fits a sixteenth of a second, and is one frame, goes out at once, however slow the body.
//! - Errors that have no constructor, as hyper's and reqwest's, cannot be made for a reset. Put the layer above what boxes them.
//! - A request that is delayed is held, with its body, and takes room in every limit above: that is what a slow upstream does, too.
//!
//! # Beside others
//!
//! Envoy's [fault filter] has delay, abort and a rate for the answer, by percentage and by the headers `x-envoy-fault-*`; it has no reset, no body
//! that breaks, and no seed. `tower-resilience-chaos` has a delay and an error, by rates and with a seed. Its errors are the service's, so an HTTP
//! status and a body are out of its reach; its dice are kept by a mutex, and start over in each service that the layer makes, which in axum
//! is each route; and it is on wherever it is built.
//!
//! [fault filter]: https://www.envoyproxy.io/docs/envoy/latest/configuration/http/http_filters/fault_filter

mod abort;
mod body;
mod breaks;
mod call;
mod delay;
mod future;
mod header;
mod injected;
mod layer;
mod pace;
mod plan;
mod rule;
mod service;
mod switch;
mod wait;

pub use self::{
    body::FaultBody,
    breaks::{Breaks, ByError, InBody},
    delay::Delay,
    future::{FaultFuture, TypedFaultFuture},
    injected::Injected,
    layer::FaultLayer,
    rule::Rule,
    service::Fault,
    switch::{FaultSnapshot, FaultSwitch},
};

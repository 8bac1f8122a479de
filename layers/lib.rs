//! Lifecycle and resilience layers for [tower]: a buttress holds a tower up when the load comes from the side.
//!
//! Services rarely die of one crash. They die slowly: work that nobody stops, calls that ignore the caller's deadline, handlers
//! that run on after the client left. Every part of this crate answers one question about every piece of work in a service:
//! **what stops this?**
//!
//! # Three lines protect a service
//!
//! ```
//! use axum::{Router, routing::get};
//! use buttress::{CancelLayer, DeadlineLayer};
//! use std::time::Duration;
//!
//! let app: Router = Router::new()
//!     .route("/", get(|| async { "hello" }))
//!     .layer(CancelLayer::new())
//!     .layer(DeadlineLayer::new(Duration::from_secs(10)));
//! ```
//!
//! No `HandleErrorLayer`, no boxed service, no turbofish: the layers keep the error type of what they wrap, and answer with a
//! response that fits the request's protocol (HTTP, gRPC, gRPC-Web, Connect).
//!
//! # The stack
//!
//! ```text
//!  server, outermost first                      client, outermost first
//!
//!  ObserveLayer          every ending           ObserveLayer               every ending
//!  RenderLayer           how we say no          RetryLayer, HedgeLayer     again, from one budget
//!  Drain                 the gate at shutdown   BreakerLayer               leaves alone what fails
//!  CriticalityLayer      how much it matters    ThrottleLayer              sends what is accepted
//!  DeadlineLayer         reads, caps, enforces  ConcurrencyLimitLayer      how many at a time
//!  CancelLayer           ends with its caller   TimeoutLayer               a bound per attempt
//!  RateLimitLayer        how often, for each    AdmissionLayer             a policy of one's own
//!  LoadShedLayer         when all is too much   PropagateDeadlineLayer     writes what remains
//!  ConcurrencyLimitLayer how many at a time     PropagateCriticalityLayer  how much it matters
//!  AdmissionLayer        a policy of one's own    transport
//!  ShieldLayer           where work must go on
//!    handler
//! ```
//!
//! axum's `Router::layer` and tower's `Layer` wrap: what is added last is outermost. `ServiceBuilder` lists outermost first.
//!
//! # The concepts
//!
//! - a [`Context`] flows down: deadline, cancellation, criticality, attempt. It is ambient: [`Context::current`].
//! - an [`Outcome`](outcome::Outcome) flows up: how a call really ended, at the end of its body.
//! - a [`Rejection`] says why one of our layers said no, as data, in the caller's protocol.
//!
//! # Features
//!
//! | feature | brings |
//! |---|---|
//! | `axum` | what axum's handlers ask and answer, and the listener of a [`Lifecycle`] below `axum::serve` |
//! | `hyper` | what hyper's errors say of a request that failed, and a connector that knows which connections are reused |
//! | `metrics` | calls and measures for the `metrics` facade, and so for Prometheus |
//! | `rate` | `RateLimitLayer`, on governor: how often, for all or for each key |
//! | `reqwest` | reqwest below the layers, and its requests and responses above them |
//! | `serde` | stacks from configuration |
//! | `server` | serving HTTP as part of the process: connections that drain and end with it |
//! | `testing` | checks for tests: that nothing leaks, that an app drains, that a layer keeps tower's contract |
//! | `tonic` | tonic's channel below the layers, its services within them, and its statuses |
//! | `tracing` | a span of each call, and events where a layer finds what a developer should know |
//! | `full` | all of them |
//!
//! None is on by default. Everything without a dependency is always there.
//!
//! # Requirements
//!
//! A tokio runtime with its time driver, where something waits. Time is [`tokio::time`]'s, so a paused clock tests everything.
//!
//! [tower]: https://docs.rs/tower

#![cfg_attr(docsrs, feature(doc_cfg))]

pub mod address;
pub mod admission;
#[cfg(feature = "axum")]
pub mod axum;
pub mod body;
pub mod budget;
pub mod cancel;
pub mod context;
pub mod criticality;
pub mod deadline;
mod destination;
pub mod fallback;
pub mod fault;
#[cfg(all(any(doc, doctest), feature = "full"))]
pub mod guide;
pub mod hedge;
#[cfg(feature = "hyper")]
pub mod hyper;
pub mod lifecycle;
#[cfg(feature = "metrics")]
pub mod metrics;
pub mod observe;
pub mod outcome;
pub mod registry;
pub mod rejection;
#[cfg(feature = "reqwest")]
pub mod reqwest;
pub mod retry;
pub mod stack;
pub mod telemetry;
#[cfg(feature = "testing")]
pub mod testing;
#[cfg(feature = "tonic")]
pub mod tonic;
#[cfg(feature = "tracing")]
pub mod tracing;

#[cfg(feature = "rate")]
pub use self::admission::rate::RateLimitLayer;
pub use self::{
    admission::{
        AdmissionLayer, breaker::BreakerLayer, concurrency::ConcurrencyLimitLayer, shed::LoadShedLayer,
        throttle::ThrottleLayer,
    },
    body::BoxError,
    cancel::{CancelLayer, ShieldLayer},
    context::{Cancelled, Context, ContextGuard, Criticality},
    criticality::{CriticalityLayer, PropagateCriticalityLayer},
    deadline::{DeadlineLayer, PropagateDeadlineLayer, TimeoutLayer},
    fallback::FallbackLayer,
    fault::FaultLayer,
    hedge::HedgeLayer,
    lifecycle::Lifecycle,
    observe::ObserveLayer,
    rejection::Rejection,
    retry::RetryLayer,
    stack::{client, optional, server},
};

#[doc = include_str!("../README.md")]
#[cfg(all(doctest, feature = "full"))]
struct Readme;

//! Every call, seen from outside: the outermost layer of a server, and of a client.
//!
//! A handler's own log line knows what the handler did. It does not know of the caller that left, the download that broke in the middle, the
//! request that a limit turned away, the gRPC status in the trailers, the panic. Around all of them stands [`ObserveLayer`], and tells an
//! [`Observer`] of each call exactly once how it [ended](Ended):
//!
//! ```
//! use buttress::{DeadlineLayer, ObserveLayer, observe::Ended, outcome::Outcome};
//! use std::{sync::atomic::{AtomicU64, Ordering}, time::Duration};
//! # use axum::Router;
//!
//! static REJECTED: AtomicU64 = AtomicU64::new(0);
//!
//! let app: Router = Router::new()
//!     .layer(DeadlineLayer::new(Duration::from_secs(10)))
//!     .layer(ObserveLayer::server(|ended: &Ended| {
//!         if matches!(ended.outcome, Outcome::Rejected(_)) {
//!             REJECTED.fetch_add(1, Ordering::Relaxed);
//!         }
//!     }));
//! ```
//!
//! In between, an observer hears what [happened](Event) in the layers below: that the call waited in a queue, was tried again, was
//! rejected by one of them. The innermost layer around is the one that hears: in a server that calls others, a client's retries belong to the
//! client's call.
//!
//! # Metrics and traces
//!
//! The feature `metrics` has an observer for the `metrics` facade, and `tracing` one that makes a span of each call. Both at once are
//! `(metrics, spans)`. They follow OpenTelemetry's conventions in names, units and [buckets](SECONDS); how both reach an OpenTelemetry exporter
//! is in the example `telemetry`. What is not a call is [measured](crate::telemetry::Measured): limits, budgets, queues, the process.
//!
//! # Guarantees
//!
//! - A call that began ends, once: [at its head or in its body](At). What is dropped is [cancelled](crate::outcome::Outcome::Cancelled); what panics is a
//!   [failure](crate::outcome::Class::Panic).
//! - The time is counted from the request's head to the end of the answer's body, by two clock reads. A paused clock holds it.
//! - Where nobody listens nothing is done: `()` is the service without the layer, and an event that nobody hears is not made.
//!
//! # Limits
//!
//! A call is heard in its own polls. What it spawned, or handed to a `Buffer`, tells what happens there to nobody, unless it has a layer of
//! its own.
//!

mod error;
mod layer;
pub(crate) mod method;
mod observer;
mod telling;

pub use self::{
    error::{ErrorType, grpc_status_name},
    layer::{Observe, ObserveFuture, ObserveLayer},
    observer::{At, Began, Ended, Observer, Side},
    telling::ObservedBody,
};
pub use crate::telemetry::{Event, ProcessEvent};

/// The bounds of the buckets in which OpenTelemetry's conventions have durations of requests counted, in seconds.
pub const SECONDS: [f64; 14] = [
    0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.25, 0.5, 0.75, 1.0, 2.5, 5.0, 7.5, 10.0,
];

//! Whether a layer keeps tower's contract: with a probe for the service it wraps.
//!
//! The contract of [`Service`] is a few sentences, and most layers that break it work: until the service below them has a queue, a
//! slow start, or a permit to lose. So the layer is put around a probe that is slow, fails and waits wherever a service may, and that
//! knows what it was asked and what is still held:
//!
//! ```
//! # #[tokio::main(flavor = "current_thread", start_paused = true)] async fn main() {
//! use buttress::{DeadlineLayer, testing::contract};
//! use std::time::Duration;
//! use tower::limit::ConcurrencyLimitLayer;
//!
//! contract::http(DeadlineLayer::new(Duration::from_secs(60))).await;
//! contract::service(ConcurrencyLimitLayer::new(2), || "any request").await;
//! # }
//! ```
//!
//! # What is held against it
//!
//! | | |
//! |---|---|
//! | readiness | a service is called only after it said `Ready`, once for each time; so is each clone: one is not ready because another was |
//! | wakes | what waits is woken when the probe goes on |
//! | patience | what waits does not poll itself in circles |
//! | errors | of readiness, of a call and of a body reach the caller |
//! | release | dropped at any await point, with an error under way or not, it holds nothing: no service, no call, no body |
//!
//! # How to use it
//!
//! With settings that let a handful of requests through. On a paused clock, as above, a layer that waits costs no time. Where more is
//! to be said, [`Contract`] says it, and gives what was found as data.
//!
//! # Limits
//!
//! It asks a few requests, one after the other or two at a time. It does not look for races.

mod board;
mod check;
mod drive;
mod payload;
mod probe;
mod scenarios;
#[cfg(test)]
mod tests;
mod violation;

use http::{Request, Response};
use http_body::Body;
use tower_layer::Layer;
use tower_service::Service;

pub use self::{
    check::Contract,
    payload::{AnswerBody, Payload},
    probe::{Answer, Http, Plain, Probe, ProbeError, ProbeFuture},
    violation::{Broken, Scenario, Violation},
};
use crate::body::BoxError;

/// Holds a layer of HTTP services against the contract. See the [module](self), and [`Contract::http`].
///
/// # Panics
///
/// If it does not keep it: that is what it is for.
pub async fn http<L, B>(layer: L)
where
    L: Layer<Probe<Http>>,
    L::Service: Service<Request<Payload>, Response = Response<B>> + Clone,
    <L::Service as Service<Request<Payload>>>::Error: Into<BoxError>,
    B: Body,
    B::Error: Into<BoxError>,
{
    if let Err(broken) = Contract::new().http(layer).await {
        panic!("{broken}");
    }
}

/// Holds a layer of any services against the contract. See the [module](self), and [`Contract::service`].
///
/// # Panics
///
/// If it does not keep it: that is what it is for.
pub async fn service<L, R>(layer: L, request: impl FnMut() -> R)
where
    L: Layer<Probe<Plain>>,
    L::Service: Service<R> + Clone,
    <L::Service as Service<R>>::Error: Into<BoxError>,
{
    if let Err(broken) = Contract::new().service(layer, request).await {
        panic!("{broken}");
    }
}

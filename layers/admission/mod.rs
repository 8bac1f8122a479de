//! Admission: one engine, many policies.
//!
//! A limit, a rate, a breaker, a gate at shutdown: each answers the same question about a request that arrives, and each is
//! easy to get wrong in the same ways. In tower's layers admission happens in `poll_ready`, where the request cannot be seen and
//! a service that is ready but never called holds a place for nobody; the place is freed at the response's head, while its body
//! still streams; and one layer put around ten routes is ten limits. Here the engine is written once, and a policy decides:
//!
//! ```
//! # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), buttress::BoxError> {
//! use buttress::admission::{AdmissionLayer, Admit, Arrival, Decision, Never};
//! use buttress::rejection::{Reason, Rejection};
//!
//! /// Turns away everything below `/beta` while the switch is off.
//! struct Beta(std::sync::atomic::AtomicBool);
//!
//! impl Admit for Beta {
//!     type Permit = ();
//!     type Wait = Never<()>;
//!
//!     fn admit(&self, arrival: &Arrival<'_>) -> Decision<(), Never<()>> {
//!         let beta = arrival.head().is_some_and(|head| head.uri.path().starts_with("/beta"));
//!         if beta && !self.0.load(std::sync::atomic::Ordering::Relaxed) {
//!             return Decision::No(Rejection::new(Reason::Draining, "beta"));
//!         }
//!         Decision::Now(())
//!     }
//! }
//!
//! # use axum::{Router, routing::get};
//! let app: Router = Router::new().route("/beta/x", get(|| async { "hello" })).layer(AdmissionLayer::new(Beta(false.into())));
//! # use tower::ServiceExt;
//! # let response = app.oneshot(http::Request::get("/beta/x").body(axum::body::Body::empty())?).await?;
//! # assert_eq!(response.status(), 503);
//! # Ok(()) }
//! ```
//!
//! # What the engine guarantees
//!
//! - **In `call`.** `poll_ready` is the inner service's alone. The decision is made on the request's head, before its body is
//!   read, in the context of the request: [`Arrival`] has its deadline and criticality.
//! - **Now, no, or wait.** *Now* calls the inner service at once. *No* never calls it, and answers in the request's protocol (or
//!   with a typed error). *Wait* keeps the very service that was ready, and calls that one when its turn comes; the wait is
//!   dropped with the caller, and ends by the deadline of the layer outside.
//! - **The permit rides** in the response future, then in the response's body, and is [settled](Settle) exactly once with the
//!   call's [`Outcome`](crate::outcome::Outcome); dropped early, with a cancellation.
//! - **State is the layer's.** Services made from one layer, and its clones, share one policy.
//! - **No demands.** The error type stays; a policy that never waits asks no `Clone` of the service, and none of the request.
//!
//! A policy can be absent: `Option<A>` is one that admits all where it is `None`. Two can stand together: `(A, B)` is one that asks `B` where
//! `A` admits, in one layer.

mod arrival;
mod both;
pub mod breaker;
pub mod concurrency;
pub mod drain;
mod optional;
#[cfg(feature = "rate")]
pub mod rate;
mod service;
pub mod shed;
mod sliding;
pub mod throttle;
mod typed;
mod wait;

use std::{future::Future, sync::Arc};

pub use self::{
    arrival::Arrival,
    both::{Both, BothWait},
    optional::OptionalWait,
    service::{Admission, AdmissionFuture, AdmissionLayer},
    typed::TypedAdmissionFuture,
    wait::{Immediate, Keep, Never, Queued},
};
use crate::{outcome::Settle, rejection::Rejection};

/// What a policy says to a request that arrives.
#[derive(Debug)]
pub enum Decision<P, W> {
    /// Go, with this permit.
    Now(P),
    /// Not at all.
    No(Rejection),
    /// When this is done.
    Wait(W),
}

/// An admission policy. See the [module](self).
#[diagnostic::on_unimplemented(
    message = "`{Self}` is not an admission policy",
    note = "a policy implements `Admit`: its `admit` says `Decision::Now`, `No` or `Wait` to each arrival"
)]
pub trait Admit {
    /// What an admitted request holds until it ends, and what is told its outcome. `()` holds nothing.
    type Permit: Settle;

    /// How a request waits for its permit: [`Never`], or [`Queued`] around a future.
    type Wait: Future<Output = Result<Self::Permit, Rejection>>;

    /// Decides. It should be quick, and must not block: it is called within `Service::call`.
    fn admit(&self, arrival: &Arrival<'_>) -> Decision<Self::Permit, Self::Wait>;
}

impl<T: Admit + ?Sized> Admit for Arc<T> {
    type Permit = T::Permit;
    type Wait = T::Wait;

    fn admit(&self, arrival: &Arrival<'_>) -> Decision<T::Permit, T::Wait> {
        (**self).admit(arrival)
    }
}

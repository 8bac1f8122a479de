//! How much a request matters: decided at the edge, heard by every layer and tier below.
//!
//! When not all can be served, somebody's request is rejected. Without a word about which one, it is anybody's: a
//! nightly export takes the place of a checkout. Google's SRE book (chapter 21, "Handling Overload") gives each request
//! one of four [steps](Criticality), decided once, where the request enters, and passed on through all calls made for
//! it.
//!
//! - [`CriticalityLayer`], on a server, says how much a request matters: by its caller's header and by a function of
//!   yours.
//! - [`PropagateCriticalityLayer`], on a client, tells it to the next tier.
//!
//! ```
//! use axum::{Router, extract::ConnectInfo, routing::get};
//! use buttress::{Criticality, CriticalityLayer};
//! use std::net::SocketAddr;
//!
//! let criticality = CriticalityLayer::new()
//!     .by(|head| head.uri.path().starts_with("/export").then_some(Criticality::SheddablePlus))
//!     .trust(|head| {
//!         let peer = head.extensions.get::<ConnectInfo<SocketAddr>>();
//!         peer.is_some_and(|ConnectInfo(peer)| peer.ip().is_loopback()) // the sidecar
//!     });
//!
//! let app: Router = Router::new().route("/export", get(|| async { "..." })).layer(criticality);
//! ```
//!
//! Within, it is `Context::current().criticality()`; the [admission](crate::admission) policies and the calls that the
//! handler makes go by it. Where there is no HTTP, put it in scope yourself:
//! [`Context::with_criticality`](crate::Context::with_criticality).
//!
//! # Whom to believe
//!
//! Everybody's traffic would be critical-plus if saying so were enough. So a header is believed where the user's
//! [`trust`](CriticalityLayer::trust) says so: the edge decides, and the tiers behind it trust the tiers in front. From
//! everybody else, a header can lower the request's criticality and never raise it. What cannot be read is ignored and
//! counted.
//!
//! # Limits
//!
//! The criticality is in scope around the call and each poll of its future. A body is polled after both: it keeps the
//! criticality where a layer *within* this one carries its context into the body, as
//! [`CancelLayer`](crate::CancelLayer) and [`DeadlineLayer`](crate::DeadlineLayer) do. So put this one outside of them.

mod layer;
mod propagate;

use http::HeaderName;

pub use self::{
    layer::{CriticalityFuture, CriticalityLayer, CriticalityService, CriticalitySnapshot},
    propagate::{PropagateCriticality, PropagateCriticalityLayer},
};
#[cfg(doc)]
use crate::context::Criticality;

/// The header's name, unless the user says otherwise. No standard names one.
const HEADER: HeaderName = HeaderName::from_static("x-criticality");

//! Another attempt where the first is slow; whichever answers first is the answer.
//!
//! Of a hundred calls one is slow for no reason of its own: it met a pause, a full queue, a sick replica. The same call, sent again, is not.
//! So a call that takes longer than nearly all others do gets company, and the caller gets the first answer. Where that is done after
//! the 95th percentile it costs a twentieth more load and takes most of the tail away ([The Tail at Scale], 2013).
//!
//! ```
//! use buttress::{HedgeLayer, PropagateDeadlineLayer, budget::Budget};
//! use tower::ServiceBuilder;
//!
//! # fn client<S>(transport: S) {
//! let budget = Budget::default(); // the one that the retries have, too
//! let client = ServiceBuilder::new()
//!     .layer(HedgeLayer::quantile(0.95).budget(budget.clone()))
//!     .layer(PropagateDeadlineLayer::new())
//!     .service(transport);
//! # }
//! ```
//!
//! # What is guaranteed
//!
//! - **Only what may be sent twice**: by its method, by an `idempotency-key`, or because [you say so](HedgeLayer::when). gRPC calls are
//!   POSTs, so they are hedged only where you say so.
//! - **No more than the budget.** Each further attempt is paid from the [budget](crate::budget), as a retry is. When everything is
//!   slow, the budget is spent, and hedges do not double the load that slows it.
//! - **Losers end.** When one attempt has answered, the others are dropped, and their contexts end as
//!   [superseded](crate::Cancelled::Superseded): what they had spawned ends, and the tiers below hear of it. A loser is neither a failure
//!   nor a latency.
//! - **A failure is not waited for.** An attempt that fails as [retries](crate::retry) would starts the next one at once, or when the
//!   upstream says. Where it says not to, there is no other. When all have failed, the last failure is the answer.
//! - **Nothing in vain.** No attempt without time left for it, to a service that is not ready, or with a body that is still being sent.
//!
//! `poll_ready` is the inner service's. A request that is answered in time takes no lock, and with an empty body and no headers
//! nothing is allocated.
//!
//! # Limits
//!
//! It hides slow replicas, so watch [`HedgeSnapshot`]: a share of hedges that grows is an upstream that gets slower. Put it in the place of
//! the retry, not around it: it does what a retry would for the requests that it covers, and each would multiply the other.
//!
//! [The Tail at Scale]: https://research.google/pubs/the-tail-at-scale/

mod call;
mod counts;
mod delay;
mod flight;
mod future;
mod layer;
mod service;

pub use self::{counts::HedgeSnapshot, future::HedgeFuture, layer::HedgeLayer, service::Hedge};

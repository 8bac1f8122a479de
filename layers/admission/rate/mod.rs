//! The rate limit: how often, for everybody together or for each.
//!
//! A rate protects from a caller, where a concurrency limit protects from load: one who asks too often is told to come back
//! later, and when. The usual limits fail quietly. Put around ten routes, one limit is ten; "5 per second" means one every five
//! seconds; the caller is known by the *first* address of `x-forwarded-for`, which it wrote itself; the table of callers grows
//! until memory ends; and the answer says `retry-after: 0`. Here:
//!
//! ```
//! # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), buttress::BoxError> {
//! use axum::{Router, routing::get};
//! use buttress::{
//!     RateLimitLayer,
//!     admission::rate::{ClientAddress, Quota},
//! };
//! # use tower::ServiceExt;
//!
//! // Ten per second and a thousand per hour for each client, behind one proxy of ours.
//! let limit = RateLimitLayer::new([Quota::per_second(10), Quota::per_hour(1_000)])
//!     .by_client(ClientAddress::new().trusted_hops(1));
//! let app: Router = Router::new().route("/", get(|| async { "hello" })).layer(limit.clone());
//!
//! # let request = || http::Request::get("/").header("x-forwarded-for", "203.0.113.7").body(axum::body::Body::empty());
//! # for _ in 0..10 { assert_eq!(app.clone().oneshot(request()?).await?.status(), 200); }
//! // The eleventh within a second:
//! let response = app.oneshot(request()?).await?;
//! assert_eq!(response.status(), 429);
//! assert!(response.headers().contains_key("retry-after"));
//! assert_eq!(response.headers()["ratelimit"], r#""per-second";r=0;t=1, "per-hour";r=990;t=4"#);
//! assert_eq!(response.headers()["ratelimit-policy"], r#""per-second";q=10;w=1, "per-hour";q=1000;w=3600"#);
//! assert_eq!(limit.snapshot().rejected, 1);
//! # Ok(()) }
//! ```
//!
//! A client can hold itself to its upstream's quota, and wait for its turn instead:
//!
//! ```
//! # use buttress::admission::rate::{Quota, RateLimitLayer};
//! # use std::time::Duration;
//! let polite = RateLimitLayer::new(Quota::per_second(50).burst(1)).wait(Duration::from_secs(2));
//! ```
//!
//! # What is guaranteed
//!
//! - **The law** is GCRA, by [governor]: see [`Quota`]. Of quotas that stand together the strictest answers, and a request that
//!   one of them rejects takes from none.
//! - **One limit.** State is the layer's, over all services, routes and connections. It is counted in `call`, once; what happens
//!   to the request afterwards gives nothing back. `poll_ready` is the inner service's.
//! - **The answer** to what is over the quota is 429 (gRPC 8, Connect `resource_exhausted`), with a `retry-after` that is true:
//!   when the strictest quota has one again, rounded up to seconds and spread by jitter. The `ratelimit` and `ratelimit-policy` fields
//!   ([draft-ietf-httpapi-ratelimit-headers-10]) say the same of each quota, `t` being the time until there is more. A quota of 0
//!   tells callers not to retry.
//! - **Whose request** it is, [`ClientAddress`] knows: never by what the client itself can write. It fails closed: requests
//!   without a key share one bucket.
//! - **Cost.** One clock read, none where a [`DeadlineLayer`](crate::DeadlineLayer) has just read it. No lock that all requests
//!   take: without keys a decision is an atomic exchange per quota; with them, a short lock on one of up to 64 shards. What is
//!   admitted allocates nothing; a rejection, its response and headers alone. No timer, unless one [waits](RateLimitLayer::wait).
//!
//! # Keys
//!
//! So many [keys](RateLimitLayer::keys) are remembered, each in less than 80 bytes (120 with four quotas), and nobody is turned away
//! because the table is full. As new keys come, those whose buckets are full are dropped, which changes nothing for them. Where all of
//! a shard are active, one gives way that owes the least among a few; it is forgiven that, so a flood of new keys can
//! gain a request or two for those who owe little, and nothing for whoever is over the limit, unless the flood's keys owe more.
//! Nothing is ever scanned on a request's way.
//!
//! # Limits
//!
//! The state is this process's: a quota of 100 in each of three replicas is 300. Requests are counted, not bytes. With several
//! quotas and no keys, two arrivals at the same instant for the last of one quota may for that moment take from another what the
//! loser gives back.
//!
//! [governor]: https://docs.rs/governor
//! [draft-ietf-httpapi-ratelimit-headers-10]: https://datatracker.ietf.org/doc/html/draft-ietf-httpapi-ratelimit-headers-10

mod direct;
mod fields;
mod gcra;
mod layer;
mod policy;
mod quota;
mod state;
mod table;
#[cfg(test)]
mod tests;
mod wait;

pub use self::{
    layer::RateLimitLayer,
    policy::{RateLimit, RatePermit, RateSnapshot},
    quota::{Quota, Quotas},
    wait::{Rejects, Turn, Waits},
};
pub use crate::address::{ClientAddress, PeerAddress};

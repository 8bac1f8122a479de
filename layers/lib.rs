//! Lifecycle and resilience layers for [tower]: a buttress holds a tower up when the load comes from the side.
//!
//! Services rarely die of one crash. They die slowly: work that nobody stops, calls that ignore the caller's deadline, handlers
//! that run on after the client left. Every part of this crate answers one question about every piece of work in a service:
//! **what stops this?**
//!
//! # One line protects a service
//!
//! ```
//! # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! use axum::{Router, routing::get};
//! use hyper_util::{client::legacy::Client, rt::TokioExecutor};
//! use std::time::Duration;
//!
//! // 10 s for a request, unless its caller sends a deadline. What it started ends with it. Concurrency is limited.
//! let app: Router = Router::new()
//!     .route("/", get(|| async { "hello" }))
//!     .layer(buttress::server(Duration::from_secs(10)));
//!
//! // 5 s for each call, with all of its attempts, or what the request that makes it has left.
//! let client = buttress::client(Duration::from_secs(5)).service(Client::builder(TokioExecutor::new()).build_http());
//! # let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await?;
//! # let uri = format!("http://{}/", listener.local_addr()?);
//! # tokio::spawn(axum::serve(listener, app).into_future());
//! let response = client.send(http::Request::get(uri).body(String::new())?).await?;
//! assert_eq!(response.status(), 200);
//! # Ok(()) }
//! ```
//!
//! No `HandleErrorLayer`, no boxed service, no turbofish: the layers keep the error type of what they wrap, and answer with a
//! response that fits the request's protocol (HTTP, gRPC, gRPC-Web, Connect).
//!
//! # Five concepts
//!
//! **A [`Context`] flows down**: the deadline, the cancellation, the criticality and the attempt of the work at hand. It is ambient, so a
//! call deep in a handler has it without being passed anything. Contexts form one tree, of the process, its requests, their attempts
//! and tasks. A child can only be stricter than its parent: its deadline never grows, and it ends when its parent ends, for a
//! [reason](Cancelled): the caller left, the deadline passed, the process ends, another attempt was faster, or it is done.
//!
//! ```
//! # #[tokio::main(flavor = "current_thread")] async fn main() {
//! use buttress::{Cancelled, Context};
//! use std::time::Duration;
//!
//! async fn deep_in_a_handler() -> Result<Option<Duration>, Cancelled> {
//!     let ctx = Context::current();
//!     ctx.check()?; // should this go on?
//!     drop(ctx.spawn("warm-cache", async { /* ends with the request */ }));
//!     Ok(ctx.remaining())
//! }
//! # let ctx = Context::default().with_timeout(Duration::from_secs(1));
//! # assert!(ctx.scope(deep_in_a_handler()).await.unwrap().is_some());
//! # }
//! ```
//!
//! **An [`Outcome`](outcome::Outcome) flows up**: how a call really ended, known at the end of the response's *body*. A download that breaks in the
//! middle began as `200 OK`, and so does every gRPC call that fails, for its status comes in the trailers. So breakers, limits and metrics
//! learn it at the [end](body), and once: success, failure, rejected by one of us, or cancelled.
//!
//! **A [`Rejection`] says why one of our layers said no**, as data: the reason, whether anything was executed, when to come back. It
//! becomes a [response](rejection) in the caller's protocol, so the service's error type never changes; and it stays in the response's
//! extensions, so the layers above tell "we said no" from "they failed". A retry does not repeat what a breaker rejected, and a breaker
//! does not count what a limit did.
//!
//! **A permit is what admission hands out.** It rides in the response's future, then in its body, learns the outcome, and is given back exactly
//! once, however the call ends: complete, broken, dropped by a client that left, or late in the hands of a reader that stalls.
//!
//! **[Admission](admission) is one engine with many policies.** A policy looks at the head of a request, and at its context, and answers *now*,
//! *no* or *wait*. Limits, rates, shedding, breakers, throttles and the gate at shutdown are policies; your own takes twenty lines.
//!
//! What is not admission is a small state machine of its own: [deadline], [cancel], [retry], [hedge], [observe]. And around all of it stands
//! the [process](lifecycle), the one root, with its workers, its connections, and an end that comes in order.
//!
//! # The stack
//!
//! ```text
//!  server, outermost first                      client, outermost first
//!
//!  ObserveLayer          every ending           ObserveLayer               every ending
//!  RenderLayer           how a rejection looks  FallbackLayer              another answer instead
//!  CriticalityLayer      how much it matters    TimeoutLayer               a bound for the call
//!  DeadlineLayer         reads, caps, enforces  RetryLayer, HedgeLayer     again, from one budget
//!  CancelLayer           ends with its caller   BreakerLayer               not to what keeps failing
//!  Drain                 the gate at shutdown   ThrottleLayer              as much as is accepted
//!  RateLimitLayer        how often, per client  ConcurrencyLimitLayer      how many at a time
//!  LoadShedLayer         least critical first   AdmissionLayer             a policy of your own
//!  ConcurrencyLimitLayer how many at a time     TimeoutLayer               a bound per attempt
//!  AdmissionLayer        a policy of your own   PropagateDeadlineLayer     writes what remains
//!  ShieldLayer           where work must go on  PropagateCriticalityLayer  how much it matters
//!    handler                                    FaultLayer                 faults on purpose, in tests
//!                                                 transport
//! ```
//!
//! [`server`] and [`client`] are these, each as one layer. By hand: with axum's `Router::layer` and tower's `Layer`, what is added last is
//! outermost; `ServiceBuilder` lists outermost first.
//!
//! The order has reasons. The deadline stands outside of every wait, so that time in a queue counts. What rejects stands in front of what
//! does the work. Retries stand outside of whatever must see each attempt, and what remains of a deadline is written last, when the wait is
//! over.
//!
//! A request meets them like this:
//!
//! ```text
//!             head                                   body
//!  caller ──▶ deadline ─▶ limit ─▶ handler ──▶ 200 ──▶ frame, frame, ... last frame
//!             │           │        │                   │                      │
//!  context    begins      queues   current(), spawn()  goes on                ends: its tasks end
//!  permit                 taken                        held                   settled, with the outcome
//!  observer   began       queued                       head                   ended
//! ```
//!
//! # What holds everywhere
//!
//! - **State is the layer's.** What is made from one layer, or its clones, shares one limit, budget or breaker: routes, connections, clones.
//! - **Readiness is the inner service's.** `poll_ready` is passed on. Decisions are made in `call`, where the request can be seen.
//! - **Nothing is demanded**: no `Clone` of a request, no `Default` of a body, no other error type. Services are `Clone` where what they wrap is.
//! - **No wait is for ever.** Each ends at the deadline, the caller's departure or the end of the process, and has a bound of its own.
//! - **Callers are not trusted.** A deadline, a criticality or an address that a caller sends is capped or ignored until you say whom to
//!   trust; what an upstream asks for is capped; what is kept for each key is bounded.
//! - **The happy path costs little**: no timer for what does not wait, no lock that all requests take, no allocation, and
//!   no work for an observer that is not there.
//! - **Layers never spawn.** Only a [`Context`] and the [process](lifecycle) do, under a name, and the [registry] knows what is alive.
//!
//! # What it is not
//!
//! It does not balance, discover, cache or encrypt. Its state is this process's: three replicas have three rate limits. Code that neither
//! awaits nor [checks its context](Context::check) cannot be stopped.
//!
//! # Where to go next
//!
//! | to | read |
//! |---|---|
//! | change what is in a stack, or stack by hand | [`stack`] |
//! | give requests a deadline, and pass it on | [`deadline`] |
//! | end what a request started, or finish it although its caller left | [`cancel`], [`context`] |
//! | limit, shed, queue, rate-limit | [`admission`], [`admission::concurrency`], [`admission::shed`], `admission::rate` |
//! | call others that fail or are slow | [`retry`], [`hedge`], [`budget`], [`admission::breaker`], [`admission::throttle`], [`fallback`] |
//! | put layers around a client of yours | `hyper`, `reqwest`, `tonic` |
//! | write handlers that ask for their context, and end with `?`; talk on a WebSocket, send events | `axum`, `tonic` |
//! | keep a client in your state | [`stack`](stack#keep-a-client-in-your-state) |
//! | know who a client is | [`address`] |
//! | start, drain and end a process; run workers | [`lifecycle`], [`lifecycle::worker`] |
//! | see what happens | [`observe`], [`telemetry`], `metrics`, `tracing` |
//! | test it | `testing`, [`fault`], and the guide to [testing](guide/testing/index.html) |
//! | run it in Kubernetes | the guide to [Kubernetes](guide/kubernetes/index.html) |
//! | come from tower, tower-http, others, or from Go | the [guides](guide/index.html) |
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

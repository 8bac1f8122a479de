//! A span of each call, with [`tracing`](https://docs.rs/tracing): for logs that say which call they are of, and for traces.
//!
//! A trace shows one call among thousands: what it waited for, who rejected it, how often it was tried, where its time went. [`CallSpans`]
//! is an [observer](crate::observe) that makes a span of each call, and what the layers do in it becomes events of that span:
//!
//! ```
//! use buttress::{ConcurrencyLimitLayer, DeadlineLayer, ObserveLayer, tracing::CallSpans};
//! use std::time::Duration;
//! # use axum::Router;
//!
//! let app: Router = Router::new()
//!     .layer(ConcurrencyLimitLayer::adaptive())
//!     .layer(DeadlineLayer::new(Duration::from_secs(10)))
//!     .layer(ObserveLayer::server(CallSpans::new()));
//! ```
//!
//! Give one to the [`Lifecycle`](crate::lifecycle::LifecycleBuilder::observe) as well: jobs, the phases of the end and what is aborted are
//! events, too. Metrics and spans at once are `(CallMetrics::new(), CallSpans::new())`.
//!
//! No line is logged for a call unless a layer did something in it, or the subscriber prints the ends of spans. For a line for each, as of
//! tower-http's `TraceLayer`: `tracing_subscriber::fmt().with_span_events(FmtSpan::CLOSE)`.
//!
//! # What a span says
//!
//! Its target is `buttress`, its level INFO, its name `request` for a server and `call` for a client. The fields have OpenTelemetry's names,
//! so `tracing-opentelemetry` makes of it what a backend expects.
//!
//! | field | | when |
//! |---|---|---|
//! | `otel.name` | `GET /users/{id}`, `GET` without a route; `pkg.Service/Method` | at the beginning |
//! | `otel.kind` | `server`, `client` | |
//! | `http.request.method`, `http.route` | HTTP: one of ten, and what the [route](crate::ObserveLayer::route) is called | |
//! | `rpc.system.name`, `rpc.method` | gRPC and Connect: `grpc`, `connectrpc`, and the route | |
//! | `http.response.status_code` | of an answer to HTTP | at the end |
//! | `rpc.response.status_code` | `UNAVAILABLE` | |
//! | `error.type` | as [`ErrorType`](crate::observe::ErrorType) writes it; absent where all is well | |
//! | `otel.status_code` | `ERROR`, where there is an `error.type` | |
//! | `buttress.outcome` | `success`, `failure`, `rejected`, `cancelled` | |
//! | `buttress.at` | `head`, `body`: where it ended | |
//! | `buttress.attempts` | how many were made, retries and hedges included | |
//! | `buttress.queue.wait` | seconds in queues, all attempts together; absent if none | |
//! | `buttress.deadline.remaining` | seconds that were left: on arrival, or when the last attempt was sent | |
//!
//! | event | level | fields |
//! |---|---|---|
//! | `rejected` | INFO | `layer`, `reason`, `criticality` |
//! | `retried`, `hedged`, `gave up` | INFO | `attempt` and `error.type`; `attempt`; `attempts` and `reason` |
//! | `queued` | DEBUG | `limit`, `band`, `wait` in seconds, `leave` |
//! | of the process: `phase ended` | INFO | `phase`, `took` in seconds |
//! | `aborted` | WARN | `kind`, `name`, `age` in seconds |
//! | `job ended` | DEBUG, WARN unless it is done | `worker`, `outcome`, `took` in seconds |
//!
//! A path, a query, an address or a header is nowhere in it. Who wants them in, or a parent from `traceparent`, makes the span
//! [by a function](CallSpans::with).
//!
//! # Guarantees
//!
//! - **One span for each call**, entered in each poll of its head and its body, so that all that is logged there is in it; and closed once, when
//!   the call ends. That of a caller that left says so: `error.type` is `client_disconnect`, and `buttress.at` where it was.
//! - **Nothing where nobody looks.** Without a subscriber no span is made, no clock is read and no body followed. With
//!   one, a span costs one allocation of ours, and whatever the subscriber does with it.
//!
//! # Limits
//!
//! An event is told right after the poll in which it happened. A task that the call spawns is not in its span, as ever with `tracing`:
//! `Instrument` it. Nothing is sampled here: that is the subscriber's to do.

mod calls;
mod make;

pub use self::{
    calls::{CallSpans, Spanned},
    make::{MakeSpan, Standard},
};

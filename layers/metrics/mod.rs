//! Calls and measures, recorded with the [`metrics`](https://docs.rs/metrics) facade: for Prometheus, `StatsD`, and whatever else has an exporter.
//!
//! The layers of this crate tell of two things: what became of each [call](crate::observe), and [how they stand](crate::telemetry). This
//! writes down both. [`CallMetrics`] is an observer, and records how long calls took and what happened in them. A [`Collector`] asks limits,
//! budgets and queues how they stand, when somebody wants to know.
//!
//! ```
//! use buttress::{ConcurrencyLimitLayer, DeadlineLayer, ObserveLayer, metrics::{CallMetrics, Collector, Runtime}, observe};
//! use metrics_exporter_prometheus::PrometheusBuilder;
//! use std::{sync::Arc, time::Duration};
//! # use axum::{Router, routing::get};
//! # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), Box<dyn std::error::Error>> {
//!
//! // The recorder first: what was asked for before it is there is recorded nowhere.
//! let page = PrometheusBuilder::new()
//!     .with_recommended_naming(true)
//!     .set_buckets(&observe::SECONDS)?
//!     .install_recorder()?;
//!
//! let limit = ConcurrencyLimitLayer::adaptive();
//! let collector = Arc::new(
//!     Collector::new()
//!         .watch("app", limit.limit())
//!         .watch("app", Runtime::current()),
//! );
//! let scraped = collector.clone();
//! let metrics = move || async move {
//!     scraped.collect(); // as they stand now
//!     page.render()
//! };
//!
//! let app: Router = Router::new()
//!     .route("/metrics", get(metrics))
//!     .layer(limit)
//!     .layer(DeadlineLayer::new(Duration::from_secs(10)))
//!     .layer(ObserveLayer::server(CallMetrics::new()));
//! # let _ = app; Ok(()) }
//! ```
//!
//! # Who collects
//!
//! Somebody must call [`Collector::collect`]. Where metrics are scraped, whoever answers the scrape does, as above. Where they are
//! pushed, a task does, every few seconds: [`Collector::run`], which a [`Lifecycle`](crate::Lifecycle) starts and stops.
//!
//! ```
//! # use buttress::{Lifecycle, metrics::Collector}; use std::time::Duration;
//! # fn start(life: &Lifecycle, collector: Collector) {
//! life.critical("metrics", async move { collector.run(Duration::from_secs(5)).await });
//! # }
//! ```
//!
//! The Prometheus exporter keeps each recorded duration until it is rendered, and with it its memory. Where nobody scrapes for
//! long, call its `run_upkeep` in the same task.
//!
//! # What is recorded
//!
//! [`INSTRUMENTS`](crate::telemetry::INSTRUMENTS) lists all, with units, descriptions and attributes. The names have dots, as OpenTelemetry's
//! conventions have them; exporters make of them what their format wants. Prometheus' makes `http_server_request_duration_seconds` of
//! `http.server.request.duration`, given `with_recommended_naming`.
//!
//! - A call that speaks gRPC, gRPC-Web or Connect is an RPC, and is recorded under `rpc.` instead of `http.`. Its method is the
//!   [route](crate::ObserveLayer::route) that a function of yours gave it, and absent without one. Only `http.server.active_requests` counts both.
//! - A call that is not HTTP has no duration of its own, for there is no convention of what it would be called. What happened in it is recorded.
//! - A counter of seconds, `tokio.worker.busy`, is recorded as a gauge: the facade's counters are whole numbers.
//!
//! # Guarantees
//!
//! - **Bounded.** A method that is none of the nine that RFC 9110 and RFC 5789 have is `_OTHER`. So is a gRPC status that is not in the
//!   specification, an HTTP status above 599, and a route beyond the thousandth. No path, key or address becomes an attribute.
//! - **Gauges never stick.** Each call that began ends, and leaves `http.server.active_requests` then, whether it was answered, dropped or
//!   panicked. What a collector reported once and no longer does, a circuit that was forgotten say, is set to 0.
//! - **Nothing is allocated** for a call, and no name is looked up in the recorder's registry, once there was one like it. No
//!   call takes a lock. What the recorder does with a value is its own business.
//!
//! # Limits
//!
//! Handles are kept, so a recorder that forgets idle series must still accept values for them, as the Prometheus one does.

mod calls;
mod collector;
mod handles;
mod names;
mod runtime;
mod series;
mod sink;
mod table;
#[cfg(test)]
mod tests;
mod told;

pub use self::{
    calls::{CallMetrics, Counted},
    collector::Collector,
    runtime::Runtime,
};

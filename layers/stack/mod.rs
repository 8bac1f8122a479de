//! Whole stacks: the right layers in the right order, with defaults that can be changed.
//!
//! The layers of this crate can be stacked by hand, and there is one order in which they make sense: time in a queue counts only if the
//! deadline stands outside of it, an attempt can only be paid for where all attempts are seen, what remains of a deadline is known
//! innermost. So here are the two stacks that nearly everybody wants, each of them one `Layer`:
//!
//! ```
//! # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! use axum::{Router, routing::get};
//! use hyper_util::{client::legacy::Client, rt::TokioExecutor};
//! use std::time::Duration;
//!
//! // A server: nothing takes longer than ten seconds, nothing is taken in that cannot be done.
//! let app: Router = Router::new()
//!     .route("/", get(|| async { "hello" }))
//!     .layer(buttress::server(Duration::from_secs(10)));
//!
//! // A client: a call takes five seconds at most, whatever it takes to succeed.
//! let client = buttress::client(Duration::from_secs(5))
//!     .service(Client::builder(TokioExecutor::new()).build_http());
//! # let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await?;
//! # let address = listener.local_addr()?;
//! # tokio::spawn(axum::serve(listener, app).into_future());
//!
//! let request = http::Request::get(format!("http://{address}/")).body(String::new())?;
//! let response = client.send(request).await?;
//! assert_eq!(response.status(), 200);
//! # Ok(()) }
//! ```
//!
//! # Every part is yours
//!
//! A stack is made of layers, and each setting of it takes one: with settings of your own, or `None` to leave it out. `Debug` prints what
//! is in effect, outermost first.
//!
//! ```
//! use buttress::{ConcurrencyLimitLayer, DeadlineLayer};
//! use std::time::Duration;
//!
//! let stack = buttress::server(Duration::from_secs(10))
//!     .deadline(DeadlineLayer::new(Duration::from_secs(2)).max(Duration::from_secs(60)))
//!     .limit(ConcurrencyLimitLayer::new(100).queue(50))
//!     .shed(None);
//! println!("{stack:#?}");
//! ```
//!
//! With the feature `serde` a stack is [read from configuration](config), too.
//!
//! # Keep a client in your state
//!
//! A client is `Clone`, and its clones share all that the stack has: make one at the start, and keep it in a struct or in axum's `State`.
//! Around reqwest and tonic its type is [`reqwest::Stacked`](crate::reqwest::Stacked) and [`tonic::Stacked`](crate::tonic::Stacked); around
//! any other transport it is [`Client`] of the transport. hyper-util's client names the body that it sends, and that is `Replay<Replay<B>>`
//! where the requests have a body `B`.
//!
//! ```
//! # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), buttress::BoxError> {
//! use axum::{Router, extract::State, http::StatusCode, routing::get};
//! use buttress::body::replay::Replay;
//! use bytes::Bytes;
//! use http_body_util::Full;
//! use hyper_util::{client::legacy::{self, connect::HttpConnector}, rt::TokioExecutor};
//! use std::time::Duration;
//! use tonic::transport::Endpoint;
//! use tonic_health::pb::health_client::HealthClient;
//!
//! type Body = Full<Bytes>; // of the requests that you send with the hyper client
//!
//! #[derive(Clone)]
//! struct App {
//!     http: reqwest::Client, // builds the requests
//!     stock: buttress::reqwest::Stacked,
//!     health: HealthClient<buttress::tonic::Stacked>,
//!     prices: buttress::stack::Client<legacy::Client<HttpConnector, Replay<Replay<Body>>>>,
//! }
//!
//! async fn stock(State(app): State<App>) -> Result<String, StatusCode> {
//!     let request = app.http.get("http://127.0.0.1:9/").build().map_err(|_| StatusCode::INTERNAL_SERVER_ERROR)?;
//!     let response = app.stock.send(request).await.map_err(|_| StatusCode::BAD_GATEWAY)?;
//!     response.text().await.map_err(|_| StatusCode::BAD_GATEWAY)
//! }
//!
//! let http = reqwest::Client::builder().retry(reqwest::retry::never()).build()?;
//! let stack = buttress::client(Duration::from_secs(5));
//! let app: Router = Router::new().route("/stock", get(stock)).with_state(App {
//!     stock: stack.reqwest(http.clone()),
//!     http,
//!     health: HealthClient::new(stack.tonic(Endpoint::from_static("http://127.0.0.1:9").connect_lazy())),
//!     prices: stack.service(legacy::Client::builder(TokioExecutor::new()).build_http()),
//! });
//! # async fn with_hyper(app: App) -> Result<(), buttress::BoxError> {
//! #     app.prices.send(http::Request::get("http://127.0.0.1:9/").body(Body::default())?).await?;
//! #     Ok(())
//! # }
//! # let _ = (app, with_hyper);
//! # Ok(()) }
//! ```
//!
//! # What is guaranteed
//!
//! - **State is the stack's**: its limits, budgets and breakers are made with it, and shared by its clones and all services made from it.
//!   So one stack around ten routes is one limit, and two stacks are two.
//! - **The error stays** that of what is wrapped, and nothing asks for a request that is `Clone`, a body with a `Default`, or a box.
//! - **What is left out costs** a branch or two.
//!
//! # By hand
//!
//! [`ServiceBuilderExt`] has the layers one by one, for tower's `ServiceBuilder`. [`optional`] is a layer that is there or not.
//!
//! # Limits
//!
//! A stack speaks HTTP, gRPC included. Around other services stack by hand, with `.typed()`.

mod by_hand;
mod client;
#[cfg(feature = "serde")]
pub mod config;
mod optional;
mod server;

pub use self::{
    by_hand::ServiceBuilderExt,
    client::{Client, ClientStack, client},
    optional::{Optional, OptionalBody, OptionalFuture, OptionalLayer, optional},
    server::{Served, ServerStack, server},
};

//! What hyper's clients need to know for a retry.
//!
//! An HTTP/1 client keeps connections for the next request, and a server closes those that are idle for too long. When both happen at
//! once, a request goes out on a connection that the server has left, and fails without an answer. That is the everyday failure of
//! every client with a pool, and harmless: the server never saw the request. On a fresh connection the same error means that the
//! server died with the request in its hands. hyper's errors do not tell one from the other; a connector in [`ReuseLayer`] makes
//! [`Delivery::of`](crate::outcome::Delivery::of) see the difference:
//!
//! ```
//! use buttress::hyper::ReuseLayer;
//! use bytes::Bytes;
//! use http_body_util::Full;
//! use hyper_util::{client::legacy::{Client, connect::HttpConnector}, rt::TokioExecutor};
//! use tower::Layer;
//!
//! let connector = ReuseLayer::new().layer(HttpConnector::new());
//! let client: Client<_, Full<Bytes>> = Client::builder(TokioExecutor::new()).build(connector);
//! ```
//!
//! hyper-util's client sends bodies of any type, and so whatever the layers around it hand down: it needs no adapter. Which type that
//! is, is found from the request:
//!
//! ```
//! # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), buttress::BoxError> {
//! use buttress::{Context, PropagateDeadlineLayer, RetryLayer, hyper::ReuseLayer};
//! use bytes::Bytes;
//! use http::Request;
//! use http_body_util::{BodyExt, Full};
//! use hyper_util::{client::legacy::{Client, connect::HttpConnector}, rt::TokioExecutor};
//! use std::time::Duration;
//! use tower::{Layer, ServiceBuilder, ServiceExt};
//! # use axum::{Router, http::{HeaderMap, StatusCode}, routing::put};
//! # let app = Router::new().route("/", put(|headers: HeaderMap, body: String| async move {
//! #     match headers.get("x-retry-attempt") {
//! #         None => Err((StatusCode::SERVICE_UNAVAILABLE, [("retry-after-ms", "20")])),
//! #         Some(_) => Ok(body),
//! #     }
//! # }));
//! # let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await?;
//! # let address = listener.local_addr()?;
//! # tokio::spawn(axum::serve(listener, app).into_future());
//!
//! let connector = ReuseLayer::new().layer(HttpConnector::new());
//! let client = ServiceBuilder::new()
//!     .layer(RetryLayer::http())
//!     .layer(PropagateDeadlineLayer::new())
//!     .service(Client::builder(TokioExecutor::new()).build(connector));
//!
//! // The server at this address answers 503 first, and says when to come back.
//! let request = Request::put(format!("http://{address}/")).body(Full::<Bytes>::from("hello"))?;
//! let context = Context::current().with_timeout(Duration::from_secs(2));
//! let response = context.scope(client.oneshot(request)).await?;
//! assert_eq!(response.into_body().collect().await?.to_bytes(), "hello");
//! # Ok(()) }
//! ```
//!
//! # The other end
//!
//! A service on hyper needs no adapter either: hyper-util's `TowerToHyperService` takes one in layers as it takes any. What the process
//! adds to it, so that its connections drain and its requests end, is in [`serve`](crate::lifecycle::serve) (feature `server`).
//!
//! # What is guaranteed
//!
//! - Nothing else changes: errors, what the connection tells about itself, vectored writes.
//! - A connection counts as reused from the first byte of a request that follows an answer to the first byte of the answer to that.
//!   An interim answer (100, 103) is no answer, and after it the server has the request.
//! - It costs a look at each read and write, and an allocation for each connection.
//!
//! # Limits
//!
//! It must be the outermost layer around the connector, outside TLS: it has to see HTTP. On HTTP/2 it says nothing, where a server
//! that closes an idle connection says so itself. reqwest takes layers around its connector, but they must give back its own
//! connection, which cannot be wrapped; tonic speaks HTTP/2 only.

mod reuse;

pub use self::reuse::{Reusable, Reuse, ReuseFuture, ReuseLayer};

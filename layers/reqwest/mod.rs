//! reqwest as the transport of a client's layers, and its types at their outer end.
//!
//! reqwest's client is a tower service, but of types of its own: a `reqwest::Request` goes in and a `reqwest::Response` comes out,
//! where the layers of this crate, and of most others, speak of `http::Request` and `http::Response`. Two layers translate.
//! [`TransportLayer`] stands innermost, around the client; [`ClientLayer`] stands outermost, so that requests are built and answers
//! are read as ever:
//!
//! ```
//! # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! use buttress::{PropagateDeadlineLayer, RetryLayer, reqwest::{ClientLayer, TransportLayer}};
//! use tower::ServiceBuilder;
//! # let app = axum::Router::new().route("/double/{n}", axum::routing::get(
//! #     async |axum::extract::Path(n): axum::extract::Path<u64>| axum::Json(n * 2)));
//! # let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await?;
//! # let address = listener.local_addr()?;
//! # tokio::spawn(axum::serve(listener, app).into_future());
//!
//! let http = reqwest::Client::builder().retry(reqwest::retry::never()).build()?;
//! let client = ServiceBuilder::new()
//!     .layer(ClientLayer::new())
//!     .layer(RetryLayer::http())
//!     .layer(PropagateDeadlineLayer::new())
//!     .layer(TransportLayer::new())
//!     .service(http.clone());
//!
//! let request = http.get(format!("http://{address}/double/21")).build()?;
//! let doubled: u64 = client.send(request).await?.error_for_status()?.json().await?;
//! assert_eq!(doubled, 42);
//! # Ok(()) }
//! ```
//!
//! Without [`ClientLayer`] the stack is one of `http::Request`, with a body of any type, and of `http::Response`. Whether an answer
//! is the upstream's or a layer's own is told by [`ResponseExt`], for both kinds of response.
//!
//! # With reqwest-middleware
//!
//! A `ClientWithMiddleware` is a service of reqwest's types, too, and so what [`TransportLayer`] goes around. Middleware that signs, logs or
//! traces stays where it is, below the layers, and sees each attempt. What tries again or limits should go: a retry within a
//! retry multiplies, and neither knows the other's budget.
//!
//! ```
//! # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! use buttress::{RetryLayer, reqwest::{ClientLayer, TransportLayer}};
//! use reqwest_middleware::ClientBuilder;
//! use tower::ServiceBuilder;
//! # use axum::{Router, http::{HeaderMap, StatusCode}, routing::get};
//! # let app = Router::new().route("/", get(|headers: HeaderMap| async move {
//! #     match headers.get("x-retry-attempt") {
//! #         None => Err((StatusCode::SERVICE_UNAVAILABLE, [("retry-after-ms", "20")])),
//! #         Some(_) => Ok("hello"),
//! #     }
//! # }));
//! # let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await?;
//! # let address = listener.local_addr()?;
//! # tokio::spawn(axum::serve(listener, app).into_future());
//!
//! let http = reqwest::Client::builder().retry(reqwest::retry::never()).build()?;
//! let client = ServiceBuilder::new()
//!     .layer(ClientLayer::new())
//!     .layer(RetryLayer::http())
//!     .layer(TransportLayer::new())
//!     .service(ClientBuilder::new(http.clone()).build()); // with its middleware
//!
//! // The server at this address answers 503 first, and says when to come back.
//! let request = http.get(format!("http://{address}/")).build()?;
//! assert_eq!(client.send(request).await?.text().await?, "hello"); // the error is `reqwest_middleware::Error`
//! # Ok(()) }
//! ```
//!
//! # What is guaranteed
//!
//! - **The error stays** reqwest's. A request that cannot be translated fails by its own error, as it does in reqwest.
//! - **What reqwest knows stays**: a timeout that was set on a request holds for each attempt; the answer has the URL that it came
//!   from, after redirects, and the address of its server. An answer that a layer made has the URL that was asked for.
//! - **A body is a body.** reqwest wants bodies that are `Sync`, and most streams are not; they need not be. One that is reqwest's own
//!   and passes no layer that changes it stays as it is.
//!
//! # What it costs
//!
//! reqwest keeps its URLs parsed, so each attempt prints one and parses one. A body is boxed on its way down, unless it is empty, and
//! each on its way up.
//!
//! # Limits
//!
//! - reqwest tries again by itself where an HTTP/2 server hands a request back, outside any budget. With a retry above it, switch that
//!   off, as here.
//! - reqwest follows redirects, and an error does not say at which of the hops it came: that no connection could be made says
//!   nothing of a `POST` that was redirected there. So its errors do not count as [not sent](crate::outcome::Delivery::NotSent), and a
//!   `POST` is not tried again for them; what is idempotent is. They do in a client [`without_redirects`].
//! - A redirect that wants the body once more (307, 308) needs one that reqwest can copy. Below a retry none can be but an empty one:
//!   the redirect itself is the answer then, as reqwest does it with all streams.

mod body;
mod client;
mod direct;
mod preset;
mod transport;

use http::Extensions;
use reqwest::{Response, ResponseBuilderExt, Url};

pub use self::{
    client::{Client, ClientFuture, ClientLayer},
    direct::without_redirects,
    preset::Stacked,
    transport::{Transport, TransportFuture, TransportLayer},
};
use crate::rejection::{Rejection, ResponseExt};

impl ResponseExt for Response {
    fn rejection(&self) -> Option<&Rejection> {
        self.extensions().get()
    }

    fn error_for_rejection(mut self) -> Result<Self, Rejection> {
        match self.extensions_mut().remove() {
            Some(rejection) => Err(rejection),
            None => Ok(self),
        }
    }
}

/// The extension that tells a `reqwest::Response` its URL. Only reqwest can make one, and only in a builder.
fn located(url: Url) -> Extensions {
    let mut builder = http::Response::builder().url(url);
    builder.extensions_mut().map(std::mem::take).unwrap_or_default()
}

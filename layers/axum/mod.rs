//! What axum's handlers ask of the layers, and what they answer when there is no point in going on.
//!
//! The layers go into a [`Router`](axum::Router) as they are; this is for the code below them. A handler can read its context without
//! any of it, by [`Context::current`](crate::Context::current), and so can what it calls. But what a handler needs belongs into its signature,
//! and that it stopped early wants an answer:
//!
//! ```
//! # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! use axum::{Router, routing::get};
//! use buttress::{Cancelled, CancelLayer, Context, DeadlineLayer, Lifecycle, ObserveLayer};
//! use buttress::{address::ClientAddress, axum::{ClientIp, Deadline, RouterExt, route}, observe::Ended};
//! use std::time::Duration;
//! # use tower::ServiceExt;
//!
//! async fn sum(ctx: Context, Deadline(at): Deadline) -> Result<String, Cancelled> {
//!     let mut sum = 0_u64;
//!     for n in 0..1_000 {
//!         ctx.check()?; // too late: 504. The client left: nobody hears it
//!         sum += n;
//!     }
//!     Ok(format!("{sum}, long before {at:?}"))
//! }
//!
//! async fn whoami(ClientIp(ip): ClientIp) -> String {
//!     ip.to_string()
//! }
//!
//! let life = Lifecycle::builder().build()?;
//! let app: Router = Router::new()
//!     .route("/sum", get(sum))
//!     .route("/whoami", get(whoami))
//!     .with_client_address(ClientAddress::new().trusted_hops(1))
//!     .layer(CancelLayer::new())
//!     .layer(DeadlineLayer::new(Duration::from_secs(10)))
//!     .layer(ObserveLayer::server(|ended: &Ended| println!("{ended:?}")).route(route))
//!     .with_readiness("/ready", &life) // outside of the layers
//!     .with_debug("/debug/work", &life);
//! # let request = http::Request::get("/whoami").header("x-forwarded-for", "1.2.3.4, 203.0.113.7").body(axum::body::Body::empty())?;
//! # let body = app.clone().oneshot(request).await?.into_body();
//! # assert_eq!(axum::body::to_bytes(body, 99).await?, "203.0.113.7");
//! # let request = http::Request::get("/sum").body(axum::body::Body::empty())?;
//! # assert_eq!(app.clone().oneshot(request).await?.status(), 200);
//! # let request = http::Request::get("/ready").body(axum::body::Body::empty())?;
//! # assert_eq!(app.oneshot(request).await?.status(), 200);
//! # Ok(()) }
//! ```
//!
//! # Extractors
//!
//! | | what it is | where there is none |
//! |---|---|---|
//! | [`Context`](crate::Context) | the request's context | one that never ends |
//! | [`Deadline`] | when the answer is due | 500: a [`DeadlineLayer`](crate::DeadlineLayer) is missing |
//! | [`ClientIp`] | the client's address, by a [`ClientAddress`](crate::address::ClientAddress) | 400, or 500 where nobody told the server |
//! | [`Protocol`](crate::rejection::Protocol) | in which the request wants its answer | plain HTTP |
//!
//! `Option<Deadline>` and `Option<ClientIp>` take it as it comes. None of them reads the body, so they go with any other extractor.
//!
//! # Answers
//!
//! A handler may return [`Rejection`](crate::Rejection) and [`Cancelled`](crate::Cancelled), and so end with `?`. The answer is that of a layer:
//! the status and `retry-after` of the [table](crate::rejection), and the rejection in the extensions, so that all layers above know that
//! it was said here. A handler does not know which protocol its request speaks, so its answer is one of plain HTTP. A
//! [`RenderLayer`](crate::rejection::RenderLayer) above makes one of gRPC or Connect of it; or the handler asks for the
//! [`Protocol`](crate::rejection::Protocol), and calls [`into_answer`](crate::Rejection::into_answer) itself.
//!
//! An error type of one's own takes up either, as ever, by `From`:
//!
//! ```
//! use axum::{http::StatusCode, response::{IntoResponse, Response}};
//! use buttress::{Cancelled, Context, Rejection};
//!
//! enum Error {
//!     NotFound,
//!     Rejected(Rejection),
//! }
//!
//! impl From<Cancelled> for Error {
//!     fn from(why: Cancelled) -> Self {
//!         Self::Rejected(why.into())
//!     }
//! }
//!
//! impl IntoResponse for Error {
//!     fn into_response(self) -> Response {
//!         match self {
//!             Self::NotFound => StatusCode::NOT_FOUND.into_response(),
//!             Self::Rejected(rejection) => rejection.into_response(),
//!         }
//!     }
//! }
//!
//! async fn handler(ctx: Context) -> Result<&'static str, Error> {
//!     ctx.check()?;
//!     Err(Error::NotFound)
//! }
//! # let _: axum::Router = axum::Router::new().route("/", axum::routing::get(handler));
//! ```
//!
//! # Serving
//!
//! [`Lifecycle::serve`](crate::Lifecycle::serve) serves a router as part of the process. Who stays with `axum::serve` gives it a
//! [listener](crate::Lifecycle::listener) of the process; see [`serve`](crate::lifecycle::serve). [`ClientIp`] knows
//! the socket's other end from either. The process tells it as `Extension<`[`PeerAddress`](crate::address::PeerAddress)`>`, and as axum's
//! `ConnectInfo` where the router asks for it, by [`with_connect_info`](RouterExt::with_connect_info).
//!
//! # Limits
//!
//! What axum answers by itself, such as a 404 or the 422 of an extractor, is axum's. Extractors of middleware that stands *above* the
//! layers see no context, for none has begun.

mod extract;
mod response;
mod router;

pub use self::{
    extract::{ClientIp, Deadline, UnknownClient},
    router::{RouterExt, route},
};

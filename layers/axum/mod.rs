//! What axum's handlers ask of the layers, and what they answer when there is no point in going on.
//!
//! The layers go into a [`Router`](axum::Router) as they are; this is for the code below them. A handler can read its context without
//! any of it, by [`Context::current`](crate::Context::current), and so can what it calls. But what a handler needs belongs in its
//! signature, and that it stopped early wants an answer:
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
//! [`Lifecycle::serve`](crate::Lifecycle::serve) serves a router as part of the process. To stay with `axum::serve`, give it a
//! [listener](crate::Lifecycle::listener) of the process; see [`serve`](crate::lifecycle::serve). [`ClientIp`] knows the socket's peer
//! from `Lifecycle::serve`; `axum::serve` must be asked to tell it:
//!
//! ```
//! # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), buttress::BoxError> {
//! use axum::{Router, routing::get};
//! use buttress::{Lifecycle, address::PeerAddress, axum::ClientIp};
//! use tokio::net::TcpListener;
//!
//! let life = Lifecycle::builder().build()?;
//! let app: Router = Router::new()
//!     .route("/whoami", get(|ClientIp(ip): ClientIp| async move { ip.to_string() }))
//!     .layer(life.layer());
//! let tcp = TcpListener::bind("127.0.0.1:0").await?;
//! # let address = tcp.local_addr()?;
//! let listener = life.listener(tcp);
//! let app = app.into_make_service_with_connect_info::<PeerAddress>(); // of axum's own listeners it is `SocketAddr`
//! let serving = axum::serve(listener, app).with_graceful_shutdown(life.handle().draining());
//! drop(life.handle().context().spawn("axum", serving.into_future())); // the drain waits for it
//! # let answer = reqwest::get(format!("http://{address}/whoami")).await?.text().await?;
//! # assert_eq!(answer, "127.0.0.1");
//! # life.handle().shutdown();
//! # let report = life.run().await; // `report.exit()` in `main`
//! # assert!(report.is_clean(), "{report}");
//! # Ok(()) }
//! ```
//!
//! [`Lifecycle::serve`](crate::Lifecycle::serve) tells it as `Extension<`[`PeerAddress`](crate::address::PeerAddress)`>`, and as axum's
//! `ConnectInfo` where the router asks for it, by [`with_connect_info`](RouterExt::with_connect_info).
//!
//! # WebSocket connections and event streams
//!
//! **An upgrade** ends its request. The limit gets its place back, the deadline no longer holds, and a context that was captured in the
//! handler has ended as [finished](crate::Cancelled::Finished). What talks on the connection runs in a task of axum's (`on_upgrade`) or
//! yours, where [`Context::current`](crate::Context::current) is one that never ends, and what it spawns belongs to no process. Give it a
//! child of the process's context:
//!
//! ```
//! use axum::{Router, body::Body, extract::{Request, State}, http::StatusCode, response::Response, routing::any};
//! use buttress::{Context, lifecycle::Handle};
//! use hyper_util::rt::TokioIo;
//! use std::{io, pin::pin, time::Duration};
//! use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
//!
//! async fn live(State(process): State<Handle>, mut request: Request) -> Response {
//!     // With axum's `WebSocketUpgrade`: `ws.on_upgrade(move |socket| talk(process, socket))`.
//!     let upgrade = hyper::upgrade::on(&mut request);
//!     tokio::spawn(async move { talk(process, TokioIo::new(upgrade.await.map_err(io::Error::other)?)).await });
//!     let switching = Response::builder().status(StatusCode::SWITCHING_PROTOCOLS);
//!     switching.header("connection", "upgrade").header("upgrade", "echo").body(Body::empty()).unwrap_or_default()
//! }
//!
//! async fn talk(process: Handle, mut socket: impl AsyncRead + AsyncWrite + Unpin) -> io::Result<()> {
//!     let own = process.context().child(); // ends with the process, or when it is dropped: with this connection
//!     own.scope(async {
//!         drop(Context::current().spawn("prices", async { /* ends with the connection */ }));
//!         let (mut draining, mut buffer) = (pin!(process.draining()), [0; 1024]);
//!         loop {
//!             tokio::select! {
//!                 () = draining.as_mut() => return socket.write_all(b"bye").await, // the process ends: say so, and close
//!                 read = socket.read(&mut buffer) => match read? {
//!                     0 => return Ok(()),
//!                     read => socket.write_all(&buffer[..read]).await?,
//!                 },
//!             }
//!         }
//!     })
//!     .await
//! }
//!
//! # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), buttress::BoxError> {
//! # let life = buttress::Lifecycle::builder().build()?;
//! let app: Router = Router::new()
//!     .route("/live", any(live))
//!     .with_state(life.handle())
//!     .layer(buttress::server(Duration::from_secs(10))); // for the request, until it is upgraded
//! # let _ = app;
//! # Ok(()) }
//! ```
//!
//! [`Lifecycle::serve`](crate::Lifecycle::serve) drains upgraded connections with the others. One that has not ended by the end of the
//! drain is aborted, and named in the report; its next read or write is an error.
//!
//! **An event stream** (`text/event-stream`) is an answer with a long body. The limit gets its place back at the head, but the deadline
//! holds to the end of the body, and cuts it. A layer further in can only shorten a deadline, so long routes need a `Router` of their own,
//! merged after the layer of the others:
//!
//! ```
//! # #[tokio::main(flavor = "current_thread", start_paused = true)] async fn main() -> Result<(), buttress::BoxError> {
//! use axum::{Router, routing::get};
//! use std::time::Duration;
//! # use {axum::body::Body, http::Request, tower::ServiceExt};
//! # let slow = || async { tokio::time::sleep(Duration::from_secs(20)).await };
//! # let (list, events) = (slow, slow);
//!
//! let api = Router::new().route("/list", get(list)).layer(buttress::server(Duration::from_secs(10)));
//! let streams = Router::new().route("/events", get(events)).layer(buttress::server(Duration::from_secs(3600)));
//! let app: Router = api.merge(streams);
//! # assert_eq!(app.clone().oneshot(Request::get("/list").body(Body::empty())?).await?.status(), 504);
//! # assert_eq!(app.oneshot(Request::get("/events").body(Body::empty())?).await?.status(), 200);
//! # Ok(()) }
//! ```
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

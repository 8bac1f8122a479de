//! Serving: connections that drain with the process, end with it, and are named if they do not.
//!
//! An accept loop that stops is the least of a server's end. The connections it left behind go on: idle ones, that a client keeps for
//! the next request; one whose handler waits for ever; a WebSocket, whose task has long been somebody else's; a stream of events
//! that nobody reads. Here each of them belongs to the process:
//!
//! ```
//! # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! use axum::{Router, routing::get};
//! use buttress::Lifecycle;
//! use tokio::net::TcpListener;
//!
//! let life = Lifecycle::builder().signals().build()?;
//! let app: Router = Router::new()
//!     .route("/", get(|| async { "hello" }))
//!     .route_service("/ready", life.readiness());
//! life.serve(TcpListener::bind("127.0.0.1:0").await?, app);
//! # life.handle().shutdown();
//! let report = life.run().await; // in `main`: `life.run().await.exit()`
//! # assert!(report.is_clean());
//! # Ok(()) }
//! ```
//!
//! # In the drain
//!
//! - The listener closes, once all that had connected by then are taken.
//! - An HTTP/1 connection ends after the answer at hand, which says `connection: close`. HTTP/2 gets a GOAWAY, and ends after the
//!   streams that are open. Requests that begin now have the end of the drain for their deadline.
//! - A connection that has no request on it and is quiet for a second is closed. So a client that has just connected gets its first
//!   request through, and one that never answers HTTP/2's PING does not hold the drain.
//!
//! At its end what is left is aborted, and the report names it: the requests' contexts end as
//! [shutting down](crate::Cancelled::ShuttingDown), the handlers are dropped, and whoever holds the connection, be it a task that
//! it was upgraded into, gets an error from its next read or write.
//!
//! # A client that says nothing
//!
//! is waited for 30 seconds from its connection on: by then the head of its first request must have come, or HTTP/2's preface. For those that
//! follow hyper waits as long, unless it is [told otherwise](Server::http). On HTTP/2 a connection without a stream is kept.
//!
//! # A client that leaves
//!
//! is noticed where hyper reads, and on Linux also where it does not: while a handler leaves a body unread, and while bytes of the
//! next request are buffered. Then the request's context ends as [disconnected](crate::Cancelled::Disconnected), and the handler
//! is dropped. Not noticed is a client that leaves without a reset when what it sent fills the receive window; and with
//! [`half_close`](Server::half_close) one that leaves without a reset at all. So there should be a
//! [deadline](crate::DeadlineLayer) too.
//!
//! On HTTP/2 and gRPC it is a frame of a few bytes that says so, and a client whose sockets lack `TCP_NODELAY` may send that 40 ms late, at
//! each tier: hyper-util's connector is to be told (`HttpConnector::set_nodelay`), tonic's and reqwest's need not be.
//!
//! # Requests
//!
//! have a context each, as from a [`CancelLayer`](crate::CancelLayer), below one of their connection's, below the process's. With the
//! feature `rate` or `axum`, the socket's other end is in their extensions, as a [`PeerAddress`](crate::address::PeerAddress).
//!
//! # Limits
//!
//! `Lifecycle::serve` speaks plain HTTP over TCP.
//!
//! - **TLS**: usually a proxy in front ends it. Else accept from a [`Listener`], as below: its [`TrackedIo`] is a stream that a TLS
//!   acceptor takes as it takes a socket. tonic's `Server` with `tls_config` takes the listener itself.
//! - **Unix sockets**: the process's listener is of TCP. `axum::serve` takes a `UnixListener`: with [`Lifecycle::layer`] around the app,
//!   [`Handle::draining`](super::Handle::draining) for its shutdown, and spawned in the [process's context](super::Handle::context), its
//!   requests belong to the process and its drain is waited for. Its connections are not listed, and idle ones are axum's to close.
//!
//! # Servers of one's own
//!
//! [`Lifecycle::listener`] and [`Lifecycle::layer`] do for `axum::serve`, tonic and bare hyper what can be done from outside: the
//! [`Listener`] tracks the connections and aborts them, the [`ProcessLayer`] puts the requests below the process, and
//! [`Handle::draining`](super::Handle::draining) tells the server when to drain. Each of them by itself, too.
//!
//! ```
//! # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! # use axum::{Router, routing::get};
//! # use buttress::Lifecycle;
//! # use tokio::net::TcpListener;
//! # let life = Lifecycle::builder().build()?;
//! # let app: Router = Router::new().route("/", get(|| async { "hello" }));
//! // With hyper, where everything is by hand:
//! # #[allow(clippy::disallowed_methods)]
//! # async fn serve(mut listener: buttress::lifecycle::serve::Listener, app: Router) {
//! use hyper_util::{rt::{TokioExecutor, TokioIo}, server::conn::auto, service::TowerToHyperService};
//!
//! while let Some((io, _)) = listener.accept().await {
//!     let app = TowerToHyperService::new(app.clone());
//!     tokio::spawn(async move { auto::Builder::new(TokioExecutor::new()).serve_connection(TokioIo::new(io), app).await });
//! }
//! # }
//! # let listener = life.listener(TcpListener::bind("127.0.0.1:0").await?);
//! # let app = app.layer(life.layer());
//! # drop(serve(listener, app));
//! # Ok(()) }
//! ```

mod accept;
mod connection;
mod http;
mod io;
mod line;
mod listener;
mod origin;
mod request;
mod server;
mod socket;
mod watch;

use ::http::{Request, Response};
use bytes::Bytes;
use http_body::Body;
use hyper::body::Incoming;
use tokio::net::TcpListener;
use tower_service::Service;

use self::origin::Origin;
pub use self::{
    http::Streams,
    io::TrackedIo,
    listener::Listener,
    request::{ProcessFuture, ProcessLayer, ProcessService, ProcessWatch},
    server::{Server, Serving},
};
use super::Lifecycle;
use crate::body::BoxError;

/// What serves requests.
impl Lifecycle {
    /// Serves an axum router, or any HTTP service. See [`serve`](self).
    pub fn serve<S, B>(&self, listener: TcpListener, service: S) -> Serving
    where
        S: Service<Request<Incoming>, Response = Response<B>> + Clone + Send + 'static,
        S::Future: Send + 'static,
        S::Error: Into<BoxError>,
        B: Body<Data = Bytes> + Send + 'static,
        B::Error: Into<BoxError>,
    {
        self.server().serve(listener, service)
    }

    /// An HTTP server with settings of one's own.
    pub fn server(&self) -> Server {
        Server::new(self.handle())
    }

    /// A listener for servers of one's own: `axum::serve`, tonic, hyper. See [`serve`](self).
    pub fn listener(&self, listener: TcpListener) -> Listener {
        Listener::new(listener, "tcp", &self.handle.0)
    }

    /// Puts the requests of servers of one's own below the process. See [`serve`](self).
    pub fn layer(&self) -> ProcessLayer {
        ProcessLayer::new(Origin::of(&self.handle.0))
    }
}

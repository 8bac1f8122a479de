use std::{
    fmt,
    future::{Future, poll_fn},
    io,
    net::SocketAddr,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
};

use futures_core::Stream;
use tokio::net::{TcpListener, TcpStream};

use super::{accept::Accept, io::TrackedIo};
use crate::{lifecycle::life::Process, registry::Root};

/// A listener whose connections belong to the process, for servers of one's own. Made by
/// [`Lifecycle::listener`](crate::Lifecycle::listener).
///
/// It is one of axum's (feature `axum`), a stream of connections as tonic takes it, and has an [`accept`](Self::accept) for all
/// others. It closes when the process drains; what is connected by then is the server's to drain, by
/// [`Handle::draining`](crate::lifecycle::Handle::draining), and is aborted with the process.
///
/// An error that is not one connection's, as when the process is out of file descriptors, holds it for 100 ms.
pub struct Listener {
    accept: Accept,
    name: &'static str,
    root: Arc<Root>,
}

impl Listener {
    pub(super) fn new(listener: TcpListener, name: &'static str, process: &Process) -> Self {
        Self {
            accept: Accept::new(listener, process.phase.subscribe()),
            name,
            root: process.public.root.clone(),
        }
    }

    /// What its connections are called in the registry: `tcp` unless set.
    #[must_use]
    pub fn name(mut self, name: &'static str) -> Self {
        self.name = name;
        self
    }

    /// The next connection; none any more once the process drains. Safe to drop.
    pub fn accept(&mut self) -> impl Future<Output = Option<(TrackedIo<TcpStream>, SocketAddr)>> + Send + '_ {
        poll_fn(|cx| self.poll_accept(cx))
    }

    /// Polls for the next connection.
    pub fn poll_accept(&mut self, cx: &mut Context<'_>) -> Poll<Option<(TrackedIo<TcpStream>, SocketAddr)>> {
        Poll::Ready(loop {
            let Some((stream, peer)) = ready!(self.accept.poll_next(cx)) else {
                break None;
            };
            // One that comes when the process is closed is dropped.
            if let Some(io) = TrackedIo::enter(stream, self.name, &self.root) {
                break Some((io, peer));
            }
        })
    }

    /// The address that it listens on.
    ///
    /// # Errors
    ///
    /// The system's; [`NotConnected`](io::ErrorKind::NotConnected) once it is closed.
    pub fn local_addr(&self) -> io::Result<SocketAddr> {
        self.accept.local_addr()
    }
}

/// As tonic's `serve_with_incoming_shutdown` takes it. No item is an error.
impl Stream for Listener {
    type Item = io::Result<TrackedIo<TcpStream>>;

    fn poll_next(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let accepted = ready!(self.get_mut().poll_accept(cx));
        Poll::Ready(accepted.map(|(io, _)| Ok(io)))
    }
}

/// For `axum::serve`, `with_graceful_shutdown` of which is to be given [`Handle::draining`](crate::lifecycle::Handle::draining).
///
/// ```
/// use axum::{Router, routing::get};
/// use buttress::{Lifecycle, address::PeerAddress};
/// use tokio::net::TcpListener;
///
/// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), buttress::BoxError> {
/// let life = Lifecycle::builder().build()?;
/// let app: Router = Router::new()
///     .route("/", get(|| async { "hello" }))
///     .layer(buttress::server(std::time::Duration::from_secs(10)))
///     .layer(life.layer()); // requests belong to the process
/// let listener = life.listener(TcpListener::bind("127.0.0.1:0").await?);
/// let service = app.into_make_service_with_connect_info::<PeerAddress>(); // who asks, for rate limits and `ClientIp`
/// let served = axum::serve(listener, service).with_graceful_shutdown(life.handle().draining());
/// let serving = life.handle().context().spawn("http", async { served.await });
/// # drop(serving);
/// # life.handle().shutdown();
/// assert!(life.run().await.is_clean());
/// # Ok(()) }
/// ```
#[cfg(feature = "axum")]
impl axum::serve::Listener for Listener {
    type Io = TrackedIo<TcpStream>;
    type Addr = SocketAddr;

    async fn accept(&mut self) -> (Self::Io, SocketAddr) {
        match Self::accept(self).await {
            Some(accepted) => accepted,
            // Closed. axum stops asking when its own signal comes.
            None => std::future::pending().await,
        }
    }

    fn local_addr(&self) -> io::Result<SocketAddr> {
        Self::local_addr(self)
    }
}

/// For `into_make_service_with_connect_info::<PeerAddress>()`, so that [`ClientAddress`](crate::address::ClientAddress) knows the peer. axum knows
/// a `SocketAddr` of its own listeners only.
#[cfg(feature = "axum")]
impl axum::extract::connect_info::Connected<axum::serve::IncomingStream<'_, Listener>> for crate::address::PeerAddress {
    fn connect_info(stream: axum::serve::IncomingStream<'_, Listener>) -> Self {
        Self(*stream.remote_addr())
    }
}

/// What the connection says of itself.
#[cfg(feature = "tonic")]
impl<IO: tonic::transport::server::Connected> tonic::transport::server::Connected for TrackedIo<IO> {
    type ConnectInfo = IO::ConnectInfo;

    fn connect_info(&self) -> Self::ConnectInfo {
        self.get_ref().connect_info()
    }
}

impl fmt::Debug for Listener {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Listener")
            .field("name", &self.name)
            .field("local_addr", &self.local_addr().ok())
            .finish_non_exhaustive()
    }
}

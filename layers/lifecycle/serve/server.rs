use std::{
    fmt,
    future::{Future, poll_fn},
    io,
    net::SocketAddr,
    panic::{AssertUnwindSafe, catch_unwind},
    pin::pin,
    sync::Arc,
};

use bytes::Bytes;
use http::{Request, Response};
use http_body::Body;
use hyper::body::Incoming;
use hyper_util::{
    rt::{TokioIo, TokioTimer},
    server::conn::auto,
};
use tokio::{net::TcpListener, sync::watch::Receiver};
use tower_layer::Layer;
use tower_service::Service;

use super::{
    accept::Accept,
    connection::{Passage, Served, draining},
    http::{OneConnection, Streams},
    io::TrackedIo,
    origin::{End, Origin},
    request::ProcessLayer,
    socket::Socket,
    watch::Watch,
};
use crate::{
    body::BoxError,
    context::Context,
    lifecycle::{Handle, Phase},
    registry::{self, Kind},
};

/// An HTTP server of the process, to be. Made by [`Lifecycle::server`](crate::Lifecycle::server).
///
/// | setting | default | |
/// |---|---|---|
/// | [`name`](Self::name) | `http` | what its connections are called in the registry |
/// | [`half_close`](Self::half_close) | off | whether a client may say that it has sent all, and stay |
/// | [`track_requests`](Self::track_requests) | off | whether requests that wait are in the registry |
/// | [`http`](Self::http) | hyper-util's | all else that hyper can be told |
#[derive(Clone)]
#[must_use = "a server does nothing until it serves"]
pub struct Server {
    handle: Handle,
    name: &'static str,
    half_close: bool,
    is_tracking: bool,
    http: Option<Arc<Http>>,
}

type Http = dyn Fn(&mut auto::Builder<Streams>) + Send + Sync;

/// A server at work. It ends with the process; dropping this changes nothing.
#[derive(Clone, Debug)]
pub struct Serving {
    address: Result<SocketAddr, io::ErrorKind>,
}

impl Server {
    pub(super) fn new(handle: Handle) -> Self {
        Self {
            handle,
            name: "http",
            half_close: false,
            is_tracking: false,
            http: None,
        }
    }

    /// What its connections are called in the [registry](crate::registry): `http` unless set.
    pub fn name(mut self, name: &'static str) -> Self {
        self.name = name;
        self
    }

    /// Lets an HTTP/1 client close its side after the request and wait for the answer. Then only a reset says that it has left.
    pub fn half_close(mut self, half_close: bool) -> Self {
        self.half_close = half_close;
        self
    }

    /// Enters every request that has to wait into the registry, under its method.
    pub fn track_requests(mut self) -> Self {
        self.is_tracking = true;
        self
    }

    /// Sets what hyper can be told: called for each connection, after all else.
    ///
    /// ```
    /// # fn with(life: &buttress::Lifecycle) {
    /// let server = life.server().http(|http| {
    ///     http.http1().max_buf_size(64 * 1024);
    ///     http.http2().max_concurrent_streams(64);
    /// });
    /// # }
    /// ```
    pub fn http(mut self, set: impl Fn(&mut auto::Builder<Streams>) + Send + Sync + 'static) -> Self {
        self.http = Some(Arc::new(set));
        self
    }

    /// Serves: HTTP/1, HTTP/2 by prior knowledge, and upgrades, until the process drains. See the [module](super).
    #[expect(
        clippy::disallowed_methods,
        reason = "it is registered, and ends when the process drains or is dropped"
    )]
    pub fn serve<S, B>(self, listener: TcpListener, service: S) -> Serving
    where
        S: Service<Request<Incoming>, Response = Response<B>> + Clone + Send + 'static,
        S::Future: Send + 'static,
        S::Error: Into<BoxError>,
        B: Body<Data = Bytes> + Send + 'static,
        B::Error: Into<BoxError>,
    {
        let address = listener.local_addr().map_err(|error| error.kind());
        let process = &self.handle.0;
        let phases = process.phase.subscribe();
        let accept = Accept::new(listener, phases.clone());
        let connections = Connections {
            end: End::of(process),
            context: (*process.public.context).clone(),
            phases,
            name: self.name,
            half_close: self.half_close,
            is_tracking: self.is_tracking,
            http: self.http,
        };
        // The drain waits for it: those who had connected before are still to be taken.
        if let Some(entry) = registry::enter(Kind::Task, "listener", None, Some(process.public.root.clone())) {
            tokio::spawn(async move {
                connections.accept_all(accept, service).await;
                drop(entry);
            });
        }
        Serving { address }
    }
}

impl Serving {
    /// The address that it listens on, or listened on.
    ///
    /// # Errors
    ///
    /// The system's.
    pub fn local_addr(&self) -> io::Result<SocketAddr> {
        self.address.map_err(Into::into)
    }
}

/// What the connections of a server have in common. Nothing here keeps the process alive.
struct Connections {
    context: Context,
    end: End,
    phases: Receiver<Phase>,
    name: &'static str,
    half_close: bool,
    is_tracking: bool,
    http: Option<Arc<Http>>,
}

impl Connections {
    async fn accept_all<S, B>(self, mut accept: Accept, service: S)
    where
        S: Service<Request<Incoming>, Response = Response<B>> + Clone + Send + 'static,
        S::Future: Send + 'static,
        S::Error: Into<BoxError>,
        B: Body<Data = Bytes> + Send + 'static,
        B::Error: Into<BoxError>,
    {
        while let Some((stream, peer)) = poll_fn(|cx| accept.poll_next(cx)).await {
            // One that comes when the process is closed is dropped.
            if let Some(io) = TrackedIo::enter(Socket::new(stream), self.name, self.end.root()) {
                // One that panics, in a setting or in a clone, is that connection's. The others are still to be taken.
                let start = || self.start(io, peer, service.clone());
                let _ = catch_unwind(AssertUnwindSafe(start));
            }
        }
    }

    #[expect(
        clippy::disallowed_methods,
        reason = "it is registered, and ends by the abort of its line"
    )]
    fn start<S, B>(&self, io: TrackedIo<Socket>, peer: SocketAddr, service: S)
    where
        S: Service<Request<Incoming>, Response = Response<B>> + Clone + Send + 'static,
        S::Future: Send + 'static,
        S::Error: Into<BoxError>,
        B: Body<Data = Bytes> + Send + 'static,
        B::Error: Into<BoxError>,
    {
        let (line, entry) = (io.line().clone(), io.entry().clone());
        let served = Served::new(self.context.child(), self.end.clone(), peer, line, entry);
        let watch = Watch::new(io.get_ref().stream().clone(), self.half_close);
        let passage = Passage::new(served.clone(), watch, draining(self.phases.clone()));
        let mut layer = ProcessLayer::new(Origin::Connection(served.clone()));
        if self.is_tracking {
            layer = layer.track_requests();
        }
        let service = OneConnection {
            service: layer.layer(service),
            served: served.clone(),
        };
        tokio::spawn(pass(self.http(served), io, service, passage));
    }

    fn http(&self, served: Arc<Served>) -> auto::Builder<Streams> {
        let mut http = auto::Builder::new(Streams(served));
        http.http1().timer(TokioTimer::new()).half_close(self.half_close);
        http.http2().timer(TokioTimer::new());
        if let Some(set) = &self.http {
            set(&mut http);
        }
        http
    }
}

/// A connection, to its end.
async fn pass<S, B, D>(
    http: auto::Builder<Streams>,
    io: TrackedIo<Socket>,
    service: OneConnection<S>,
    passage: Passage<D>,
) where
    S: Service<Request<Incoming>, Response = Response<B>> + Clone + Send + 'static,
    S::Future: Send + 'static,
    S::Error: Into<BoxError>,
    B: Body<Data = Bytes> + Send + 'static,
    B::Error: Into<BoxError>,
    D: Future<Output = bool>,
{
    // Dropped last: the requests hear why they end from hyper's dropping them, and not from the end of what they are below.
    let mut passage = passage;
    let mut http = pin!(http.serve_connection_with_upgrades(TokioIo::new(io), service));
    poll_fn(|cx| passage.poll(cx, http.as_mut())).await;
}

impl fmt::Debug for Server {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Server")
            .field("name", &self.name)
            .field("half_close", &self.half_close)
            .field("track_requests", &self.is_tracking)
            .finish_non_exhaustive()
    }
}

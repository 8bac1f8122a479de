//! What the tests over real sockets share: servers, clients, and a log of what happened.
//!
//! Nothing sleeps here to let something happen: a test waits for news, and [`soon`] bounds the wait where it would fail.

#![allow(dead_code, reason = "each test binary uses its part")]

pub(crate) mod bodies;
pub(crate) mod grpc;
pub(crate) mod leakless;
pub(crate) mod six;
pub(crate) mod tier;

use std::{convert::Infallible, future::Future, net::SocketAddr, time::Duration};

use axum::{Router, body::Body};
use buttress::{
    BoxError, Cancelled, Context,
    observe::{Began, Ended, Observer},
    outcome::Outcome,
};
use http::{HeaderValue, Method, Request, Response};
use http_body_util::BodyExt;
use hyper::{
    body::Incoming,
    client::conn::{http1, http2},
};
use hyper_util::{
    client::legacy::{Client, connect::HttpConnector},
    rt::{TokioExecutor, TokioIo},
    server::conn::auto,
    service::TowerToHyperService,
};
use tokio::{
    io::AsyncWriteExt,
    net::{TcpListener, TcpSocket, TcpStream},
    sync::mpsc,
};
use tower::Service;

pub(crate) type HttpClient<B = Body> = Client<HttpConnector, B>;

/// Long enough that only what never happens takes it.
const FOREVER: Duration = Duration::from_secs(30);

/// What `future` gives, or a failure of the test if it gives nothing.
pub(crate) async fn soon<F: Future>(future: F) -> F::Output {
    let waited = tokio::time::timeout(FOREVER, future).await;
    waited.expect("what is waited for happens")
}

/// A log that many write and the test reads, in the order in which things happened.
pub(crate) fn log<T>() -> (Tell<T>, Heard<T>) {
    let (tell, heard) = mpsc::unbounded_channel();
    (Tell(tell), Heard(heard))
}

#[derive(Debug)]
pub(crate) struct Tell<T>(mpsc::UnboundedSender<T>);

#[derive(Debug)]
pub(crate) struct Heard<T>(mpsc::UnboundedReceiver<T>);

impl<T> Tell<T> {
    /// Nobody listens any more once a test is over.
    pub(crate) fn tell(&self, news: T) {
        let _ = self.0.send(news);
    }
}

impl Observer for Tell<Outcome> {
    type Call = ();

    fn began(&self, _: &Began<'_>) {}

    fn ended(&self, (): (), ended: &Ended) {
        self.tell(ended.outcome.clone());
    }
}

impl<T> Clone for Tell<T> {
    fn clone(&self) -> Self {
        Self(self.0.clone())
    }
}

impl<T> Heard<T> {
    pub(crate) async fn next(&mut self) -> T {
        soon(self.0.recv()).await.expect("who tells is alive")
    }

    /// What has been told so far and not been read.
    pub(crate) fn so_far(&mut self) -> Vec<T> {
        std::iter::from_fn(|| self.0.try_recv().ok()).collect()
    }
}

/// Tells on drop why its context had ended, or `None` if it had not.
pub(crate) struct Guard {
    context: Context,
    tell: Option<Box<dyn FnOnce(Option<Cancelled>) + Send>>,
}

impl Guard {
    pub(crate) fn new(tell: impl FnOnce(Option<Cancelled>) + Send + 'static) -> Self {
        Self {
            context: Context::current(),
            tell: Some(Box::new(tell)),
        }
    }
}

impl Drop for Guard {
    fn drop(&mut self) {
        if let Some(tell) = self.tell.take() {
            tell(self.context.check().err());
        }
    }
}

// === servers ===

pub(crate) async fn listener() -> (TcpListener, SocketAddr) {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let address = listener.local_addr().expect("it is bound");
    (listener, address)
}

/// As axum serves: HTTP/1, and HTTP/2 by prior knowledge.
pub(crate) async fn serve(app: Router) -> SocketAddr {
    let (listener, address) = listener().await;
    leakless::serves(async move { axum::serve(listener, app).await });
    address
}

/// As hyper-util serves a tower service: HTTP/1, and HTTP/2 by prior knowledge.
pub(crate) async fn serve_hyper<S, B>(service: S) -> SocketAddr
where
    S: Service<Request<Incoming>, Response = Response<B>> + Clone + Send + Sync + 'static,
    S::Future: Send,
    S::Error: Into<BoxError>,
    B: http_body::Body + Send + 'static,
    B::Data: Send,
    B::Error: Into<BoxError>,
{
    serve_with(auto::Builder::new(TokioExecutor::new()), service).await
}

/// The same, with settings of one's own.
pub(crate) async fn serve_with<S, B>(server: auto::Builder<TokioExecutor>, service: S) -> SocketAddr
where
    S: Service<Request<Incoming>, Response = Response<B>> + Clone + Send + Sync + 'static,
    S::Future: Send,
    S::Error: Into<BoxError>,
    B: http_body::Body + Send + 'static,
    B::Data: Send,
    B::Error: Into<BoxError>,
{
    let (listener, address) = listener().await;
    leakless::serves(async move {
        while let Ok((socket, _)) = listener.accept().await {
            let (server, service) = (server.clone(), TowerToHyperService::new(service.clone()));
            tokio::spawn(async move { server.serve_connection(TokioIo::new(socket), service).await });
        }
    });
    address
}

// === clients ===

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Version {
    Http1,
    Http2,
}

pub(crate) const VERSIONS: [Version; 2] = [Version::Http1, Version::Http2];

/// A pooling client that speaks this version alone.
pub(crate) fn client<B>(version: Version) -> HttpClient<B>
where
    B: http_body::Body + Send + 'static,
    B::Data: Send,
{
    let mut connector = HttpConnector::new();
    connector.set_nodelay(true);
    Client::builder(TokioExecutor::new())
        .http2_only(version == Version::Http2)
        .build(connector)
}

/// One connection. On HTTP/1, dropping it closes the socket.
pub(crate) enum Connection {
    Http1(http1::SendRequest<Body>),
    Http2(http2::SendRequest<Body>),
}

impl Connection {
    /// Its receive buffer is small, so that what a test does not read stays with the server.
    pub(crate) async fn open(address: SocketAddr, version: Version) -> Self {
        Self::try_open(address, version).await.expect("the server listens")
    }

    /// The same, where there may be no server any more.
    pub(crate) async fn try_open(address: SocketAddr, version: Version) -> Result<Self, BoxError> {
        let socket = TcpSocket::new_v4()?;
        socket.set_recv_buffer_size(64 * 1024)?;
        socket.set_nodelay(true)?;
        let io = TokioIo::new(socket.connect(address).await?);
        Ok(match version {
            Version::Http1 => {
                let (sender, connection) = http1::handshake(io).await?;
                tokio::spawn(connection);
                Self::Http1(sender)
            }
            Version::Http2 => {
                let (sender, connection) = http2::handshake(TokioExecutor::new(), io).await?;
                tokio::spawn(connection);
                Self::Http2(sender)
            }
        })
    }

    /// The same HTTP/2 connection, for another stream.
    pub(crate) fn shared(&self) -> Option<Self> {
        match self {
            Self::Http1(_) => None,
            Self::Http2(sender) => Some(Self::Http2(sender.clone())),
        }
    }

    pub(crate) async fn send(&mut self, request: Request<Body>) -> Result<Response<Incoming>, hyper::Error> {
        match self {
            Self::Http1(sender) => sender.send_request(request).await,
            Self::Http2(sender) => sender.send_request(request).await,
        }
    }
}

/// A socket on which this text was sent.
pub(crate) async fn socket(address: SocketAddr, text: &str) -> TcpStream {
    let mut socket = TcpStream::connect(address).await.expect("the server listens");
    socket.write_all(text.as_bytes()).await.expect("it is sent");
    socket
}

/// A request that both versions can send.
pub(crate) fn get(address: SocketAddr, path: &str) -> Request<Body> {
    Request::get(format!("http://{address}{path}"))
        .header("host", address.to_string())
        .body(Body::empty())
        .expect("a request")
}

/// One call on a connection of its own.
pub(crate) async fn call(address: SocketAddr, version: Version, method: Method, path: &str) -> Response<Incoming> {
    let mut request = get(address, path);
    *request.method_mut() = method;
    let mut connection = Connection::open(address, version).await;
    connection.send(request).await.expect("an answer")
}

/// What an answer said.
#[derive(Debug)]
pub(crate) struct Said {
    pub(crate) status: u16,
    pub(crate) content_type: String,
    pub(crate) text: String,
}

pub(crate) async fn said<B>(response: Response<B>) -> Said
where
    B: http_body::Body<Error: std::fmt::Debug>,
{
    let content_type = response.headers().get("content-type");
    Said {
        status: response.status().as_u16(),
        content_type: String::from_utf8_lossy(content_type.map_or(b"", HeaderValue::as_bytes)).into_owned(),
        text: {
            let text = response.into_body().collect().await.expect("a whole body").to_bytes();
            String::from_utf8_lossy(&text).into_owned()
        },
    }
}

/// An answer that cannot fail.
pub(crate) type Sure<T> = Result<T, Infallible>;

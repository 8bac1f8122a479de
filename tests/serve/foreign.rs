//! Servers of one's own, on a listener of the process and below its layer.

use std::{
    future::pending,
    io,
    net::SocketAddr,
    pin::Pin,
    sync::Arc,
    task::{Context as Poller, Poll},
    time::Duration,
};

use axum::{
    Router,
    extract::Request,
    routing::{get, post},
};
use buttress::{
    Cancelled, Context, Lifecycle,
    lifecycle::serve::{Listener, TrackedIo},
};
use futures_util::Stream;
use http::HeaderMap;
use hyper_util::{
    rt::{TokioExecutor, TokioIo},
    server::{conn::auto, graceful::GracefulShutdown},
    service::TowerToHyperService,
};
use pin_project::pin_project;
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    net::TcpStream,
    sync::Notify,
};
use tonic::{
    Code, Status,
    transport::{Server, server::Connected},
};

use super::{HASTE, aborted, support};
use support::{
    Connection, Guard, Heard, Tell, VERSIONS, Version, get as request,
    grpc::{self, Speaker, Speech, Words, words_without_end},
    listener, log, said, socket, soon,
};

type News = Result<(), Option<Cancelled>>;

/// What the handlers share: they tell that they are called, wait to be let go, and tell how their context ended.
#[derive(Clone)]
struct Held {
    tell: Tell<News>,
    go: Arc<Notify>,
}

impl Held {
    fn new() -> (Self, Heard<News>) {
        let (tell, heard) = log();
        (
            Self {
                tell,
                go: Arc::default(),
            },
            heard,
        )
    }

    async fn wait(&self) -> &'static str {
        let tell = self.tell.clone();
        let _guard = Guard::new(move |why| tell.tell(Err(why)));
        self.tell.tell(Ok(()));
        self.go.notified().await;
        "done"
    }

    fn app(&self) -> Router {
        let (held, unread) = (self.clone(), self.clone());
        Router::new()
            .route("/", get(|| async move { held.wait().await }))
            .route(
                "/",
                post(|request: Request| async move {
                    let _unread = request;
                    unread.wait().await
                }),
            )
    }
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum With {
    Axum,
    Hyper,
}

async fn serve(with: With, life: &Lifecycle, app: Router) -> SocketAddr {
    let (tcp, address) = listener().await;
    let (mut listener, handle) = (life.listener(tcp).name("mine"), life.handle());
    let app = app.layer(life.layer().track_requests());
    match with {
        With::Axum => {
            let server = axum::serve(listener, app).with_graceful_shutdown(handle.draining());
            tokio::spawn(server.into_future());
        }
        With::Hyper => {
            tokio::spawn(async move {
                let graceful = GracefulShutdown::new();
                while let Some((io, _)) = listener.accept().await {
                    let app = TowerToHyperService::new(app.clone());
                    let http = auto::Builder::new(TokioExecutor::new());
                    let http = http.serve_connection_with_upgrades(TokioIo::new(io), app).into_owned();
                    tokio::spawn(graceful.watch(http));
                }
                graceful.shutdown().await;
            });
        }
    }
    address
}

fn life(budget: Duration) -> Lifecycle {
    Lifecycle::builder().budget(budget).build().unwrap()
}

#[tokio::test(crate = "crate::support::leakless")]
async fn axum_and_hyper_drain() {
    for (with, version) in [With::Axum, With::Hyper]
        .into_iter()
        .flat_map(|with| VERSIONS.map(|version| (with, version)))
    {
        let life = life(Duration::from_secs(25));
        let (held, mut heard) = Held::new();
        let address = serve(with, &life, held.app()).await;
        let mut connection = Connection::open(address, version).await;
        let mut call = std::pin::pin!(connection.send(request(address, "/")));
        tokio::select! {
            _ = call.as_mut() => panic!("it waits"),
            _ = heard.next() => {}
        }
        let handle = life.handle();
        handle.shutdown();
        let ends = tokio::spawn(life.run());
        soon(handle.draining()).await;
        held.go.notify_one();
        assert_eq!(said(soon(call).await.unwrap()).await.text, "done");
        // The guard is dropped before the answer goes out.
        assert_eq!(heard.next().await, Err(None));
        let report = soon(ends).await.unwrap();
        assert!(report.is_clean(), "{with:?} {version:?} {report}");
    }
}

#[tokio::test(crate = "crate::support::leakless")]
async fn axum_and_hyper_are_aborted() {
    for (with, version) in [With::Axum, With::Hyper]
        .into_iter()
        .flat_map(|with| VERSIONS.map(|version| (with, version)))
    {
        let life = life(HASTE);
        let (held, mut heard) = Held::new();
        let address = serve(with, &life, held.app()).await;
        let mut connection = Connection::open(address, version).await;
        let mut call = std::pin::pin!(connection.send(request(address, "/")));
        tokio::select! {
            _ = call.as_mut() => panic!("it waits"),
            _ = heard.next() => {}
        }
        life.handle().shutdown();
        let report = soon(life.run()).await;
        assert_eq!(
            aborted(&report),
            ["connection mine", "request GET"],
            "{with:?} {version:?}"
        );
        assert_eq!(heard.next().await, Err(Some(Cancelled::ShuttingDown)));
        soon(call).await.unwrap_err();
    }
}

/// Where hyper does not read, it flushes.
#[tokio::test(crate = "crate::support::leakless")]
async fn axum_and_hyper_are_aborted_behind_an_unread_body() {
    for with in [With::Axum, With::Hyper] {
        let life = life(HASTE);
        let (held, mut heard) = Held::new();
        let address = serve(with, &life, held.app()).await;
        let _socket = socket(address, "POST / HTTP/1.1\r\nhost: x\r\ncontent-length: 9\r\n\r\nhalf").await;
        assert_eq!(heard.next().await, Ok(()));
        life.handle().shutdown();
        let report = soon(life.run()).await;
        assert_eq!(aborted(&report), ["connection mine", "request POST"], "{with:?}");
        assert_eq!(heard.next().await, Err(Some(Cancelled::ShuttingDown)));
    }
}

#[tokio::test(crate = "crate::support::leakless")]
async fn requests_of_one_layer_end_alone() {
    let life = life(Duration::from_secs(25));
    let (tell, mut heard) = log();
    let app = Router::new().route(
        "/",
        get(|| async move {
            let guard = Guard::new(move |why| tell.tell(why));
            drop(Context::current().spawn("left-behind", async move {
                let _guard = guard;
                pending::<()>().await;
            }));
            "done"
        }),
    );
    let address = serve(With::Axum, &life, app).await;
    for version in VERSIONS {
        assert_eq!(
            said(support::call(address, version, http::Method::GET, "/").await)
                .await
                .text,
            "done"
        );
        assert_eq!(heard.next().await, Some(Cancelled::Finished));
    }
    assert!(life.handle().snapshot().iter().all(|work| work.name != "left-behind"));
}

// === tonic ===

impl Speech for Held {
    async fn say(&self, _: HeaderMap) -> Result<String, Status> {
        Ok(self.wait().await.to_owned())
    }

    fn list(&self) -> Words {
        self.tell.tell(Ok(()));
        words_without_end(&["one"])
    }
}

/// As a connection is to be told about to tonic, which `TrackedIo` does by itself with the feature `tonic`.
#[pin_project]
struct Told(#[pin] TrackedIo<TcpStream>);

impl Connected for Told {
    type ConnectInfo = ();

    fn connect_info(&self) {}
}

impl AsyncRead for Told {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Poller<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        self.project().0.poll_read(cx, buffer)
    }
}

impl AsyncWrite for Told {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Poller<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        self.project().0.poll_write(cx, bytes)
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Poller<'_>) -> Poll<io::Result<()>> {
        self.project().0.poll_flush(cx)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Poller<'_>) -> Poll<io::Result<()>> {
        self.project().0.poll_shutdown(cx)
    }
}

struct Incoming(Listener);

impl Stream for Incoming {
    type Item = io::Result<Told>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Poller<'_>) -> Poll<Option<Self::Item>> {
        Pin::new(&mut self.0).poll_next(cx).map_ok(Told)
    }
}

async fn tonic(life: &Lifecycle, held: Held) -> SocketAddr {
    let (tcp, address) = listener().await;
    let incoming = Incoming(life.listener(tcp).name("grpc"));
    let mut server = Server::builder().layer(life.layer());
    let router = server.add_service(Speaker(held));
    tokio::spawn(router.serve_with_incoming_shutdown(incoming, life.handle().draining()));
    address
}

#[tokio::test(crate = "crate::support::leakless")]
async fn tonic_drains() {
    let life = life(Duration::from_secs(25));
    let (held, mut heard) = Held::new();
    let address = tonic(&life, held.clone()).await;
    let call = tokio::spawn(async move { grpc::unary(grpc::channel(address).await, address, None).await });
    assert_eq!(heard.next().await, Ok(()));
    let handle = life.handle();
    handle.shutdown();
    let ends = tokio::spawn(life.run());
    soon(handle.draining()).await;
    held.go.notify_one();
    assert_eq!(soon(call).await.unwrap().unwrap(), "done");
    let report = soon(ends).await.unwrap();
    assert!(report.is_clean(), "{report}");
}

#[tokio::test(crate = "crate::support::leakless")]
async fn tonic_is_aborted() {
    let life = life(HASTE);
    let (held, mut heard) = Held::new();
    let address = tonic(&life, held).await;
    let unary = tokio::spawn(async move { grpc::unary(grpc::channel(address).await, address, None).await });
    assert_eq!(heard.next().await, Ok(()));
    let stream = tokio::spawn(async move { grpc::list(grpc::channel(address).await, address, None).await });
    assert_eq!(heard.next().await, Ok(()));
    life.handle().shutdown();
    let report = soon(life.run()).await;
    assert_eq!(aborted(&report), ["connection grpc", "connection grpc"]);
    assert_eq!(heard.next().await, Err(Some(Cancelled::ShuttingDown)));
    soon(unary).await.unwrap().unwrap_err();
    assert_ne!(soon(stream).await.unwrap().1, Code::Ok);
}

#[tokio::test(crate = "crate::support::leakless")]
async fn a_client_that_leaves_tonic_ends_its_call() {
    let life = life(Duration::from_secs(25));
    let (held, mut heard) = Held::new();
    let address = tonic(&life, held).await;
    let call = tokio::spawn(async move { grpc::unary(grpc::channel(address).await, address, None).await });
    assert_eq!(heard.next().await, Ok(()));
    call.abort();
    assert_eq!(heard.next().await, Err(Some(Cancelled::Disconnected)));
    let _ = Version::Http2;
}

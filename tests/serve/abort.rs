//! What has not ended when the drain is over is ended, by one mechanism, and named.

use std::{future::pending, io::ErrorKind, sync::Arc, time::Duration};

use axum::{
    Router,
    body::Body,
    extract::Request,
    response::Response,
    routing::{get, post},
};
use buttress::{BoxError, Cancelled, ConcurrencyLimitLayer, Context, DeadlineLayer, Lifecycle, lifecycle::Ended};
use bytes::Bytes;
use futures_util::StreamExt;
use http::{Method, StatusCode};
use http_body::Frame;
use http_body_util::{BodyExt, StreamBody};
use hyper_util::rt::TokioIo;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    sync::Notify,
};

use super::{HASTE, Up, aborted, support};
use support::{
    Connection, Guard, VERSIONS, Version, bodies::Chunks, call, get as request, listener, log, socket, soon,
};

const CONNECTION: &str = "connection http";

#[tokio::test(crate = "crate::support::leakless")]
async fn a_handler_that_never_ends_is_dropped_and_told_why() {
    for version in VERSIONS {
        let (tell, mut heard) = log();
        let app = Router::new().route(
            "/",
            get(|| async move {
                tell.tell(None);
                let _guard = Guard::new(move |why| tell.tell(why));
                pending::<&str>().await
            }),
        );
        let up = Up::in_haste(app).await;
        let mut connection = Connection::open(up.address, version).await;
        let mut call = std::pin::pin!(connection.send(request(up.address, "/")));
        tokio::select! {
            _ = call.as_mut() => panic!("it is never answered"),
            _ = heard.next() => {}
        }
        let report = up.end().await;
        assert_eq!(aborted(&report), [CONNECTION]);
        assert_eq!(heard.next().await, Some(Cancelled::ShuttingDown), "{version:?}");
        soon(call).await.unwrap_err();
    }
}

/// Where hyper does not read, and a FIN would not be noticed either.
#[tokio::test(crate = "crate::support::leakless")]
async fn a_handler_with_an_unread_body_is_dropped_too() {
    let (tell, mut heard) = log();
    let app = Router::new().route(
        "/",
        post(|request: Request| async move {
            tell.tell(None);
            let _guard = Guard::new(move |why| tell.tell(why));
            let _unread = request;
            pending::<&str>().await
        }),
    );
    let up = Up::in_haste(app).await;
    let _socket = socket(
        up.address,
        "POST / HTTP/1.1\r\nhost: x\r\ncontent-length: 9\r\n\r\nhalf",
    )
    .await;
    heard.next().await;
    assert_eq!(aborted(&up.end().await), [CONNECTION]);
    assert_eq!(heard.next().await, Some(Cancelled::ShuttingDown));
}

#[tokio::test(crate = "crate::support::leakless")]
async fn a_stream_that_never_ends_breaks_off() {
    for version in VERSIONS {
        let (tell, mut heard) = log();
        let app = Router::new().route(
            "/",
            get(|| async move {
                let context = Context::current();
                let _ = &context;
                let events = futures_util::stream::unfold(Guard::new(move |why| tell.tell(why)), |guard| async move {
                    tokio::time::sleep(Duration::from_millis(1)).await;
                    Some((
                        Ok::<_, BoxError>(Frame::data(Bytes::from_static(b"data: x\n\n"))),
                        guard,
                    ))
                });
                Response::new(Body::new(StreamBody::new(events)))
            }),
        );
        let up = Up::in_haste(app).await;
        let answer = call(up.address, version, Method::GET, "/").await;
        let mut body = answer.into_body();
        soon(body.frame()).await.unwrap().unwrap();
        assert_eq!(aborted(&up.end().await), [CONNECTION]);
        assert_eq!(heard.next().await, Some(Cancelled::ShuttingDown), "{version:?}");
        soon(body.collect()).await.unwrap_err();
    }
}

#[tokio::test(crate = "crate::support::leakless")]
async fn a_reader_that_has_stopped_does_not_hold_its_connection() {
    for version in VERSIONS {
        let app = Router::new().route("/", get(|| async { Response::new(Body::new(Chunks::new(10_000))) }));
        let up = Up::in_haste(app).await;
        let mut connection = Connection::open(up.address, version).await;
        let unread = connection.send(request(up.address, "/")).await.unwrap();
        assert_eq!(aborted(&up.end().await), [CONNECTION], "{version:?}");
        drop(unread);
    }
}

/// Its task is the user's, and hyper has long forgotten it.
#[tokio::test(crate = "crate::support::leakless")]
async fn a_websocket_is_drained_by_its_owner_or_aborted() {
    for drains in [true, false] {
        let (tell, mut heard) = log();
        let handle = Arc::new(std::sync::OnceLock::<buttress::lifecycle::Handle>::new());
        let of_app = handle.clone();
        let app = Router::new().route(
            "/",
            get(move |mut request: Request| async move {
                let upgrade = hyper::upgrade::on(&mut request);
                let draining = of_app.get().unwrap().draining();
                tokio::spawn(async move {
                    let mut socket = TokioIo::new(upgrade.await.unwrap());
                    socket.write_all(b"hello").await.unwrap();
                    let mut buffer = [0; 16];
                    tokio::select! {
                        biased;
                        () = draining, if drains => tell.tell(None),
                        read = socket.read(&mut buffer) => tell.tell(read.err().map(|error| error.kind())),
                    }
                });
                Response::builder()
                    .status(StatusCode::SWITCHING_PROTOCOLS)
                    .header("connection", "upgrade")
                    .header("upgrade", "x")
                    .body(Body::empty())
                    .unwrap()
            }),
        );
        let budget = if drains { Duration::from_secs(25) } else { HASTE };
        let up = Up::serve_within(budget, app, |server| server).await;
        assert!(handle.set(up.handle()).is_ok());
        let upgrade = "GET / HTTP/1.1\r\nhost: x\r\nconnection: upgrade\r\nupgrade: x\r\n\r\n";
        let mut socket = socket(up.address, upgrade).await;
        let mut said = Vec::new();
        while !said.ends_with(b"hello") {
            said.push(soon(socket.read_u8()).await.unwrap());
        }
        let report = up.end().await;
        if drains {
            assert!(report.is_clean(), "{report}");
            assert_eq!(heard.next().await, None);
        } else {
            assert_eq!(aborted(&report), [CONNECTION]);
            assert_eq!(heard.next().await, Some(ErrorKind::ConnectionAborted));
        }
    }
}

/// Beside each of these is one of its kind that ends by itself, and is not named.
#[tokio::test(crate = "crate::support::leakless")]
async fn the_report_names_exactly_what_was_aborted() {
    let life = Lifecycle::builder().budget(HASTE).build().unwrap();
    let serve = async |name, app: Router| {
        let (listener, address) = listener().await;
        life.server().name(name).serve(listener, app);
        address
    };
    let upgrades = |mut request: Request| async move {
        let upgrade = hyper::upgrade::on(&mut request);
        tokio::spawn(async move { TokioIo::new(upgrade.await.unwrap()).read_u8().await });
        Response::builder()
            .status(StatusCode::SWITCHING_PROTOCOLS)
            .header("connection", "upgrade")
            .header("upgrade", "x")
            .body(Body::empty())
            .unwrap()
    };
    let streams = || async {
        let one = futures_util::stream::iter([Ok::<_, BoxError>(Frame::data(Bytes::from_static(b"data: x\n\n")))]);
        Response::new(Body::new(StreamBody::new(one.chain(futures_util::stream::pending()))))
    };
    let app = Router::new().route("/ws", get(upgrades)).route("/sse", get(streams));
    let (sockets, events) = (serve("sockets", app.clone()).await, serve("events", app).await);
    let idle = serve("idle", Router::new().route("/", get(|| async { "done" }))).await;

    let upgrade = "GET /ws HTTP/1.1\r\nhost: x\r\nconnection: upgrade\r\nupgrade: x\r\n\r\n";
    let mut ws = socket(sockets, upgrade).await;
    assert_eq!(soon(ws.read_u8()).await.unwrap(), b'H');
    let mut sse = call(events, Version::Http2, Method::GET, "/sse").await;
    soon(sse.body_mut().frame()).await.unwrap().unwrap();
    let _kept = {
        let mut kept = Connection::open(idle, Version::Http1).await;
        assert_eq!(
            support::said(kept.send(request(idle, "/")).await.unwrap()).await.text,
            "done"
        );
        kept
    };
    let (handle, context) = (life.handle(), life.handle().context());
    let (release, held) = std::sync::mpsc::channel::<()>();
    drop(context.spawn_blocking("crunch", move |_| held.recv()));
    assert_eq!(context.spawn_blocking("sum", |_| 1 + 1).await, Ok(2));
    drop(context.spawn("stuck", pending::<()>()));
    drop(context.spawn("short", handle.draining()));
    drop(handle.detach("mail", 3_600 * HASTE, pending::<()>()));
    drop(handle.detach("note", 3_600 * HASTE, handle.draining()));

    handle.shutdown();
    let report = soon(life.run()).await;
    let named = |all: &[Ended]| {
        let mut named: Vec<_> = all.iter().map(|ended| support::leakless::named(&ended.work)).collect();
        named.sort_unstable();
        named
    };
    assert_eq!(
        named(&report.aborted),
        [
            "blocking crunch",
            "connection events",
            "connection sockets",
            "detached mail",
            "task stuck"
        ]
    );
    assert_eq!(named(&report.stuck), ["blocking crunch"]);
    drop(release);
}

#[tokio::test(crate = "crate::support::leakless")]
async fn a_reader_that_stalls_past_its_deadline_holds_no_permit() {
    for version in VERSIONS {
        let app = Router::new()
            .route(
                "/large",
                get(|| async { Response::new(Body::new(Chunks::new(10_000))) }),
            )
            .route("/small", get(|| async { "done" }))
            .layer(ConcurrencyLimitLayer::new(1))
            .layer(DeadlineLayer::new(Duration::from_millis(200)));
        let up = Up::serve(app).await;
        let mut stalled = Connection::open(up.address, version).await;
        let unread = stalled.send(request(up.address, "/large")).await.unwrap();
        soon(async {
            while call(up.address, Version::Http1, Method::GET, "/small").await.status() != StatusCode::OK {
                tokio::task::yield_now().await;
            }
        })
        .await;
        drop(unread);
    }
}

#[tokio::test(crate = "crate::support::leakless")]
async fn a_connection_that_comes_after_the_end_is_not_taken() {
    let never = Arc::new(Notify::new());
    let up = Up::in_haste(Router::new().route("/", get(|| async move { never.notified().await }))).await;
    let (handle, address) = (up.handle(), up.address);
    let mut late = up.life.listener(listener().await.0);
    assert!(up.end().await.is_clean());
    assert!(soon(late.accept()).await.is_none());
    assert!(late.local_addr().is_err());
    tokio::net::TcpStream::connect(address).await.unwrap_err();
    assert!(handle.snapshot().is_empty());
}

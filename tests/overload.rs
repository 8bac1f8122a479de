//! The concurrency limit over real sockets: under `axum::serve`, on HTTP/2, and with a reader who stalls.
#![allow(clippy::disallowed_methods, clippy::unwrap_used, reason = "a test may")]

mod support;

use std::{future::IntoFuture, sync::Arc, time::Duration};

use axum::{Router, body::Body, routing::get};
use buttress::{ConcurrencyLimitLayer, DeadlineLayer, admission::concurrency::ConcurrencyLimit};
use bytes::Bytes;
use http::{Request, Response};
use http_body_util::{BodyExt, Empty};
use hyper::client::conn::http2;
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::{
    net::{TcpListener, TcpStream},
    sync::{Semaphore, mpsc},
};

use self::support::{
    bodies::{CHUNK, Chunks},
    soon,
};

async fn serve(router: Router) -> std::net::SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    support::leakless::serves(axum::serve(listener, router).into_future());
    address
}

/// Waits until so many are in flight: what a peer does is seen when it is seen.
async fn until_in_flight(limit: &ConcurrencyLimit, count: usize) {
    soon(async {
        while limit.snapshot().in_flight != count {
            tokio::task::yield_now().await;
        }
    })
    .await;
}

/// tower's own limit lets in all ten: one each for every route and connection.
#[tokio::test(crate = "support::leakless")]
async fn a_limit_of_one_admits_one_over_ten_connections_and_five_routes() {
    let (entered, mut inside) = mpsc::channel(10);
    let gate = Arc::new(Semaphore::new(0));
    let handler = {
        let gate = gate.clone();
        move || {
            let (entered, gate) = (entered.clone(), gate.clone());
            async move {
                entered.send(()).await.unwrap();
                let _open = gate.acquire().await;
                "hello"
            }
        }
    };
    let layer = ConcurrencyLimitLayer::new(1).queue(0);
    let limit = layer.limit();
    let router = (0..5).fold(Router::new(), |router, route| {
        router.route(&format!("/{route}"), get(handler.clone()))
    });
    let address = serve(router.layer(layer)).await;

    // Each client of its own has a connection of its own.
    let call = |route: usize| {
        let client = hyper_util::client::legacy::Client::builder(TokioExecutor::new()).build_http::<Body>();
        let request = client.get(format!("http://{address}/{route}").parse().unwrap());
        async { soon(request).await.unwrap().status().as_u16() }
    };
    let first = tokio::spawn(call(0));
    soon(inside.recv()).await.unwrap();
    for connection in 1..10 {
        assert_eq!(call(connection % 5).await, 503);
    }
    gate.add_permits(1);
    assert_eq!(first.await.unwrap(), 200);
    until_in_flight(&limit, 0).await;
    assert_eq!(limit.snapshot().rejected_in_all(), 9);
}

/// A megabyte, in parts: what is one frame is handed to the transport at once.
async fn large() -> Body {
    Body::new(Chunks::new(64))
}

type Streams = http2::SendRequest<Empty<Bytes>>;

async fn http2(address: std::net::SocketAddr) -> Streams {
    let stream = TcpStream::connect(address).await.unwrap();
    let mut builder = http2::Builder::new(TokioExecutor::new());
    builder.initial_stream_window_size(1_024);
    let (send, connection) = builder.handshake(TokioIo::new(stream)).await.unwrap();
    tokio::spawn(connection);
    send
}

async fn ask(streams: &mut Streams, address: std::net::SocketAddr) -> Response<hyper::body::Incoming> {
    let request = Request::get(format!("http://{address}/")).body(Empty::new()).unwrap();
    soon(streams.send_request(request)).await.unwrap()
}

#[tokio::test(crate = "support::leakless")]
async fn a_second_stream_is_refused_while_the_first_body_is_unread() {
    let layer = ConcurrencyLimitLayer::new(1).queue(0);
    let limit = layer.limit();
    let address = serve(Router::new().route("/", get(large)).layer(layer)).await;
    let mut streams = http2(address).await;
    let first = ask(&mut streams, address).await;
    assert_eq!(first.status(), 200);
    assert_eq!(ask(&mut streams, address).await.status(), 503);
    assert_eq!(
        soon(first.into_body().collect()).await.unwrap().to_bytes().len(),
        64 * CHUNK
    );
    until_in_flight(&limit, 0).await;
    let third = ask(&mut streams, address).await;
    assert_eq!(third.status(), 200);

    // Who leaves in the middle of a body gives its place back.
    drop(third);
    until_in_flight(&limit, 0).await;
}

/// Its deadline is not seen where nobody polls its body; the next who comes sees it.
#[tokio::test(crate = "support::leakless")]
async fn a_reader_who_stalls_loses_its_place_once_its_deadline_has_passed() {
    let layer = ConcurrencyLimitLayer::new(1).queue(0);
    let limit = layer.limit();
    let router = Router::new()
        .route("/", get(large))
        .layer(layer)
        .layer(DeadlineLayer::new(Duration::from_millis(100)));
    let address = serve(router).await;
    let mut streams = http2(address).await;
    let stalled = ask(&mut streams, address).await;
    assert_eq!((stalled.status().as_u16(), limit.snapshot().in_flight), (200, 1));
    let mut others = http2(address).await;
    let served = soon(async {
        loop {
            let answer = ask(&mut others, address).await;
            if answer.status() == 200 {
                break answer;
            }
            assert_eq!(answer.status(), 503);
        }
    });
    drop(served.await);
    until_in_flight(&limit, 0).await;
    drop(stalled);
}

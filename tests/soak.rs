//! A hundred thousand requests, half of whose clients leave in the middle, on HTTP/1 and HTTP/2: nothing of them is left.
#![cfg(target_os = "linux")]
#![allow(clippy::disallowed_methods, clippy::unwrap_used, reason = "a test may")]

#[path = "support/mod.rs"]
mod support;

use std::{convert::Infallible, net::SocketAddr, sync::Arc, time::Duration};

use axum::body::Body;
use buttress::{
    ConcurrencyLimitLayer, Context, DeadlineLayer, Lifecycle,
    lifecycle::Handle,
    registry::{self, Kind},
};
use http::{Request, Response};
use http_body_util::BodyExt;
use hyper::client::conn::http2;
use hyper_util::rt::{TokioExecutor, TokioIo};
use support::{listener, soon};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    sync::Semaphore,
    task::JoinSet,
};
use tower::{ServiceBuilder, service_fn};

/// Of each version.
const REQUESTS: usize = 50_000;
const CLIENTS: usize = 10;

/// Answers `/` at once; any other path never, once it has said that the request is there. Each has a task of its own.
async fn handle(
    request: Request<hyper::body::Incoming>,
    entered: Arc<Vec<Semaphore>>,
) -> Result<Response<Body>, Infallible> {
    drop(Context::current().spawn("of a request", std::future::pending::<()>()));
    if let Ok(client) = request.uri().path()[1..].parse::<usize>() {
        entered[client].add_permits(1);
        std::future::pending::<()>().await;
    }
    Ok(Response::new(Body::from("done")))
}

async fn connect(address: SocketAddr) -> TcpStream {
    let stream = TcpStream::connect(address).await.unwrap();
    stream.set_nodelay(true).unwrap();
    stream
}

async fn http1(address: SocketAddr, number: usize, entered: Arc<Vec<Semaphore>>) {
    let never = format!("GET /{number} HTTP/1.1\r\nhost: a\r\n\r\n");
    let mut kept = connect(address).await;
    let mut answer = [0; 1024];
    for _ in 0..REQUESTS / CLIENTS / 2 {
        kept.write_all(b"GET / HTTP/1.1\r\nhost: a\r\n\r\n").await.unwrap();
        let mut read = 0;
        while !answer[..read].ends_with(b"done") {
            read += kept.read(&mut answer[read..]).await.unwrap();
        }
        let mut leaves = connect(address).await;
        leaves.write_all(never.as_bytes()).await.unwrap();
        entered[number].acquire().await.unwrap().forget();
        drop(leaves);
    }
}

async fn http2(address: SocketAddr, number: usize, entered: Arc<Vec<Semaphore>>) {
    let io = TokioIo::new(connect(address).await);
    let (client, connection) = http2::handshake(TokioExecutor::new(), io).await.unwrap();
    let connection = tokio::spawn(connection);
    let never = format!("/{number}");
    let get = |path: &str| {
        Request::get(format!("http://{address}{path}"))
            .body(Body::empty())
            .unwrap()
    };
    for _ in 0..REQUESTS / CLIENTS / 2 {
        let answer = client.clone().send_request(get("/")).await.unwrap();
        answer.into_body().collect().await.unwrap();
        let mut client = client.clone();
        let leaves = client.send_request(get(&never));
        tokio::select! {
            biased;
            answer = leaves => panic!("it is never answered: {answer:?}"),
            entered = entered[number].acquire() => entered.unwrap().forget(),
        }
    }
    drop(client);
    let _ = connection.await;
}

fn descriptors() -> usize {
    std::fs::read_dir("/proc/self/fd").unwrap().count()
}

/// Until nothing lives but the listener.
async fn quiet(life: &Handle) {
    let lives = || life.snapshot().into_iter().any(|work| work.name != "listener");
    soon(async {
        while lives() {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2, crate = "support::leakless")]
async fn nothing_is_left_of_a_hundred_thousand_requests() {
    let life = Lifecycle::builder().build().unwrap();
    let entered: Arc<Vec<_>> = Arc::new((0..2 * CLIENTS).map(|_| Semaphore::new(0)).collect());
    let limit = ConcurrencyLimitLayer::new(10_000).queue(0);
    let stack = ServiceBuilder::new()
        .layer(DeadlineLayer::new(Duration::from_secs(60)))
        .layer(limit.clone())
        .service(service_fn({
            let entered = entered.clone();
            move |request| handle(request, entered.clone())
        }));
    let (listener, address) = listener().await;
    life.serve(listener, stack);
    let (tasks, open) = (
        tokio::runtime::Handle::current().metrics().num_alive_tasks(),
        descriptors(),
    );

    let mut clients = JoinSet::new();
    for number in 0..CLIENTS {
        clients.spawn(http1(address, number, entered.clone()));
        clients.spawn(http2(address, CLIENTS + number, entered.clone()));
    }
    while let Some(done) = clients.join_next().await {
        done.unwrap();
    }

    quiet(&life.handle()).await;
    let now = limit.limit().snapshot();
    assert_eq!((now.in_flight, now.queued), (0, 0));
    assert!(
        registry::snapshot()
            .iter()
            .all(|work| work.kind == Kind::Task && ["listener", "leak-check"].contains(&work.name))
    );
    soon(async {
        let runtime = tokio::runtime::Handle::current();
        while runtime.metrics().num_alive_tasks() > tasks || descriptors() > open {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    })
    .await;
    life.handle().shutdown();
    let report = soon(life.run()).await;
    assert!(report.is_clean(), "{report}");
}

//! A client that leaves is noticed where hyper does not read.

use std::{net::SocketAddr, sync::Arc, time::Duration};

use axum::{Router, extract::Request, routing::any};
use buttress::Cancelled;
use http_body_util::BodyExt;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    sync::Notify,
};

use super::{Up, rest, support};
use support::{Guard, Heard, log, socket, soon};

#[derive(Debug, PartialEq)]
enum News {
    Called,
    Dropped(Option<Cancelled>),
    Read(Option<usize>),
}

/// A handler that leaves its body unread until it is let go.
async fn blind(half_close: bool) -> (Up, Heard<News>, Arc<Notify>) {
    let (tell, heard) = log();
    let go = Arc::new(Notify::new());
    let wait = go.clone();
    let app = Router::new().route(
        "/",
        any(|request: Request| async move {
            let on_drop = tell.clone();
            let guard = Guard::new(move |why| on_drop.tell(News::Dropped(why)));
            tell.tell(News::Called);
            wait.notified().await;
            let read = request.into_body().collect().await;
            tell.tell(News::Read(read.ok().map(|body| body.to_bytes().len())));
            drop(guard);
            "done"
        }),
    );
    let up = Up::serve_within(Duration::from_secs(25), app, |server| server.half_close(half_close)).await;
    (up, heard, go)
}

/// A post of that many bytes, of which only so many are sent.
async fn post(address: SocketAddr, length: usize, sent: usize) -> TcpStream {
    let mut socket = socket(
        address,
        &format!("POST / HTTP/1.1\r\nhost: x\r\ncontent-length: {length}\r\n\r\n"),
    )
    .await;
    // More than the buffers hold is not taken.
    let _ = tokio::time::timeout(Duration::from_millis(200), socket.write_all(&vec![b'x'; sent])).await;
    socket
}

fn reset(socket: TcpStream) {
    let linger = socket2::SockRef::from(&socket).set_linger(Some(Duration::ZERO));
    linger.unwrap();
    drop(socket);
}

const GONE: News = News::Dropped(Some(Cancelled::Disconnected));

#[tokio::test(crate = "crate::support::leakless")]
async fn a_handler_with_an_unread_body_whose_client_leaves_is_cancelled() {
    for (length, sent) in [(9, 4), (100_000, 20_000), (100_000, 100_000)] {
        let (up, mut heard, _go) = blind(false).await;
        let socket = post(up.address, length, sent).await;
        assert_eq!(heard.next().await, News::Called);
        drop(socket);
        assert_eq!(heard.next().await, GONE, "{sent} of {length}");
    }
}

#[tokio::test(crate = "crate::support::leakless")]
async fn a_handler_behind_a_pipelined_request_whose_client_leaves_is_cancelled() {
    let (up, mut heard, _go) = blind(false).await;
    let socket = socket(
        up.address,
        "GET / HTTP/1.1\r\nhost: x\r\n\r\nGET / HTTP/1.1\r\nhost: x\r\n\r\n",
    )
    .await;
    assert_eq!(heard.next().await, News::Called);
    drop(socket);
    assert_eq!(heard.next().await, GONE);
}

#[tokio::test(crate = "crate::support::leakless")]
async fn a_reset_behind_a_full_window_counts() {
    let (up, mut heard, _go) = blind(false).await;
    let socket = post(up.address, 50_000_000, 50_000_000).await;
    assert_eq!(heard.next().await, News::Called);
    reset(socket);
    assert_eq!(heard.next().await, GONE);
}

#[tokio::test(crate = "crate::support::leakless")]
async fn with_half_close_only_a_reset_counts() {
    let (up, mut heard, go) = blind(true).await;
    for unread in [0, 4] {
        let mut socket = post(up.address, 9 - unread, 9 - unread).await;
        socket.shutdown().await.unwrap();
        assert_eq!(heard.next().await, News::Called);
        go.notify_one();
        assert_eq!(heard.next().await, News::Read(Some(9 - unread)));
        assert_eq!(heard.next().await, News::Dropped(None));
        assert!(rest(socket).await.ends_with("done"));
    }
    let socket = post(up.address, 9, 4).await;
    assert_eq!(heard.next().await, News::Called);
    reset(socket);
    assert_eq!(heard.next().await, GONE);
}

#[tokio::test(crate = "crate::support::leakless")]
async fn a_watched_handler_that_then_reads_its_whole_body_gets_every_byte() {
    const LENGTH: usize = 5_000_000;
    let (up, mut heard, go) = blind(false).await;
    // More comes while nobody reads, and more when all that was there is read; twice, on one connection.
    let mut socket = socket(up.address, "").await;
    for _ in 0..2 {
        let request = format!("POST / HTTP/1.1\r\nhost: x\r\ncontent-length: {LENGTH}\r\n\r\n");
        socket.write_all(request.as_bytes()).await.unwrap();
        assert_eq!(heard.next().await, News::Called);
        let (mut read, mut write) = socket.split();
        let send = async {
            for part in [1_000, 3_000_000, 1_000_000, LENGTH - 4_001_000] {
                write.write_all(&vec![b'x'; part]).await.unwrap();
                tokio::task::yield_now().await;
            }
        };
        let let_go = async {
            tokio::time::sleep(Duration::from_millis(20)).await;
            go.notify_one();
        };
        soon(async { tokio::join!(send, let_go) }).await;
        assert_eq!(heard.next().await, News::Read(Some(LENGTH)));
        assert_eq!(heard.next().await, News::Dropped(None));
        let mut answer = [0; 1024];
        let length = soon(read.read(&mut answer)).await.unwrap();
        assert!(answer[..length].ends_with(b"done"));
    }
}

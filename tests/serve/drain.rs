//! Connections end in order while there is time.

use std::{sync::Arc, time::Duration};

use axum::{Router, routing::get};
use buttress::{BoxError, Context, Lifecycle};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    sync::Notify,
    time::Instant,
};

use super::{Up, connected, rest, support};
use support::{Connection, VERSIONS, Version, get as request, listener, log, said, socket, soon};

const GET: &str = "GET / HTTP/1.1\r\nhost: x\r\n\r\n";

/// An app whose handler tells that it is called and whether it has a deadline, and then waits to be let go.
fn held() -> (Router, support::Heard<bool>, Arc<Notify>) {
    let (tell, heard) = log();
    let go = Arc::new(Notify::new());
    let wait = go.clone();
    let app = Router::new().route(
        "/",
        get(|| async move {
            tell.tell(Context::current_deadline().is_some());
            wait.notified().await;
            "done"
        }),
    );
    (app, heard, go)
}

#[tokio::test(crate = "crate::support::leakless")]
async fn an_answer_on_http1_says_that_it_is_the_last() {
    let (app, mut heard, go) = held();
    let up = Up::serve(app).await;
    let socket = socket(up.address, GET).await;
    heard.next().await;
    let ends = up.draining().await;
    go.notify_one();
    let answer = rest(socket).await;
    assert!(
        answer.contains("connection: close") && answer.ends_with("done"),
        "{answer}"
    );
    let report = soon(ends).await.unwrap();
    assert!(report.is_clean(), "{report}");
}

#[tokio::test(crate = "crate::support::leakless")]
async fn a_handler_that_drains_can_enqueue() {
    for version in VERSIONS {
        let go = Arc::new(Notify::new());
        let wait = go.clone();
        let (tell, mut heard) = log();
        let life = Lifecycle::builder().build().unwrap();
        let mails = life.worker("mail").queue(1).run({
            let tell = tell.clone();
            move |mail: &'static str| {
                tell.tell(mail);
                async { Ok::<_, BoxError>(()) }
            }
        });
        let mails = mails.unwrap();
        let orders = get(|| async move {
            tell.tell("called");
            wait.notified().await;
            mails.enqueue("sent").await.map_err(|refused| refused.to_string())
        });
        let (listener, address) = listener().await;
        life.serve(listener, Router::new().route("/", orders));
        let mut connection = Connection::open(address, version).await;
        let mut call = std::pin::pin!(connection.send(request(address, "/")));
        tokio::select! {
            _ = call.as_mut() => panic!("it waits"),
            called = heard.next() => assert_eq!(called, "called"),
        }
        let handle = life.handle();
        handle.shutdown();
        let ends = tokio::spawn(life.run());
        soon(handle.draining()).await;
        go.notify_one();
        assert_eq!(soon(call).await.unwrap().status(), 200, "{version:?}");
        let report = soon(ends).await.unwrap();
        assert!(report.is_clean() && report.unprocessed.is_empty(), "{report}");
        assert_eq!(heard.next().await, "sent");
    }
}

#[tokio::test(crate = "crate::support::leakless")]
async fn an_idle_connection_is_closed_at_once() {
    let up = Up::serve(Router::new().route("/", get(|| async { "done" }))).await;
    let mut socket = socket(up.address, GET).await;
    let mut answer = [0; 1024];
    assert!(soon(socket.read(&mut answer)).await.unwrap() > 0);
    let begun = Instant::now();
    let report = up.end().await;
    assert!(
        report.is_clean() && begun.elapsed() < Duration::from_millis(900),
        "{report}"
    );
    assert_eq!(rest(socket).await, "");
}

#[tokio::test(crate = "crate::support::leakless")]
async fn streams_of_http2_end_and_no_more_begin() {
    let (app, mut heard, go) = held();
    let up = Up::serve(app).await;
    let address = up.address;
    let mut connection = Connection::open(address, Version::Http2).await;
    let mut second = connection.shared().unwrap();
    let mut call = std::pin::pin!(connection.send(request(address, "/")));
    tokio::select! {
        _ = call.as_mut() => panic!("it waits"),
        _ = heard.next() => {}
    }
    let ends = up.draining().await;
    go.notify_one();
    assert_eq!(said(soon(call).await.unwrap()).await.text, "done");
    let report = soon(ends).await.unwrap();
    assert!(report.is_clean(), "{report}");
    second.send(request(address, "/")).await.unwrap_err();
    TcpStream::connect(address).await.unwrap_err();
}

#[tokio::test(crate = "crate::support::leakless")]
async fn who_has_just_connected_is_still_heard_and_has_the_drain_for_a_deadline() {
    let (app, mut heard, go) = held();
    let up = Up::serve(app).await;
    let (handle, address) = (up.handle(), up.address);
    let mut fresh = socket(address, "").await;
    let before = socket(address, GET).await;
    assert!(!heard.next().await);
    connected(&handle, 2).await;
    let ends = up.draining().await;
    fresh.write_all(GET.as_bytes()).await.unwrap();
    assert!(heard.next().await);
    go.notify_waiters();
    for socket in [fresh, before] {
        let answer = rest(socket).await;
        assert!(
            answer.contains("connection: close") && answer.ends_with("done"),
            "{answer}"
        );
    }
    let report = soon(ends).await.unwrap();
    assert!(report.is_clean(), "{report}");
}

#[tokio::test(crate = "crate::support::leakless")]
async fn an_answer_at_once_to_who_has_just_connected_says_that_it_is_the_last() {
    let up = Up::serve(Router::new().route("/", get(|| async { "done" }))).await;
    let (handle, mut fresh) = (up.handle(), socket(up.address, "").await);
    connected(&handle, 1).await;
    let ends = up.draining().await;
    fresh.write_all(GET.as_bytes()).await.unwrap();
    let answer = rest(fresh).await;
    assert!(
        answer.contains("connection: close") && answer.ends_with("done"),
        "{answer}"
    );
    assert!(soon(ends).await.unwrap().is_clean());
}

#[tokio::test(crate = "crate::support::leakless")]
async fn those_who_wait_to_be_accepted_are_not_reset() {
    let up = Up::serve(Router::new().route("/", get(|| async { "done" }))).await;
    // On this one thread nobody accepts until the test yields.
    let waiting: Vec<_> = (0..20)
        .map(|_| {
            let mut socket = std::net::TcpStream::connect(up.address).unwrap();
            std::io::Write::write_all(&mut socket, GET.as_bytes()).unwrap();
            socket.set_nonblocking(true).unwrap();
            socket
        })
        .collect();
    let report = up.end().await;
    assert!(report.is_clean(), "{report}");
    for socket in waiting {
        let answer = rest(TcpStream::from_std(socket).unwrap()).await;
        assert!(answer.ends_with("done"), "{answer}");
    }
}

#[tokio::test(crate = "crate::support::leakless")]
async fn a_peer_that_never_acknowledges_a_ping_does_not_hold_the_drain() {
    let up = Up::serve(Router::new()).await;
    let (handle, address) = (up.handle(), up.address);
    // The preface, and empty settings.
    let mut socket = socket(address, "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n").await;
    socket.write_all(&[0, 0, 0, 4, 0, 0, 0, 0, 0]).await.unwrap();
    connected(&handle, 1).await;
    let begun = Instant::now();
    let report = up.end().await;
    assert!(
        report.is_clean() && begun.elapsed() < Duration::from_secs(10),
        "{report}"
    );
    drop(socket);
}

#[tokio::test(crate = "crate::support::leakless")]
async fn a_client_that_sends_nothing_does_not_hold_the_drain() {
    for text in ["", "GET / HTTP/1.1\r\nhost:"] {
        let up = Up::serve(Router::new()).await;
        let (handle, address) = (up.handle(), up.address);
        let _socket = socket(address, text).await;
        connected(&handle, 1).await;
        let begun = Instant::now();
        let report = up.end().await;
        assert!(
            report.is_clean() && begun.elapsed() < Duration::from_secs(10),
            "{report}"
        );
    }
}

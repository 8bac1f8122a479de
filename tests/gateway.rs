//! The gateway example as its users run it: a process with a command line, sockets and two streams of output.

#![allow(
    clippy::disallowed_methods,
    clippy::disallowed_types,
    clippy::unwrap_used,
    reason = "a test may spawn, and fail by unwrap"
)]

#[path = "gateway/dashboard.rs"]
mod dashboard;
#[path = "support/gateway_process.rs"]
mod gateway_process;
#[path = "gateway/limits.rs"]
mod limits;
#[path = "gateway/metrics.rs"]
mod metrics;
#[path = "gateway/retries.rs"]
mod retries;
#[cfg(unix)]
#[path = "gateway/shutdown.rs"]
mod shutdown;

use std::{convert::Infallible, time::Duration};

use bytes::Bytes;
use gateway_process::{
    Gateway, LOCAL, accept_head, client, dead, fails, header, http1, http2, read, silent, soon, text, upstream,
};
use http::{HeaderMap, HeaderValue, Method, Request, Response};
use http_body::Frame;
use http_body_util::{BodyExt, channel::Channel};
use hyper::body::Incoming;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    sync::mpsc,
    task::JoinSet,
    time::Instant,
};

// === the command line ===

#[tokio::test(crate = "gateway_process::leakless")]
async fn an_unknown_option_is_an_error_that_names_it() {
    let (code, message) = fails(&["--bogus"]).await;
    assert_eq!(code, Some(2));
    assert!(message.contains("--bogus"), "{message}");
}

#[tokio::test(crate = "gateway_process::leakless")]
async fn an_upstream_that_makes_no_sense_is_an_error() {
    for url in [
        "https://a",
        "http://",
        "http://a/b",
        "http://u:p@a",
        "127.0.0.1:80",
        "h2c:a",
        "",
    ] {
        let (code, message) = fails(&["--upstream", url]).await;
        assert_eq!(code, Some(2), "{url}");
        assert!(message.contains("--upstream"), "{message}");
    }
}

#[tokio::test(crate = "gateway_process::leakless")]
async fn an_address_in_use_is_an_error_that_names_it() {
    let taken = TcpListener::bind(LOCAL).await.unwrap();
    let address = taken.local_addr().unwrap().to_string();
    for (listen, admin) in [(&*address, "127.0.0.1:0"), ("127.0.0.1:0", &*address)] {
        let (code, message) = fails(&["--listen", listen, "--admin", admin]).await;
        assert_eq!(code, Some(1));
        assert!(message.contains(&address) && !message.contains("panicked"), "{message}");
    }
}

#[tokio::test(crate = "gateway_process::leakless")]
async fn without_an_upstream_it_has_one_of_its_own() {
    let mut gateway = Gateway::before(&[]).await;
    let demo = gateway.line_with("demo upstream on http://").await;
    let echo = http1(gateway.get("/echo?a=b")).await;
    assert!(echo.text.starts_with("GET /echo?a=b HTTP/1.1\n"), "{}", echo.text);
    assert!(echo.text.contains(&format!("host: {demo}\n")), "{}", echo.text);

    let late = http1(gateway.get("/slow").header("x-request-timeout-ms", "300")).await;
    assert_eq!(late.head.status, 504);
    gateway.line_with("demo /slow: stopped after").await;
}

// === upstreams that do not answer ===

#[tokio::test(crate = "gateway_process::leakless")]
async fn a_dead_upstream_is_502_and_grpc_14() {
    let (_socket, url) = dead();
    let gateway = Gateway::before(&[&url]).await;
    assert_eq!(http1(gateway.get("/")).await.head.status, 502);
    assert_eq!(http2(gateway.get("/")).await.head.status, 502);
    let grpc = http2(gateway.grpc()).await;
    assert_eq!(grpc.head.status, 200);
    assert_eq!(grpc.head.headers["grpc-status"], "14");
}

#[tokio::test(crate = "gateway_process::leakless")]
async fn a_silent_upstream_is_504_and_grpc_4_at_the_deadline() {
    let (_listener, http) = silent().await;
    for url in [http.clone(), http.replace("http", "h2c")] {
        let gateway = Gateway::before(&[&url]).await;
        let asked = Instant::now();
        let late = http1(gateway.get("/").header("x-request-timeout-ms", "200")).await;
        assert_eq!(late.head.status, 504);
        let late = http2(gateway.get("/").header("x-request-timeout-ms", "200")).await;
        assert_eq!(late.head.status, 504);
        let late = http2(gateway.grpc().header("grpc-timeout", "200m")).await;
        assert_eq!(late.head.headers["grpc-status"], "4");
        // Three times its own deadline, and never the default of 10 s.
        let (took, ms) = (asked.elapsed(), Duration::from_millis);
        assert!((ms(600)..ms(10_000)).contains(&took), "{took:?}");
    }
}

#[tokio::test(crate = "gateway_process::leakless")]
async fn an_upstream_that_hangs_up_is_502() {
    let (listener, url) = silent().await;
    let gateway = Gateway::before(&[&url]).await;
    // It may have been done, and is not tried again.
    let asked = tokio::spawn(http1(gateway.get("/").method(Method::POST)));
    drop(accept_head(&listener).await);
    assert_eq!(soon(asked).await.unwrap().head.status, 502);
}

// === what stops the work ===

#[tokio::test(crate = "gateway_process::leakless")]
async fn a_client_that_leaves_takes_its_upstream_call_with_it() {
    let (listener, url) = silent().await;
    let gateway = Gateway::before(&[&url]).await;

    let mut leaving = TcpStream::connect(gateway.address()).await.unwrap();
    leaving.write_all(b"GET / HTTP/1.1\r\nhost: a\r\n\r\n").await.unwrap();
    let (mut call, _) = accept_head(&listener).await;
    drop(leaving);
    assert_eq!(soon(call.read(&mut [0])).await.unwrap(), 0, "the call is closed");

    let leaving = tokio::spawn(http2(gateway.get("/")));
    let (mut call, _) = accept_head(&listener).await;
    leaving.abort();
    assert_eq!(soon(call.read(&mut [0])).await.unwrap(), 0, "the call is closed");

    // Once by the server, and once by the client whose call it was.
    let cancelled = r#"buttress_request_cancelled_total{reason="client_disconnect",at="head"} 4"#;
    soon(async { while !gateway.page().await.has(cancelled) {} }).await;
}

#[tokio::test(crate = "gateway_process::leakless")]
async fn an_upload_beside_its_answer_ends_at_the_deadline() {
    let (tell, mut uploads) = mpsc::channel(1);
    let address = upstream(move |request: Request<Incoming>| {
        let tell = tell.clone();
        async move {
            let (sender, answer) = Channel::<Bytes, Infallible>::new(1);
            tokio::spawn(async move {
                let upload = request.into_body().collect().await;
                tell.send(upload.is_err()).await.unwrap();
                drop(sender);
            });
            Response::new(answer)
        }
    })
    .await;
    let gateway = Gateway::before(&[&format!("h2c://{address}")]).await;

    let (_sender, upload) = Channel::<Bytes, Infallible>::new(1);
    let request = gateway.grpc().header("grpc-timeout", "300m");
    let response = client(true).request(request.body(upload.boxed_unsync()).unwrap());
    let answer = read(soon(response).await.unwrap()).await;
    assert_eq!(answer.trailers.unwrap()["grpc-status"], "4");
    assert!(soon(uploads.recv()).await.unwrap(), "the upload is broken off");
}

#[tokio::test(crate = "gateway_process::leakless")]
async fn the_upstream_is_told_less_than_the_client_asked() {
    let address = upstream(|request: Request<Incoming>| async move {
        let told = header(request.headers(), "x-request-timeout-ms");
        Response::new(text(told.unwrap_or("nothing").to_owned()))
    })
    .await;
    let gateway = Gateway::before(&[&format!("http://{address}")]).await;
    for (asked, at_most) in [("5000", 4999), ("3600000", 29_999), ("later", 9999)] {
        let request = gateway.get("/").header("x-request-timeout-ms", asked);
        let told: u64 = http1(request).await.text.parse().unwrap();
        assert!((1..=at_most).contains(&told), "asked {asked}, told {told}");
    }
}

// === what a proxy does ===

#[tokio::test(crate = "gateway_process::leakless")]
async fn upstreams_take_turns() {
    let one = upstream(|_| async { Response::new(text("one")) }).await;
    let two = upstream(|_| async { Response::new(text("two")) }).await;
    let gateway = Gateway::before(&[&format!("http://{one}"), &format!("h2c://{two}")]).await;
    let mut answers = Vec::new();
    for _ in 0..4 {
        answers.push(http1(gateway.get("/")).await.text);
    }
    assert_eq!(answers, ["one", "two", "one", "two"]);
}

#[tokio::test(crate = "gateway_process::leakless")]
async fn what_concerns_one_connection_stays_there() {
    let (listener, url) = silent().await;
    let gateway = Gateway::before(&[&url]).await;
    let request = gateway
        .get("/path?query")
        .header("host", "asked.example")
        .header("connection", "x-private, upgrade")
        .header("x-private", "1")
        .header("upgrade", "websocket")
        .header("keep-alive", "timeout=5")
        .header("te", "gzip, trailers")
        .header("x-forwarded-for", "192.0.2.1")
        .header("x-public", "2");
    let asked = tokio::spawn(http1(request));
    let (mut call, head) = accept_head(&listener).await;
    let answer = b"HTTP/1.1 200 OK\r\nconnection: x-secret\r\nx-secret: 1\r\nx-open: 2\r\ncontent-length: 2\r\n\r\nhi";
    call.write_all(answer).await.unwrap();
    let answer = soon(asked).await.unwrap();

    let mut lines: Vec<_> = head
        .trim_end()
        .lines()
        .filter(|line| !line.starts_with("x-request-timeout"))
        .collect();
    lines[1..].sort_by_key(|line| line.split(':').next());
    let host = format!("host: {}", url.strip_prefix("http://").unwrap());
    assert_eq!(
        lines,
        [
            "GET /path?query HTTP/1.1",
            "connection: te",
            &host,
            "te: trailers",
            "via: 1.1 buttress",
            "x-forwarded-for: 192.0.2.1",
            "x-forwarded-for: 127.0.0.1",
            "x-forwarded-host: asked.example",
            "x-public: 2",
        ]
    );
    assert_eq!(answer.text, "hi");
    let names = ["x-open", "x-secret"];
    assert_eq!(names.map(|name| header(&answer.head.headers, name)), [Some("2"), None]);
}

#[tokio::test(crate = "gateway_process::leakless")]
async fn a_tunnel_is_refused() {
    let gateway = Gateway::before(&[]).await;
    let mut stream = TcpStream::connect(gateway.address()).await.unwrap();
    stream
        .write_all(b"CONNECT a:1 HTTP/1.1\r\nhost: a:1\r\nconnection: close\r\n\r\n")
        .await
        .unwrap();
    let mut answer = String::new();
    soon(stream.read_to_string(&mut answer)).await.unwrap();
    assert!(answer.starts_with("HTTP/1.1 501 "), "{answer}");
}

/// gRPC goes over HTTP/2 whatever the URL says, with its trailers; on the way up they pass too.
#[tokio::test(crate = "gateway_process::leakless")]
async fn bodies_and_trailers_pass_in_both_directions() {
    let address = upstream(|request: Request<Incoming>| async move {
        let version = request.version();
        let upload = request.into_body().collect().await.unwrap();
        let mut trailers = upload.trailers().cloned().unwrap_or_default();
        trailers.insert("grpc-status", HeaderValue::from_static("0"));
        let answer = text(format!("{version:?} {}", upload.to_bytes().len()));
        Response::new(answer.with_trailers(async { Some(Ok(trailers)) }))
    })
    .await;
    let gateway = Gateway::before(&[&format!("http://{address}")]).await;

    let (mut sender, upload) = Channel::<Bytes, Infallible>::new(1);
    let request = gateway.grpc().body(upload.boxed_unsync()).unwrap();
    let answer = tokio::spawn(client(true).request(request));
    let chunk = Bytes::from(vec![0; 1024 * 1024]);
    for _ in 0..16 {
        soon(sender.send_data(chunk.clone())).await.unwrap();
    }
    let trailers = HeaderMap::from_iter([("x-sum".parse().unwrap(), HeaderValue::from_static("7"))]);
    soon(sender.send(Frame::trailers(trailers))).await.unwrap();
    drop(sender);
    let answer = read(soon(answer).await.unwrap().unwrap()).await;
    assert_eq!(answer.text, "HTTP/2.0 16777216");
    let trailers = answer.trailers.unwrap();
    assert_eq!(
        ["grpc-status", "x-sum"].map(|name| header(&trailers, name)),
        [Some("0"), Some("7")]
    );
}

#[tokio::test(crate = "gateway_process::leakless")]
async fn a_hundred_requests_at_once_are_answered() {
    let address = upstream(|_| async { Response::new(text("here")) }).await;
    // Without a limit, which would rather turn some away where the machine is busy.
    let gateway = Gateway::with(&["--upstream", &format!("h2c://{address}"), "--limit", "off"]).await;
    let mut calls = JoinSet::new();
    for _ in 0..50 {
        calls.spawn(http1(gateway.get("/")));
        calls.spawn(http2(gateway.get("/")));
    }
    assert!(soon(calls.join_all()).await.iter().all(|answer| answer.text == "here"));
}

// === the admin address ===

#[tokio::test(crate = "gateway_process::leakless")]
async fn it_says_that_it_lives_and_is_ready() {
    let gateway = Gateway::before(&[]).await;
    for (path, status) in [("/live", 200), ("/ready", 200), ("/else", 404)] {
        let answer = http1(Request::get(format!("{}{path}", gateway.admin))).await;
        assert_eq!(answer.head.status, status, "{path}");
    }
}

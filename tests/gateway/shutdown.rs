//! How the gateway ends: in order, in time, and with a word on what it had to abort.

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::{BodyExt, channel::Channel};
use hyper::body::Incoming;
use tokio::{net::TcpStream, sync::mpsc};

use crate::gateway_process::{Gateway, client, empty, fails, http1, http2, read, soon, text, upstream};

/// An upstream whose answers come when they are sent, one for each request, in turn.
async fn held() -> (String, mpsc::Sender<&'static str>, mpsc::Receiver<()>) {
    let (answers, taken) = mpsc::channel(8);
    let (tell, asked) = mpsc::channel(8);
    let taken = std::sync::Arc::new(tokio::sync::Mutex::new(taken));
    let address = upstream(move |_: Request<Incoming>| {
        let (taken, tell) = (taken.clone(), tell.clone());
        async move {
            tell.send(()).await.unwrap();
            let answer = taken.lock().await.recv().await;
            Response::new(text(answer.unwrap_or_default()))
        }
    })
    .await;
    (format!("http://{address}"), answers, asked)
}

async fn ready(gateway: &Gateway) -> u16 {
    let request = Request::get(format!("{}/ready", gateway.admin));
    http1(request).await.head.status.as_u16()
}

#[tokio::test(crate = "crate::gateway_process::leakless")]
async fn an_option_that_makes_no_sense_is_an_error_that_names_it() {
    for (option, value) in [("--ready-delay", "soon"), ("--shutdown-budget", "1 fortnight ago")] {
        let (code, message) = fails(&[option, value]).await;
        assert_eq!(code, Some(2), "{option} {value}");
        assert!(message.contains(option), "{message}");
    }
    let (code, _) = fails(&["--ready-delay", "30s", "--shutdown-budget", "20s"]).await;
    assert_eq!(code, Some(1));
}

#[tokio::test(crate = "crate::gateway_process::leakless")]
async fn with_nothing_to_do_it_ends_at_once() {
    let mut gateway = Gateway::before(&[]).await;
    assert_eq!(ready(&gateway).await, 200);
    gateway.signal("TERM").await;
    assert_eq!(gateway.exit_code().await, Some(0));
}

#[tokio::test(crate = "crate::gateway_process::leakless")]
async fn it_says_that_it_is_not_ready_and_still_serves() {
    let (url, answers, mut asked) = held().await;
    let mut gateway = Gateway::with(&["--upstream", &url, "--ready-delay", "2s"]).await;
    gateway.signal("TERM").await;
    while ready(&gateway).await == 200 {
        tokio::task::yield_now().await;
    }
    let asking = tokio::spawn(http1(gateway.get("/")));
    soon(asked.recv()).await.unwrap();
    answers.send("served").await.unwrap();
    assert_eq!(soon(asking).await.unwrap().text, "served");
    assert_eq!(gateway.exit_code().await, Some(0));
}

#[tokio::test(crate = "crate::gateway_process::leakless")]
async fn what_is_in_flight_is_answered() {
    let (url, answers, mut asked) = held().await;
    let mut gateway = Gateway::before(&[&url]).await;
    let (one, two) = (
        tokio::spawn(http1(gateway.get("/"))),
        tokio::spawn(http2(gateway.get("/"))),
    );
    for _ in 0..2 {
        soon(asked.recv()).await.unwrap();
    }
    gateway.signal("TERM").await;
    // It takes no more:
    while TcpStream::connect(gateway.address()).await.is_ok() {
        tokio::task::yield_now().await;
    }
    for _ in 0..2 {
        answers.send("in time").await.unwrap();
    }
    for asking in [one, two] {
        assert_eq!(soon(asking).await.unwrap().text, "in time");
    }
    assert_eq!(gateway.exit_code().await, Some(0));
}

#[tokio::test(crate = "crate::gateway_process::leakless")]
async fn what_does_not_end_is_aborted_when_the_budget_is_spent() {
    let (_send, body) = Channel::<Bytes>::new(1);
    let body = std::sync::Arc::new(std::sync::Mutex::new(Some(body)));
    let address = upstream(move |_: Request<Incoming>| {
        let body = body.lock().unwrap().take();
        async move { Response::new(body.expect("one request").boxed_unsync()) }
    })
    .await;
    let mut gateway = Gateway::with(&["--upstream", &format!("http://{address}"), "--shutdown-budget", "300ms"]).await;
    let streaming = soon(client(false).request(gateway.get("/").body(empty()).unwrap()))
        .await
        .unwrap();
    gateway.signal("TERM").await;
    // The process says that it did not end clean, and the reader that this is not the end of the answer.
    assert_eq!(gateway.exit_code().await, Some(1));
    assert!(soon(streaming.into_body().collect()).await.is_err());
}

#[tokio::test(crate = "crate::gateway_process::leakless")]
async fn a_second_signal_does_not_wait() {
    let (url, _answers, mut asked) = held().await;
    let mut gateway = Gateway::before(&[&url]).await;
    let asking = tokio::spawn(client(false).request(gateway.get("/").body(empty()).unwrap()));
    soon(asked.recv()).await.unwrap();
    gateway.signal("TERM").await;
    while ready(&gateway).await == 200 {
        tokio::task::yield_now().await;
    }
    gateway.signal("TERM").await;
    assert_eq!(gateway.exit_code().await, Some(1));
    assert!(soon(asking).await.unwrap().is_err());
}

#[tokio::test(crate = "crate::gateway_process::leakless")]
async fn what_lives_is_shown_and_what_stops_it() {
    let (url, answers, mut asked) = held().await;
    let gateway = Gateway::before(&[&url]).await;
    let asking = tokio::spawn(client(false).request(gateway.get("/secret/path").body(empty()).unwrap()));
    soon(asked.recv()).await.unwrap();
    let page = http1(Request::get(format!("{}/debug/work", gateway.admin))).await.text;
    assert!(page.contains("gateway") && page.contains("connection"), "{page}");
    let json = http1(Request::get(format!("{}/debug/work?format=json", gateway.admin)))
        .await
        .text;
    assert!(!json.contains("secret"));
    let json: serde_json::Value = serde_json::from_str(&json).unwrap();
    assert!(json.to_string().contains("\"connection\""), "{json}");
    answers.send("done").await.unwrap();
    read(soon(asking).await.unwrap().unwrap()).await;
}

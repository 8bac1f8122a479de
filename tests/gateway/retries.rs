//! What the gateway tries again, and what it leaves alone.

use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering},
};

use http::{Method, Request, Response, StatusCode};
use hyper::body::Incoming;
use tokio::{task::JoinSet, time::Instant};

use crate::gateway_process::{
    Body, Gateway, client, dead, empty, fails, header, http1, http2, read, soon, text, upstream,
};

/// An upstream that answers with this status where `fails` says so of the number of the attempt, which counts from 0; else with the
/// body and the number that the request came with.
async fn flaky(status: u16, fails: impl Fn(usize) -> bool + Clone + Send + 'static) -> (String, Arc<AtomicUsize>) {
    let calls = Arc::new(AtomicUsize::new(0));
    let seen = calls.clone();
    let address = upstream(move |request: Request<Incoming>| {
        let fails = fails(calls.fetch_add(1, Ordering::Relaxed));
        async move {
            let attempt = header(request.headers(), "x-retry-attempt")
                .unwrap_or("first")
                .to_owned();
            let body = soon(http_body_util::BodyExt::collect(request.into_body()))
                .await
                .unwrap()
                .to_bytes();
            let mut response = Response::new(text(body));
            response.headers_mut().insert("x-attempt", attempt.parse().unwrap());
            if fails {
                *response.status_mut() = StatusCode::from_u16(status).unwrap();
            }
            response
        }
    })
    .await;
    (format!("http://{address}"), seen)
}

/// Rounded up: what a budget's floor has brought since, at most.
fn whole_seconds(start: Instant) -> usize {
    usize::try_from(start.elapsed().as_secs()).unwrap() + 1
}

async fn send(gateway: &Gateway, method: Method, body: Body) -> crate::gateway_process::Answer {
    let request = gateway.get("/").method(method).body(body).unwrap();
    read(soon(client(false).request(request)).await.unwrap()).await
}

#[tokio::test(crate = "crate::gateway_process::leakless")]
async fn an_option_that_makes_no_sense_is_an_error_that_names_it() {
    for (option, value) in [
        ("--retry", "0"),
        ("--retry", "some"),
        ("--retry-budget", "1.1"),
        ("--retry-budget", "-0.1"),
        ("--retry-budget", "NaN"),
        ("--retry-budget", "a tenth"),
        ("--hedge", "p0"),
        ("--hedge", "p100"),
        ("--hedge", "soon"),
        ("--hedge", ""),
    ] {
        let (code, message) = fails(&[&format!("{option}={value}")]).await;
        assert_eq!(code, Some(2), "{option} {value}");
        assert!(message.contains(option), "{message}");
    }
}

#[tokio::test(crate = "crate::gateway_process::leakless")]
async fn what_fails_is_tried_again_with_its_body() {
    let (url, calls) = flaky(503, |call| call < 2).await;
    let gateway = Gateway::before(&[&url]).await;
    let answer = send(&gateway, Method::PUT, text("a body")).await;
    assert_eq!((answer.head.status.as_u16(), answer.text.as_str()), (200, "a body"));
    assert_eq!(header(&answer.head.headers, "x-attempt"), Some("2"));
    assert_eq!(calls.load(Ordering::Relaxed), 3);
    gateway
        .tells(&[
            "buttress_retry_requests_total 1",
            "buttress_retry_attempts_total 2",
            r#"buttress_retry_attempts_total{outcome="recovered"} 1"#,
            r#"buttress_retry_budget_decisions_total{decision="granted"} 2"#,
        ])
        .await;
}

#[tokio::test(crate = "crate::gateway_process::leakless")]
async fn a_dead_upstream_is_passed_over() {
    let (_socket, dead) = dead();
    let (url, _) = flaky(200, |_| false).await;
    let gateway = Gateway::before(&[&dead, &url]).await;
    // It was never sent, so any method is tried again, at the next.
    for method in [Method::GET, Method::POST] {
        assert_eq!(send(&gateway, method, empty()).await.head.status, 200);
    }
}

#[tokio::test(crate = "crate::gateway_process::leakless")]
async fn what_may_have_been_done_is_not_done_again() {
    let (url, calls) = flaky(503, |_| true).await;
    let gateway = Gateway::before(&[&url]).await;
    let answer = send(&gateway, Method::POST, text("charge")).await;
    assert_eq!((answer.head.status.as_u16(), calls.load(Ordering::Relaxed)), (503, 1));
    // Others may know better: it is not marked.
    assert_eq!(header(&answer.head.headers, "x-should-retry"), None);
}

#[tokio::test(crate = "crate::gateway_process::leakless")]
async fn without_retries_there_are_none() {
    let (url, calls) = flaky(503, |_| true).await;
    let gateway = Gateway::with(&["--upstream", &url, "--retry", "1"]).await;
    assert_eq!(http1(gateway.get("/")).await.head.status, 503);
    assert_eq!(calls.load(Ordering::Relaxed), 1);
}

#[tokio::test(crate = "crate::gateway_process::leakless")]
async fn the_budget_bounds_what_is_tried_again() {
    let (url, calls) = flaky(503, |_| true).await;
    let gateway = Gateway::with(&["--upstream", &url, "--retry-budget", "0.05"]).await;
    let (client, start) = (client(false), Instant::now());
    for _ in 0..200 {
        let request = gateway.get("/").body(empty()).unwrap();
        let answer = read(soon(client.request(request)).await.unwrap()).await;
        assert_eq!(header(&answer.head.headers, "x-should-retry"), Some("false"));
    }
    let attempts = calls.load(Ordering::Relaxed);
    // Ten at once, a twentieth of the requests, and one a second.
    let most = 200 + 10 + 10 + whole_seconds(start);
    assert!((218..=most).contains(&attempts), "{attempts}, not {most}");
}

#[tokio::test(crate = "crate::gateway_process::leakless")]
async fn a_slow_request_gets_a_second_attempt_beside_it() {
    let calls = Arc::new(AtomicUsize::new(0));
    let address = upstream(move |_: Request<Incoming>| {
        let first = calls.fetch_add(1, Ordering::Relaxed) == 0;
        async move {
            if first {
                std::future::pending::<()>().await;
            }
            Response::new(text("second"))
        }
    })
    .await;
    let gateway = Gateway::with(&["--upstream", &format!("http://{address}"), "--hedge", "20ms"]).await;
    assert_eq!(http1(gateway.get("/")).await.text, "second");
    gateway
        .tells(&[
            "buttress_hedge_attempts_total 1",
            r#"buttress_hedge_attempts_total{outcome="won"} 1"#,
        ])
        .await;
}

#[tokio::test(crate = "crate::gateway_process::leakless")]
async fn a_breaker_leaves_an_upstream_alone_that_keeps_failing() {
    let (url, calls) = flaky(500, |_| true).await;
    let gateway = Gateway::with(&["--upstream", &url, "--breaker"]).await;
    let mut rejected = 0;
    for _ in 0..40 {
        rejected += usize::from(http2(gateway.get("/")).await.head.status == 503);
    }
    let calls = calls.load(Ordering::Relaxed);
    assert_eq!(calls + rejected, 40);
    assert!((20..30).contains(&calls), "{calls}");
    let destination = url.strip_prefix("http://").unwrap();
    let state = format!("buttress_breaker_state{{target=\"{destination}\",state=\"open\"}} 1");
    gateway.tells(&[&state]).await;
}

/// Three tiers, each of which tries three times. What was 27 attempts at the bottom is a tenth more than there were requests, and what the
/// budget has at first.
#[tokio::test(crate = "crate::gateway_process::leakless")]
async fn three_tiers_above_a_dead_one_do_not_multiply() {
    let (url, calls) = flaky(503, |_| true).await;
    let bottom = Gateway::before(&[&url]).await;
    let middle = Gateway::before(&[&bottom.url]).await;
    let top = Gateway::before(&[&middle.url]).await;
    let client = client(false);
    let (requests, start) = (500, Instant::now());
    for _ in 0..requests {
        let request = top.get("/").body(empty()).unwrap();
        assert_eq!(soon(client.request(request)).await.unwrap().status(), 503);
    }
    let attempts = calls.load(Ordering::Relaxed);
    let most = requests + requests / 10 + 10 + whole_seconds(start);
    assert!(attempts <= most, "{attempts}, not {most}");
    // Only the tier next to the fault tried again.
    for tier in [&middle, &top] {
        tier.tells(&["buttress_retry_attempts_total 0"]).await;
    }
}

#[tokio::test(crate = "crate::gateway_process::leakless")]
async fn three_tiers_hide_a_fault_in_a_hundred() {
    let (url, calls) = flaky(503, |call| call % 100 == 50).await;
    let bottom = Gateway::before(&[&url]).await;
    let middle = Gateway::before(&[&bottom.url]).await;
    let top = Gateway::before(&[&middle.url]).await;
    let client = client(false);
    let mut all = JoinSet::new();
    for _ in 0..4 {
        let (client, url) = (client.clone(), top.url.clone());
        all.spawn(async move {
            for _ in 0..500 {
                let request = Request::get(format!("{url}/")).body(empty()).unwrap();
                let answer = read(soon(client.request(request)).await.unwrap()).await;
                assert_eq!(answer.head.status, 200);
            }
        });
    }
    while let Some(done) = soon(all.join_next()).await {
        done.unwrap();
    }
    let attempts = calls.load(Ordering::Relaxed);
    assert!(attempts <= 2_000 * 102 / 100 + 1, "{attempts}");
}

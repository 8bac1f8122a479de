//! hyper-util's pooling client, which takes whatever body the layers hand it.

use std::{
    sync::{Arc, Mutex},
    time::Duration,
};

use axum::{Router, routing::post};
use buttress::{
    Context, PropagateDeadlineLayer, RetryLayer,
    body::replay::Replay,
    budget::Budget,
    hyper::ReuseLayer,
    rejection::{Reason, ResponseExt},
};
use bytes::Bytes;
use http::{Method, Request};
use http_body_util::{BodyExt, Full};
use hyper_util::{
    client::legacy::{Client, connect::HttpConnector},
    rt::TokioExecutor,
};
use tower::{Layer, ServiceBuilder, ServiceExt};

use crate::{
    Closed, remaining_ms,
    script::{Script, broken, status},
    support::{VERSIONS, client, said, serve_hyper},
};

const LONG: Duration = Duration::from_secs(20);

fn request(method: Method, uri: impl std::fmt::Display) -> Request<Full<Bytes>> {
    let request = Request::builder().method(method).uri(uri.to_string());
    request.body(Full::from("hello")).unwrap()
}

#[tokio::test(crate = "crate::support::leakless")]
async fn an_answer_that_says_when_is_followed_by_the_same_request_with_less_time() {
    for version in VERSIONS {
        let upstream = Script::new([status(503, "retry-after-ms: 30")]);
        let address = serve_hyper(upstream.clone()).await;
        let client = ServiceBuilder::new()
            .layer(RetryLayer::http())
            .layer(PropagateDeadlineLayer::new())
            .service(client(version));
        let request = request(Method::PUT, format_args!("http://{address}/"));
        let answer = Context::current().with_timeout(LONG).scope(client.oneshot(request));
        assert_eq!(answer.await.unwrap().status(), 200);

        let seen = upstream.seen();
        let bodies: Vec<_> = seen.iter().map(|seen| &seen.body[..]).collect();
        assert_eq!(bodies, [b"hello", b"hello"]);
        let told: Vec<_> = seen.iter().map(|seen| remaining_ms(&seen.headers)).collect();
        assert!(told[0] >= told[1] + 30, "{told:?}");
        assert!(!seen[0].headers.contains_key("x-retry-attempt"));
        assert_eq!(seen[1].headers["x-retry-attempt"], "1");
    }
}

#[tokio::test(crate = "crate::support::leakless")]
async fn a_connection_that_was_refused_is_tried_again_whatever_the_method() {
    let closed = Closed::new();
    let address = closed.address;
    // Somebody listens as of the second attempt.
    let attempts = Arc::new(Mutex::new([None, Some(closed)].into_iter()));
    let retry = RetryLayer::http();
    let client = ServiceBuilder::new()
        .layer(retry.clone())
        .map_request(move |request: Request<Replay<Full<Bytes>>>| {
            if let Some(Some(closed)) = attempts.lock().unwrap().next() {
                closed.open(Router::new().route("/", post(|body: String| async { body })));
            }
            request
        })
        .service(client(VERSIONS[0]));
    let answer = client
        .oneshot(request(Method::POST, format_args!("http://{address}/")))
        .await;
    assert_eq!(said(answer.unwrap()).await.text, "hello");
    assert_eq!(retry.snapshot().retries, 1);
}

/// The same over a connector that knows which connections are reused, as the documentation has it.
#[tokio::test(crate = "crate::support::leakless")]
async fn a_connection_that_breaks_is_tried_again_for_what_is_idempotent() {
    let upstream = Script::new([broken(), broken()]);
    let address = serve_hyper(upstream.clone()).await;
    let client = ServiceBuilder::new()
        .layer(RetryLayer::http())
        .service(Client::builder(TokioExecutor::new()).build(ReuseLayer::new().layer(HttpConnector::new())));
    let uri = format!("http://{address}/");
    assert!(client.clone().oneshot(request(Method::POST, &uri)).await.is_err());
    assert_eq!(upstream.attempts(), 1);
    let answer = client.oneshot(request(Method::PUT, &uri)).await.unwrap();
    assert_eq!((answer.status().as_u16(), upstream.attempts()), (200, 2));
}

#[tokio::test(crate = "crate::support::leakless")]
async fn the_last_answer_is_passed_up_as_it_came_and_is_nobodys_rejection() {
    let upstream = Script::new([status(503, "retry-after: 1")]);
    let address = serve_hyper(upstream.clone()).await;
    let budget = Budget::builder().ratio(0.0).min_per_second(0.0).build().unwrap();
    let client = ServiceBuilder::new()
        .layer(RetryLayer::http().budget(budget))
        .service(client(VERSIONS[0]));
    let answer = client
        .oneshot(request(Method::GET, format_args!("http://{address}/")))
        .await
        .unwrap();
    assert_eq!((answer.status().as_u16(), answer.rejection()), (503, None));
    assert_eq!(answer.headers()["x-should-retry"], "false");
    let answer = answer.error_for_rejection().unwrap();
    assert_eq!(answer.into_body().collect().await.unwrap().to_bytes(), "503");
}

#[tokio::test(crate = "crate::support::leakless")]
async fn a_call_that_is_too_late_is_a_rejection() {
    let upstream = Script::new([]);
    let address = serve_hyper(upstream.clone()).await;
    let client = ServiceBuilder::new()
        .layer(RetryLayer::http())
        .layer(PropagateDeadlineLayer::new())
        .service(client(VERSIONS[0]));
    let call = client.oneshot(request(Method::GET, format_args!("http://{address}/")));
    let answer = Context::current()
        .with_timeout(Duration::ZERO)
        .scope(call)
        .await
        .unwrap();
    assert_eq!(answer.status(), 504);
    let rejection = answer.error_for_rejection().unwrap_err();
    assert_eq!(
        (rejection.reason(), rejection.was_executed()),
        (Reason::DeadlineExceeded, false)
    );
    assert_eq!(upstream.attempts(), 0);
}

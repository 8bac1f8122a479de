//! reqwest below the layers, and its types above them.

use std::{
    cell::Cell,
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering},
    },
    task::Poll,
    time::Duration,
};

use axum::{
    Json, Router,
    response::Redirect,
    routing::{get, post},
};
use buttress::{
    BreakerLayer, ConcurrencyLimitLayer, Context, PropagateDeadlineLayer, RetryLayer,
    outcome::Delivery,
    rejection::{Reason, ResponseExt},
    reqwest::{ClientLayer, TransportLayer, without_redirects},
};
use bytes::Bytes;
use http::{Method, Request, StatusCode};
use http_body::{Body, Frame};
use http_body_util::BodyExt;
use reqwest::{Client, redirect::Policy};
use tower::{Layer, ServiceBuilder, ServiceExt};

use crate::{
    Closed, remaining_ms,
    script::{Answer, Script, status},
    support::{serve, serve_hyper},
};

const LONG: Duration = Duration::from_secs(20);
const SHORT: Duration = Duration::from_millis(50);

fn client() -> Client {
    Client::builder()
        .no_proxy()
        .retry(reqwest::retry::never())
        .build()
        .unwrap()
}

#[tokio::test(crate = "crate::support::leakless")]
async fn a_request_of_reqwests_is_tried_again_with_the_same_body_and_less_time() {
    let upstream = Script::new([status(503, "retry-after-ms: 30")]);
    let address = serve_hyper(upstream.clone()).await;
    let http = client();
    let stack = ServiceBuilder::new()
        .layer(ClientLayer::new())
        .layer(RetryLayer::http())
        .layer(PropagateDeadlineLayer::new())
        .layer(TransportLayer::new())
        .service(http.clone());
    let request = http.put(format!("http://{address}/")).json(&[1, 2]).build().unwrap();
    let call = Context::current().with_timeout(LONG).scope(stack.send(request));
    let answer = call.await.unwrap().error_for_status().unwrap();
    assert_eq!(answer.text().await.unwrap(), "200");

    let seen = upstream.seen();
    let bodies: Vec<_> = seen.iter().map(|seen| &seen.body[..]).collect();
    assert_eq!(bodies, [b"[1,2]", b"[1,2]"]);
    for seen in &seen {
        assert_eq!(seen.headers["content-length"], "5");
        assert_eq!(seen.headers["content-type"], "application/json");
    }
    let told: Vec<_> = seen.iter().map(|seen| remaining_ms(&seen.headers)).collect();
    assert!(told[0] >= told[1] + 30, "{told:?}");
}

#[tokio::test(crate = "crate::support::leakless")]
async fn an_answer_is_reqwests_own_again() {
    let app = Router::new()
        .route("/", get(|| async { Json([1, 2]) }))
        .route("/moved", get(|| async { Redirect::to("/") }));
    let address = serve(app).await;
    let http = client();
    let stack = ServiceBuilder::new()
        .layer(ClientLayer::new())
        .layer(RetryLayer::http())
        .layer(PropagateDeadlineLayer::new().max(LONG))
        .layer(TransportLayer::new())
        .service(http.clone());
    for path in ["", "moved"] {
        let answer = stack
            .send(http.get(format!("http://{address}/{path}")).build().unwrap())
            .await
            .unwrap();
        assert_eq!(answer.url().as_str(), format!("http://{address}/"));
        assert_eq!(answer.remote_addr(), Some(address));
        assert_eq!(answer.rejection(), None);
        assert_eq!(answer.json::<[u32; 2]>().await.unwrap(), [1, 2]);
    }
}

#[tokio::test(crate = "crate::support::leakless")]
async fn an_answer_that_a_layer_made_tells_so() {
    let http = client();
    let stack = ServiceBuilder::new()
        .layer(ClientLayer::new())
        .layer(RetryLayer::http())
        .layer(ConcurrencyLimitLayer::new(0))
        .layer(TransportLayer::new())
        .service(http.clone());
    let request = http.get("http://127.0.0.1:9/full").build().unwrap();
    let answer = stack.send(request).await.unwrap();
    assert_eq!(answer.status(), StatusCode::SERVICE_UNAVAILABLE);
    assert_eq!(answer.url().as_str(), "http://127.0.0.1:9/full");
    assert!(answer.error_for_status_ref().unwrap_err().is_status());
    let rejection = answer.error_for_rejection().unwrap_err();
    assert_eq!(
        (rejection.reason(), rejection.layer()),
        (Reason::Overloaded, "concurrency")
    );
}

/// A stream of frames that is `Send` and not `Sync`.
struct Frames(Cell<u32>);

impl Body for Frames {
    type Data = Bytes;
    type Error = std::convert::Infallible;

    fn poll_frame(
        self: Pin<&mut Self>,
        _: &mut std::task::Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Self::Error>>> {
        let left = self.0.replace(self.0.get().saturating_sub(1));
        Poll::Ready((left > 0).then(|| Ok(Frame::data(Bytes::from_static(b"frame ")))))
    }
}

#[tokio::test(crate = "crate::support::leakless")]
async fn a_stack_of_http_types_takes_any_body() {
    let app = Router::new().route("/", post(|body: String| async { body }));
    let address = serve(app).await;
    let stack = ServiceBuilder::new()
        .layer(RetryLayer::http())
        .layer(TransportLayer::new())
        .service(client());
    let request = Request::post(format!("http://{address}/"))
        .body(Frames(Cell::new(3)))
        .unwrap();
    let answer = stack.oneshot(request).await.unwrap();
    assert_eq!(
        answer.into_body().collect().await.unwrap().to_bytes(),
        "frame frame frame "
    );
}

#[tokio::test(crate = "crate::support::leakless")]
async fn a_request_that_reqwest_cannot_send_fails_by_its_error() {
    let stack = TransportLayer::new().layer(client());
    let failed = stack
        .oneshot(Request::get("/relative").body(String::new()).unwrap())
        .await;
    assert!(failed.unwrap_err().is_builder());
}

#[tokio::test(crate = "crate::support::leakless")]
async fn a_timeout_of_reqwests_holds_for_each_attempt() {
    let upstream = Script::new([Answer::Hang, Answer::Hang]);
    let address = serve_hyper(upstream.clone()).await;
    let http = client();
    let stack = ServiceBuilder::new()
        .layer(ClientLayer::new())
        .layer(RetryLayer::http().attempts(2))
        .layer(TransportLayer::new())
        .service(http.clone());
    let request = http.get(format!("http://{address}/")).timeout(SHORT).build().unwrap();
    assert!(stack.send(request).await.unwrap_err().is_timeout());
    assert_eq!(upstream.attempts(), 2);
}

/// Whether a connection was refused at the first hop or after a redirect, reqwest does not say.
#[tokio::test(crate = "crate::support::leakless")]
async fn a_refused_connection_is_tried_again_for_what_is_idempotent() {
    let closed = Closed::new();
    let retry = RetryLayer::http();
    let stack = ServiceBuilder::new()
        .layer(retry.clone())
        .layer(TransportLayer::new())
        .service(client());
    for (method, retries) in [(Method::POST, 0), (Method::GET, 2)] {
        let request = Request::builder()
            .method(method)
            .uri(format!("http://{}/", closed.address));
        let failed = stack
            .clone()
            .oneshot(request.body(String::new()).unwrap())
            .await
            .unwrap_err();
        assert!(failed.is_connect());
        assert_eq!(Delivery::of(&failed), Delivery::Unknown);
        assert_eq!(retry.snapshot().retries, retries);
    }
}

#[tokio::test(crate = "crate::support::leakless")]
async fn a_refused_connection_is_tried_again_for_all_where_there_are_no_redirects() {
    let closed = Closed::new();
    let retry = RetryLayer::http().attempts(2);
    let direct = without_redirects(Client::builder().no_proxy()).build().unwrap();
    let stack = ServiceBuilder::new()
        .layer(retry.clone())
        .layer(TransportLayer::new())
        .service(direct);
    let request = || Request::post(format!("http://{}/", closed.address)).body(String::new());
    let failed = stack.clone().oneshot(request().unwrap()).await.unwrap_err();
    assert_eq!(Delivery::of(&failed), Delivery::NotSent);
    assert_eq!(retry.snapshot().retries, 1);
    // What a body came from is another matter.
    let from_nobody = Broken(Some(failed));
    let address = serve(Router::new().route("/", post(|body: String| async { body }))).await;
    let request = Request::post(format!("http://{address}/")).body(from_nobody).unwrap();
    let failed = stack.oneshot(request).await.unwrap_err();
    assert_eq!(Delivery::of(&failed), Delivery::Unknown);
    assert_eq!(retry.snapshot().retries, 1);
}

/// A body that fails.
struct Broken(Option<reqwest::Error>);

impl Body for Broken {
    type Data = Bytes;
    type Error = reqwest::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _: &mut std::task::Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Self::Error>>> {
        Poll::Ready(self.0.take().map(Err))
    }
}

/// The server has acted on the `POST` before it says where to look.
#[tokio::test(crate = "crate::support::leakless")]
async fn a_post_that_was_redirected_to_nobody_is_not_sent_twice() {
    let closed = Closed::new();
    let nobody = format!("http://{}/", closed.address);
    let posts = Arc::new(AtomicU32::new(0));
    let seen = posts.clone();
    let order = post(move || async move {
        seen.fetch_add(1, Ordering::Relaxed);
        Redirect::to(&nobody)
    });
    let address = serve(Router::new().route("/", order)).await;
    let stack = ServiceBuilder::new()
        .layer(RetryLayer::http())
        .layer(TransportLayer::new())
        .service(client());
    let request = Request::post(format!("http://{address}/"))
        .body("order".to_owned())
        .unwrap();
    assert!(stack.oneshot(request).await.unwrap_err().is_connect());
    assert_eq!(posts.load(Ordering::Relaxed), 1);
}

/// What reqwest can send again by itself it does: a body that no layer has changed.
#[tokio::test(crate = "crate::support::leakless")]
async fn a_body_of_reqwests_follows_a_redirect() {
    let app = Router::new()
        .route("/", post(|body: String| async { body }))
        .route("/moved", post(|| async { Redirect::temporary("/") }));
    let address = serve(app).await;
    let http = Client::builder()
        .no_proxy()
        .redirect(Policy::limited(2))
        .build()
        .unwrap();
    let layers = ServiceBuilder::new()
        .layer(ClientLayer::new())
        .layer(PropagateDeadlineLayer::new())
        .layer(TransportLayer::new());
    let retried = ServiceBuilder::new()
        .layer(ClientLayer::new())
        .layer(RetryLayer::http())
        .layer(TransportLayer::new());
    let request = || {
        http.post(format!("http://{address}/moved"))
            .body("hello")
            .build()
            .unwrap()
    };
    let answer = layers.service(http.clone()).send(request()).await.unwrap();
    assert_eq!(answer.text().await.unwrap(), "hello");
    // Below a retry it is a stream, as far as reqwest knows.
    let answer = retried.service(http.clone()).send(request()).await.unwrap();
    assert_eq!(answer.status(), StatusCode::TEMPORARY_REDIRECT);
}

/// Who turns a status into an error does not read its body.
#[tokio::test(crate = "crate::support::leakless")]
async fn failures_that_nobody_reads_open_the_circuit() {
    let address = serve_hyper(Script::new((0..20).map(|_| status(500, "")))).await;
    let http = client();
    let breaker = BreakerLayer::new();
    let stack = ServiceBuilder::new()
        .layer(ClientLayer::new())
        .layer(breaker.clone())
        .layer(TransportLayer::new())
        .service(http.clone());
    for _ in 0..20 {
        let request = http.get(format!("http://{address}/")).build().unwrap();
        let answer = stack.send(request).await.unwrap();
        assert!(answer.error_for_status().is_err());
    }
    assert_eq!(breaker.breaker().snapshot().opens, 1);
}

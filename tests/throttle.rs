//! What the client throttle guarantees around a service, on a clock that stands still unless it is moved.
#![allow(clippy::disallowed_methods, clippy::unwrap_used, reason = "a test may")]

#[path = "support/leakless.rs"]
mod leakless;

use std::{
    cell::{Cell, RefCell},
    convert::Infallible,
    future::{pending, ready},
    time::Duration,
};

use buttress::{
    BoxError, ConcurrencyLimitLayer, Context, Criticality, Rejection, RetryLayer, ThrottleLayer,
    admission::throttle::Throttle, outcome::Outcome, rejection::Reason,
};
use bytes::Bytes;
use futures_util::poll;
use http::{HeaderMap, Request, Response, StatusCode};
use http_body_util::{BodyExt, Empty, Full};
use tokio::time::advance;
use tower::{Layer, Service, ServiceBuilder, ServiceExt, service_fn};

const SECOND: Duration = Duration::from_secs(1);

fn status(status: u16) -> Response<Empty<Bytes>> {
    let mut response = Response::new(Empty::new());
    *response.status_mut() = StatusCode::from_u16(status).unwrap();
    response
}

fn get() -> Request<()> {
    Request::new(())
}

fn to(host: &str) -> Request<()> {
    Request::get(format!("http://{host}/")).body(()).unwrap()
}

/// One call of that service, its answer read to its end.
async fn call<S, B>(service: &S, request: Request<()>) -> Response<()>
where
    S: Service<Request<()>, Response = Response<B>, Error: std::fmt::Debug> + Clone,
    B: http_body::Body<Data = Bytes, Error: std::fmt::Debug>,
{
    let (head, body) = service.clone().oneshot(request).await.unwrap().into_parts();
    let _ = body.collect().await;
    Response::from_parts(head, ())
}

/// So many calls to a service that always answers so, through one of this layer; how many reached it.
async fn calls(layer: &ThrottleLayer, count: usize, answer: u16) -> usize {
    let reached = Cell::new(0);
    let service = layer.layer(service_fn(|_| {
        reached.set(reached.get() + 1);
        ready(Ok::<_, Infallible>(status(answer)))
    }));
    for _ in 0..count {
        call(&service, get()).await;
    }
    reached.get()
}

/// What counts in its window.
fn counted(throttle: &Throttle) -> (u64, u64) {
    let snapshot = throttle.snapshot();
    (snapshot.requests, snapshot.accepts)
}

#[tokio::test(start_paused = true, crate = "leakless")]
async fn a_rejection_says_whose_it_is() {
    fastrand::seed(7);
    let layer = ThrottleLayer::new();
    let service = layer.layer(service_fn(|_| ready(Ok::<_, Infallible>(status(503)))));
    for _ in 0..1_000 {
        call(&service, get()).await;
    }
    let response = loop {
        let response = call(&service, get()).await;
        if response.extensions().get::<Rejection>().is_some() {
            break response;
        }
    };
    assert_eq!(response.status(), 503);
    let rejection = response.extensions().get::<Rejection>().unwrap();
    assert_eq!(
        (rejection.reason(), rejection.layer()),
        (Reason::Overloaded, "throttle")
    );
    assert!(!rejection.was_executed());
    assert_eq!(rejection.wait(), Some(SECOND));
}

#[tokio::test(start_paused = true, crate = "leakless")]
async fn the_locally_rejected_are_requests_too() {
    fastrand::seed(7);
    let layer = ThrottleLayer::new();
    let reached = calls(&layer, 1_000, 429).await;
    assert!(reached < 50, "{reached}");
    let snapshot = layer.throttle().snapshot();
    assert_eq!((snapshot.requests, snapshot.accepts), (1_000, 0));
    assert_eq!(snapshot.rejected, 1_000 - reached as u64);
    assert!(snapshot.probability(Criticality::Critical) > 0.99);
}

#[tokio::test(start_paused = true, crate = "leakless")]
async fn good_answers_were_accepted_though_nobody_reads_their_bodies() {
    let layer = ThrottleLayer::new();
    let service = layer.layer(service_fn(|_| {
        let frames = futures_util::stream::pending::<Result<http_body::Frame<Bytes>, Infallible>>();
        ready(Ok::<_, Infallible>(Response::new(http_body_util::StreamBody::new(
            frames,
        ))))
    }));
    for _ in 0..20 {
        drop(service.clone().oneshot(get()).await.unwrap());
    }
    assert_eq!(counted(&layer.throttle()), (20, 20));
}

#[tokio::test(start_paused = true, crate = "leakless")]
async fn a_few_refusals_are_no_evidence() {
    for _ in 0..20 {
        let layer = ThrottleLayer::new();
        assert_eq!(calls(&layer, 10, 503).await, 10);
        assert!(layer.throttle().snapshot().probability(Criticality::Critical) > 0.9);
    }
    // So a call that fails is tried again, though it be the only one for long.
    let script = [503, 503, 200].map(status);
    let answers = RefCell::new(script.into_iter());
    let client = ServiceBuilder::new()
        .layer(RetryLayer::http())
        .layer(ThrottleLayer::new())
        .service_fn(|_| ready(Ok::<_, Infallible>(answers.borrow_mut().next().unwrap())));
    let request = Request::get("/").body(Empty::<Bytes>::new()).unwrap();
    assert_eq!(client.oneshot(request).await.unwrap().status(), 200);
}

/// Ten minutes at a destination that can take ten requests a second.
#[tokio::test(start_paused = true, crate = "leakless")]
async fn at_twice_to_ten_times_its_capacity_a_destination_sees_twice_of_it() {
    fastrand::seed(7);
    for overload in [2, 10] {
        let (layer, tokens, reached) = (ThrottleLayer::new(), Cell::new(0), Cell::new(0));
        let service = layer.layer(service_fn(|_| {
            reached.set(reached.get() + 1);
            let accepted = tokens.get() > 0;
            tokens.set(tokens.get() - i32::from(accepted));
            ready(Ok::<_, Infallible>(status(if accepted { 200 } else { 503 })))
        }));
        for second in 0..600 {
            if second == 300 {
                reached.set(0);
            }
            tokens.set(10);
            for _ in 0..10 * overload {
                call(&service, get()).await;
            }
            advance(SECOND).await;
        }
        let seen = f64::from(reached.get()) / 3_000.0;
        assert!((1.9..2.1).contains(&seen), "{seen} at {overload} times");
    }
}

#[tokio::test(start_paused = true, crate = "leakless")]
async fn a_failure_that_is_no_refusal_was_accepted() {
    for (answer, accepted) in [
        (200, true),
        (404, true),
        (500, true),
        (504, true),
        (429, false),
        (503, false),
    ] {
        let layer = ThrottleLayer::new();
        calls(&layer, 1, answer).await;
        assert_eq!(counted(&layer.throttle()), (1, u64::from(accepted)), "{answer}");
    }
    let layer = ThrottleLayer::new();
    let service = layer.layer(service_fn(|_| ready(Err::<Response<Empty<Bytes>>, _>("refused"))));
    service.oneshot(get()).await.unwrap_err();
    assert_eq!(counted(&layer.throttle()), (1, 0));
}

#[tokio::test(start_paused = true, crate = "leakless")]
async fn a_grpc_status_counts_that_comes_in_trailers() {
    for (code, accepted) in [("0", true), ("13", true), ("8", false), ("14", false)] {
        let layer = ThrottleLayer::new();
        let service = layer.layer(service_fn(move |_| {
            let mut trailers = HeaderMap::new();
            trailers.insert("grpc-status", code.parse().unwrap());
            let body = Full::from("message").with_trailers(ready(Some(Ok(trailers))));
            let response = Response::builder().header("content-type", "application/grpc");
            ready(Ok::<_, Infallible>(response.body(body).unwrap()))
        }));
        let request = Request::post("/pkg.Service/Method").header("content-type", "application/grpc");
        call(&service, request.body(()).unwrap()).await;
        assert_eq!(counted(&layer.throttle()), (1, u64::from(accepted)), "{code}");
    }
}

#[tokio::test(start_paused = true, crate = "leakless")]
async fn what_never_reached_it_or_was_left_is_not_counted() {
    let layer = ThrottleLayer::new();
    let full = ServiceBuilder::new()
        .layer(layer.clone())
        .layer(ConcurrencyLimitLayer::new(0).queue(0))
        .service(service_fn(|_| ready(Ok::<_, Infallible>(status(200)))));
    for _ in 0..100 {
        assert_eq!(call(&full, get()).await.status(), 503);
    }
    let hangs = layer.layer(service_fn(|_| pending::<Result<Response<Empty<Bytes>>, Infallible>>()));
    for _ in 0..100 {
        let mut left = Box::pin(hangs.clone().oneshot(get()));
        assert!(poll!(left.as_mut()).is_pending(), "none is rejected");
    }
    assert_eq!(counted(&layer.throttle()), (0, 0));
}

#[tokio::test(start_paused = true, crate = "leakless")]
async fn the_less_critical_go_first() {
    fastrand::seed(7);
    let layer = ThrottleLayer::new();
    // Two of three are accepted.
    for _ in 0..300 {
        calls(&layer, 2, 200).await;
        calls(&layer, 1, 503).await;
    }
    let service = layer.layer(service_fn(|_| ready(Ok::<_, Infallible>(status(200)))));
    let passed = RefCell::new(Vec::new());
    for band in Criticality::ALL {
        let context = Context::current().with_criticality(band);
        let mut count = 0;
        for _ in 0..100 {
            count += usize::from(context.scope(call(&service, get())).await.status() == 200);
        }
        passed.borrow_mut().push(count);
    }
    let passed = passed.into_inner();
    assert!(passed[0] < 90, "{passed:?}");
    assert_eq!(passed[1..], [100; 3], "at 1.5 and 2 there is room");
}

#[tokio::test(start_paused = true, crate = "leakless")]
async fn the_window_slides() {
    let layer = ThrottleLayer::new().window(12 * SECOND);
    calls(&layer, 100, 503).await;
    advance(11 * SECOND).await;
    assert!(counted(&layer.throttle()).0 > 0);
    advance(2 * SECOND).await;
    assert_eq!(counted(&layer.throttle()), (0, 0));
    assert_eq!(calls(&layer, 1, 200).await, 1);
}

#[tokio::test(start_paused = true, crate = "leakless")]
async fn each_destination_has_a_throttle_of_its_own() {
    fastrand::seed(7);
    let layer = ThrottleLayer::new().per_destination().keys(2);
    let service = layer.layer(service_fn(|request: Request<()>| {
        let full = request.uri().host() == Some("full.example");
        ready(Ok::<_, Infallible>(status(if full { 503 } else { 200 })))
    }));
    for _ in 0..200 {
        call(&service, to("full.example")).await;
        assert_eq!(call(&service, to("well.example")).await.status(), 200);
    }
    let mut all = layer.throttle().destinations();
    all.sort_by(|a, b| a.name.cmp(&b.name));
    let rejected: Vec<_> = all
        .iter()
        .map(|each| (each.name.as_deref().unwrap(), each.throttle.rejected > 100))
        .collect();
    assert_eq!(rejected, [("full.example", true), ("well.example", false)]);
    for n in 0..100 {
        assert_eq!(call(&service, to(&format!("h{n}.example"))).await.status(), 200);
    }
    assert_eq!(layer.throttle().destinations().len(), 2);
}

#[tokio::test(start_paused = true, crate = "leakless")]
async fn what_a_refusal_is_is_the_users_to_say() {
    let layer = ThrottleLayer::new().rejecting(Outcome::is_failure);
    calls(&layer, 1, 500).await;
    assert_eq!(counted(&layer.throttle()), (1, 0));
}

#[tokio::test(start_paused = true, crate = "leakless")]
async fn where_there_is_no_http_rejections_are_errors() {
    fastrand::seed(7);
    let service = ThrottleLayer::new()
        .typed()
        .layer(service_fn(|()| ready(Err::<(), _>(BoxError::from("full")))));
    let mut ours = 0;
    for _ in 0..100 {
        let error = service.clone().oneshot(()).await.unwrap_err();
        ours += usize::from(error.downcast::<Rejection>().is_ok());
    }
    assert!(ours > 80, "{ours}");
}

#[tokio::test(start_paused = true, crate = "leakless")]
async fn state_is_the_layers_unless_it_is_the_services() {
    let layer = ThrottleLayer::new();
    for _ in 0..20 {
        calls(&layer.clone(), 1, 200).await;
    }
    assert_eq!(counted(&layer.throttle()), (20, 20));
    let layer = layer.per_service();
    calls(&layer, 20, 200).await;
    assert_eq!(counted(&layer.throttle()), (20, 20));
}

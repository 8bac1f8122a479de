//! What the circuit breaker guarantees around a service, on a clock that stands still unless it is moved.
#![allow(clippy::disallowed_methods, clippy::unwrap_used, reason = "a test may")]

#[path = "support/leakless.rs"]
mod leakless;

use std::{
    cell::Cell,
    convert::Infallible,
    future::{pending, ready},
    time::Duration,
};

use buttress::{
    BoxError, BreakerLayer, ConcurrencyLimitLayer, DeadlineLayer, Rejection, TimeoutLayer,
    admission::breaker::{Breaker, CircuitState, Forced},
    outcome::{Class, Outcome},
    rejection::{Reason, Typed},
};
use bytes::Bytes;
use futures_util::{StreamExt, poll};
use http::{HeaderMap, Request, Response, StatusCode};
use http_body_util::{BodyExt, Empty, Full, combinators::BoxBody};
use tokio::time::{advance, sleep};
use tower::{Layer, Service, ServiceBuilder, ServiceExt, service_fn};

const SECOND: Duration = Duration::from_secs(1);

type Body = BoxBody<Bytes, Infallible>;

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
async fn calls(layer: &BreakerLayer, count: usize, answer: u16) -> usize {
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

fn state(breaker: &Breaker) -> CircuitState {
    breaker.snapshot().state
}

#[tokio::test(start_paused = true, crate = "leakless")]
async fn it_opens_and_says_when_to_come_back() {
    let layer = BreakerLayer::new();
    assert_eq!(calls(&layer, 100, 500).await, 20);
    let service = layer.layer(service_fn(|_| ready(Ok::<_, Infallible>(status(200)))));
    let response = call(&service, get()).await;
    assert_eq!(response.status(), 503);
    let rejection = response.extensions().get::<Rejection>().unwrap();
    assert_eq!(
        (rejection.reason(), rejection.layer()),
        (Reason::BreakerOpen, "breaker")
    );
    assert!(!rejection.was_executed() && rejection.may_retry());
    let wait = rejection.wait().unwrap();
    assert!(
        wait >= SECOND && wait <= SECOND + SECOND / 4 + Duration::from_millis(1),
        "{wait:?}"
    );

    advance(wait.saturating_sub(Duration::from_millis(1))).await;
    assert_eq!(call(&service, get()).await.status(), 503, "a moment too soon");
    advance(Duration::from_millis(1)).await;
    assert_eq!(call(&service, get()).await.status(), 200, "as it was told");
    assert_eq!(state(&layer.breaker()), CircuitState::HalfOpen);
    assert_eq!(calls(&layer, 2, 200).await, 2);
    let snapshot = layer.breaker().snapshot();
    assert_eq!(
        (snapshot.state, snapshot.opens, snapshot.probes),
        (CircuitState::Closed, 1, 3)
    );
    assert_eq!((snapshot.calls, snapshot.failures, snapshot.rejected), (0, 0, 82));
}

#[tokio::test(start_paused = true, crate = "leakless")]
async fn grpc_hears_it_as_grpc() {
    let layer = BreakerLayer::new();
    layer.breaker().force(Some(Forced::Open));
    let service = layer.layer(service_fn(|_| ready(Ok::<_, Infallible>(status(200)))));
    let request = Request::post("/pkg.Service/Method").header("content-type", "application/grpc");
    let response = call(&service, request.body(()).unwrap()).await;
    assert_eq!(
        (response.status().as_u16(), &response.headers()["grpc-status"]),
        (200, &"14".parse().unwrap())
    );
}

#[tokio::test(start_paused = true, crate = "leakless")]
async fn after_ten_thousand_successes_a_hundred_failures_open_it() {
    for layer in [BreakerLayer::new(), BreakerLayer::new().window_calls(100)] {
        assert_eq!(calls(&layer, 10_000, 200).await, 10_000);
        advance(10 * SECOND).await;
        let reached = calls(&layer, 1_000, 500).await;
        assert!(reached <= 100, "{reached}");
    }
}

#[tokio::test(start_paused = true, crate = "leakless")]
async fn a_probe_whose_caller_leaves_gives_its_place_back() {
    let layer = BreakerLayer::new();
    calls(&layer, 20, 500).await;
    advance(2 * SECOND).await;
    let hangs = layer.layer(service_fn(|_| pending::<Result<Response<Empty<Bytes>>, Infallible>>()));
    for _ in 0..10 {
        let mut probes = [(); 3].map(|()| Box::pin(hangs.clone().oneshot(get())));
        for probe in &mut probes {
            assert!(poll!(probe.as_mut()).is_pending());
        }
        assert_eq!(
            call(
                &layer.layer(service_fn(|_| ready(Ok::<_, Infallible>(status(200))))),
                get()
            )
            .await
            .status(),
            503
        );
    }
    assert_eq!(layer.breaker().snapshot().probes, 30);
    assert_eq!(calls(&layer, 3, 200).await, 3);
    assert_eq!(state(&layer.breaker()), CircuitState::Closed);
}

#[tokio::test(start_paused = true, crate = "leakless")]
async fn an_answer_from_before_the_trouble_closes_nothing() {
    let layer = BreakerLayer::new();
    let slow = layer.layer(service_fn(async |_| {
        sleep(3 * SECOND).await;
        Ok::<_, Infallible>(status(200))
    }));
    let mut early = [(); 10].map(|()| Box::pin(slow.clone().oneshot(get())));
    for call in &mut early {
        assert!(poll!(call.as_mut()).is_pending());
    }
    calls(&layer, 20, 500).await;
    advance(3 * SECOND).await;
    assert_eq!(calls(&layer, 1, 200).await, 1);
    for call in early {
        assert_eq!(call.await.unwrap().status(), 200);
    }
    assert_eq!(state(&layer.breaker()), CircuitState::HalfOpen);
}

#[tokio::test(start_paused = true, crate = "leakless")]
async fn a_call_is_judged_at_the_end_of_its_body() {
    let layer = BreakerLayer::new();
    let service = layer.layer(service_fn(|_| {
        let mut response = Response::new(Full::from("sorry"));
        *response.status_mut() = StatusCode::INTERNAL_SERVER_ERROR;
        ready(Ok::<_, Infallible>(response))
    }));
    let mut bodies = Vec::new();
    for _ in 0..100 {
        bodies.push(service.clone().oneshot(get()).await.unwrap().into_body());
    }
    assert_eq!(layer.breaker().snapshot().calls, 0);
    for body in bodies {
        body.collect().await.unwrap();
    }
    assert_eq!(state(&layer.breaker()), CircuitState::Open);

    // One that breaks is a failure. But who does not read so far finds a good answer.
    let broken = BreakerLayer::new();
    let service = broken.layer(service_fn(|_| {
        let frames = futures_util::stream::iter([
            Ok(http_body::Frame::data(Bytes::from_static(b"half"))),
            Err(BoxError::from("broken")),
        ]);
        ready(Ok::<_, Infallible>(Response::new(http_body_util::StreamBody::new(
            frames,
        ))))
    }));
    for _ in 0..20 {
        drop(service.clone().oneshot(get()).await.unwrap());
    }
    let snapshot = broken.breaker().snapshot();
    assert_eq!((snapshot.calls, snapshot.failures), (20, 0));
    for _ in 0..20 {
        call(&service, get()).await;
    }
    assert_eq!(state(&broken.breaker()), CircuitState::Open);
}

/// Whoever asks for the status alone: else only what fails at its head would be evidence, and two in a hundred would open it.
#[tokio::test(start_paused = true, crate = "leakless")]
async fn good_answers_are_evidence_though_nobody_reads_their_bodies() {
    let layer = BreakerLayer::new();
    let number = Cell::new(0);
    let service = layer.layer(service_fn(|_| {
        number.set(number.get() + 1);
        let frames = futures_util::stream::pending::<Result<http_body::Frame<Bytes>, Infallible>>();
        let mut response = Response::new(http_body_util::StreamBody::new(frames));
        if number.get() % 50 == 0 {
            *response.status_mut() = StatusCode::INTERNAL_SERVER_ERROR;
        }
        ready(Ok::<_, Infallible>(response))
    }));
    for _ in 0..2_000 {
        let (head, _body) = service.clone().oneshot(get()).await.unwrap().into_parts();
        assert_ne!(head.status, 503);
    }
    // Of gRPC it is not known whether it was good.
    let unread = BreakerLayer::new();
    let service = unread.layer(service_fn(|_| ready(Ok::<_, Infallible>(grpc_answer("0")))));
    for _ in 0..20 {
        let request = Request::post("/pkg.Service/Method").header("content-type", "application/grpc");
        drop(service.clone().oneshot(request.body(()).unwrap()).await.unwrap());
    }
    assert_eq!(unread.breaker().snapshot().calls, 0);
}

fn grpc_answer(code: &'static str) -> Response<Body> {
    let mut trailers = HeaderMap::new();
    trailers.insert("grpc-status", code.parse().unwrap());
    let body = Full::from("message").with_trailers(ready(Some(Ok(trailers))));
    Response::builder()
        .header("content-type", "application/grpc")
        .body(body.boxed())
        .unwrap()
}

#[tokio::test(start_paused = true, crate = "leakless")]
async fn a_grpc_status_counts_that_comes_in_trailers() {
    for (code, opens) in [("0", false), ("5", false), ("14", true), ("13", true), ("8", false)] {
        let layer = BreakerLayer::new();
        let service = layer.layer(service_fn(move |_| ready(Ok::<_, Infallible>(grpc_answer(code)))));
        for _ in 0..20 {
            let request = Request::post("/pkg.Service/Method").header("content-type", "application/grpc");
            call(&service, request.body(()).unwrap()).await;
        }
        assert_eq!(state(&layer.breaker()) == CircuitState::Open, opens, "{code}");
    }
}

/// As of an answer that breaks off in plain HTTP: whoever cuts it is known by the frame.
#[tokio::test(start_paused = true, crate = "leakless")]
async fn a_stream_that_is_cut_by_a_timeout_counts_and_one_cut_by_its_callers_deadline_does_not() {
    let endless = || {
        service_fn(|_| {
            let frames = futures_util::stream::iter([Ok::<_, Infallible>(http_body::Frame::data(Bytes::new()))]);
            let body = http_body_util::StreamBody::new(frames.chain(futures_util::stream::pending()));
            let response = Response::builder().header("content-type", "application/grpc");
            ready(Ok::<_, Infallible>(response.body(body).unwrap()))
        })
    };
    let request = || {
        let request = Request::post("/pkg.Service/Method").header("content-type", "application/grpc");
        request.body(()).unwrap()
    };
    let ours = BreakerLayer::new();
    let service = ours.layer(TimeoutLayer::new(SECOND / 10).layer(endless()));
    let theirs = BreakerLayer::new();
    let hurried = theirs.layer(DeadlineLayer::new(SECOND / 10).layer(endless()));
    for _ in 0..20 {
        call(&service, request()).await;
        call(&hurried, request()).await;
    }
    assert_eq!(state(&ours.breaker()), CircuitState::Open);
    assert_eq!(state(&theirs.breaker()), CircuitState::Closed);
}

#[tokio::test(start_paused = true, crate = "leakless")]
async fn a_quota_is_no_failure_and_no_success() {
    let layer = BreakerLayer::new();
    assert_eq!(calls(&layer, 1_000, 429).await, 1_000);
    assert_eq!(layer.breaker().snapshot().calls, 0);
    assert_eq!(calls(&layer, 100, 500).await, 20, "all that was let through failed");
    let strict = BreakerLayer::new().failing(Outcome::is_failure);
    assert_eq!(calls(&strict, 1_000, 429).await, 20);
}

#[tokio::test(start_paused = true, crate = "leakless")]
async fn what_ours_reject_below_is_no_failure() {
    let layer = BreakerLayer::new();
    let service = ServiceBuilder::new()
        .layer(layer.clone())
        .layer(ConcurrencyLimitLayer::new(0).queue(0))
        .service(service_fn(|_| ready(Ok::<_, Infallible>(status(200)))));
    for _ in 0..100 {
        assert_eq!(call(&service, get()).await.status(), 503);
    }
    let snapshot = layer.breaker().snapshot();
    assert_eq!(
        (snapshot.state, snapshot.calls, snapshot.rejected),
        (CircuitState::Closed, 0, 0)
    );
}

#[tokio::test(start_paused = true, crate = "leakless")]
async fn a_timeout_below_is_a_failure_and_a_callers_own_deadline_is_not() {
    let hangs = service_fn(|_| pending::<Result<Response<Empty<Bytes>>, Infallible>>());
    let layer = BreakerLayer::new();
    let service = layer.layer(TimeoutLayer::new(SECOND / 100).layer(hangs));
    for _ in 0..20 {
        assert_eq!(call(&service, get()).await.status(), 504);
    }
    assert_eq!(state(&layer.breaker()), CircuitState::Open);

    let layer = BreakerLayer::new();
    let service = layer.layer(DeadlineLayer::new(SECOND / 100).layer(hangs));
    for _ in 0..20 {
        assert_eq!(call(&service, get()).await.status(), 504);
    }
    assert_eq!(layer.breaker().snapshot().calls, 0);

    // But whom it had to wait for too long is slow.
    let layer = BreakerLayer::new().slow_call(SECOND / 200, 0.5);
    let service = layer.layer(DeadlineLayer::new(SECOND / 100).layer(hangs));
    for _ in 0..20 {
        call(&service, get()).await;
    }
    assert_eq!(layer.breaker().snapshot().slow, 20);
    assert_eq!(state(&layer.breaker()), CircuitState::Open);
}

#[tokio::test(start_paused = true, crate = "leakless")]
async fn slow_is_how_long_the_head_takes() {
    for (head, body, opens) in [(2, 0, true), (0, 2, false)] {
        let layer = BreakerLayer::new()
            .slow_call(SECOND, 0.5)
            .minimum_calls(4)
            .window(60 * SECOND);
        let service = layer.layer(service_fn(move |_| async move {
            sleep(head * SECOND).await;
            let slowly = futures_util::stream::once(async move {
                sleep(body * SECOND).await;
                Ok::<_, Infallible>(http_body::Frame::data(Bytes::from_static(b"hello")))
            });
            Ok::<_, Infallible>(Response::new(http_body_util::StreamBody::new(Box::pin(slowly))))
        }));
        for _ in 0..4 {
            call(&service, get()).await;
        }
        assert_eq!(
            state(&layer.breaker()) == CircuitState::Open,
            opens,
            "{head} s, and {body} s"
        );
    }
}

#[tokio::test(start_paused = true, crate = "leakless")]
async fn a_hint_of_the_destination_is_followed() {
    let layer = BreakerLayer::new();
    let service = layer.layer(service_fn(|_| {
        let mut response = status(503);
        response.headers_mut().insert("retry-after", "7".parse().unwrap());
        ready(Ok::<_, Infallible>(response))
    }));
    for _ in 0..20 {
        call(&service, get()).await;
    }
    let response = call(&service, get()).await;
    let wait = response.extensions().get::<Rejection>().unwrap().wait().unwrap();
    assert!((7 * SECOND..8 * SECOND).contains(&wait), "{wait:?}");
}

#[tokio::test(start_paused = true, crate = "leakless")]
async fn each_destination_has_a_circuit_of_its_own() {
    let layer = BreakerLayer::new().per_destination().keys(3);
    let service = layer.layer(service_fn(|request: Request<()>| {
        let sick = request.uri().host() == Some("sick.example");
        ready(Ok::<_, Infallible>(status(if sick { 500 } else { 200 })))
    }));
    for _ in 0..30 {
        call(&service, to("well.example")).await;
        call(&service, to("sick.example")).await;
    }
    assert_eq!(call(&service, to("sick.example")).await.status(), 503);
    assert_eq!(
        call(&service, to("SICK.example")).await.status(),
        503,
        "however it is written"
    );
    assert_eq!(
        call(&service, to("sick.example:81")).await.status(),
        500,
        "another port is another"
    );
    assert_eq!(call(&service, to("well.example")).await.status(), 200);
    let mut all = layer.breaker().destinations();
    all.sort_by(|a, b| a.name.cmp(&b.name));
    let names: Vec<_> = all
        .iter()
        .map(|each| (each.name.as_deref().unwrap(), each.circuit.state))
        .collect();
    assert_eq!(
        names,
        [
            ("sick.example", CircuitState::Open),
            ("sick.example:81", CircuitState::Closed),
            ("well.example", CircuitState::Closed),
        ]
    );
    assert_eq!(state(&layer.breaker()), CircuitState::Open, "the worst of them");

    // The bound holds, and whoever comes in another's place has none of its past.
    for n in 0..100 {
        let host = format!("h{n}.example");
        for _ in 0..19 {
            assert_eq!(call(&service, to(&host)).await.status(), 200);
        }
    }
    assert_eq!(layer.breaker().destinations().len(), 3);
    assert!(layer.breaker().snapshot().evicted >= 100);
}

#[tokio::test(start_paused = true, crate = "leakless")]
async fn a_late_answer_does_not_count_for_whoever_has_the_place_now() {
    let layer = BreakerLayer::new().keys(1).minimum_calls(1);
    let slow = layer.layer(service_fn(async |_| {
        sleep(SECOND).await;
        Ok::<_, Infallible>(status(500))
    }));
    let mut early = Box::pin(slow.oneshot(to("a.example")));
    assert!(poll!(early.as_mut()).is_pending());
    let quick = layer.layer(service_fn(|_| ready(Ok::<_, Infallible>(status(200)))));
    assert_eq!(call(&quick, to("b.example")).await.status(), 200);
    assert_eq!(early.await.unwrap().status(), 500);
    assert_eq!(call(&quick, to("b.example")).await.status(), 200);
}

#[tokio::test(start_paused = true, crate = "leakless")]
async fn destinations_are_whatever_the_user_says() {
    let layer = BreakerLayer::new().by(|head| head.headers.get("x-region")?.to_str().ok());
    let service = layer.layer(service_fn(|_| ready(Ok::<_, Infallible>(status(500)))));
    let region = |name| {
        Request::get("http://a.example")
            .header("x-region", name)
            .body(())
            .unwrap()
    };
    for _ in 0..20 {
        call(&service, region("eu")).await;
    }
    assert_eq!(call(&service, region("eu")).await.status(), 503);
    assert_eq!(call(&service, region("us")).await.status(), 500);
    assert_eq!(call(&service, to("a.example")).await.status(), 500);
}

#[tokio::test(start_paused = true, crate = "leakless")]
async fn an_operator_overrules_it() {
    let layer = BreakerLayer::new();
    let breaker = layer.breaker();
    breaker.force(Some(Forced::Open));
    assert_eq!(calls(&layer, 10, 200).await, 0);
    assert_eq!(
        (breaker.snapshot().rejected, breaker.snapshot().forced),
        (10, Some(Forced::Open))
    );
    breaker.force(Some(Forced::Closed));
    assert_eq!(calls(&layer, 1_000, 500).await, 1_000);
    assert_eq!(state(&breaker), CircuitState::Closed, "not judged");
    breaker.force(None);
    assert_eq!(calls(&layer, 1_000, 500).await, 20);
    breaker.force(Some(Forced::Closed));
    assert_eq!(calls(&layer, 10, 200).await, 10);
    breaker.force(None);
    assert_eq!(state(&breaker), CircuitState::Open, "where it was");
}

#[tokio::test(start_paused = true, crate = "leakless")]
async fn observing_only_it_tells_what_it_would_do() {
    let layer = BreakerLayer::new().observe_only();
    let breaker = layer.breaker();
    assert_eq!(calls(&layer, 1_000, 500).await, 1_000);
    let snapshot = breaker.snapshot();
    assert_eq!((snapshot.state, snapshot.rejected), (CircuitState::Open, 980));
    advance(2 * SECOND).await;
    assert_eq!(calls(&layer, 3, 200).await, 3);
    assert_eq!(state(&breaker), CircuitState::Closed);
    breaker.observe_only(false);
    assert_eq!(calls(&layer, 1_000, 500).await, 20);
}

#[tokio::test(start_paused = true, crate = "leakless")]
async fn state_is_the_layers_unless_it_is_the_services() {
    let layer = BreakerLayer::new();
    for _ in 0..20 {
        calls(&layer.clone(), 1, 500).await;
    }
    assert_eq!(calls(&layer, 1, 200).await, 0);
    let layer = BreakerLayer::new().per_service();
    calls(&layer, 20, 500).await;
    assert_eq!(calls(&layer, 1, 200).await, 1);
}

#[tokio::test(start_paused = true, crate = "leakless")]
async fn where_there_is_no_http_errors_are_failures_and_rejections_are_errors() {
    let layer: BreakerLayer<Typed> = BreakerLayer::new().typed();
    let service = layer.layer(service_fn(|fails: bool| {
        ready(if fails {
            Err(BoxError::from("as planned"))
        } else {
            Ok(())
        })
    }));
    for _ in 0..20 {
        let error = service.clone().oneshot(true).await.unwrap_err();
        assert_eq!(error.to_string(), "as planned");
    }
    let error = service.clone().oneshot(false).await.unwrap_err();
    assert_eq!(error.downcast::<Rejection>().unwrap().reason(), Reason::BreakerOpen);
    advance(2 * SECOND).await;
    service.oneshot(false).await.unwrap();
}

#[tokio::test(start_paused = true, crate = "leakless")]
async fn where_there_is_no_http_a_rejection_below_is_told_from_a_failure_too() {
    let layer = BreakerLayer::new().minimum_calls(1);
    let full = ServiceBuilder::new()
        .layer(layer.clone().typed())
        .layer(ConcurrencyLimitLayer::new(0).queue(0).typed())
        .service_fn(|()| ready(Ok::<_, BoxError>(())));
    full.oneshot(()).await.unwrap_err();
    assert_eq!(
        (state(&layer.breaker()), layer.breaker().snapshot().failures),
        (CircuitState::Closed, 0)
    );

    let slow = ServiceBuilder::new()
        .layer(layer.clone().typed())
        .layer(TimeoutLayer::new(SECOND).typed())
        .service_fn(|()| pending::<Result<(), BoxError>>());
    slow.oneshot(()).await.unwrap_err();
    assert_eq!(state(&layer.breaker()), CircuitState::Open);
}

#[tokio::test(start_paused = true, crate = "leakless")]
async fn a_service_need_not_be_clone() {
    struct Once;
    impl Service<Request<()>> for Once {
        type Response = Response<Empty<Bytes>>;
        type Error = Infallible;
        type Future = std::future::Ready<Result<Self::Response, Infallible>>;

        fn poll_ready(&mut self, _: &mut std::task::Context<'_>) -> std::task::Poll<Result<(), Infallible>> {
            std::task::Poll::Ready(Ok(()))
        }

        fn call(&mut self, _: Request<()>) -> Self::Future {
            ready(Ok(status(200)))
        }
    }
    let mut service = BreakerLayer::new().layer(Once);
    assert_eq!(service.ready().await.unwrap().call(get()).await.unwrap().status(), 200);
}

#[tokio::test(start_paused = true, crate = "leakless")]
async fn what_fails_is_the_users_to_say() {
    let only_transport = |outcome: &Outcome| *outcome == Outcome::failure(Class::Transport);
    let layer = BreakerLayer::new().failing(only_transport);
    assert_eq!(calls(&layer, 100, 500).await, 100);
    assert_eq!(layer.breaker().snapshot().failures, 0);
    let service = layer.layer(service_fn(|_| ready(Err::<Response<Empty<Bytes>>, _>("refused"))));
    for _ in 0..100 {
        let _ = service.clone().oneshot(get()).await;
    }
    assert_eq!(state(&layer.breaker()), CircuitState::Open);
}

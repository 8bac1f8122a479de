//! The span of each call: what it says, what happens in it, and that it ends when the call does.
#![cfg(feature = "tracing")]
#![allow(
    clippy::disallowed_methods,
    clippy::unwrap_used,
    reason = "a test may spawn, and fail by unwrap"
)]

#[path = "support/leakless.rs"]
mod leakless;
#[path = "support/spans.rs"]
mod spans;

use std::{
    convert::Infallible,
    future::{Future, pending, ready},
    panic::{AssertUnwindSafe, catch_unwind},
    pin::pin,
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering},
    },
    task::{Context, Poll, Waker},
    time::Duration,
};

use buttress::{
    BoxError, ConcurrencyLimitLayer, DeadlineLayer, HedgeLayer, Lifecycle, ObserveLayer, PropagateDeadlineLayer,
    RetryLayer,
    observe::{Began, Ended, Observer},
    retry::Backoff,
    tracing::{CallSpans, MakeSpan, Standard},
};
use bytes::Bytes;
use futures_util::FutureExt;
use http::{HeaderMap, Request, Response, StatusCode};
use http_body::Frame;
use http_body_util::{BodyExt, Empty, Full, StreamBody, combinators::UnsyncBoxBody};
use spans::Spans;
use tokio::time::sleep;
use tower::{Layer, Service, ServiceExt, service_fn};

type Body = UnsyncBoxBody<Bytes, BoxError>;

fn request(method: &str, path: &str) -> Request<Body> {
    let body = Empty::new().map_err(|never| match never {});
    let builder = Request::builder().method(method).uri(path);
    builder.body(body.boxed_unsync()).unwrap()
}

fn full(text: &'static str) -> Body {
    Full::from(text).map_err(|never| match never {}).boxed_unsync()
}

fn answer(status: u16, text: &'static str) -> Response<Body> {
    let mut response = Response::new(full(text));
    *response.status_mut() = StatusCode::from_u16(status).unwrap();
    response
}

/// Makes a call and reads its answer to the end.
async fn call<S, B>(service: &S, request: Request<Body>)
where
    S: Service<Request<Body>, Response = Response<B>> + Clone,
    S::Error: std::fmt::Debug,
    B: http_body::Body,
{
    let response = service.clone().oneshot(request).await.unwrap();
    let _ = response.into_body().collect().await;
}

/// Polls once.
fn poll<F: Future>(future: F) -> Poll<F::Output> {
    pin!(future).poll(&mut Context::from_waker(Waker::noop()))
}

fn server() -> ObserveLayer<CallSpans> {
    ObserveLayer::server(CallSpans::new())
}

fn client() -> ObserveLayer<CallSpans> {
    ObserveLayer::client(CallSpans::new())
}

// === what a span says ===

#[tokio::test(crate = "leakless")]
async fn a_request_is_one_span_with_the_names_of_opentelemetry() {
    let spans = Spans::listen();
    let layer = server().route(|_| Some("/users/{id}"));
    let service = layer.layer(service_fn(|_| ready(Ok::<_, Infallible>(answer(200, "yes")))));
    call(&service, request("GET", "/users/7?token=secret")).await;
    let seen = spans.only();
    let fields: Vec<_> = seen
        .fields
        .iter()
        .map(|(name, value)| (*name, value.as_str()))
        .collect();
    assert_eq!(
        (seen.name, fields),
        (
            "request",
            vec![
                ("buttress.at", "body"),
                ("buttress.attempts", "1"),
                ("buttress.outcome", "success"),
                ("http.request.method", "GET"),
                ("http.response.status_code", "200"),
                ("http.route", "/users/{id}"),
                ("otel.kind", "server"),
                ("otel.name", "GET /users/{id}"),
            ]
        )
    );
}

#[tokio::test(crate = "leakless")]
async fn an_rpc_is_told_as_one() {
    let spans = Spans::listen();
    let layer = client().route(|head| Some(head.uri.path()));
    let service = layer.layer(service_fn(|_| {
        let trailers = HeaderMap::from_iter([("grpc-status".parse().unwrap(), "14".parse().unwrap())]);
        let frames = [Frame::data(Bytes::from("yes")), Frame::trailers(trailers)];
        let frames = futures_util::stream::iter(frames.map(Ok::<_, BoxError>));
        ready(Ok::<_, Infallible>(Response::new(
            StreamBody::new(frames).boxed_unsync(),
        )))
    }));
    let mut rpc = request("POST", "/pkg.Users/Get");
    rpc.headers_mut()
        .insert("content-type", "application/grpc".parse().unwrap());
    call(&service, rpc).await;
    let seen = spans.only();
    let fields: Vec<_> = seen
        .fields
        .iter()
        .map(|(name, value)| (*name, value.as_str()))
        .collect();
    assert_eq!(
        (seen.name, fields),
        (
            "call",
            vec![
                ("buttress.at", "body"),
                ("buttress.attempts", "1"),
                ("buttress.outcome", "failure"),
                ("error.type", "UNAVAILABLE"),
                ("otel.kind", "client"),
                ("otel.name", "pkg.Users/Get"),
                ("otel.status_code", "ERROR"),
                ("rpc.method", "pkg.Users/Get"),
                ("rpc.response.status_code", "UNAVAILABLE"),
                ("rpc.system.name", "grpc"),
            ]
        )
    );
}

#[tokio::test(crate = "leakless")]
async fn a_callers_mistake_is_an_error_to_the_caller_alone() {
    for (layer, error) in [(server(), ""), (client(), "404")] {
        let spans = Spans::listen();
        let service = layer.layer(service_fn(|_| ready(Ok::<_, Infallible>(answer(404, "")))));
        call(&service, request("GET", "/")).await;
        let seen = spans.only();
        assert_eq!(
            (seen.get("http.response.status_code"), seen.get("error.type")),
            ("404", error)
        );
        assert_eq!(seen.get("otel.status_code") == "ERROR", !error.is_empty());
    }
}

#[tokio::test(crate = "leakless")]
async fn what_a_stranger_wrote_is_nowhere() {
    let spans = Spans::listen();
    let service = server().layer(service_fn(|_| ready(Ok::<_, Infallible>(answer(200, "")))));
    for method in ["GET", "SECRET"] {
        let mut request = request(method, "/secret?secret=secret");
        request.headers_mut().insert("x-secret", "secret".parse().unwrap());
        call(&service, request).await;
    }
    let all = spans.all();
    assert!(!format!("{all:?}").to_lowercase().contains("secret"), "{all:#?}");
    let names = all
        .iter()
        .map(|seen| (seen.get("otel.name"), seen.get("http.request.method")));
    assert_eq!(names.collect::<Vec<_>>(), [("GET", "GET"), ("HTTP", "_OTHER")]);
}

#[tokio::test(crate = "leakless")]
async fn what_is_not_http_is_a_span_too() {
    let spans = Spans::listen();
    let service = client()
        .typed()
        .layer(service_fn(|()| ready(Err::<(), _>(BoxError::from("no")))));
    assert!(service.oneshot(()).await.is_err());
    let seen = spans.only();
    assert_eq!((seen.get("otel.name"), seen.get("error.type")), ("call", "transport"));
}

// === what is within ===

#[tokio::test(start_paused = true, crate = "leakless")]
async fn each_poll_of_head_and_body_is_within_it() {
    let spans = Spans::listen();
    let upstream = client().layer(service_fn(|_| ready(Ok::<_, Infallible>(answer(200, "")))));
    let service = server().layer(service_fn(move |_| {
        let upstream = upstream.clone();
        tracing::info!("called");
        async move {
            sleep(Duration::from_millis(1)).await;
            call(&upstream, request("GET", "/")).await;
            tracing::info!("polled");
            let frames = futures_util::stream::once(async {
                tracing::info!("in the body");
                Err::<Frame<Bytes>, _>(BoxError::from("broken"))
            });
            Ok::<_, Infallible>(Response::new(StreamBody::new(frames).boxed_unsync()))
        }
    }));
    call(&service, request("GET", "/")).await;
    tracing::info!("behind it");
    let all = spans.all();
    assert_eq!(all.iter().map(|seen| seen.parent).collect::<Vec<_>>(), [None, Some(0)]);
    assert_eq!(all[0].events, ["called", "polled", "in the body"]);
    assert_eq!(spans.outside(), ["behind it"]);
    assert_eq!((all[0].get("error.type"), all[0].get("buttress.at")), ("body", "body"));
    all.iter().for_each(spans::Seen::assert_over);
}

#[tokio::test(start_paused = true, crate = "leakless")]
async fn what_the_layers_do_is_told_in_it() {
    let spans = Spans::listen();
    let slow = service_fn(|_| async {
        sleep(Duration::from_millis(50)).await;
        Ok::<_, Infallible>(answer(200, ""))
    });
    let limit = ConcurrencyLimitLayer::new(1).queue(1).name("orders");
    let service = server().layer(DeadlineLayer::new(Duration::from_secs(8)).layer(limit.layer(slow)));
    let get = || call(&service, request("GET", "/"));
    tokio::join!(get(), get(), get());
    let all = spans.all();
    all.iter().for_each(spans::Seen::assert_over);
    let told = |at: usize, name| all[at].get(name);
    let waits = [0, 1, 2].map(|at| told(at, "buttress.queue.wait"));
    let remaining = [0, 1, 2].map(|at| told(at, "buttress.deadline.remaining"));
    assert_eq!((waits, remaining), (["", "0.05", ""], ["8.0"; 3]));
    assert!(all[0].events.is_empty());
    assert_eq!(
        all[1].events,
        ["queued band=critical leave=admitted limit=orders wait=0.05"]
    );
    assert_eq!(
        all[2].events,
        ["rejected criticality=critical layer=concurrency reason=overloaded"]
    );
    assert_eq!(
        (told(2, "buttress.outcome"), told(2, "error.type")),
        ("rejected", "overloaded")
    );
    assert_eq!(
        (told(2, "buttress.at"), told(2, "http.response.status_code")),
        ("body", "503")
    );
}

#[tokio::test(start_paused = true, crate = "leakless")]
async fn attempts_are_counted_and_told() {
    let spans = Spans::listen();
    let served = Arc::new(AtomicU32::new(0));
    let fails_once = service_fn(move |_: Request<_>| {
        let status = [503, 200, 503, 503][served.fetch_add(1, Ordering::Relaxed) as usize];
        ready(Ok::<_, Infallible>(answer(status, "")))
    });
    let layer = RetryLayer::new()
        .attempts(2)
        .backoff(Backoff::new(Duration::ZERO, Duration::ZERO));
    let propagate = PropagateDeadlineLayer::new();
    let service = client().layer(layer.layer(propagate.layer(fails_once)));
    for _ in 0..2 {
        let answer = service.clone().call(request("GET", "/")).await.unwrap();
        answer.into_body().collect().await.unwrap();
    }
    let all = spans.all();
    all.iter().for_each(spans::Seen::assert_over);
    assert_eq!(all[0].events, ["retried attempt=2 error.type=503"]);
    assert_eq!(
        all[1].events,
        ["retried attempt=2 error.type=503", "gave up attempts=2 reason=attempts"]
    );
    let told = |name| all.iter().map(|seen| seen.get(name).to_owned()).collect::<Vec<_>>();
    assert_eq!(told("buttress.attempts"), ["2", "2"]);
    assert_eq!(told("error.type"), ["", "503"]);
}

#[tokio::test(start_paused = true, crate = "leakless")]
async fn a_hedge_is_an_attempt() {
    let spans = Spans::listen();
    let slow = service_fn(|_| async {
        sleep(Duration::from_millis(50)).await;
        Ok::<_, Infallible>(answer(200, ""))
    });
    let service = client().layer(HedgeLayer::after(Duration::from_millis(10)).layer(slow));
    let answer = service.clone().oneshot(request("GET", "/")).await.unwrap();
    answer.into_body().collect().await.unwrap();
    let seen = spans.only();
    assert_eq!(
        (&seen.events[..], seen.get("buttress.attempts")),
        (&["hedged attempt=2".to_owned()][..], "2")
    );
}

// === how it ends ===

#[tokio::test(crate = "leakless")]
async fn that_of_a_caller_that_left_says_so() {
    let never = || server().layer(service_fn(|_| pending::<Result<Response<Body>, Infallible>>()));
    let streams = || server().layer(service_fn(|_| ready(Ok::<_, Infallible>(answer(200, "yes")))));
    let leave: [(&str, &dyn Fn()); 3] = [
        ("head", &|| drop(poll(pin!(never().oneshot(request("GET", "/")))))),
        ("body", &|| drop(poll(pin!(streams().oneshot(request("GET", "/")))))),
        // Not even polled.
        ("head", &|| drop(streams().call(request("GET", "/")))),
    ];
    for (at, leave) in leave {
        let spans = Spans::listen();
        leave();
        let seen = spans.only();
        let told = ["error.type", "buttress.outcome", "buttress.at", "otel.status_code"].map(|name| seen.get(name));
        assert_eq!(told, ["client_disconnect", "cancelled", at, "ERROR"]);
    }
}

#[tokio::test(crate = "leakless")]
async fn one_that_panics_is_left_and_closed() {
    fn panics<T>() -> T {
        panic!("in the poll")
    }
    let spans = Spans::listen();
    let service = server().layer(service_fn(|_| async { panics::<Result<Response<Body>, Infallible>>() }));
    let calling = AssertUnwindSafe(|| poll(pin!(service.oneshot(request("GET", "/")))));
    assert!(catch_unwind(calling).is_err());
    tracing::info!("behind it");
    let seen = spans.only();
    assert_eq!(
        (seen.get("error.type"), seen.get("buttress.outcome")),
        ("panic", "failure")
    );
    assert_eq!(spans.outside(), ["behind it"]);
}

// === spans of one's own ===

#[tokio::test(crate = "leakless")]
async fn a_function_may_make_it_or_none() {
    let spans = Spans::listen();
    let layer = ObserveLayer::server(CallSpans::with(|began: &Began<'_>| {
        match began.head.unwrap().uri.path() {
            "/live" => tracing::Span::none(),
            "/standard" => Standard.make_span(began),
            path => tracing::info_span!("mine", path, error.r#type = tracing::field::Empty),
        }
    }));
    let service = layer.layer(service_fn(|_| ready(Ok::<_, Infallible>(answer(500, "")))));
    for path in ["/live", "/standard", "/mine"] {
        call(&service, request("GET", path)).await;
    }
    let all = spans.all();
    assert_eq!(
        all.iter().map(|seen| seen.name).collect::<Vec<_>>(),
        ["request", "mine"]
    );
    let mine: Vec<_> = all[1]
        .fields
        .iter()
        .map(|(name, value)| (*name, value.as_str()))
        .collect();
    assert_eq!(mine, [("error.type", "500"), ("path", "/mine")]);
}

#[tokio::test(crate = "leakless")]
async fn both_of_two_observers_are_told() {
    let (spans, ends) = (Spans::listen(), AtomicU32::new(0));
    let count = |_: &Ended| _ = ends.fetch_add(1, Ordering::Relaxed);
    let service = ObserveLayer::server((count, CallSpans::new()))
        .layer(service_fn(|_| ready(Ok::<_, Infallible>(answer(200, "")))));
    let mut service = service;
    service.call(request("GET", "/")).now_or_never().unwrap().unwrap();
    spans.only();
    assert_eq!(ends.load(Ordering::Relaxed), 1);
}

// === the process ===

#[tokio::test(start_paused = true, crate = "leakless")]
async fn the_end_of_the_process_is_told_outside_of_all() {
    let spans = Spans::listen();
    let life = Lifecycle::builder()
        .budget(Duration::from_secs(24))
        .observe(CallSpans::new())
        .build()
        .unwrap();
    let queue = life
        .worker("mail")
        .queue(2)
        .run(async |job: Result<(), BoxError>| job)
        .unwrap();
    queue.try_enqueue(Ok(())).unwrap();
    queue.try_enqueue(Err("no".into())).unwrap();
    drop(life.handle().context().spawn("stuck", pending::<()>()));
    life.handle().shutdown();
    let report = life.run().await;
    assert_eq!(report.aborted.len(), 1);
    let told = spans.outside();
    for event in [
        "job ended outcome=done took=0.0 worker=mail",
        "job ended outcome=failed took=0.0 worker=mail",
        "phase ended phase=not_ready took=0.0",
        "phase ended phase=draining took=18.0",
        "aborted age=18.0 kind=task name=stuck",
    ] {
        assert!(told.iter().any(|each| each == event), "{event} is not in {told:#?}");
    }
}

#[test]
fn without_a_subscriber_it_does_not_listen() {
    // The others' subscribers are of their threads; what a process may hear is of all of them.
    let child = std::env::args().any(|arg| arg == "--exact");
    if child {
        assert!(!CallSpans::new().listens());
        let spans = Spans::listen();
        assert!(CallSpans::new().listens());
        drop(spans);
        return;
    }
    let name = "without_a_subscriber_it_does_not_listen";
    let this = std::env::current_exe().unwrap();
    let status = std::process::Command::new(this)
        .args([name, "--exact"])
        .output()
        .unwrap();
    assert!(status.status.success(), "{status:?}");
}

//! What is recorded of calls, and of how the layers stand, with the facade `metrics`: read as Prometheus would.
#![cfg(feature = "metrics")]
#![allow(
    clippy::disallowed_methods,
    clippy::unwrap_used,
    reason = "a test may spawn, and fail by unwrap"
)]

#[path = "support/leakless.rs"]
mod leakless;
#[path = "support/page.rs"]
mod page;

use std::{
    convert::Infallible,
    future::{Future, pending},
    panic::{AssertUnwindSafe, catch_unwind},
    pin::pin,
    sync::{Arc, Mutex},
    task::{Context, Poll, Waker},
    time::Duration,
};

use buttress::{
    BoxError, ConcurrencyLimitLayer, DeadlineLayer, ObserveLayer,
    admission::concurrency::ConcurrencyLimit,
    metrics::{CallMetrics, Collector, Runtime},
    observe::SECONDS,
    telemetry::{Measured, Report},
};
use bytes::Bytes;
use futures_util::FutureExt;
use http::{Request, Response, StatusCode};
use http_body_util::{BodyExt, Empty, Full, combinators::UnsyncBoxBody};
use metrics::NoopRecorder;
use metrics_exporter_prometheus::{PrometheusBuilder, PrometheusHandle, PrometheusRecorder};
use page::Page;
use tokio::time::sleep;
use tower::{Layer, Service, ServiceExt, service_fn};

const DURATION: &str = "http_server_request_duration_seconds_count";
const ACTIVE: &str = "http_server_active_requests";
const CANCELLED: &str = "buttress_request_cancelled_total";

type Body = UnsyncBoxBody<Bytes, BoxError>;

/// A recorder of the test's own, so that tests do not count one another's calls.
struct Recorded {
    recorder: Arc<PrometheusRecorder>,
    handle: PrometheusHandle,
}

impl Recorded {
    fn new() -> Self {
        let builder = PrometheusBuilder::new().with_recommended_naming(true);
        let recorder = builder.set_buckets(&SECONDS).unwrap().build_recorder();
        Self {
            handle: recorder.handle(),
            recorder: Arc::new(recorder),
        }
    }

    fn calls(&self) -> CallMetrics {
        CallMetrics::with_recorder(self.recorder.clone())
    }

    fn collector(&self) -> Collector {
        Collector::with_recorder(self.recorder.clone())
    }

    fn page(&self) -> Page {
        Page::parse(&self.handle.render())
    }

    fn value(&self, name: &str, labels: &[(&str, &str)]) -> Option<f64> {
        self.page().value(name, labels)
    }
}

fn request(method: &str, path: &str) -> Request<Body> {
    let body = Empty::new().map_err(|never| match never {});
    Request::builder()
        .method(method)
        .uri(path)
        .body(body.boxed_unsync())
        .unwrap()
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

// === calls ===

#[tokio::test(start_paused = true, crate = "leakless")]
async fn a_request_is_timed_by_method_and_status() {
    let recorded = Recorded::new();
    let service = ObserveLayer::server(recorded.calls()).layer(service_fn(|_| async {
        sleep(Duration::from_millis(80)).await;
        Ok::<_, Infallible>(answer(503, "no"))
    }));
    call(&service, request("GET", "/secret?key=1")).await;
    call(&service, request("GET", "/")).await;
    call(&service, request("HEAD", "/")).await;

    let page = recorded.page();
    let labels = |method| {
        [
            ("http_request_method", method),
            ("http_response_status_code", "503"),
            ("error_type", "503"),
        ]
    };
    assert_eq!(page.value(DURATION, &labels("GET")), Some(2.0));
    assert_eq!(page.value(DURATION, &labels("HEAD")), Some(1.0));
    let family = "http_server_request_duration_seconds";
    let seconds = page.value(&format!("{family}_sum"), &[]).unwrap();
    assert!((seconds - 0.24).abs() < 1e-9, "{seconds}");
    assert_eq!(page.bounds(family), [&SECONDS[..], &[f64::INFINITY]].concat());
    assert_eq!(
        page.help(family),
        Some("How long requests took, to the end of the answer's body.")
    );
    assert!(!recorded.handle.render().contains("secret"));
}

#[tokio::test(crate = "leakless")]
async fn what_strangers_invent_is_other() {
    let recorded = Recorded::new();
    let service = ObserveLayer::server(recorded.calls()).layer(service_fn(|request: Request<Body>| async move {
        let status = request.uri().path()[1..].parse().unwrap();
        Ok::<_, Infallible>(answer(status, "yes"))
    }));
    for (method, path) in [("BREW", "/200"), ("GETGET", "/200"), ("get", "/200"), ("PATCH", "/200")] {
        call(&service, request(method, path)).await;
    }
    for status in ["/600", "/777", "/999"] {
        call(&service, request("GET", status)).await;
    }
    let page = recorded.page();
    assert_eq!(page.value(DURATION, &[("http_request_method", "_OTHER")]), Some(3.0));
    assert_eq!(page.value(DURATION, &[("http_request_method", "PATCH")]), Some(1.0));
    assert_eq!(
        page.value(DURATION, &[("http_response_status_code", "_OTHER")]),
        Some(3.0)
    );
    let methods = &page.labels()["http_request_method"];
    assert_eq!(methods.iter().collect::<Vec<_>>(), ["GET", "PATCH", "_OTHER"]);
}

#[tokio::test(crate = "leakless")]
async fn routes_are_as_few_as_a_thousand() {
    let recorded = Recorded::new();
    let service = ObserveLayer::server(recorded.calls())
        .route(|head| Some(head.uri.path()))
        .layer(service_fn(|_| async { Ok::<_, Infallible>(answer(200, "yes")) }));
    for route in 0..1_500 {
        call(&service, request("GET", &format!("/{route}"))).await;
        call(&service, request("GET", "/0")).await;
    }
    let page = recorded.page();
    assert_eq!(page.labels()["http_route"].len(), 1_001);
    assert_eq!(page.value(DURATION, &[("http_route", "/0")]), Some(1_501.0));
    assert_eq!(page.value(DURATION, &[("http_route", "/999")]), Some(1.0));
    assert_eq!(page.value(DURATION, &[("http_route", "_OTHER")]), Some(500.0));
}

#[tokio::test(crate = "leakless")]
async fn an_rpc_is_recorded_as_one() {
    let recorded = Recorded::new();
    let service = ObserveLayer::server(recorded.calls())
        .route(|head| Some(head.uri.path()))
        .layer(service_fn(|request: Request<Body>| async move {
            let mut response = answer(200, "");
            if let Some(status) = request.uri().query() {
                response.headers_mut().insert("grpc-status", status.parse().unwrap());
            }
            Ok::<_, Infallible>(response)
        }));
    for (path, content_type) in [
        ("/a.B/C?0", "application/grpc"),
        ("/a.B/C?14", "application/grpc+proto"),
        ("/a.B/C?99", "application/grpc"),
        ("/a.B/C?-1", "application/grpc"),
        ("/a.B/C", "application/grpc"),
        ("/a.B/D", "application/grpc-web"),
        ("/a.B/D", "application/connect+json"),
    ] {
        let mut request = request("POST", path);
        request
            .headers_mut()
            .insert("content-type", content_type.parse().unwrap());
        call(&service, request).await;
    }
    let page = recorded.page();
    let rpcs = |labels: &[(&str, &str)]| page.value("rpc_server_call_duration_seconds_count", labels);
    let grpc = ("rpc_system_name", "grpc");
    let status = |status| [grpc, ("rpc_method", "a.B/C"), ("rpc_response_status_code", status)];
    assert_eq!(rpcs(&status("OK")), Some(1.0));
    assert_eq!(rpcs(&status("UNAVAILABLE")), Some(1.0));
    assert_eq!(rpcs(&status("_OTHER")), Some(2.0));
    assert_eq!(rpcs(&[grpc, ("error_type", "missing_status")]), Some(1.0));
    assert_eq!(rpcs(&[grpc, ("error_type", "_OTHER")]), Some(2.0));
    assert_eq!(rpcs(&[grpc, ("rpc_method", "a.B/D")]), Some(1.0));
    assert_eq!(rpcs(&[("rpc_system_name", "connectrpc")]), Some(1.0));
    assert_eq!(page.value(DURATION, &[]), None);
    assert_eq!(page.value(ACTIVE, &[("http_request_method", "POST")]), Some(0.0));
}

#[tokio::test(crate = "leakless")]
async fn a_client_has_instruments_of_its_own() {
    let recorded = Recorded::new();
    let client =
        ObserveLayer::client(recorded.calls()).layer(service_fn(|_| async { Ok::<_, Infallible>(answer(404, "")) }));
    call(&client, request("GET", "/")).await;
    let page = recorded.page();
    let labels = [("http_response_status_code", "404"), ("error_type", "404")];
    assert_eq!(
        page.value("http_client_request_duration_seconds_count", &labels),
        Some(1.0)
    );
    assert_eq!((page.value(DURATION, &[]), page.value(ACTIVE, &[])), (None, None));
}

/// It asked for the status alone. A server that is left in the middle was left.
#[tokio::test(crate = "leakless")]
async fn a_client_that_reads_no_body_made_no_error() {
    let recorded = Recorded::new();
    for (status, grpc) in [(200, false), (404, false), (503, false), (200, true)] {
        let answer = move |_| async move { Ok::<_, Infallible>(answer(status, "unread")) };
        let client = ObserveLayer::client(recorded.calls()).layer(service_fn(answer));
        let mut request = request("POST", "/");
        if grpc {
            let speaks = "application/grpc".parse().unwrap();
            request.headers_mut().insert("content-type", speaks);
        }
        drop(client.oneshot(request).await.unwrap());
    }
    let page = recorded.page();
    let ended = |status, error| {
        let labels = [("http_response_status_code", status), ("error_type", error)];
        page.value("http_client_request_duration_seconds_count", &labels)
    };
    assert_eq!((ended("404", "404"), ended("503", "503")), (Some(1.0), Some(1.0)));
    let all = page.value("http_client_request_duration_seconds_count", &[]);
    let left = page.value(
        "http_client_request_duration_seconds_count",
        &[("error_type", "client_disconnect")],
    );
    assert_eq!((all, left), (Some(3.0), None));
    // How it was is not known before its end.
    let grpc = [("error_type", "client_disconnect")];
    assert_eq!(page.value("rpc_client_call_duration_seconds_count", &grpc), Some(1.0));
}

#[tokio::test(crate = "leakless")]
async fn what_is_not_http_has_no_duration() {
    let recorded = Recorded::new();
    let service = ObserveLayer::server(recorded.calls())
        .typed()
        .layer(service_fn(|(): ()| pending::<Result<(), Infallible>>()));
    assert!(service.clone().oneshot(()).now_or_never().is_none());
    let page = recorded.page();
    assert_eq!(
        page.value(CANCELLED, &[("reason", "client_disconnect"), ("at", "head")]),
        Some(1.0)
    );
    assert_eq!(page.types().len(), 1);
}

// === what is in flight ===

fn panics<T>() -> T {
    panic!("in the poll")
}

/// Polls once.
fn poll<F: Future>(future: F) -> Poll<F::Output> {
    pin!(future).poll(&mut Context::from_waker(Waker::noop()))
}

#[tokio::test(crate = "leakless")]
async fn a_request_is_in_flight_until_its_body_ends() {
    let recorded = Recorded::new();
    let service =
        ObserveLayer::server(recorded.calls()).layer(service_fn(|_| async { Ok::<_, Infallible>(answer(200, "yes")) }));
    let in_flight = || recorded.value(ACTIVE, &[("http_request_method", "GET")]);
    let mut calling = pin!(service.clone().oneshot(request("GET", "/")));
    assert_eq!(in_flight(), None);
    let Poll::Ready(response) = poll(calling.as_mut()) else {
        panic!("it answers at once");
    };
    assert_eq!(in_flight(), Some(1.0));
    response.unwrap().into_body().collect().await.unwrap();
    assert_eq!(in_flight(), Some(0.0));
    assert_eq!(recorded.value(CANCELLED, &[]), None);
}

#[tokio::test(crate = "leakless")]
async fn who_leaves_is_in_flight_no_more() {
    let recorded = Recorded::new();
    let layer = ObserveLayer::server(recorded.calls());
    let never = layer.layer(service_fn(|_| pending::<Result<Response<Body>, Infallible>>()));
    let streams = layer.layer(service_fn(|_| async { Ok::<_, Infallible>(answer(200, "yes")) }));
    drop(poll(pin!(never.oneshot(request("GET", "/")))));
    drop(streams.clone().oneshot(request("GET", "/")).await.unwrap());
    // Not even polled.
    drop(streams.clone().call(request("GET", "/")));
    let page = recorded.page();
    assert_eq!(page.value(ACTIVE, &[]), Some(0.0));
    let left = |at| page.value(CANCELLED, &[("reason", "client_disconnect"), ("at", at)]);
    assert_eq!((left("head"), left("body")), (Some(2.0), Some(1.0)));
    assert_eq!(page.value(DURATION, &[("error_type", "client_disconnect")]), Some(3.0));
}

#[tokio::test(crate = "leakless")]
async fn who_fails_or_panics_is_in_flight_no_more() {
    let recorded = Recorded::new();
    let layer = ObserveLayer::server(recorded.calls());
    let fails = layer.layer(service_fn(|_| async { Err::<Response<Body>, _>(BoxError::from("no")) }));
    assert!(fails.oneshot(request("GET", "/")).await.is_err());
    let panics = layer.layer(service_fn(|request: Request<Body>| {
        assert_ne!(request.uri().path(), "/call", "in the call");
        async { panics::<Result<Response<Body>, BoxError>>() }
    }));
    for path in ["/call", "/poll"] {
        let panics = panics.clone();
        let calling = AssertUnwindSafe(|| poll(pin!(panics.oneshot(request("GET", path)))));
        assert!(catch_unwind(calling).is_err());
    }
    let page = recorded.page();
    assert_eq!(page.value(ACTIVE, &[]), Some(0.0));
    assert_eq!(page.value(DURATION, &[("error_type", "transport")]), Some(1.0));
    assert_eq!(page.value(DURATION, &[("error_type", "panic")]), Some(2.0));
}

// === what happens in them ===

#[tokio::test(start_paused = true, crate = "leakless")]
async fn what_the_layers_do_is_recorded() {
    let recorded = Recorded::new();
    let limit = ConcurrencyLimitLayer::new(1).queue(1).name("orders");
    let slow = service_fn(|_| async {
        sleep(Duration::from_millis(50)).await;
        Ok::<_, Infallible>(answer(200, ""))
    });
    let service = DeadlineLayer::new(Duration::from_secs(8)).layer(limit.layer(slow));
    let service = ObserveLayer::server(recorded.calls()).layer(service);
    let get = || call(&service, request("GET", "/"));
    tokio::join!(get(), get(), get());

    let page = recorded.page();
    assert_eq!(
        page.value("buttress_deadline_remaining_seconds_sum", &[("stage", "arrival")]),
        Some(24.0)
    );
    assert_eq!(page.value("buttress_deadline_remaining_seconds_count", &[]), Some(3.0));
    let waited = [("name", "orders"), ("band", "critical"), ("leave", "admitted")];
    assert_eq!(
        page.value("buttress_queue_wait_duration_seconds_sum", &waited),
        Some(0.05)
    );
    let rejected = [
        ("layer", "concurrency"),
        ("reason", "overloaded"),
        ("criticality", "critical"),
    ];
    assert_eq!(page.value("buttress_rejected_total", &rejected), Some(1.0));
    assert_eq!(page.value(DURATION, &[("error_type", "overloaded")]), Some(1.0));
}

// === the cost ===

/// The recorder's own cost is not ours: this one has none.
#[tokio::test(crate = "leakless")]
async fn nothing_is_allocated_once_it_is_known() {
    let layer = ObserveLayer::server(CallMetrics::with_recorder(NoopRecorder)).route(|head| Some(head.uri.path()));
    let service = layer.layer(DeadlineLayer::new(Duration::from_secs(8)).layer(service_fn(|_| async {
        Ok::<_, Infallible>(Response::new(Full::<Bytes>::from("yes")))
    })));
    let run = |request: Request<Empty<Bytes>>| {
        let mut service = service.clone();
        let measured = allocation_counter::measure(|| {
            let Poll::Ready(Ok(response)) = poll(pin!(service.call(request))) else {
                panic!("it answers at once");
            };
            let read = poll(pin!(response.into_body().collect()));
            assert!(read.is_ready());
        });
        measured.count_total
    };
    let get = || Request::get("/").body(Empty::new()).unwrap();
    let (first, again) = (run(get()), run(get()));
    // To collect a body is one, whoever observes.
    assert!(first > again && again <= 1, "{first}, then {again}");
}

#[test]
fn without_a_recorder_nothing_happens() {
    let service = ObserveLayer::server(CallMetrics::new());
    let service = service.layer(service_fn(|_| async { Ok::<_, Infallible>(answer(200, "")) }));
    call(&service, request("GET", "/")).now_or_never().unwrap();
    Collector::new().watch("none", Runtime::current()).collect();
}

// === how things stand ===

#[tokio::test(crate = "leakless")]
async fn what_is_watched_is_collected() {
    let recorded = Recorded::new();
    let layer = ConcurrencyLimitLayer::new(7).queue(0);
    let collector = recorded.collector().watch("orders", layer.limit());
    let page = recorded.page();
    assert_eq!(page.types().len(), 0, "nobody has asked: {page:?}");

    let service = layer.layer(service_fn(|_| async { Ok::<_, Infallible>(answer(200, "yes")) }));
    let held = service.clone().oneshot(request("GET", "/")).await.unwrap();
    collector.collect();
    let named = [("name", "orders")];
    let in_flight = "buttress_limit_in_flight";
    assert_eq!(recorded.value("buttress_limit_concurrency", &named), Some(7.0));
    assert_eq!(recorded.value(in_flight, &named), Some(1.0));
    drop(held);
    assert_eq!(recorded.value(in_flight, &named), Some(1.0), "nobody has asked again");
    collector.collect();
    assert_eq!(recorded.value(in_flight, &named), Some(0.0));
}

#[tokio::test(crate = "leakless")]
async fn a_counter_is_counted_once_however_often_it_is_collected() {
    let recorded = Recorded::new();
    let layer = ConcurrencyLimitLayer::new(0).queue(0);
    let service = layer.layer(service_fn(|_| async { Ok::<_, Infallible>(answer(200, "yes")) }));
    let collector = recorded.collector().watch("orders", layer.limit());
    for rejections in 1_u8..4 {
        call(&service, request("GET", "/")).await;
        collector.collect();
        collector.collect();
        let counted = recorded.value("buttress_limit_rejected_total", &[("name", "orders")]);
        assert_eq!(counted, Some(rejections.into()));
    }
}

/// A limit that goes away.
#[derive(Clone)]
struct Going(Arc<Mutex<Option<ConcurrencyLimit>>>);

impl Measured for Going {
    fn measure(&self, name: &str, report: &mut dyn Report) {
        self.0.lock().unwrap().measure(name, report);
    }
}

#[test]
fn what_is_gone_is_0() {
    let recorded = Recorded::new();
    let going = Going(Arc::new(Mutex::new(Some(ConcurrencyLimitLayer::new(7).limit()))));
    let collector = recorded.collector().watch("orders", going.clone());
    collector.collect();
    let limit = || recorded.value("buttress_limit_concurrency", &[]);
    assert_eq!(limit(), Some(7.0));
    let gone = going.0.lock().unwrap().take();
    collector.collect();
    assert_eq!(limit(), Some(0.0));
    *going.0.lock().unwrap() = gone;
    collector.collect();
    assert_eq!(limit(), Some(7.0));
}

#[tokio::test(start_paused = true, crate = "leakless")]
async fn a_task_collects_from_time_to_time() {
    let recorded = Recorded::new();
    let layer = ConcurrencyLimitLayer::new(7);
    let collector = recorded.collector().watch("orders", layer.limit());
    let limit = || recorded.value("buttress_limit_concurrency", &[]);
    let mut running = pin!(collector.run(Duration::from_secs(5)));
    assert!(poll(running.as_mut()).is_pending());
    assert_eq!(limit(), Some(7.0), "at once");
    layer.limit().set(Some(8));
    let first = tokio::time::timeout(Duration::from_millis(4_900), running.as_mut());
    assert!(first.await.is_err());
    assert_eq!(limit(), Some(7.0));
    let second = tokio::time::timeout(Duration::from_millis(200), running.as_mut());
    assert!(second.await.is_err());
    assert_eq!(limit(), Some(8.0));
}

#[test]
fn a_runtime_tells_how_it_stands() {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).build();
    let runtime = runtime.unwrap();
    let recorded = Recorded::new();
    let collector = recorded.collector().watch("main", Runtime::new(runtime.handle()));
    assert!(Runtime::current().is_none());
    assert!(runtime.block_on(async { Runtime::current() }).is_some());
    let task = runtime.spawn(pending::<()>());
    collector.collect();
    let page = recorded.page();
    assert_eq!(page.value("tokio_task_count", &[]), Some(1.0));
    assert!(page.value("tokio_global_queue_depth", &[]).is_some());
    let workers = &page.labels()["worker"];
    assert_eq!(workers.iter().collect::<Vec<_>>(), ["0", "1"]);
    assert!(page.value("tokio_worker_busy_seconds", &[]).is_some());
    task.abort();
}

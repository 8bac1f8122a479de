//! Faults: what each does, to whom, what the layers above and the peers make of it, and that there is none where none is wanted.
#![allow(clippy::disallowed_methods, clippy::unwrap_used, reason = "a test may")]

#[path = "support/script.rs"]
mod script;
mod support;

use std::{
    future::{Ready, ready},
    io,
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering},
    },
    task::{Context as Poller, Poll},
    time::Duration,
};

use axum::{Router, routing::get as on_get};
use buttress::{
    BoxError, BreakerLayer, Cancelled, Context, DeadlineLayer, FaultLayer, ObserveLayer, RetryLayer, TimeoutLayer,
    fault::{Delay, Injected, Rule},
    outcome::{Class, Outcome},
    rejection::{Reason, Rejection, ResponseExt},
    telemetry::{Measure, Measured},
};
use bytes::Bytes;
use http::{HeaderName, Method, Request, Response, StatusCode};
use http_body::Body as HttpBody;
use http_body_util::{BodyExt, Full};
use tokio::time::Instant;
use tonic::{Code, Status, transport::Server};
use tower::{Layer, Service, ServiceExt, service_fn};

use self::{
    script::Script,
    support::{Connection, VERSIONS, Version, get, grpc, log, said, serve, serve_hyper, soon},
};

const MS: Duration = Duration::from_millis(1);
const UNAVAILABLE: StatusCode = StatusCode::SERVICE_UNAVAILABLE;

fn request(path: &str) -> Request<Full<Bytes>> {
    Request::get(format!("http://upstream{path}"))
        .body(Full::default())
        .unwrap()
}

fn rpc() -> Request<Full<Bytes>> {
    let request = Request::post("http://upstream/pkg.Service/Method").header("content-type", "application/grpc");
    request.body(Full::default()).unwrap()
}

fn on() -> FaultLayer {
    FaultLayer::new().enabled(true).seed(1)
}

fn errors() -> BoxError {
    io::Error::from(io::ErrorKind::ConnectionReset).into()
}

/// Answers with a body of this text.
fn upstream(text: &'static str) -> Upstream {
    Upstream(text)
}

#[derive(Clone)]
struct Upstream(&'static str);

impl<B> Service<Request<B>> for Upstream {
    type Response = Response<Full<Bytes>>;
    type Error = BoxError;
    type Future = Ready<Result<Self::Response, BoxError>>;

    fn poll_ready(&mut self, _: &mut Poller<'_>) -> Poll<Result<(), BoxError>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, _: Request<B>) -> Self::Future {
        ready(Ok(Response::new(Full::from(self.0))))
    }
}

// === off ===

#[tokio::test(start_paused = true, crate = "support::leakless")]
async fn nothing_happens_before_it_is_enabled() {
    let asks = HeaderName::from_static("x-fault");
    let layer = FaultLayer::new()
        .rule(Rule::abort(UNAVAILABLE))
        .header(asks.clone())
        .rule(Rule::reset_body(0));
    let mut ask = request("/");
    ask.headers_mut().insert(asks, "reset".parse().unwrap());
    let answer = layer.layer(upstream("hello")).oneshot(ask).await.unwrap();
    assert_eq!(said(answer).await.text, "hello");
    assert_eq!((layer.snapshot().requests, layer.snapshot().enabled), (0, false));
}

#[tokio::test(start_paused = true, crate = "support::leakless")]
async fn the_switch_is_one_for_all_services_and_clones() {
    let layer = FaultLayer::new().rule(Rule::abort(UNAVAILABLE));
    let services = [
        layer.layer(upstream("")),
        layer.clone().layer(upstream("")),
        layer.layer(upstream("")).clone(),
    ];
    for enabled in [true, false, true] {
        layer.clone().switch().set(enabled);
        for service in &services {
            let answer = service.clone().oneshot(request("/")).await.unwrap();
            assert_eq!(answer.status() == UNAVAILABLE, enabled);
        }
    }
    assert_eq!(
        (layer.snapshot().requests, layer.snapshot().injected(Injected::Abort)),
        (6, 6)
    );
}

// === delay ===

#[tokio::test(start_paused = true, crate = "support::leakless")]
async fn a_delay_comes_before_the_request_is_handed_on() {
    let (layer, script) = (on().rule(Rule::delay(200 * MS)), Script::new([]));
    let start = Instant::now();
    layer.layer(script.clone()).oneshot(request("/")).await.unwrap();
    assert_eq!(start.elapsed().as_millis(), 200);
    assert_eq!(script.seen()[0].at.as_millis(), 200);
    assert_eq!(layer.snapshot().injected(Injected::Delay), 1);
}

#[tokio::test(start_paused = true, crate = "support::leakless")]
async fn a_delay_ends_at_the_deadline() {
    let layer = on().rule(Rule::delay(Duration::from_secs(60)));
    let script = Script::new([]);
    // A deadline that somebody keeps, and one that is only in the context.
    let kept = DeadlineLayer::new(100 * MS).layer(layer.layer(script.clone()));
    let context = Context::current().with_timeout(100 * MS);
    let known = context.scope(layer.layer(script.clone()).oneshot(request("/")));
    let start = Instant::now();
    assert_eq!(
        kept.oneshot(request("/")).await.unwrap().status(),
        StatusCode::GATEWAY_TIMEOUT
    );
    assert_eq!(start.elapsed().as_millis(), 100);
    let start = Instant::now();
    let context = Context::current().with_timeout(100 * MS);
    drop(known);
    let known = context
        .scope(layer.layer(script.clone()).oneshot(request("/")))
        .await
        .unwrap();
    assert_eq!(start.elapsed().as_millis(), 100);
    assert_eq!(known.rejection().map(Rejection::reason), Some(Reason::DeadlineExceeded));
    assert_eq!(script.attempts(), 0);
}

#[tokio::test(start_paused = true, crate = "support::leakless")]
async fn a_delay_ends_when_the_work_does() {
    for (why, reason) in [
        (Cancelled::Disconnected, Reason::Cancelled),
        (Cancelled::ShuttingDown, Reason::Draining),
    ] {
        let layer = on().rule(Rule::delay(Duration::from_secs(60)));
        let work = Context::current().child();
        let call = tokio::spawn(work.scope(layer.layer(upstream("")).oneshot(request("/"))));
        tokio::time::sleep(10 * MS).await;
        let start = Instant::now();
        work.cancel(why);
        let answer = call.await.unwrap().unwrap();
        assert_eq!(answer.rejection().map(Rejection::reason), Some(reason));
        assert!(start.elapsed().is_zero());
    }
}

#[tokio::test(start_paused = true, crate = "support::leakless")]
async fn whoever_leaves_during_a_delay_leaves_nothing() {
    let dropped = Arc::new(());
    let held = dropped.clone();
    let layer = on().rule(Rule::delay(Duration::from_secs(60)));
    let inner = service_fn(move |_: Request<Full<Bytes>>| {
        let _ = &held;
        async { Ok::<_, BoxError>(Response::new(Full::<Bytes>::default())) }
    });
    let call = layer.layer(inner).oneshot(request("/"));
    assert!(tokio::time::timeout(10 * MS, call).await.is_err());
    assert_eq!(Arc::strong_count(&dropped), 1);
}

#[tokio::test(start_paused = true, crate = "support::leakless")]
async fn delays_are_as_they_are_said_to_be() {
    let delays = |rule: Rule| async {
        let service = on().rule(rule).layer(upstream(""));
        let mut delays = Vec::new();
        for _ in 0..1_000 {
            let start = Instant::now();
            service.clone().oneshot(request("/")).await.unwrap();
            delays.push(start.elapsed());
        }
        delays.sort_unstable();
        delays
    };
    let between = delays(Rule::delay(100 * MS..=300 * MS)).await;
    assert!(between[0] >= 100 * MS && between[999] <= 301 * MS);
    assert!((190..210).contains(&between[500].as_millis()), "{:?}", between[500]);
    let around = delays(Rule::delay(Delay::exponential(100 * MS))).await;
    assert!(
        (60..80).contains(&around[500].as_millis()),
        "{:?}: ln 2 of the mean",
        around[500]
    );
    assert!(around[999] > 400 * MS && around[999] <= 1_001 * MS);
}

// === abort ===

#[tokio::test(start_paused = true, crate = "support::leakless")]
async fn an_abort_is_the_upstreams_own_failure_to_all_above() {
    // A retry tries again, and a breaker opens: neither does for a rejection of ours.
    for (rule, calls, is_open) in [
        (Rule::abort(UNAVAILABLE), 3, true),
        (Rule::reject(Reason::Overloaded), 1, false),
    ] {
        let layer = on().rule(rule.clone());
        let retry = RetryLayer::http().layer(layer.layer(upstream("")));
        let answer = retry.oneshot(request("/")).await.unwrap();
        assert_eq!(
            (answer.status(), layer.snapshot().requests),
            (UNAVAILABLE, calls),
            "{rule:?}"
        );

        let breaker = BreakerLayer::new();
        let layer = on().rule(rule.clone());
        let service = breaker.layer(layer.layer(upstream("")));
        for _ in 0..100 {
            service.clone().oneshot(request("/")).await.unwrap();
        }
        assert_eq!(layer.snapshot().requests < 100, is_open, "{rule:?}");
    }
}

/// A server would make what it likes of it.
#[tokio::test(start_paused = true, crate = "support::leakless")]
async fn an_abort_with_a_status_that_is_no_answer_is_an_error_of_the_servers() {
    let layer = on().rule(Rule::abort(StatusCode::EARLY_HINTS));
    let answer = layer.layer(upstream("")).oneshot(request("/")).await.unwrap();
    assert_eq!(answer.status(), 500);
}

#[tokio::test(start_paused = true, crate = "support::leakless")]
async fn an_abort_is_marked_in_this_process_alone() {
    let service = on().rule(Rule::abort(UNAVAILABLE)).layer(upstream(""));
    let answer = service.oneshot(request("/")).await.unwrap();
    assert_eq!(answer.extensions().get(), Some(&Injected::Abort));
    assert!(answer.rejection().is_none() && answer.headers().len() == 1);
    let service = on().rule(Rule::reject(Reason::BreakerOpen)).layer(upstream(""));
    let answer = service.oneshot(request("/")).await.unwrap();
    let rejection = answer.rejection().unwrap();
    assert_eq!((rejection.reason(), rejection.layer()), (Reason::BreakerOpen, "fault"));
}

#[tokio::test(start_paused = true, crate = "support::leakless")]
async fn grpc_hears_an_abort_as_a_status_at_the_head() {
    for (rule, code) in [
        (Rule::abort(UNAVAILABLE), "14"),
        (Rule::abort(StatusCode::INTERNAL_SERVER_ERROR), "2"),
        (Rule::abort_grpc(8), "8"),
        (Rule::abort_grpc(0), "2"),
    ] {
        let answer = on().rule(rule).layer(upstream("")).oneshot(rpc()).await.unwrap();
        assert_eq!(
            (answer.status(), &answer.headers()["grpc-status"]),
            (StatusCode::OK, &code.parse().unwrap())
        );
        assert!(answer.body().is_end_stream());
    }
}

#[tokio::test(start_paused = true, crate = "support::leakless")]
async fn a_delay_and_an_abort_befall_one_request() {
    let script = Script::new([]);
    let layer = on()
        .rule(Rule::abort(UNAVAILABLE))
        .rule(Rule::delay(70 * MS))
        .rule(Rule::delay(9_000 * MS));
    let start = Instant::now();
    let answer = layer.layer(script.clone()).oneshot(request("/")).await.unwrap();
    assert_eq!((answer.status(), start.elapsed().as_millis()), (UNAVAILABLE, 70));
    assert_eq!(script.attempts(), 0);
}

// === reset ===

#[tokio::test(start_paused = true, crate = "support::leakless")]
async fn a_reset_with_an_error_is_a_transport_that_failed() {
    let layer = on().rule(Rule::reset()).error(errors);
    let client = RetryLayer::http().layer(layer.layer(upstream("")));
    let error = client.oneshot(request("/")).await.unwrap_err();
    assert_eq!(
        error.downcast_ref::<io::Error>().unwrap().kind(),
        io::ErrorKind::ConnectionReset
    );
    assert_eq!(
        (layer.snapshot().requests, layer.snapshot().injected(Injected::Reset)),
        (3, 3)
    );
}

#[tokio::test(start_paused = true, crate = "support::leakless")]
async fn a_body_breaks_after_so_many_bytes() {
    for (after, got, broken) in [
        (0, "", true),
        (3, "hel", true),
        (4, "hell", true),
        (6, "hello", false),
        (u64::MAX, "hello", false),
    ] {
        let (outcome, mut outcomes) = log();
        let layer = on().rule(Rule::reset_body(after));
        let service = ObserveLayer::client(outcome).layer(layer.layer(upstream("hello")));
        let mut body = service.oneshot(request("/")).await.unwrap().into_body();
        assert_eq!(body.size_hint().exact(), Some(5));
        let mut text = String::new();
        let mut error = None;
        while let Some(frame) = body.frame().await {
            match frame {
                Ok(frame) => text += std::str::from_utf8(frame.data_ref().unwrap()).unwrap(),
                Err(broke) => error = Some(broke),
            }
        }
        assert_eq!((&text[..], error.is_some()), (got, broken), "after {after}");
        let outcome = outcomes.next().await;
        let expected = if broken {
            Outcome::failure(Class::Body)
        } else {
            Outcome::Success
        };
        assert_eq!(outcome, expected, "after {after}");
        assert_eq!(layer.snapshot().injected(Injected::ResetBody), u64::from(broken));
    }
}

#[tokio::test(crate = "support::leakless")]
async fn a_server_that_resets_has_sent_no_head() {
    let layer = on().rule(Rule::reset());
    let app = Router::new()
        .route("/", on_get(|| async { "hello" }))
        .layer(layer.clone());
    let address = serve(app).await;
    for version in VERSIONS {
        let mut connection = Connection::open(address, version).await;
        let error = soon(connection.send(get(address, "/"))).await.unwrap_err();
        match version {
            Version::Http1 => assert!(error.is_incomplete_message(), "{error:?}"),
            Version::Http2 => {
                let source = std::error::Error::source(&error).unwrap();
                let reset = source.downcast_ref::<h2::Error>().unwrap();
                assert!(reset.is_reset() && reset.is_remote(), "{error:?}");
                // The stream alone: the connection goes on.
                layer.switch().set(false);
                assert_eq!(
                    soon(connection.send(get(address, "/"))).await.unwrap().status(),
                    StatusCode::OK
                );
                layer.switch().set(true);
            }
        }
    }
    assert_eq!(layer.snapshot().injected(Injected::Reset), 2);
}

#[tokio::test(crate = "support::leakless")]
async fn a_server_that_breaks_a_body_has_sent_what_came_before() {
    let layer = on().rule(Rule::reset_body(100_000));
    let app = Router::new()
        .route("/", on_get(|| async { vec![7_u8; 200_000] }))
        .layer(layer.clone());
    let address = serve(app).await;
    for version in VERSIONS {
        let mut connection = Connection::open(address, version).await;
        let answer = soon(connection.send(get(address, "/"))).await.unwrap();
        assert_eq!(
            (answer.status(), answer.body().size_hint().exact()),
            (StatusCode::OK, Some(200_000))
        );
        let (length, end) = support::bodies::read(answer.into_body()).await;
        assert!(length <= 100_000 && end.is_err(), "{version:?}: {length}, {end:?}");
    }
    assert_eq!(layer.snapshot().injected(Injected::ResetBody), 2);
}

// === slow bodies ===

#[tokio::test(start_paused = true, crate = "support::leakless")]
async fn a_body_comes_at_its_rate() {
    let layer = on().rule(Rule::slow_body(1_600));
    let text: &'static str = Box::leak("x".repeat(1_650).into_boxed_str());
    let answer = layer.layer(upstream(text)).oneshot(request("/")).await.unwrap();
    let start = Instant::now();
    let mut body = answer.into_body();
    let (mut length, mut frames) = (0, 0);
    while let Some(frame) = body.frame().await {
        let data = frame.unwrap().into_data().unwrap();
        assert!(data.len() <= 100);
        assert!(
            length <= 1_600 * start.elapsed().as_millis() as usize / 1_000,
            "no byte is early"
        );
        length += data.len();
        frames += 1;
        assert_eq!(body.size_hint().exact(), Some(1_650 - length as u64));
    }
    assert_eq!((length, frames, start.elapsed().as_millis()), (1_650, 17, 1_000));
    assert_eq!(layer.snapshot().injected(Injected::SlowBody), 1);
}

#[tokio::test(start_paused = true, crate = "support::leakless")]
async fn a_body_pauses_between_its_frames() {
    let inner = service_fn(|_: Request<Full<Bytes>>| async {
        Ok::<_, BoxError>(Response::new(support::bodies::Chunks::new(4)))
    });
    let answer = on()
        .rule(Rule::pause_body(50 * MS))
        .layer(inner)
        .oneshot(request("/"))
        .await
        .unwrap();
    let start = Instant::now();
    let body = answer.into_body().collect().await.unwrap().to_bytes();
    // The last before its end, which is not known before.
    assert_eq!(
        (body.len(), start.elapsed().as_millis()),
        (4 * support::bodies::CHUNK, 200)
    );
}

#[tokio::test(start_paused = true, crate = "support::leakless")]
async fn a_slow_body_ends_with_the_work() {
    // A deadline that somebody keeps breaks it; one that is only in the context does, too.
    let slow = || {
        on().rule(Rule::slow_body(16))
            .layer(upstream("hello hello hello hello"))
    };
    let kept = TimeoutLayer::new(300 * MS)
        .layer(slow())
        .oneshot(request("/"))
        .await
        .unwrap();
    let start = Instant::now();
    assert!(kept.into_body().collect().await.is_err());
    assert_eq!(start.elapsed().as_millis(), 300);

    let context = Context::current().with_timeout(300 * MS);
    let start = Instant::now();
    let read = context.scope(async { slow().oneshot(request("/")).await.unwrap().into_body().collect().await });
    let error = read.await.unwrap_err();
    assert_eq!(
        error.downcast_ref::<Rejection>().unwrap().reason(),
        Reason::DeadlineExceeded
    );
    assert_eq!(start.elapsed().as_millis(), 300);
}

#[tokio::test(start_paused = true, crate = "support::leakless")]
async fn a_slow_body_breaks_where_it_is_to() {
    let layer = on().rule(Rule::slow_body(32)).rule(Rule::reset_body(5));
    let answer = layer
        .layer(upstream("hello hello"))
        .oneshot(request("/"))
        .await
        .unwrap();
    let start = Instant::now();
    let (length, end) = support::bodies::read(answer.into_body()).await;
    assert_eq!((length, end.is_err(), start.elapsed().as_millis()), (5, true, 157));
}

#[tokio::test(start_paused = true, crate = "support::leakless")]
async fn trailers_come_behind_a_slow_body() {
    let trailers: http::HeaderMap = [(HeaderName::from_static("grpc-status"), "0".parse().unwrap())]
        .into_iter()
        .collect();
    let with = trailers.clone();
    let inner = service_fn(move |_: Request<Full<Bytes>>| {
        let trailers = with.clone();
        async {
            Ok::<_, BoxError>(Response::new(
                Full::from("hello").with_trailers(async { Some(Ok(trailers)) }),
            ))
        }
    });
    let answer = on()
        .rule(Rule::slow_body(20))
        .layer(inner)
        .oneshot(rpc())
        .await
        .unwrap();
    let body = answer.into_body().collect().await.unwrap();
    assert_eq!(
        (body.trailers().cloned(), body.to_bytes()),
        (Some(trailers), Bytes::from("hello"))
    );
}

#[tokio::test(crate = "support::leakless")]
async fn a_client_over_a_socket_waits_for_a_slow_body() {
    let layer = on().rule(Rule::slow_body(1_000));
    let app = Router::new()
        .route("/", on_get(|| async { vec![7_u8; 150] }))
        .layer(layer.clone());
    let address = serve_hyper(app).await;
    for version in VERSIONS {
        let start = Instant::now();
        let mut connection = Connection::open(address, version).await;
        let answer = soon(connection.send(get(address, "/"))).await.unwrap();
        let body = soon(answer.into_body().collect()).await.unwrap().to_bytes();
        // The last of 62 bytes each goes out when those before it are paid for.
        assert!(
            body.len() == 150 && start.elapsed() >= 124 * MS,
            "{version:?}: {:?}",
            start.elapsed()
        );
    }
    assert_eq!(layer.snapshot().injected(Injected::SlowBody), 2);
}

// === whom ===

#[tokio::test(start_paused = true, crate = "support::leakless")]
async fn a_function_of_the_head_says_whom() {
    let layer =
        on().rule(Rule::abort(UNAVAILABLE).when(|head| head.uri.path() == "/down" && head.method == Method::GET));
    for (path, status) in [("/down", UNAVAILABLE), ("/up", StatusCode::OK)] {
        assert_eq!(
            layer.layer(upstream("")).oneshot(request(path)).await.unwrap().status(),
            status
        );
    }
}

#[tokio::test(start_paused = true, crate = "support::leakless")]
async fn a_request_asks_for_its_own_faults_in_a_header_that_is_read() {
    let asks = HeaderName::from_static("x-chaos");
    let ask = |says: &'static [&str]| {
        let mut request = request("/");
        for says in says {
            request.headers_mut().append("x-chaos", says.parse().unwrap());
        }
        request
    };
    let layer = on().header(asks.clone());
    let start = Instant::now();
    let answer = layer
        .layer(upstream(""))
        .oneshot(ask(&["delay=250", "abort=503"]))
        .await
        .unwrap();
    assert_eq!((answer.status(), start.elapsed().as_millis()), (UNAVAILABLE, 250));
    // None, or none that says anything: nothing, and the second is counted.
    for says in [&[][..], &["delay=soon"], &["abort=503, unheard-of=1"]] {
        assert_eq!(
            layer.layer(upstream("")).oneshot(ask(says)).await.unwrap().status(),
            StatusCode::OK
        );
    }
    assert_eq!(layer.snapshot().unreadable, 2);

    // Where no header was named none is read, and of others than those who are trusted neither.
    assert_eq!(
        on().layer(upstream(""))
            .oneshot(ask(&["abort=503"]))
            .await
            .unwrap()
            .status(),
        StatusCode::OK
    );
    for layer in [
        on().header(asks.clone())
            .trust(|head| head.extensions.get::<&str>() == Some(&"tester")),
        on().trust(|head| head.extensions.get::<&str>() == Some(&"tester"))
            .header(asks),
    ] {
        let stranger = ask(&["abort=503"]);
        assert_eq!(
            layer.layer(upstream("")).oneshot(stranger).await.unwrap().status(),
            StatusCode::OK
        );
        let mut tester = ask(&["abort=503"]);
        tester.extensions_mut().insert("tester");
        assert_eq!(
            layer.layer(upstream("")).oneshot(tester).await.unwrap().status(),
            UNAVAILABLE
        );
        assert_eq!(layer.snapshot().unreadable, 0);
    }
}

// === the same again ===

async fn sequence(layer: FaultLayer) -> String {
    let mut fallen = String::new();
    // Over services, as a server makes them: one per route or connection.
    let services = [layer.layer(upstream("")), layer.layer(upstream(""))];
    for n in 0..64 {
        let answer = services[n % 2].clone().oneshot(request("/")).await.unwrap();
        fallen.push(if answer.status() == UNAVAILABLE { 'x' } else { '.' });
    }
    fallen
}

#[tokio::test(start_paused = true, crate = "support::leakless")]
async fn a_seed_gives_the_same_sequence_of_faults() {
    let layer = |seed| on().seed(seed).rule(Rule::abort(UNAVAILABLE).share(0.3));
    let first = sequence(layer(7)).await;
    assert_eq!(sequence(layer(7)).await, first);
    assert_ne!(sequence(layer(8)).await, first);
    // A rule more, at the end, and the same requests fail.
    assert_eq!(sequence(layer(7).rule(Rule::delay(MS).share(0.5))).await, first);
}

#[tokio::test(flavor = "multi_thread", crate = "support::leakless")]
async fn as_many_faults_however_the_requests_interleave() {
    let mut counts = Vec::new();
    for _ in 0..4 {
        let layer = on()
            .seed(7)
            .rule(Rule::abort(UNAVAILABLE).share(0.3))
            .rule(Rule::reset().share(0.1))
            .error(errors);
        let aborted = Arc::new(AtomicU32::new(0));
        let mut calls = tokio::task::JoinSet::new();
        for _ in 0..8 {
            let (service, aborted) = (layer.layer(upstream("")), aborted.clone());
            calls.spawn(async move {
                for _ in 0..250 {
                    if let Ok(answer) = service.clone().oneshot(request("/")).await {
                        aborted.fetch_add(u32::from(answer.status() == UNAVAILABLE), Ordering::Relaxed);
                    }
                    tokio::task::yield_now().await;
                }
            });
        }
        calls.join_all().await;
        let now = layer.snapshot();
        assert_eq!(
            (now.requests, now.injected(Injected::Abort)),
            (2_000, aborted.load(Ordering::Relaxed).into())
        );
        counts.push((now.injected(Injected::Abort), now.injected(Injected::Reset)));
    }
    assert!(counts.iter().all(|count| *count == counts[0]), "{counts:?}");
    assert!((500..700).contains(&counts[0].0), "{counts:?}");
}

// === not HTTP ===

#[tokio::test(start_paused = true, crate = "support::leakless")]
async fn around_a_service_that_is_not_http_a_fault_is_an_error() {
    let query = || service_fn(|sql: &'static str| async move { Ok::<_, BoxError>(sql) });
    let start = Instant::now();
    let slow = on()
        .rule(Rule::delay(40 * MS))
        .typed()
        .layer(query())
        .oneshot("select 1")
        .await;
    assert_eq!((slow.unwrap(), start.elapsed().as_millis()), ("select 1", 40));
    for (rule, reason) in [
        (Rule::abort(UNAVAILABLE), Reason::Unreachable),
        (Rule::reset(), Reason::Unreachable),
        (Rule::reject(Reason::Overloaded), Reason::Overloaded),
    ] {
        let error = on()
            .rule(rule.clone())
            .typed()
            .layer(query())
            .oneshot("select 1")
            .await
            .unwrap_err();
        assert_eq!(error.downcast_ref::<Rejection>().unwrap().reason(), reason);
        let error = on()
            .rule(rule)
            .error(errors)
            .typed()
            .layer(query())
            .oneshot("select 1")
            .await
            .unwrap_err();
        assert_eq!(error.is::<io::Error>(), reason == Reason::Unreachable);
    }
    // There is no head for it to be a function of.
    let none = on()
        .rule(Rule::reset().when(|_| true))
        .typed()
        .layer(query())
        .oneshot("select 1")
        .await;
    none.unwrap();
    let late = Context::current().with_timeout(10 * MS);
    let late = late
        .scope(
            on().rule(Rule::delay(40 * MS))
                .typed()
                .layer(query())
                .oneshot("select 1"),
        )
        .await
        .unwrap_err();
    assert_eq!(
        late.downcast_ref::<Rejection>().unwrap().reason(),
        Reason::DeadlineExceeded
    );
}

// === tonic ===

#[derive(Clone)]
struct Says;

impl grpc::Speech for Says {
    async fn say(&self, _: http::HeaderMap) -> Result<String, Status> {
        Ok("hello".to_owned())
    }

    fn list(&self) -> grpc::Words {
        grpc::words_without_end(&["one", "two"])
    }
}

#[tokio::test(crate = "support::leakless")]
async fn tonic_hears_each_fault_as_it_hears_those_of_a_server() {
    for (rule, code) in [
        (Rule::abort(UNAVAILABLE), Code::Unavailable),
        (Rule::abort_grpc(8), Code::ResourceExhausted),
        (Rule::reject(Reason::Quota), Code::ResourceExhausted),
        (Rule::reset(), Code::Internal),
        (Rule::reset_body(3), Code::Internal),
    ] {
        let address = grpc::serve(Server::builder().layer(on().rule(rule.clone())), Says).await;
        let heard = soon(grpc::unary(grpc::channel(address).await, address, None)).await;
        assert_eq!(heard.unwrap_err().code(), code, "{rule:?}");
    }
    // In the middle of a stream: a message of three bytes comes with five before it.
    let address = grpc::serve(Server::builder().layer(on().rule(Rule::reset_body(20))), Says).await;
    let (words, code) = soon(grpc::list(grpc::channel(address).await, address, None)).await;
    assert!(words.len() <= 2 && code == Code::Internal, "{words:?} {code:?}");
}

// === told ===

#[tokio::test(start_paused = true, crate = "support::leakless")]
async fn what_was_injected_is_measured() {
    let layer = on().rule(Rule::delay(MS)).rule(Rule::abort(UNAVAILABLE));
    layer.layer(upstream("")).oneshot(request("/")).await.unwrap();
    let mut told = Vec::new();
    layer.measure("checkout", &mut |measure: &Measure<'_>| {
        assert!(measure.attributes.contains(&("name", "checkout")));
        if measure.value > 0.0 {
            told.push(format!("{} {:?}", measure.instrument, measure.attributes.get(1)));
        }
    });
    let expected = [
        r"buttress.fault.enabled None",
        r#"buttress.fault.injected Some(("fault", "delay"))"#,
        r#"buttress.fault.injected Some(("fault", "abort"))"#,
    ];
    assert_eq!(told, expected);
}

/// What a service must be to be put anywhere, and in an axum app.
#[test]
fn it_can_be_put_anywhere() {
    fn anywhere<T: Clone + Send + Sync + 'static>(_: &T) {}
    let layer = on()
        .rule(Rule::delay(MS).when(|_| true))
        .header(HeaderName::from_static("x"))
        .trust(|_| true);
    anywhere(&layer);
    anywhere(&layer.layer(support::client::<axum::body::Body>(Version::Http1)));
    let _: Router = Router::new()
        .route("/", on_get(|| async {}).layer(layer.clone()))
        .layer(layer);
}

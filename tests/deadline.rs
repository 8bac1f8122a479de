//! What the deadline layers do with time, on a paused clock. What they do on sockets is in `tiers.rs` and `bodies.rs`.
#![allow(clippy::disallowed_methods, clippy::unwrap_used, reason = "a test may")]

#[path = "support/leakless.rs"]
mod leakless;

use std::{
    convert::Infallible,
    future::pending,
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering},
    },
    time::Duration,
};

use buttress::{
    BoxError, Context, DeadlineLayer, PropagateDeadlineLayer, Rejection, TimeoutLayer,
    context::wire::{DeadlineHeader, DeadlineHeaders},
    rejection::Reason,
};
use bytes::Bytes;
use http::{Request, Response};
use http_body::Frame;
use http_body_util::{BodyExt, Full, StreamBody};
use tokio::time::{Instant, sleep};
use tower::{Service, ServiceBuilder, ServiceExt, service_fn};

const SECOND: Duration = Duration::from_secs(1);

/// A server that takes so long, and says in its body what deadline it saw, in milliseconds from its start.
fn server(
    layer: DeadlineLayer,
    takes: Duration,
) -> impl Service<Request<()>, Response = Response<Bytes>, Error = BoxError, Future: Send> + Clone {
    let inner = service_fn(move |_: Request<()>| async move {
        let remaining = Context::current()
            .remaining()
            .map_or("none".to_owned(), |left| left.as_millis().to_string());
        sleep(takes).await;
        Ok::<_, BoxError>(Response::new(Full::from(remaining)))
    });
    let bounded = ServiceBuilder::new().layer(layer).service(inner);
    ServiceBuilder::new().service_fn(move |request| {
        let bounded = bounded.clone();
        async move {
            let (head, body) = bounded.oneshot(request).await?.into_parts();
            Ok(Response::from_parts(head, body.collect().await?.to_bytes()))
        }
    })
}

fn get(headers: &[(&'static str, &'static str)]) -> Request<()> {
    headers
        .iter()
        .fold(Request::get("/"), |request, (name, value)| {
            request.header(*name, *value)
        })
        .body(())
        .unwrap()
}

fn grpc(timeout: &str) -> Request<()> {
    Request::post("/p.S/M")
        .header("content-type", "application/grpc")
        .header("grpc-timeout", timeout)
        .body(())
        .unwrap()
}

/// A cap that nobody set takes nothing from the server's own word.
#[tokio::test(start_paused = true, crate = "leakless")]
async fn a_default_beyond_the_usual_cap_is_what_it_says() {
    let long = DeadlineLayer::new(SECOND * 60);
    for (layer, header, expected) in [
        (long.clone(), None, "60000"),
        (long.clone(), Some("45000"), "45000"),
        (long.clone(), Some("90000"), "60000"),
        (long.max(SECOND * 5), None, "5000"),
        (DeadlineLayer::new(SECOND), Some("45000"), "30000"),
        (DeadlineLayer::from_headers(), Some("45000"), "30000"),
    ] {
        let headers = header.map(|ms| ("x-request-timeout-ms", ms));
        let request = get(headers.as_slice());
        let response = server(layer, Duration::ZERO).oneshot(request).await.unwrap();
        assert_eq!(response.body(), expected);
    }
}

#[tokio::test(start_paused = true, crate = "leakless")]
async fn a_header_is_read_and_capped_and_the_default_is_for_who_brings_none() {
    let layer = DeadlineLayer::new(SECOND * 10).max(SECOND * 20);
    for (request, expected) in [
        (get(&[]), "10000"),
        (get(&[("x-request-timeout-ms", "500")]), "500"),
        (get(&[("x-request-timeout", "1.5")]), "1500"),
        (
            get(&[("x-request-timeout-ms", "500"), ("x-request-timeout", "0.1")]),
            "500",
        ),
        (get(&[("x-request-timeout-ms", "9000"), ("grpc-timeout", "2S")]), "2000"),
        (get(&[("x-request-timeout", "3600")]), "20000"),
        (get(&[("grpc-timeout", "99999999H")]), "20000"),
        (get(&[("grpc-timeout", "soon")]), "10000"),
        (get(&[("x-envoy-expected-rq-timeout-ms", "250")]), "10000"),
        (grpc("1500u"), "1"),
    ] {
        let shown = format!("{:?}", request.headers());
        let response = server(layer.clone(), Duration::ZERO).oneshot(request).await.unwrap();
        assert_eq!(response.body(), expected, "{shown}");
    }
    assert_eq!(layer.snapshot().invalid, 1);
}

#[tokio::test(start_paused = true, crate = "leakless")]
async fn the_headers_of_a_mesh_are_read_where_asked() {
    let layer = DeadlineLayer::new(SECOND).headers(DeadlineHeaders::ENVOY);
    let envoy = get(&[("x-envoy-expected-rq-timeout-ms", "250"), ("x-request-timeout-ms", "1")]);
    assert_eq!(
        server(layer.clone(), Duration::ZERO)
            .oneshot(envoy)
            .await
            .unwrap()
            .body(),
        "250"
    );
    let infinite = get(&[("x-envoy-upstream-rq-timeout-ms", "0")]);
    assert_eq!(
        server(layer, Duration::ZERO).oneshot(infinite).await.unwrap().body(),
        "1000"
    );
}

#[tokio::test(start_paused = true, crate = "leakless")]
async fn strangers_are_not_read_where_trust_says_so() {
    let layer = DeadlineLayer::new(SECOND).trust(|head| head.headers.contains_key("x-from-our-edge"));
    let stranger = get(&[("x-request-timeout-ms", "500")]);
    assert_eq!(
        server(layer.clone(), Duration::ZERO)
            .oneshot(stranger)
            .await
            .unwrap()
            .body(),
        "1000"
    );
    let edge = get(&[("x-request-timeout-ms", "500"), ("x-from-our-edge", "1")]);
    assert_eq!(server(layer, Duration::ZERO).oneshot(edge).await.unwrap().body(), "500");
}

#[tokio::test(start_paused = true, crate = "leakless")]
async fn without_a_default_there_is_a_deadline_only_where_one_is_brought() {
    let layer = DeadlineLayer::from_headers();
    assert_eq!(
        server(layer.clone(), SECOND * 3600)
            .oneshot(get(&[]))
            .await
            .unwrap()
            .body(),
        "none"
    );
    let hurried = get(&[("x-request-timeout-ms", "500")]);
    assert_eq!(server(layer, SECOND).oneshot(hurried).await.unwrap().status(), 504);
}

#[tokio::test(start_paused = true, crate = "leakless")]
async fn a_deadline_outside_bounds_the_one_inside() {
    let context = Context::default().with_timeout(Duration::from_millis(300));
    let response = context
        .scope(server(DeadlineLayer::new(SECOND), Duration::ZERO).oneshot(get(&[])))
        .await
        .unwrap();
    assert_eq!(response.body(), "300");
}

#[tokio::test(start_paused = true, crate = "leakless")]
async fn strict_rejects_what_cannot_be_read() {
    let layer = DeadlineLayer::new(SECOND).strict();
    let response = server(layer.clone(), Duration::ZERO)
        .oneshot(get(&[("x-request-timeout-ms", "+5")]))
        .await
        .unwrap();
    assert_eq!(response.status(), 400);
    assert!(
        std::str::from_utf8(response.body())
            .unwrap()
            .contains("x-request-timeout-ms")
    );
    let response = server(layer.clone(), Duration::ZERO).oneshot(grpc("5")).await.unwrap();
    assert_eq!(
        (response.status().as_u16(), &response.headers()["grpc-status"]),
        (200, &"13".parse().unwrap())
    );
    assert_eq!(layer.snapshot().invalid, 2);
}

#[tokio::test(start_paused = true, crate = "leakless")]
async fn what_is_late_on_arrival_never_reaches_the_handler() {
    let called = Arc::new(AtomicU32::new(0));
    let count = called.clone();
    let layer = DeadlineLayer::new(SECOND);
    let service = ServiceBuilder::new()
        .layer(layer.clone())
        .service_fn(move |_: Request<()>| {
            count.fetch_add(1, Ordering::SeqCst);
            async { Ok::<_, Infallible>(Response::new(Full::<Bytes>::default())) }
        });
    let response = service
        .clone()
        .oneshot(get(&[("x-request-timeout-ms", "0")]))
        .await
        .unwrap();
    assert_eq!(response.status(), 504);
    let rejection = response.extensions().get::<Rejection>().unwrap();
    assert_eq!(
        (rejection.reason(), rejection.was_executed()),
        (Reason::DeadlineExceeded, false)
    );
    assert_eq!(service.oneshot(grpc("0n")).await.unwrap().headers()["grpc-status"], "4");
    assert_eq!(
        (called.load(Ordering::SeqCst), layer.snapshot().expired_on_arrival),
        (0, 2)
    );
}

#[tokio::test(start_paused = true, crate = "leakless")]
async fn a_handler_that_is_late_is_dropped_and_the_answer_is_on_time() {
    let start = Instant::now();
    let response = server(DeadlineLayer::new(SECOND), SECOND * 60)
        .oneshot(get(&[]))
        .await
        .unwrap();
    assert_eq!(
        (response.status().as_u16(), response.body()),
        (504, &Bytes::from("deadline exceeded"))
    );
    assert_eq!(start.elapsed(), SECOND);
    assert!(response.extensions().get::<Rejection>().unwrap().was_executed());
    let response = server(DeadlineLayer::new(SECOND), SECOND * 60)
        .oneshot(grpc("100m"))
        .await
        .unwrap();
    assert_eq!(response.headers()["grpc-status"], "4");
}

#[tokio::test(start_paused = true, crate = "leakless")]
async fn a_client_that_fails_by_the_same_deadline_is_late_and_not_broken() {
    let service =
        ServiceBuilder::new()
            .layer(DeadlineLayer::new(SECOND))
            .service_fn(|request: Request<()>| async move {
                let early = request.uri().path() == "/early";
                sleep(if early { SECOND / 2 } else { SECOND }).await;
                Err::<Response<Full<Bytes>>, BoxError>("timed out, says the client".into())
            });
    assert_eq!(service.clone().oneshot(get(&[])).await.unwrap().status(), 504);
    service
        .oneshot(Request::get("/early").body(()).unwrap())
        .await
        .unwrap_err();
}

#[tokio::test(start_paused = true, crate = "leakless")]
async fn an_answer_made_at_the_deadline_is_not_taken_back() {
    // The call that the handler waits for has the same deadline, and is late first.
    let call = ServiceBuilder::new()
        .layer(PropagateDeadlineLayer::new())
        .service_fn(|_: Request<()>| pending::<Result<Response<Full<Bytes>>, BoxError>>());
    let service = ServiceBuilder::new()
        .layer(DeadlineLayer::new(SECOND))
        .service_fn(move |request| call.clone().oneshot(request));
    let response = service.oneshot(get(&[])).await.unwrap();
    assert_eq!(response.status(), 504);
    assert_eq!(
        response.into_body().collect().await.unwrap().to_bytes(),
        "deadline exceeded"
    );

    // A handler that is ready at the very instant.
    let response = server(DeadlineLayer::new(SECOND), SECOND)
        .oneshot(get(&[]))
        .await
        .unwrap();
    assert_eq!(
        (response.status().as_u16(), response.body()),
        (200, &Bytes::from("1000"))
    );
}

#[tokio::test(start_paused = true, crate = "leakless")]
async fn time_in_a_queue_counts() {
    let service = ServiceBuilder::new()
        .layer(DeadlineLayer::new(SECOND))
        .concurrency_limit(1)
        .service_fn(|_: Request<()>| async {
            sleep(SECOND * 3 / 4).await;
            Ok::<_, BoxError>(Response::new(Full::<Bytes>::default()))
        });
    // A service behind tower's limit waits in `poll_ready`; behind a buffer that wait is part of the call.
    let queued = ServiceBuilder::new()
        .layer(DeadlineLayer::new(SECOND))
        .buffer(8)
        .service(service);
    let both = tokio::join!(queued.clone().oneshot(get(&[])), queued.clone().oneshot(get(&[])));
    assert_eq!(
        (both.0.unwrap().status().as_u16(), both.1.unwrap().status().as_u16()),
        (200, 504)
    );
}

#[tokio::test(start_paused = true, crate = "leakless")]
async fn errors_of_the_service_pass_unchanged() {
    #[derive(Debug, PartialEq)]
    struct Own;
    let service = ServiceBuilder::new()
        .layer(DeadlineLayer::new(SECOND))
        .layer(TimeoutLayer::new(SECOND))
        .layer(PropagateDeadlineLayer::new())
        .service_fn(|_: Request<()>| async { Err::<Response<Full<Bytes>>, _>(Own) });
    assert_eq!(service.oneshot(get(&[])).await.unwrap_err(), Own);
}

// === bodies ===

fn message() -> Bytes {
    Bytes::from_static(b"\0\0\0\0\x02hi")
}

/// The frames a client reads of a stream that sends `chunk` every 300 ms under a deadline of a second.
async fn cut(request: Request<()>, chunk: Bytes) -> Vec<Result<Frame<Bytes>, BoxError>> {
    let service = ServiceBuilder::new()
        .layer(DeadlineLayer::new(SECOND))
        .service_fn(move |_: Request<()>| {
            let chunk = chunk.clone();
            let frames = futures_util::stream::unfold(chunk, |chunk| async {
                sleep(Duration::from_millis(300)).await;
                Some((Ok::<_, BoxError>(Frame::data(chunk.clone())), chunk))
            });
            async { Ok::<_, Infallible>(Response::new(StreamBody::new(Box::pin(frames)))) }
        });
    let mut body = Box::pin(service.oneshot(request).await.unwrap().into_body());
    let start = Instant::now();
    let mut frames = Vec::new();
    while let Some(frame) = body.frame().await {
        frames.push(frame);
    }
    assert_eq!(
        (frames.len(), start.elapsed()),
        (4, SECOND),
        "three chunks, then the end, on time"
    );
    frames
}

fn of_type(content_type: &str) -> Request<()> {
    Request::post("/p.S/M")
        .header("content-type", content_type)
        .body(())
        .unwrap()
}

#[tokio::test(start_paused = true, crate = "leakless")]
async fn a_late_grpc_stream_ends_with_trailers() {
    let frames = cut(of_type("application/grpc"), message()).await;
    let trailers = frames[3].as_ref().unwrap().trailers_ref().unwrap();
    assert_eq!(
        (&trailers["grpc-status"], &trailers["grpc-message"]),
        (&"4".parse().unwrap(), &"deadline exceeded".parse().unwrap())
    );
}

#[tokio::test(start_paused = true, crate = "leakless")]
async fn a_late_grpc_web_stream_ends_with_a_trailer_frame_at_a_boundary() {
    let frames = cut(of_type("application/grpc-web+proto"), message()).await;
    let last = frames[3].as_ref().unwrap().data_ref().unwrap();
    assert_eq!(last[0], 0x80);
    assert_eq!(&last[5..], b"grpc-status: 4\r\ngrpc-message: deadline exceeded\r\n");
    let broken = cut(of_type("application/grpc-web+proto"), message().slice(..4)).await;
    assert!(broken[3].is_err(), "in mid-message nothing else can be said");
}

#[tokio::test(start_paused = true, crate = "leakless")]
async fn a_late_connect_stream_ends_with_an_envelope_at_a_boundary() {
    let frames = cut(of_type("application/connect+proto"), message()).await;
    let last = frames[3].as_ref().unwrap().data_ref().unwrap();
    assert_eq!(last[0], 0x02);
    assert!(last[5..].starts_with(b"{\"error\":{\"code\":\"deadline_exceeded\""));
    assert!(cut(of_type("application/connect+proto"), message().slice(..6)).await[3].is_err());
}

#[tokio::test(start_paused = true, crate = "leakless")]
async fn any_other_late_body_breaks_with_the_rejection() {
    for request in [
        get(&[]),
        of_type("application/json"),
        of_type("application/grpc-web-text"),
    ] {
        let frames = cut(request, message()).await;
        let rejection = frames[3].as_ref().unwrap_err().downcast_ref::<Rejection>().unwrap();
        assert_eq!(rejection.reason(), Reason::DeadlineExceeded);
    }
}

#[tokio::test(start_paused = true, crate = "leakless")]
async fn a_late_body_of_a_declared_length_is_never_ended_in_good_order() {
    let service = ServiceBuilder::new()
        .layer(DeadlineLayer::new(SECOND))
        .service_fn(|_: Request<()>| async {
            let never = StreamBody::new(futures_util::stream::pending::<Result<Frame<Bytes>, BoxError>>());
            Ok::<_, Infallible>(
                Response::builder()
                    .header("content-length", "1000")
                    .body(never)
                    .unwrap(),
            )
        });
    let response = service.oneshot(of_type("application/grpc")).await.unwrap();
    assert!(response.into_body().collect().await.is_err());
}

#[tokio::test(start_paused = true, crate = "leakless")]
async fn a_body_read_in_time_is_untouched_and_says_its_size() {
    let service = ServiceBuilder::new()
        .layer(DeadlineLayer::new(SECOND))
        .service_fn(|_: Request<()>| async { Ok::<_, Infallible>(Response::new(Full::<Bytes>::from("four"))) });
    let body = service.oneshot(get(&[])).await.unwrap().into_body();
    assert_eq!(http_body::Body::size_hint(&body).exact(), Some(4));
    assert_eq!(body.collect().await.unwrap().to_bytes(), "four");
}

// === outgoing ===

async fn sent(layer: PropagateDeadlineLayer, context: Context, request: Request<()>) -> Response<String> {
    let client = ServiceBuilder::new()
        .layer(layer)
        .service_fn(|request: Request<()>| async move {
            let mut seen: Vec<_> = request
                .headers()
                .iter()
                .map(|(name, value)| format!("{name}: {}", value.to_str().unwrap()))
                .collect();
            seen.sort();
            Ok::<_, Infallible>(Response::new(Full::<Bytes>::from(seen.join("\n"))))
        });
    let (head, body) = context.scope(client.oneshot(request)).await.unwrap().into_parts();
    Response::from_parts(
        head,
        String::from_utf8(body.collect().await.unwrap().to_bytes().to_vec()).unwrap(),
    )
}

fn left(millis: u64) -> Context {
    Context::default().with_timeout(Duration::from_millis(millis))
}

#[tokio::test(start_paused = true, crate = "leakless")]
async fn what_remains_is_written_in_the_requests_protocol() {
    let layer = PropagateDeadlineLayer::new;
    assert_eq!(
        sent(layer(), left(2500), get(&[])).await.body(),
        "x-request-timeout-ms: 2500"
    );
    let grpc = sent(layer(), left(100), grpc("99S")).await;
    assert_eq!(grpc.body(), "content-type: application/grpc\ngrpc-timeout: 100000u");
    let connect = sent(layer(), left(100), get(&[])).await;
    assert_eq!(connect.body(), "x-request-timeout-ms: 100");
    let request = Request::get("/p.S/M?connect=v1").body(()).unwrap();
    assert_eq!(
        sent(layer(), left(100), request).await.body(),
        "connect-timeout-ms: 100"
    );
    let envoy = layer().header(DeadlineHeader::EnvoyUpstreamMs);
    assert_eq!(
        sent(envoy, left(100), get(&[])).await.body(),
        "x-envoy-upstream-rq-timeout-ms: 100"
    );
}

#[tokio::test(start_paused = true, crate = "leakless")]
async fn what_is_there_is_replaced_not_added_to() {
    let stale = get(&[
        ("x-request-timeout-ms", "9000"),
        ("x-request-timeout-ms", "8000"),
        ("x-request-timeout", "9"),
    ]);
    assert_eq!(
        sent(PropagateDeadlineLayer::new(), left(100), stale).await.body(),
        "x-request-timeout-ms: 100"
    );
    // Whichever of the pair is written: the other would be read in its place.
    let seconds = PropagateDeadlineLayer::new().header(DeadlineHeader::RequestTimeout);
    let stale = get(&[("x-request-timeout-ms", "9000"), ("x-request-timeout", "9")]);
    assert_eq!(sent(seconds, left(100), stale).await.body(), "x-request-timeout: 0.1");
}

#[tokio::test(start_paused = true, crate = "leakless")]
async fn a_margin_and_a_maximum_are_taken_off() {
    let layer = PropagateDeadlineLayer::new()
        .margin(Duration::from_millis(10))
        .max(SECOND);
    assert_eq!(
        sent(layer.clone(), left(100), get(&[])).await.body(),
        "x-request-timeout-ms: 90"
    );
    assert_eq!(
        sent(layer.clone(), left(9000), get(&[])).await.body(),
        "x-request-timeout-ms: 1000"
    );
    assert_eq!(
        sent(layer, Context::default(), get(&[])).await.body(),
        "x-request-timeout-ms: 1000"
    );
}

#[tokio::test(start_paused = true, crate = "leakless")]
async fn nothing_is_sent_when_nothing_remains() {
    let layer = PropagateDeadlineLayer::new();
    let context = Context::default().with_timeout(Duration::from_micros(999));
    let response = sent(layer.clone(), context.clone(), get(&[])).await;
    assert_eq!(
        (response.status().as_u16(), response.body().as_str()),
        (504, "deadline exceeded")
    );
    assert!(!response.extensions().get::<Rejection>().unwrap().was_executed());
    assert_eq!(
        sent(layer.clone(), context, grpc("1S")).await.headers()["grpc-status"],
        "4"
    );
    assert_eq!(layer.snapshot().not_sent, 2);
}

#[tokio::test(start_paused = true, crate = "leakless")]
async fn a_deadline_too_long_for_its_header_is_left_out() {
    let ages = Context::default().with_timeout(SECOND * 3600 * 1_000_000_000);
    let plain = sent(PropagateDeadlineLayer::new(), ages, get(&[])).await;
    assert_eq!((plain.status().as_u16(), plain.body().as_str()), (200, ""));
}

#[tokio::test(start_paused = true, crate = "leakless")]
async fn a_call_that_lost_its_context_is_found() {
    let counts = PropagateDeadlineLayer::new().require_deadline();
    assert_eq!(sent(counts.clone(), Context::default(), get(&[])).await.status(), 200);
    assert_eq!(sent(counts.clone(), left(100), get(&[])).await.status(), 200);
    assert_eq!(counts.snapshot().without_deadline, 1);

    let rejects = PropagateDeadlineLayer::new().reject_without_deadline();
    let response = sent(rejects, Context::default(), get(&[])).await;
    assert_eq!(response.status(), 500);
    assert_eq!(
        response.extensions().get::<Rejection>().unwrap().reason(),
        Reason::MissingDeadline
    );
}

#[tokio::test(start_paused = true, crate = "leakless")]
async fn a_client_call_ends_at_its_deadline_though_no_server_enforces_it() {
    let client = ServiceBuilder::new()
        .layer(PropagateDeadlineLayer::new())
        .service_fn(|_: Request<()>| pending::<Result<Response<Full<Bytes>>, Infallible>>());
    let start = Instant::now();
    let response = left(250).scope(client.oneshot(get(&[]))).await.unwrap();
    assert_eq!(
        (response.status().as_u16(), start.elapsed()),
        (504, Duration::from_millis(250))
    );
}

#[tokio::test(start_paused = true, crate = "leakless")]
async fn each_attempt_is_told_what_then_remains() {
    let told = Arc::new(std::sync::Mutex::new(Vec::new()));
    let tell = told.clone();
    let client = ServiceBuilder::new()
        .layer(PropagateDeadlineLayer::new())
        .service_fn(move |request: Request<()>| {
            tell.lock()
                .unwrap()
                .push(request.headers()["x-request-timeout-ms"].to_str().unwrap().to_owned());
            async { Ok::<_, Infallible>(Response::new(Full::<Bytes>::default())) }
        });
    left(1000)
        .scope(async {
            for _ in 0..3 {
                client.clone().oneshot(get(&[])).await.unwrap();
                sleep(Duration::from_millis(300)).await; // backoff
            }
        })
        .await;
    assert_eq!(*told.lock().unwrap(), ["1000", "700", "400"]);
}

// === timeouts ===

#[tokio::test(start_paused = true, crate = "leakless")]
async fn a_timeout_is_a_child_deadline_in_any_service() {
    let service = ServiceBuilder::new()
        .layer(TimeoutLayer::new(SECOND).typed())
        .service_fn(|takes: Duration| async move {
            let remaining = Context::current().remaining();
            sleep(takes).await;
            Ok::<_, BoxError>(remaining)
        });
    assert_eq!(service.oneshot(Duration::ZERO).await.unwrap(), Some(SECOND));
    let inherited = left(300).scope(service.oneshot(Duration::ZERO)).await.unwrap();
    assert_eq!(inherited, Some(Duration::from_millis(300)));
    let late = service.oneshot(SECOND * 2).await.unwrap_err();
    assert_eq!(late.downcast_ref::<Rejection>().unwrap().layer(), "timeout");
}

#[tokio::test(start_paused = true, crate = "leakless")]
async fn a_timeout_around_http_covers_the_body() {
    let service = ServiceBuilder::new()
        .layer(TimeoutLayer::new(SECOND))
        .service_fn(|_: Request<()>| async {
            let never = StreamBody::new(futures_util::stream::pending::<Result<Frame<Bytes>, BoxError>>());
            Ok::<_, Infallible>(Response::new(never))
        });
    let body = service.oneshot(get(&[])).await.unwrap().into_body();
    assert!(body.collect().await.unwrap_err().is::<Rejection>());
}

#[tokio::test(start_paused = true, crate = "leakless")]
async fn a_call_that_never_waits_never_touches_a_timer() {
    // Without a time driver a timer panics: this runtime has none.
    std::thread::spawn(|| {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        runtime.block_on(async {
            let service = ServiceBuilder::new()
                .layer(DeadlineLayer::new(SECOND))
                .layer(TimeoutLayer::new(SECOND))
                .layer(PropagateDeadlineLayer::new())
                .service_fn(|_: Request<()>| async { Ok::<_, Infallible>(Response::new(Full::<Bytes>::from("now"))) });
            let body = service.oneshot(get(&[])).await.unwrap().into_body();
            assert_eq!(body.collect().await.unwrap().to_bytes(), "now");
        });
    })
    .join()
    .unwrap();
}

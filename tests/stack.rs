//! The whole stacks, in every framework: that this compiles is half of what it shows.
#![cfg(all(feature = "hyper", feature = "reqwest", feature = "tonic"))]
#![allow(
    clippy::disallowed_methods,
    clippy::disallowed_types,
    clippy::unwrap_used,
    reason = "a test may spawn, queue without bound and fail by unwrap"
)]

#[path = "support/script.rs"]
mod script;
#[path = "support/mod.rs"]
mod support;

use std::{
    convert::Infallible,
    future::pending,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use axum::{Router, body::Body, routing};
use buttress::{
    BreakerLayer, CancelLayer, ConcurrencyLimitLayer, Context, DeadlineLayer, HedgeLayer, Lifecycle, ObserveLayer,
    RateLimitLayer, RetryLayer, TimeoutLayer,
    admission::{drain::Drain, rate::Quota},
    budget::Budget,
    observe::Ended,
    outcome::Outcome,
    rejection::{Reason, Render, RenderLayer, ResponseExt},
    stack::{ClientStack, ServerStack, ServiceBuilderExt},
};
use bytes::Bytes;
use http::{Request, Response, StatusCode};
use http_body_util::Full;
use tonic::{
    Code,
    transport::{Server, server::TcpIncoming},
};
use tonic_health::{
    pb::{HealthCheckRequest, health_client::HealthClient},
    server::health_reporter,
};
use tower::{Layer, Service, ServiceBuilder, ServiceExt, service_fn};

use crate::{
    script::{Script, status},
    support::{VERSIONS, client, get, grpc, leakless::serves, listener, log, said, serve, serve_hyper},
};

const LONG: Duration = Duration::from_secs(20);
const SHORT: Duration = Duration::from_millis(100);

/// What a service must be to be put anywhere.
fn anywhere<T: Clone + Send + Sync + 'static>(service: T) -> T {
    service
}

fn request(path: &str) -> Request<Body> {
    Request::get(path).body(Body::empty()).unwrap()
}

/// The names in what `Debug` prints, in order.
fn names(stack: &impl std::fmt::Debug) -> Vec<String> {
    let text = format!("{stack:#?}");
    let entries = text.lines().filter_map(|line| line.strip_prefix("    "));
    let names = entries.filter(|line| line.starts_with(|first: char| first.is_ascii_uppercase()));
    names
        .map(|line| line.split([' ', '(', ',']).next().unwrap().to_owned())
        .collect()
}

// === what is in them ===

#[test]
fn a_stack_prints_what_is_in_effect_outermost_first() {
    let server = buttress::server(LONG);
    let defaults = [
        "ObserveLayer",
        "CriticalityLayer",
        "DeadlineLayer",
        "CancelLayer",
        "LoadShedLayer",
        "ConcurrencyLimitLayer",
    ];
    assert_eq!(names(&server), defaults);
    let all = server
        .render(RenderLayer::new(Render::Problem))
        .drain(Drain::new())
        .rate(RateLimitLayer::new(Quota::per_second(1)));
    let all = names(&all);
    assert_eq!(all.len(), 9, "{all:?}");
    assert_eq!(
        (&*all[1], &*all[5], &*all[6]),
        ("RenderLayer", "Drain", "RateLimitLayer")
    );
    let bare = buttress::server(LONG)
        .criticality(None)
        .deadline(None)
        .cancel(None)
        .shed(None)
        .limit(None);
    assert_eq!(names(&bare), ["ObserveLayer"]);

    let defaults = [
        "ObserveLayer",
        "TimeoutLayer",
        "RetryLayer",
        "BreakerLayer",
        "ThrottleLayer",
        "PropagateDeadlineLayer",
        "PropagateCriticalityLayer",
    ];
    let client = buttress::client(LONG);
    assert_eq!(names(&client), defaults);
    let all = client
        .hedge(HedgeLayer::after(SHORT))
        .limit(ConcurrencyLimitLayer::new(1))
        .attempt_timeout(TimeoutLayer::new(SHORT));
    let all = names(&all);
    assert_eq!(all.len(), 10, "{all:?}");
    assert_eq!(
        (&*all[3], &*all[6], &*all[7]),
        ("HedgeLayer", "ConcurrencyLimitLayer", "TimeoutLayer")
    );
    let bare = buttress::client(LONG)
        .timeout(None)
        .retry(None)
        .breaker(None)
        .throttle(None);
    assert_eq!(names(&bare.deadline(None).criticality(None)), ["ObserveLayer"]);
}

// === servers ===

#[tokio::test(start_paused = true, crate = "support::leakless")]
async fn a_request_has_the_deadline_that_the_server_was_given() {
    let app = |stack: ServerStack| Router::new().route("/", routing::get(pending::<()>)).layer(stack);
    let late = app(buttress::server(SHORT)).oneshot(request("/")).await.unwrap();
    assert_eq!(late.rejection().unwrap().reason(), Reason::DeadlineExceeded);
    let own = buttress::server(LONG).deadline(DeadlineLayer::new(SHORT));
    let late = app(own).oneshot(request("/")).await.unwrap();
    assert_eq!(late.status(), StatusCode::GATEWAY_TIMEOUT);
}

/// The pain that this crate began with.
#[tokio::test(crate = "support::leakless")]
async fn a_limit_of_one_admits_one_on_all_routes_and_connections() {
    let stack = buttress::server(LONG).limit(ConcurrencyLimitLayer::new(1).queue(0));
    let (tell, mut started) = log();
    let handler = async move || {
        tell.tell(());
        pending::<()>().await;
    };
    let app = Router::new()
        .route("/one", routing::get(handler.clone()))
        .route("/other", routing::get(handler))
        .layer(stack);
    let address = serve(app).await;
    let first = tokio::spawn(client(VERSIONS[0]).request(get(address, "/one")));
    started.next().await;
    for path in ["/one", "/other"] {
        for version in VERSIONS {
            let answer = client(version).request(get(address, path)).await.unwrap();
            assert_eq!(answer.status(), StatusCode::SERVICE_UNAVAILABLE);
            assert!(answer.headers().contains_key("retry-after"));
        }
    }
    assert_eq!(started.so_far().len(), 0);
    first.abort();
}

#[tokio::test(crate = "support::leakless")]
async fn one_layer_in_axum_tonic_and_hyper() {
    let (tell, mut outcomes) = log();
    let stack = buttress::server(LONG).observe(ObserveLayer::server(tell));

    let app = Router::new()
        .route("/", routing::get(|| async { "hello" }))
        .layer(stack.clone());
    let address = serve(app).await;
    let hello = service_fn(async |_: Request<hyper::body::Incoming>| {
        Ok::<_, Infallible>(Response::new(Full::<Bytes>::from("hello")))
    });
    let bare = serve_hyper(anywhere(stack.service(hello))).await;
    for address in [address, bare] {
        for version in VERSIONS {
            let answer = client(version).request(get(address, "/")).await.unwrap();
            assert_eq!(said(answer).await.text, "hello");
            assert_eq!(outcomes.next().await, Outcome::Success);
        }
    }

    let (listener, address) = listener().await;
    let (_reporter, health) = health_reporter();
    let router = Server::builder().layer(stack).add_service(health);
    serves(async move { router.serve_with_incoming(TcpIncoming::from(listener)).await });
    let mut client = HealthClient::new(grpc::channel(address).await);
    client.check(HealthCheckRequest::default()).await.unwrap();
    assert_eq!(outcomes.next().await, Outcome::Success);
}

/// Under `axum::serve` it is a layer of the lifecycle's around the stack that puts requests below the process.
#[tokio::test(crate = "support::leakless")]
async fn requests_end_with_the_process() {
    let life = Lifecycle::builder().budget(SHORT).build().unwrap();
    let (tell, mut ended) = log();
    let app = Router::new().route(
        "/",
        routing::get(async move || {
            let ctx = Context::current();
            tell.tell(None);
            tell.tell(Some(ctx.cancelled().await));
        }),
    );
    let address = serve(app.layer(buttress::server(LONG)).layer(life.layer())).await;
    let call = tokio::spawn(client(VERSIONS[0]).request(get(address, "/")));
    assert_eq!(ended.next().await, None);
    life.handle().abort();
    assert!(life.run().await.is_clean());
    assert!(ended.next().await.is_some());
    drop(call.await);
}

// === clients ===

#[tokio::test(crate = "support::leakless")]
async fn one_layer_around_hyper_util_reqwest_and_tonic() {
    let stack = buttress::client(LONG);

    let upstream = Script::new([status(503, "retry-after-ms: 1")]);
    let address = serve_hyper(upstream.clone()).await;
    let hyper = anywhere(stack.service(client(VERSIONS[0])));
    let answer = hyper.send(get(address, "/")).await.unwrap();
    assert_eq!(said(answer).await.text, "200");
    let seen = upstream.seen();
    assert_eq!(seen.len(), 2);
    let told = seen[0].headers["x-request-timeout-ms"].to_str().unwrap().parse::<u64>();
    assert!((1..=20_000).contains(&told.unwrap()));

    let upstream = Script::new([status(503, "retry-after-ms: 1")]);
    let address = serve_hyper(upstream.clone()).await;
    let builder = reqwest::Client::builder().no_proxy().retry(reqwest::retry::never());
    let http = builder.build().unwrap();
    let client = anywhere(stack.reqwest(http.clone()));
    let request = http.get(format!("http://{address}/")).build().unwrap();
    let answer = tokio::spawn(async move { client.send(request).await })
        .await
        .unwrap()
        .unwrap();
    assert_eq!(answer.text().await.unwrap(), "200");
    assert_eq!(upstream.seen().len(), 2);

    let (listener, address) = listener().await;
    let (_reporter, health) = health_reporter();
    let router = Server::builder().add_service(health);
    serves(async move { router.serve_with_incoming(TcpIncoming::from(listener)).await });
    let mut client = anywhere(HealthClient::new(stack.tonic(grpc::channel(address).await)));
    client.check(HealthCheckRequest::default()).await.unwrap();
    let unknown = HealthCheckRequest {
        service: "?".to_owned(),
    };
    assert_eq!(client.check(unknown).await.unwrap_err().code(), Code::NotFound);
}

/// A transport that fails as often as it is asked, and counts.
fn failing(
    calls: &Arc<AtomicUsize>,
) -> impl Service<
    Request<buttress::body::replay::Replay<buttress::body::replay::Replay<Body>>>,
    Response = Response<Body>,
    Error = Infallible,
    Future: Send,
> + Clone {
    let calls = calls.clone();
    service_fn(move |_| {
        calls.fetch_add(1, Ordering::Relaxed);
        let mut response = Response::new(Body::empty());
        *response.status_mut() = StatusCode::SERVICE_UNAVAILABLE;
        async { Ok(response) }
    })
}

async fn attempts(stack: &ClientStack, requests: usize) -> usize {
    let calls = Arc::default();
    let client = stack.service(failing(&calls));
    for _ in 0..requests {
        client.send(request("http://upstream/")).await.unwrap();
    }
    calls.load(Ordering::Relaxed)
}

#[tokio::test(start_paused = true, crate = "support::leakless")]
async fn one_budget_pays_for_retries_whatever_theirs_was() {
    let stack = buttress::client(LONG).breaker(None).throttle(None);
    assert_eq!(attempts(&stack, 1).await, 3);
    assert_eq!(attempts(&stack.clone().retry(None), 1).await, 1);
    let none = Budget::builder()
        .ratio(0.0)
        .min_per_second(0.0)
        .burst(1)
        .build()
        .unwrap();
    // Before and after.
    let broke = stack.clone().budget(none.clone()).retry(RetryLayer::new().attempts(9));
    let other = buttress::client(LONG).retry(RetryLayer::new().attempts(9)).budget(none);
    let spent = attempts(&broke, 2).await + attempts(&other.breaker(None).throttle(None), 2).await;
    assert!(spent <= 5, "{spent} attempts of 4 requests and one token");
}

#[tokio::test(start_paused = true, crate = "support::leakless")]
async fn what_is_left_out_does_nothing() {
    let stack = buttress::client(LONG).retry(None);
    let broken = stack
        .clone()
        .breaker(BreakerLayer::new().minimum_calls(5).open_for(LONG))
        .throttle(None);
    assert_eq!(attempts(&broken, 50).await, 5);
    assert_eq!(attempts(&stack.clone().breaker(None).throttle(None), 50).await, 50);
    assert!(attempts(&stack.breaker(None), 5_000).await < 5_000);
}

#[tokio::test(start_paused = true, crate = "support::leakless")]
async fn a_call_ends_by_its_timeout_and_an_attempt_by_its_own() {
    let never = service_fn(|_| pending::<Result<Response<Body>, Infallible>>());
    let stack = buttress::client(SHORT);
    let late = stack.service(never).send(request("/")).await.unwrap();
    assert_eq!(late.rejection().unwrap().reason(), Reason::DeadlineExceeded);

    let asked = Arc::new(AtomicUsize::new(0));
    let asks = asked.clone();
    let slow_once = service_fn(move |_| {
        let is_first = asks.fetch_add(1, Ordering::Relaxed) == 0;
        async move {
            if is_first {
                pending::<()>().await;
            }
            Ok::<_, Infallible>(Response::new(Body::from("hello")))
        }
    });
    let hedged = buttress::client(LONG).hedge(HedgeLayer::after(SHORT));
    let answer = hedged.service(slow_once).send(request("/")).await.unwrap();
    assert_eq!(said(answer).await.text, "hello");
    assert_eq!(asked.load(Ordering::Relaxed), 2);
}

/// `.layer()` called twice is one stack.
#[tokio::test(start_paused = true, crate = "support::leakless")]
async fn state_is_the_stacks() {
    let stack = buttress::server(LONG)
        .limit(None)
        .rate(RateLimitLayer::new(Quota::per_hour(1)));
    let hello = service_fn(async |_: Request<Body>| Ok::<_, Infallible>(Response::new(Body::from("hello"))));
    let first = stack.layer(hello).oneshot(request("/")).await.unwrap();
    let second = stack.clone().layer(hello).oneshot(request("/")).await.unwrap();
    assert_eq!((first.status().as_u16(), second.status().as_u16()), (200, 429));
}

// === by hand ===

#[tokio::test(crate = "support::leakless")]
async fn the_layers_one_by_one_on_towers_builder() {
    let server = ServiceBuilder::new()
        .observe_server(|_: &Ended| {})
        .render(Render::Problem)
        .drain(&Drain::new())
        .criticality()
        .deadline(LONG)
        .cancel_with_caller()
        .quota(Quota::per_second(1_000))
        .shed()
        .optional(Some(CancelLayer::new()))
        .adaptive_limit()
        .shield("handler", LONG)
        .service_fn(async |_: Request<Body>| Ok::<_, Infallible>(Response::new(Body::from("hello"))));
    let answer = anywhere(server).oneshot(request("/")).await.unwrap();
    assert_eq!(said(answer).await.text, "hello");

    let budget = Budget::default();
    let client = ServiceBuilder::new()
        .observe_client(())
        .bound(LONG)
        .retry_within(budget.clone())
        .hedge_within(budget, SHORT)
        .circuit_breaker()
        .throttle()
        .fixed_limit(8)
        .admit(Some(Drain::new()))
        .propagate_deadline()
        .propagate_criticality()
        .service(client(VERSIONS[0]));
    let address = serve(Router::new().route("/", routing::get(|| async { "hello" }))).await;
    let answer = anywhere(client).oneshot(get(address, "/")).await.unwrap();
    assert_eq!(said(answer).await.text, "hello");

    let both = ServiceBuilder::new()
        .server(LONG)
        .client(LONG)
        .service(support::client(VERSIONS[0]));
    let answer = anywhere(both).oneshot(get(address, "/")).await.unwrap();
    assert_eq!(said(answer).await.text, "hello");
}

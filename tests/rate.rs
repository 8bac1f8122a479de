//! What the rate limit guarantees, on a clock that stands still unless it is moved; and under axum, over real connections.
#![cfg(feature = "rate")]
#![allow(clippy::disallowed_methods, clippy::unwrap_used, reason = "a test may")]

#[path = "support/leakless.rs"]
mod leakless;

use std::{
    convert::Infallible,
    future::IntoFuture,
    net::SocketAddr,
    sync::{
        Arc, Mutex,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use axum::extract::ConnectInfo;
use buttress::{
    AdmissionLayer, BoxError, Context, DeadlineLayer, RateLimitLayer, Rejection,
    admission::{
        Admit, Arrival, Decision,
        rate::{ClientAddress, PeerAddress, Quota, Quotas},
    },
    rejection::Reason,
};
use bytes::Bytes;
use futures_util::poll;
use http::{HeaderName, Request, Response};
use http_body_util::{BodyExt, Full};
use tokio::time::{Instant, advance};
use tower::{Layer, Service, ServiceBuilder, ServiceExt, service_fn};

const SECOND: Duration = Duration::from_secs(1);
const API_KEY: HeaderName = HeaderName::from_static("x-api-key");

async fn hello<B>(_: Request<B>) -> Result<Response<Full<Bytes>>, Infallible> {
    Ok(Response::new(Full::from("hello")))
}

fn get() -> Request<()> {
    Request::new(())
}

fn with(name: &str, value: &str) -> Request<()> {
    Request::get("/").header(name, value).body(()).unwrap()
}

/// How many of a hundred requests, made at once, are answered.
async fn passes(layer: &RateLimitLayer, request: impl Fn() -> Request<()>) -> usize {
    let mut passed = 0;
    for _ in 0..100 {
        let response = layer.layer(service_fn(hello)).oneshot(request()).await.unwrap();
        match response.status().as_u16() {
            200 => passed += 1,
            429 => {}
            status => panic!("{status}"),
        }
    }
    passed
}

#[tokio::test(start_paused = true, crate = "leakless")]
async fn what_is_written_is_what_happens() {
    for (quota, at_once, in_a_second, in_a_minute) in [
        (Quota::per_second(3), 3, 3, 3),
        (Quota::per_second(10).burst(2), 2, 2, 2),
        (Quota::per_minute(5), 5, 0, 5),
        (Quota::per_minute(60).burst(10), 10, 1, 10),
        (Quota::every(SECOND / 2).burst(4), 4, 2, 4),
        (Quota::per_second(0), 0, 0, 0),
    ] {
        let layer = RateLimitLayer::new(quota);
        assert_eq!(passes(&layer, get).await, at_once, "{quota:?}");
        advance(SECOND).await;
        assert_eq!(passes(&layer, get).await, in_a_second, "{quota:?}");
        advance(60 * SECOND).await;
        assert_eq!(passes(&layer, get).await, in_a_minute, "{quota:?}");
    }
}

#[tokio::test(start_paused = true, crate = "leakless")]
async fn a_rejection_says_when_to_come_back() {
    let layer = RateLimitLayer::new(Quota::per_minute(5));
    let service = layer.layer(service_fn(hello));
    passes(&layer, get).await;
    advance(SECOND).await;
    let response = service.clone().oneshot(get()).await.unwrap();
    assert_eq!(response.status(), 429);
    let rejection = response.extensions().get::<Rejection>().unwrap();
    assert_eq!((rejection.reason(), rejection.layer()), (Reason::Quota, "rate"));
    assert_eq!(rejection.wait(), Some(11 * SECOND));
    let after: u64 = response.headers()["retry-after"].to_str().unwrap().parse().unwrap();
    assert!(
        (11..=14).contains(&after),
        "{after}: rounded up, and up to a quarter more"
    );
    assert_eq!(response.headers()["ratelimit"], r#""per-minute";r=0;t=11"#);
    assert_eq!(response.headers()["ratelimit-policy"], r#""per-minute";q=5;w=60"#);

    advance(Duration::from_millis(10_999)).await;
    assert_eq!(
        service.clone().oneshot(get()).await.unwrap().status(),
        429,
        "a moment too soon"
    );
    advance(Duration::from_millis(1)).await;
    assert_eq!(service.oneshot(get()).await.unwrap().status(), 200, "as it was told");
}

#[tokio::test(start_paused = true, crate = "leakless")]
async fn grpc_hears_it_as_grpc() {
    let service = RateLimitLayer::new(Quota::every(SECOND).burst(0)).layer(service_fn(hello));
    let grpc = || {
        Request::post("/pkg.Service/Method")
            .header("content-type", "application/grpc")
            .body(())
            .unwrap()
    };
    let closed = service.oneshot(grpc()).await.unwrap();
    assert_eq!(
        (closed.status().as_u16(), &closed.headers()["grpc-status"]),
        (200, &"8".parse().unwrap())
    );
    assert_eq!(closed.headers()["grpc-retry-pushback-ms"], "-1", "it is never open");

    let service = RateLimitLayer::new(Quota::every(SECOND)).layer(service_fn(hello));
    service.clone().oneshot(get()).await.unwrap();
    let over = service.oneshot(grpc()).await.unwrap();
    let pushback: u64 = over.headers()["grpc-retry-pushback-ms"]
        .to_str()
        .unwrap()
        .parse()
        .unwrap();
    assert!((1_000..=1_250).contains(&pushback), "{pushback}");
    assert_eq!(over.headers()["ratelimit"], r#""quota";r=0;t=1"#);
}

#[tokio::test(start_paused = true, crate = "leakless")]
async fn of_several_quotas_the_strictest_answers_and_none_is_spent_for_nothing() {
    let quotas = [Quota::per_second(10), Quota::per_hour(25)];
    for layer in [RateLimitLayer::new(quotas), RateLimitLayer::new(quotas).by(|_| "all")] {
        assert_eq!(passes(&layer, get).await, 10);
        advance(SECOND).await;
        assert_eq!(
            passes(&layer, get).await,
            10,
            "90 were rejected, and the hour is not charged for them"
        );
        advance(SECOND).await;
        assert_eq!(passes(&layer, get).await, 5);
        let response = layer.layer(service_fn(hello)).oneshot(get()).await.unwrap();
        // One of the hour's 25 comes back every 144 s; the first was on its way for 2.
        assert_eq!(
            response.headers()["ratelimit"],
            r#""per-second";r=5;t=1, "per-hour";r=0;t=142"#
        );
        assert_eq!(
            response.extensions().get::<Rejection>().unwrap().wait(),
            Some(142 * SECOND)
        );
    }
}

#[tokio::test(start_paused = true, crate = "leakless")]
async fn each_key_has_a_quota_of_its_own() {
    let layer = RateLimitLayer::new(Quota::per_minute(5)).by_header(API_KEY);
    let huge = "x".repeat(100_000);
    for key in ["a", "b", "", &huge] {
        assert_eq!(passes(&layer, || with("x-api-key", key)).await, 5, "{}", key.len());
    }
    assert_eq!(passes(&layer, get).await, 5, "those without one share a bucket");
    let twice = || {
        let mut request = with("x-api-key", "a");
        request.headers_mut().append(API_KEY, "another".parse().unwrap());
        request
    };
    assert_eq!(passes(&layer, twice).await, 0, "the first of several counts");
    let snapshot = layer.snapshot();
    assert_eq!(
        (snapshot.allowed, snapshot.rejected, snapshot.keys, snapshot.evicted),
        (25, 575, 5, 0)
    );
}

#[tokio::test(start_paused = true, crate = "leakless")]
async fn a_quota_can_depend_on_the_key() {
    let layer = RateLimitLayer::new(Quota::per_minute(5)).quota_for(
        |arrival| Some(arrival.head()?.headers.get(API_KEY)?.clone()),
        |key| match key.as_ref()?.as_bytes() {
            b"paid" => Some(Quotas::from([Quota::per_minute(50), Quota::per_second(20)])),
            b"closed" => Some(Quota::per_minute(0).into()),
            _ => None,
        },
    );
    for (key, quota) in [("free", 5), ("paid", 20), ("closed", 0)] {
        assert_eq!(passes(&layer, || with("x-api-key", key)).await, quota, "{key}");
    }
    assert_eq!(passes(&layer, get).await, 5);
    let response = layer
        .layer(service_fn(hello))
        .oneshot(with("x-api-key", "paid"))
        .await
        .unwrap();
    assert_eq!(
        response.headers()["ratelimit-policy"],
        r#""per-minute";q=50;w=60, "per-second";q=20;w=1"#
    );
    assert_eq!(layer.snapshot().keys, 3, "a closed quota keeps nothing");
}

fn from(peer: &str, forwarded: Option<&str>) -> Request<()> {
    let mut request = forwarded.map_or_else(get, |entries| with("x-forwarded-for", entries));
    request
        .extensions_mut()
        .insert(PeerAddress(SocketAddr::new(peer.parse().unwrap(), 1)));
    request
}

#[tokio::test(start_paused = true, crate = "leakless")]
async fn a_forged_address_changes_nothing() {
    let forging = || from("192.0.2.1", Some(&format!("10.0.0.{}", fastrand::u8(..))));
    let direct = RateLimitLayer::new(Quota::per_minute(5)).by_client(ClientAddress::new());
    assert_eq!(passes(&direct, forging).await, 5);
    assert_eq!(passes(&direct, || from("192.0.2.2", None)).await, 5);

    let proxied = RateLimitLayer::new(Quota::per_minute(5)).by_client(ClientAddress::new().trusted_hops(1));
    let forging = || from("192.0.2.1", Some(&format!("10.0.0.{}, 203.0.113.7", fastrand::u8(..))));
    assert_eq!(passes(&proxied, forging).await, 5);
    assert_eq!(passes(&proxied, || from("192.0.2.1", Some("203.0.113.8"))).await, 5);
}

#[tokio::test(start_paused = true, crate = "leakless")]
async fn without_an_address_all_share_one_bucket() {
    let layer = RateLimitLayer::new(Quota::per_minute(5)).by_client(ClientAddress::new().trusted_hops(1));
    let nowhere = ["unknown", "_hidden", "", "nonsense"];
    assert_eq!(
        passes(&layer, || from("192.0.2.1", Some(nowhere[fastrand::usize(..4)]))).await,
        5
    );
    assert_eq!(passes(&layer, || from("192.0.2.1", None)).await, 0);
    let unsaid = RateLimitLayer::new(Quota::per_minute(5)).by_client(ClientAddress::new());
    assert_eq!(passes(&unsaid, get).await, 5);
}

#[tokio::test(start_paused = true, crate = "leakless")]
async fn a_network_is_one_client() {
    let layer = RateLimitLayer::new(Quota::per_minute(5)).by_client(ClientAddress::new());
    let hopping = || from(&format!("2001:db8:1:2::{:x}", fastrand::u16(..)), None);
    assert_eq!(passes(&layer, hopping).await, 5);
    assert_eq!(passes(&layer, || from("2001:db8:1:3::1", None)).await, 5);
    assert_eq!(passes(&layer, || from("192.0.2.1", None)).await, 5);
    assert_eq!(passes(&layer, || from("::ffff:192.0.2.1", None)).await, 0);
}

#[tokio::test(start_paused = true, crate = "leakless")]
async fn services_of_one_layer_share_its_state() {
    let layer = RateLimitLayer::new(Quota::per_minute(5));
    assert_eq!(passes(&layer, get).await, 5);
    assert_eq!(passes(&layer.clone(), get).await, 0);
    let policy = AdmissionLayer::new(Some(layer.policy()));
    assert_eq!(
        policy.layer(service_fn(hello)).oneshot(get()).await.unwrap().status(),
        429
    );
    assert_eq!(
        passes(&layer.by_header(API_KEY), get).await,
        5,
        "what is set makes a limit of its own"
    );
}

#[tokio::test(start_paused = true, crate = "leakless")]
async fn answers_tell_the_quota_where_it_is_asked_for() {
    let silent = RateLimitLayer::new(Quota::per_minute(5)).layer(service_fn(hello));
    assert!(silent.oneshot(get()).await.unwrap().headers().is_empty());

    let service = ServiceBuilder::new()
        .layer(RateLimitLayer::new(Quota::per_hour(100).named("all")).tell())
        .layer(RateLimitLayer::new(Quota::per_minute(2)).by_header(API_KEY).tell())
        .service(service_fn(hello));
    let all = |response: &Response<_>, name| -> Vec<String> {
        let values = response.headers().get_all(name).iter();
        values.map(|value| value.to_str().unwrap().to_owned()).collect()
    };
    let response = service.clone().oneshot(get()).await.unwrap();
    assert_eq!(
        all(&response, "ratelimit"),
        [r#""per-minute";r=1;t=30"#, r#""all";r=99;t=36"#]
    );
    assert_eq!(
        all(&response, "ratelimit-policy"),
        [r#""per-minute";q=2;w=60"#, r#""all";q=100;w=3600"#]
    );
    service.clone().oneshot(get()).await.unwrap();
    let rejected = service.oneshot(get()).await.unwrap();
    assert_eq!(rejected.status(), 429);
    assert_eq!(
        all(&rejected, "ratelimit"),
        [r#""per-minute";r=0;t=30"#, r#""all";r=97;t=36"#]
    );
}

#[tokio::test(start_paused = true, crate = "leakless")]
async fn whoever_waits_is_served_in_turn_and_on_time() {
    let start = Instant::now();
    let served = Arc::new(Mutex::new(Vec::new()));
    let inner = {
        let served = served.clone();
        service_fn(move |number: u32| {
            served.lock().unwrap().push((number, start.elapsed().as_millis()));
            async { Ok::<_, BoxError>(()) }
        })
    };
    let layer = RateLimitLayer::new(Quota::per_second(10).burst(2)).wait(SECOND).typed();
    let service = layer.layer(inner);
    let calls = (0..20)
        .map(|number| tokio::spawn(service.clone().oneshot(number)))
        .collect::<Vec<_>>();
    let mut rejected = 0;
    for call in calls {
        if let Err(error) = call.await.unwrap() {
            assert_eq!(
                error.downcast_ref::<Rejection>().unwrap().wait(),
                Some(SECOND + SECOND / 10)
            );
            rejected += 1;
        }
    }
    let on_time = (0..12u32)
        .map(|number| (number, u128::from(number.saturating_sub(1)) * 100))
        .collect::<Vec<_>>();
    assert_eq!(*served.lock().unwrap(), on_time);
    assert_eq!(rejected, 8, "max * rate can wait, the others are told at once");
    let snapshot = layer.snapshot();
    assert_eq!((snapshot.allowed, snapshot.waited, snapshot.rejected), (2, 10, 8));
}

#[tokio::test(start_paused = true, crate = "leakless")]
async fn a_wait_that_cannot_succeed_is_not_waited_out() {
    let layer = RateLimitLayer::new(Quota::every(10 * SECOND)).wait(60 * SECOND);
    let service = ServiceBuilder::new().layer(layer).service(service_fn(hello));
    service.clone().oneshot(get()).await.unwrap();
    let start = Instant::now();
    for (budget, status, elapsed) in [(9, 429, 0), (10, 429, 0), (11, 200, 10)] {
        let call = DeadlineLayer::new(budget * SECOND)
            .layer(service.clone())
            .oneshot(get());
        assert_eq!(call.await.unwrap().status(), status, "with {budget} s");
        assert_eq!(start.elapsed().as_secs(), elapsed, "with {budget} s");
    }
}

#[tokio::test(start_paused = true, crate = "leakless")]
async fn whoever_leaves_gives_the_place_back_that_nobody_stands_behind() {
    for layer in [
        RateLimitLayer::new(Quota::every(SECOND)).wait(60 * SECOND),
        RateLimitLayer::new(Quota::every(SECOND)).by(|_| ()).wait(60 * SECOND),
    ] {
        let service = layer.layer(service_fn(hello));
        service.clone().oneshot(get()).await.unwrap();
        let start = Instant::now();
        for _ in 0..10 {
            let mut leaving = Box::pin(service.clone().oneshot(get()));
            assert!(poll!(leaving.as_mut()).is_pending());
        }
        service.clone().oneshot(get()).await.unwrap();
        assert_eq!(start.elapsed(), SECOND, "ten came and went");

        let mut first = Box::pin(service.clone().oneshot(get()));
        assert!(poll!(first.as_mut()).is_pending());
        let mut second = Box::pin(service.oneshot(get()));
        assert!(poll!(second.as_mut()).is_pending());
        drop(first);
        second.await.unwrap();
        assert_eq!(start.elapsed(), 3 * SECOND, "who stands behind keeps his time");
    }
}

#[tokio::test(start_paused = true, crate = "leakless")]
async fn a_wait_knows_the_deadline_of_the_context() {
    let layer = RateLimitLayer::new(Quota::every(SECOND)).wait(60 * SECOND).typed();
    let service = layer.layer(service_fn(|(): ()| async { Ok::<_, BoxError>(()) }));
    service.clone().oneshot(()).await.unwrap();
    let hasty = Context::default().with_timeout(SECOND / 2);
    let error = hasty.scope(service.oneshot(())).await.unwrap_err();
    assert_eq!(error.downcast_ref::<Rejection>().unwrap().reason(), Reason::Quota);
}

#[tokio::test(start_paused = true, crate = "leakless")]
async fn a_limit_that_rejects_needs_no_clone_and_counts_calls_alone() {
    struct NotClone;
    impl Service<Request<()>> for NotClone {
        type Response = Response<Full<Bytes>>;
        type Error = Infallible;
        type Future = std::future::Ready<Result<Self::Response, Infallible>>;

        fn poll_ready(&mut self, _: &mut std::task::Context<'_>) -> std::task::Poll<Result<(), Infallible>> {
            std::task::Poll::Ready(Ok(()))
        }

        fn call(&mut self, _: Request<()>) -> Self::Future {
            std::future::ready(Ok(Response::default()))
        }
    }
    let layer = RateLimitLayer::new(Quota::per_minute(1));
    let mut idle = layer.layer(NotClone);
    for _ in 0..10 {
        idle.ready().await.unwrap();
    }
    assert_eq!(layer.layer(NotClone).oneshot(get()).await.unwrap().status(), 200);
}

/// A key's cost in memory, table growth included, and what is forgotten.
#[test]
fn a_million_keys_are_bounded_in_memory() {
    for (quotas, bytes_per_key) in [
        (Quotas::from(Quota::per_minute(5)), 80),
        (
            [
                Quota::per_second(5),
                Quota::per_minute(5),
                Quota::per_hour(5),
                Quota::per_day(5),
            ]
            .into(),
            120,
        ),
    ] {
        let next = AtomicU64::new(0);
        let layer = RateLimitLayer::new(quotas).by(move |_| next.fetch_add(1, Ordering::Relaxed));
        let policy = layer.policy();
        let used = allocation_counter::measure(|| {
            for _ in 0..1_000_000 {
                assert!(
                    matches!(policy.admit(&Arrival::new(None)), Decision::Now(_)),
                    "nobody is turned away"
                );
            }
        });
        let keys = u64::try_from(layer.snapshot().keys).unwrap();
        assert!((90_000..=100_000).contains(&keys), "{keys}");
        assert!(used.bytes_max <= 100_000 * bytes_per_key, "{} bytes", used.bytes_max);
    }
}

#[test]
fn what_is_admitted_allocates_nothing() {
    let proxied = ClientAddress::new().trusted_hops(1).header(http::header::FORWARDED);
    let request = with("forwarded", "for=\"[2001:db8::1]:80\";proto=https");
    let quotas = [Quota::per_second(1_000), Quota::per_hour(1_000)];
    for layer in [
        RateLimitLayer::new(Quota::per_second(1_000)),
        RateLimitLayer::new(quotas),
        RateLimitLayer::new(quotas).by_client(proxied),
        RateLimitLayer::new(quotas).by_header(http::header::FORWARDED),
    ] {
        let policy = layer.policy();
        let admitted = || {
            let arrival = Arrival::new(Some((&request).into()));
            assert!(matches!(policy.admit(&arrival), Decision::Now(_)));
        };
        admitted();
        let used = allocation_counter::measure(|| (0..100).for_each(|_| admitted()));
        assert_eq!(used.count_total, 0, "{layer:?}");
    }
}

#[test]
fn a_rejection_allocates_its_headers_alone() {
    let policy = RateLimitLayer::new([Quota::per_second(1), Quota::per_hour(1)])
        .by(|_| "all")
        .policy();
    let arrival = Arrival::new(None);
    let decide = || matches!(policy.admit(&arrival), Decision::No(_));
    assert!(!decide() && decide());
    let used = allocation_counter::measure(|| assert!(decide()));
    // The map of them, its two tables, and the text of one; what the policies are is written once.
    assert!(used.count_total <= 5, "{}", used.count_total);
}

#[tokio::test(start_paused = true, crate = "leakless")]
async fn times_without_end_are_no_trouble() {
    let layer = RateLimitLayer::new(Quota::every(Duration::MAX)).wait(Duration::MAX);
    let service = layer.layer(service_fn(hello));
    assert_eq!(service.clone().oneshot(get()).await.unwrap().status(), 200);
    let mut waiting = Vec::new();
    for _ in 0..100 {
        let mut call = Box::pin(service.clone().oneshot(get()));
        if poll!(call.as_mut()).is_pending() {
            waiting.push(call);
        }
    }
    assert_eq!((waiting.len(), layer.snapshot().rejected), (1, 99));
}

#[tokio::test(start_paused = true, crate = "leakless")]
async fn under_axum_it_can_wait() {
    let app: axum::Router = axum::Router::new()
        .route("/", axum::routing::get(|| async { "hello" }))
        .layer(
            RateLimitLayer::new(Quota::every(SECOND))
                .by_header(API_KEY)
                .wait(SECOND),
        );
    let start = Instant::now();
    for (seconds, status) in [(0, 200), (1, 200), (2, 200)] {
        let response = app
            .clone()
            .oneshot(get().map(|()| axum::body::Body::empty()))
            .await
            .unwrap();
        assert_eq!(
            (start.elapsed().as_secs(), response.status().as_u16()),
            (seconds, status)
        );
    }
}

/// tower's limit, put around a router, is one limit per route and connection: 50 of 50 requests pass a limit of 5.
#[tokio::test(crate = "leakless")]
async fn under_axum_five_an_hour_are_five_over_all_connections_and_routes() {
    let client = ClientAddress::new().peer(|head| {
        let ConnectInfo(address) = head.extensions.get::<ConnectInfo<SocketAddr>>()?;
        Some(address.ip())
    });
    for layer in [
        RateLimitLayer::new(Quota::per_hour(5)),
        RateLimitLayer::new(Quota::per_hour(5)).by_client(client),
    ] {
        let router = (0..5).fold(axum::Router::new(), |router, route| {
            router.route(&format!("/{route}"), axum::routing::get(|| async { "hello" }))
        });
        let app = router
            .layer(layer.clone())
            .into_make_service_with_connect_info::<SocketAddr>();
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let server = tokio::spawn(axum::serve(listener, app).into_future());

        let (mut passed, mut rejected) = (0, 0);
        for connection in 0..10u8 {
            let client = hyper_util::client::legacy::Client::builder(hyper_util::rt::TokioExecutor::new())
                .build_http::<Full<Bytes>>();
            for route in 0..5 {
                let request = Request::get(format!("http://{address}/{route}"))
                    .header("x-forwarded-for", format!("10.0.{connection}.{route}"))
                    .body(Full::default())
                    .unwrap();
                let response = client.request(request).await.unwrap();
                match response.status().as_u16() {
                    200 => passed += 1,
                    429 => rejected += 1,
                    status => panic!("{status}"),
                }
                response.into_body().collect().await.unwrap();
            }
        }
        assert_eq!((passed, rejected), (5, 45));
        assert_eq!(layer.snapshot().allowed, 5);
        server.abort();
    }
}

/// As layers of their own would say it, the one that rejected first.
#[tokio::test(start_paused = true, crate = "leakless")]
async fn of_two_limits_that_stand_together_each_says_how_it_stands() {
    let fields = |response: &Response<()>| -> Vec<String> {
        let values = response.headers().get_all("ratelimit").iter();
        values.map(|value| value.to_str().unwrap().to_owned()).collect()
    };
    let wide = || RateLimitLayer::new(Quota::per_minute(100)).tell();
    let narrow = || RateLimitLayer::new(Quota::per_second(1));
    let apart = ServiceBuilder::new()
        .layer(wide())
        .layer(narrow())
        .service(service_fn(hello));
    let together = AdmissionLayer::new((wide().policy(), narrow().policy())).layer(service_fn(hello));
    apart.clone().oneshot(get()).await.unwrap();
    together.clone().oneshot(get()).await.unwrap();
    let apart = fields(&apart.oneshot(get()).await.unwrap().map(drop));
    let together = fields(&together.oneshot(get()).await.unwrap().map(drop));
    assert_eq!(apart.len(), 2, "{apart:?}");
    assert_eq!(together, apart);
}

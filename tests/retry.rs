//! Retries: what is tried again, when, at whose cost, and what the caller gets.
#![allow(clippy::disallowed_methods, clippy::unwrap_used, reason = "a test may")]

#[path = "support/leakless.rs"]
mod leakless;
#[path = "support/ledger.rs"]
mod ledger;
#[path = "support/script.rs"]
mod script;

use std::{
    convert::Infallible,
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering},
    },
    time::Duration,
};

use buttress::{
    BoxError, BreakerLayer, ConcurrencyLimitLayer, Context, PropagateDeadlineLayer, Rejection, RetryLayer,
    TimeoutLayer,
    body::replay::Replay,
    budget::{Budget, Budgets},
    outcome::Hint,
    rejection::{Protocol, Reason},
    retry::{Attempt, Backoff, Ending, Kept, Verdict},
    testing::leak,
};
use bytes::Bytes;
use http::{Method, Request, Response, StatusCode};
use http_body_util::{BodyExt, Channel, Full};
use tokio::time::Instant;
use tower::{Layer, ServiceBuilder, ServiceExt};

use self::ledger::Ledger;
use self::script::{Answer, Script, broken, early, grpc, late, status};

const MS: Duration = Duration::from_millis(1);

type Body = Full<Bytes>;

fn request(method: &Method) -> Request<Body> {
    Request::builder()
        .method(method)
        .uri("http://upstream/")
        .body(Full::from("body"))
        .unwrap()
}

fn get() -> Request<Body> {
    request(&Method::GET)
}

fn call_grpc() -> Request<Body> {
    let request = Request::post("http://upstream/pkg.Service/Method");
    request
        .header("content-type", "application/grpc")
        .body(Full::from("body"))
        .unwrap()
}

/// How many attempts a request makes of an upstream that answers so first.
async fn attempts(layer: &RetryLayer, answer: Answer, request: Request<Body>) -> usize {
    let script = Script::new([answer]);
    let _ = layer.layer(script.clone()).oneshot(request).await;
    script.attempts()
}

// === what is retried ===

#[tokio::test(start_paused = true, crate = "leakless")]
async fn http_is_retried_by_method_and_status() {
    let hinted = "retry-after: 1";
    for (answer, headers, idempotent, post) in [
        (421, "", 2, 2),
        (429, hinted, 2, 1),
        (429, "", 1, 1),
        (503, hinted, 2, 1),
        (503, "", 2, 1),
        (502, "", 2, 1),
        (504, "", 2, 1),
        (408, "", 2, 1),
        (500, "", 1, 1),
        (425, "", 1, 1),
        (409, "", 1, 1),
        (404, "", 1, 1),
        (200, "", 1, 1),
    ] {
        let layer = RetryLayer::http().budget(plenty());
        for method in [
            Method::GET,
            Method::HEAD,
            Method::OPTIONS,
            Method::TRACE,
            Method::PUT,
            Method::DELETE,
        ] {
            let made = attempts(&layer, status(answer, headers), request(&method)).await;
            assert_eq!(made, idempotent, "{method} {answer} {headers}");
        }
        for method in [Method::POST, Method::PATCH] {
            let made = attempts(&layer, status(answer, headers), request(&method)).await;
            assert_eq!(made, post, "{method} {answer} {headers}");
        }
        let mut keyed = request(&Method::POST);
        keyed.headers_mut().insert("idempotency-key", "k".parse().unwrap());
        assert_eq!(
            attempts(&layer, status(answer, headers), keyed).await,
            idempotent,
            "keyed {answer}"
        );
    }
}

#[tokio::test(start_paused = true, crate = "leakless")]
async fn an_error_of_the_transport_is_retried_where_that_is_safe() {
    let layer = RetryLayer::http();
    assert_eq!(attempts(&layer, broken(), get()).await, 2);
    assert_eq!(attempts(&layer, broken(), request(&Method::POST)).await, 1);
}

#[tokio::test(start_paused = true, crate = "leakless")]
async fn grpc_is_retried_by_code() {
    let pushback = "grpc-retry-pushback-ms: 5";
    for (code, headers, expected) in [
        (14, "", 2),
        (14, pushback, 2),
        (14, "grpc-retry-pushback-ms: -1", 1),
        (14, "grpc-retry-pushback-ms: x", 1),
        (8, "", 1),
        (8, pushback, 2),
        (1, pushback, 1),
        (4, pushback, 1),
        (0, "", 1),
        (2, "", 1),
        (10, "", 1),
        (13, "", 1),
    ] {
        for layer in [RetryLayer::grpc(), RetryLayer::new()] {
            let made = attempts(&layer, grpc(code, headers), call_grpc()).await;
            assert_eq!(made, expected, "{code} {headers}");
        }
    }
    // A status that is still to come is the caller's.
    let Answer::Response(streams) = status(200, "content-type: application/grpc") else {
        unreachable!()
    };
    assert_eq!(
        attempts(&RetryLayer::grpc(), Answer::Response(streams), call_grpc()).await,
        1
    );
}

#[tokio::test(start_paused = true, crate = "leakless")]
async fn what_is_not_retried_can_be_asked_for() {
    let conflict = || status(409, "");
    let layer = RetryLayer::http().retry_status(StatusCode::CONFLICT);
    assert_eq!(attempts(&layer, conflict(), get()).await, 2);
    assert_eq!(attempts(&layer, conflict(), request(&Method::POST)).await, 1);
    let layer = layer.idempotent(|head| head.uri.path() == "/");
    assert_eq!(attempts(&layer, conflict(), request(&Method::POST)).await, 2);
    let layer = RetryLayer::http().retry_status(StatusCode::TOO_MANY_REQUESTS);
    assert_eq!(attempts(&layer, status(429, ""), get()).await, 2);
    assert_eq!(attempts(&layer, status(429, ""), request(&Method::POST)).await, 1);

    let layer = RetryLayer::http().retry_hinted();
    let post = || request(&Method::POST);
    assert_eq!(attempts(&layer, status(503, "retry-after: 1"), post()).await, 2);
    assert_eq!(attempts(&layer, status(429, "retry-after: 1"), post()).await, 2);
    assert_eq!(attempts(&layer, status(503, ""), post()).await, 1);

    let layer = RetryLayer::grpc().retry_code(10).retry_code(1).retry_code(4);
    assert_eq!(attempts(&layer, grpc(10, ""), call_grpc()).await, 2);
    assert_eq!(attempts(&layer, grpc(1, ""), call_grpc()).await, 1);
    assert_eq!(attempts(&layer, grpc(4, ""), call_grpc()).await, 1);
    let layer = RetryLayer::grpc().retry_code(8);
    assert_eq!(attempts(&layer, grpc(8, ""), call_grpc()).await, 2);
    assert_eq!(
        attempts(&layer, grpc(8, "grpc-retry-pushback-ms: -1"), call_grpc()).await,
        1
    );

    let layer = RetryLayer::http().trust_should_retry();
    assert_eq!(attempts(&layer, status(500, "x-should-retry: true"), post()).await, 2);
    assert_eq!(
        attempts(&RetryLayer::http(), status(500, "x-should-retry: true"), post()).await,
        1
    );
}

#[tokio::test(start_paused = true, crate = "leakless")]
async fn a_classifier_of_ones_own_is_one_line() {
    let teapot = RetryLayer::with(|attempt: &Attempt<'_>| match attempt.status {
        Some(StatusCode::IM_A_TEAPOT) => Verdict::RetryAtOnce,
        _ => Verdict::Pass,
    });
    let script = Script::new([status(418, ""), status(503, "")]);
    let response = teapot.layer(script.clone()).oneshot(get()).await.unwrap();
    assert_eq!(
        (response.status(), script.attempts()),
        (StatusCode::SERVICE_UNAVAILABLE, 2)
    );
}

// === when ===

#[tokio::test(start_paused = true, crate = "leakless")]
async fn a_hint_is_waited_for_and_some_more() {
    let script = Script::new([status(503, "retry-after: 2")]);
    RetryLayer::http().layer(script.clone()).oneshot(get()).await.unwrap();
    let at = script.seen()[1].at;
    assert!(at >= 2_000 * MS && at <= 2_501 * MS, "{at:?}");
}

#[tokio::test(start_paused = true, crate = "leakless")]
async fn a_grpc_pushback_is_waited_for_exactly() {
    let script = Script::new([
        grpc(14, "grpc-retry-pushback-ms: 700"),
        grpc(14, "grpc-retry-pushback-ms: 0"),
    ]);
    RetryLayer::grpc()
        .layer(script.clone())
        .oneshot(call_grpc())
        .await
        .unwrap();
    let at: Vec<_> = script.seen().iter().map(|seen| seen.at).collect();
    assert_eq!(at, [Duration::ZERO, 700 * MS, 700 * MS]);
}

#[tokio::test(start_paused = true, crate = "leakless")]
async fn without_a_hint_it_is_the_backoff_with_full_jitter() {
    let layer = RetryLayer::http().budget(plenty());
    let mut waits = Vec::new();
    for _ in 0..100 {
        let script = Script::new([status(503, ""), status(503, "")]);
        layer.layer(script.clone()).oneshot(get()).await.unwrap();
        let seen = script.seen();
        waits.push((seen[1].at, seen[2].at.saturating_sub(seen[1].at)));
    }
    // A tokio timer is never early, and up to a millisecond late.
    assert!(
        waits
            .iter()
            .all(|(first, second)| *first <= 51 * MS && *second <= 101 * MS)
    );
    assert!(waits.iter().any(|(first, _)| *first < 15 * MS) && waits.iter().any(|(first, _)| *first > 35 * MS));
    assert!(waits.iter().any(|(_, second)| *second > 60 * MS));
}

#[tokio::test(start_paused = true, crate = "leakless")]
async fn a_wait_that_leaves_no_time_is_not_begun() {
    let script = Script::new([status(503, "retry-after: 2")]);
    let client = RetryLayer::http().layer(script.clone());
    let context = Context::default().with_timeout(2_000 * MS);
    let start = Instant::now();
    let response = context.scope(client.oneshot(get())).await.unwrap();
    assert_eq!(
        (response.status(), script.attempts()),
        (StatusCode::SERVICE_UNAVAILABLE, 1)
    );
    assert_eq!(start.elapsed(), Duration::ZERO);
    // It is the caller's time that ran out: whoever has more of it may try.
    assert_eq!(Hint::should_retry(response.headers()), None);
}

#[tokio::test(start_paused = true, crate = "leakless")]
async fn a_wait_above_the_cap_is_passed_up() {
    let layer = RetryLayer::http();
    assert_eq!(attempts(&layer, status(503, "retry-after: 31"), get()).await, 1);
    assert_eq!(
        attempts(
            &layer.clone().hint_cap(40_000 * MS),
            status(503, "retry-after: 31"),
            get()
        )
        .await,
        2
    );
    assert_eq!(layer.snapshot().kept(Kept::LongWait), 1);
}

/// Digits without end are the longest wait there is.
#[tokio::test(start_paused = true, crate = "leakless")]
async fn a_wait_without_end_is_no_wait_that_can_be_waited_for() {
    let layer = RetryLayer::http().hint_cap(Duration::MAX);
    let script = Script::new([status(503, "retry-after: 99999999999999999999")]);
    let context = Context::default().with_timeout(1_000 * MS);
    let response = context.scope(layer.layer(script.clone()).oneshot(get())).await.unwrap();
    assert_eq!(
        (response.status(), script.attempts()),
        (StatusCode::SERVICE_UNAVAILABLE, 1)
    );
}

#[tokio::test(start_paused = true, crate = "leakless")]
async fn a_hint_of_ones_own_is_read() {
    let layer = RetryLayer::http().read_hints(|headers| {
        let seconds = headers.get("x-ratelimit-reset")?.to_str().ok()?.parse().ok()?;
        Some(Hint::After(Duration::from_secs(seconds)))
    });
    let script = Script::new([status(429, "x-ratelimit-reset: 7")]);
    layer.layer(script.clone()).oneshot(get()).await.unwrap();
    assert!(script.seen()[1].at >= 7_000 * MS);
}

// === no attempt after ===

#[tokio::test(start_paused = true, crate = "leakless")]
async fn do_not_retry_is_obeyed_and_passed_up() {
    let script = Script::new([status(503, "x-should-retry: false")]);
    let response = RetryLayer::http().layer(script.clone()).oneshot(get()).await.unwrap();
    assert_eq!(
        (script.attempts(), Hint::should_retry(response.headers())),
        (1, Some(false))
    );
    // Whatever the classifier says.
    let eager = RetryLayer::with(|_: &Attempt<'_>| Verdict::Retry);
    let script = Script::new([status(503, "x-should-retry: false")]);
    eager.layer(script.clone()).oneshot(get()).await.unwrap();
    assert_eq!(script.attempts(), 1);
}

#[tokio::test(start_paused = true, crate = "leakless")]
async fn of_a_chain_only_the_tier_next_to_the_fault_retries() {
    let script = Script::new((0..100).map(|_| status(503, "")));
    let tier = || RetryLayer::http().budget(plenty());
    let chain = ServiceBuilder::new()
        .layer(tier())
        .layer(tier())
        .layer(tier())
        .service(script.clone());
    let response = chain.oneshot(get()).await.unwrap();
    assert_eq!(
        (script.attempts(), response.status()),
        (3, StatusCode::SERVICE_UNAVAILABLE)
    );
    assert_eq!(Hint::should_retry(response.headers()), Some(false));
}

#[tokio::test(start_paused = true, crate = "leakless")]
async fn a_grpc_failure_is_marked_by_its_pushback() {
    let script = Script::new((0..100).map(|_| grpc(14, "")));
    let response = RetryLayer::grpc()
        .layer(script.clone())
        .oneshot(call_grpc())
        .await
        .unwrap();
    assert_eq!(script.attempts(), 3);
    assert_eq!(Hint::grpc(response.headers()), Some(Hint::DoNotRetry));
}

#[tokio::test(start_paused = true, crate = "leakless")]
async fn a_caller_that_left_makes_no_attempt() {
    let script = Script::new([status(503, ""), status(503, "")]);
    let client = RetryLayer::http()
        .backoff(Backoff::new(5_000 * MS, 5_000 * MS))
        .layer(script.clone());
    let _ = tokio::time::timeout(MS, client.oneshot(get())).await;
    tokio::time::sleep(60_000 * MS).await;
    assert_eq!(script.attempts(), 1);
}

#[tokio::test(start_paused = true, crate = "leakless")]
async fn work_that_has_ended_makes_no_attempt() {
    let script = Script::new([late(10 * MS, status(503, ""))]);
    let client = RetryLayer::http().layer(script.clone());
    let work = Context::default().child();
    let call = tokio::spawn(work.scope(client.oneshot(get())));
    tokio::time::sleep(5 * MS).await;
    work.cancel(buttress::Cancelled::ShuttingDown);
    let response = call.await.unwrap().unwrap();
    assert_eq!(
        (response.status(), script.attempts()),
        (StatusCode::SERVICE_UNAVAILABLE, 1)
    );
}

#[tokio::test(start_paused = true, crate = "leakless")]
async fn an_empty_budget_gives_the_answer_at_hand_at_once() {
    let budget = Budget::builder()
        .ratio(0.0)
        .min_per_second(0.0)
        .burst(1)
        .build()
        .unwrap();
    let layer = RetryLayer::http().budget(budget.clone());
    let script = Script::new((0..9).map(|_| status(503, "retry-after: 5")));
    let start = Instant::now();
    let response = layer.layer(script.clone()).oneshot(get()).await.unwrap();
    assert_eq!((script.attempts(), start.elapsed()), (1, Duration::ZERO));
    assert_eq!(Hint::should_retry(response.headers()), Some(false));
    assert_eq!(layer.snapshot().kept(Kept::Budget), 1);
}

#[tokio::test(start_paused = true, crate = "leakless")]
async fn one_budget_is_shared_by_its_clones() {
    let budget = Budget::builder()
        .ratio(0.0)
        .min_per_second(1.0)
        .burst(2)
        .build()
        .unwrap();
    let clients = [(); 3].map(|()| RetryLayer::http().attempts(2).budget(budget.clone()));
    let script = Script::new((0..9).map(|_| status(503, "")));
    for client in &clients {
        let _ = client.layer(script.clone()).oneshot(get()).await;
    }
    assert_eq!(script.attempts(), 3 + 2);
    assert_eq!(budget.snapshot().granted, 2);
}

#[tokio::test(start_paused = true, crate = "leakless")]
async fn destinations_have_budgets_of_their_own() {
    let one = || {
        Budget::builder()
            .ratio(0.0)
            .min_per_second(0.2)
            .burst(1)
            .build()
            .unwrap()
    };
    let layer = RetryLayer::http().attempts(2).budget(Budgets::per_destination(one));
    let script = Script::new((0..9).map(|_| status(503, "")));
    for uri in ["http://a/", "http://a/", "http://b/"] {
        let request = Request::get(uri).body(Body::default()).unwrap();
        layer.layer(script.clone()).oneshot(request).await.unwrap();
    }
    assert_eq!(script.attempts(), 3 + 2);
}

#[tokio::test(start_paused = true, crate = "leakless")]
async fn a_rejection_of_ours_below_is_not_retried_and_costs_nothing() {
    let budget = Budget::default();
    let limit = ConcurrencyLimitLayer::new(0).queue(0);
    let client = ServiceBuilder::new()
        .layer(RetryLayer::http().budget(budget.clone()))
        .layer(limit)
        .service(Script::new([]));
    let response = client.oneshot(get()).await.unwrap();
    assert_eq!(
        response.extensions().get::<Rejection>().unwrap().reason(),
        Reason::Overloaded
    );
    assert_eq!(budget.snapshot().granted, 0);

    // The first attempt opens the circuit: the second is rejected, and what it cost comes back.
    let script = Script::new([status(503, ""), status(200, "")]);
    let client = ServiceBuilder::new()
        .layer(RetryLayer::http().budget(budget.clone()))
        .layer(BreakerLayer::new().minimum_calls(1))
        .service(script.clone());
    let response = client.oneshot(get()).await.unwrap();
    assert_eq!(
        response.extensions().get::<Rejection>().unwrap().reason(),
        Reason::BreakerOpen
    );
    assert_eq!(
        (script.attempts(), budget.snapshot().granted, budget.snapshot().returned),
        (1, 1, 1)
    );
}

#[tokio::test(start_paused = true, crate = "leakless")]
async fn a_deadline_that_one_of_ours_below_cannot_meet_is_not_tried_again() {
    for (executed, expected) in [(false, 1), (true, 2)] {
        let rejection = Rejection::new(Reason::DeadlineExceeded, "below");
        let rejection = if executed { rejection.executed() } else { rejection };
        let answer = rejection.into_answer(&Protocol::Http).map(Full::new);
        let made = attempts(&RetryLayer::http(), Answer::Response(answer), get()).await;
        assert_eq!(made, expected, "executed: {executed}");
    }
}

/// Of the answer that failed nothing is in the way of the attempt that takes its place.
#[tokio::test(start_paused = true, crate = "leakless")]
async fn an_attempt_finds_the_place_free_that_the_one_before_had() {
    let script = Script::new([status(503, ""), status(200, "")]);
    let client = ServiceBuilder::new()
        .layer(RetryLayer::http())
        .layer(ConcurrencyLimitLayer::new(1).queue(0))
        .service(script.clone());
    let response = client.oneshot(get()).await.unwrap();
    assert_eq!((response.status(), script.attempts()), (StatusCode::OK, 2));
}

#[tokio::test(start_paused = true, crate = "leakless")]
async fn a_service_that_is_not_ready_gets_no_retry() {
    let script = Script::new([status(503, ""), status(200, "")]).ready_for(1);
    let layer = RetryLayer::http();
    let response = layer.layer(script.clone()).oneshot(get()).await.unwrap();
    assert_eq!(
        (script.attempts(), response.status()),
        (1, StatusCode::SERVICE_UNAVAILABLE)
    );
    assert_eq!(layer.snapshot().kept(Kept::NotReady), 1);
    assert_eq!(layer.budgets().snapshot()[0].1.granted, 0);
}

#[tokio::test(start_paused = true, crate = "leakless")]
async fn an_error_waits_for_a_service_that_is_not_ready() {
    for (timeout, wait) in [(Some(300 * MS), 300), (None, 1_000)] {
        let script = Script::new([broken(), status(200, "")]).ready_for(1);
        let client = RetryLayer::http()
            .backoff(Backoff::new(Duration::ZERO, Duration::ZERO))
            .layer(script.clone());
        let context = timeout.map_or_else(Context::default, |timeout| Context::default().with_timeout(timeout));
        let start = Instant::now();
        let error = context.scope(client.oneshot(get())).await.unwrap_err();
        // The last cause is kept.
        assert_eq!(error.to_string(), "broken");
        assert_eq!((script.attempts(), start.elapsed().as_millis()), (1, wait));
    }
}

#[tokio::test(start_paused = true, crate = "leakless")]
async fn an_attempts_own_timeout_is_retried_and_the_calls_is_not() {
    let script = Script::new([Answer::Hang, Answer::Hang, Answer::Hang]);
    let client = ServiceBuilder::new()
        .layer(RetryLayer::http().attempts(2))
        .layer(TimeoutLayer::new(100 * MS))
        .service(script.clone());
    let response = client.clone().oneshot(get()).await.unwrap();
    assert_eq!((script.attempts(), response.status()), (2, StatusCode::GATEWAY_TIMEOUT));

    let context = Context::default().with_timeout(50 * MS);
    let response = context.scope(client.oneshot(get())).await.unwrap();
    assert_eq!((script.attempts(), response.status()), (1, StatusCode::GATEWAY_TIMEOUT));
}

#[tokio::test(start_paused = true, crate = "leakless")]
async fn what_is_a_retry_already_is_not_retried_where_that_is_asked() {
    let layer = RetryLayer::http().only_first_attempts();
    let mut again = get();
    again.headers_mut().insert("x-retry-attempt", "1".parse().unwrap());
    assert_eq!(attempts(&layer, status(503, ""), again).await, 1);
    let script = Script::new([status(503, "")]);
    let second = Context::default().with_attempt(2);
    let _ = second.scope(layer.layer(script.clone()).oneshot(get())).await;
    assert_eq!(script.attempts(), 1);
    assert_eq!(attempts(&layer, status(503, ""), get()).await, 2);
}

// === what an attempt is ===

#[tokio::test(start_paused = true, crate = "leakless")]
async fn each_attempt_says_which_it_is() {
    let script = Script::new([status(503, ""), status(503, "")]);
    RetryLayer::new().layer(script.clone()).oneshot(get()).await.unwrap();
    let seen = script.seen();
    let said = |place: usize| {
        seen[place]
            .headers
            .get("x-retry-attempt")
            .map(|value| value.to_str().unwrap())
    };
    assert_eq!([said(0), said(1), said(2)], [None, Some("1"), Some("2")]);
    assert_eq!(
        seen.iter().map(|seen| seen.context.attempt()).collect::<Vec<_>>(),
        [1, 2, 3]
    );

    let script = Script::new([grpc(14, "")]);
    RetryLayer::new()
        .layer(script.clone())
        .oneshot(call_grpc())
        .await
        .unwrap();
    let seen = script.seen();
    assert_eq!(seen[0].headers.get("grpc-previous-rpc-attempts"), None);
    assert_eq!(seen[1].headers["grpc-previous-rpc-attempts"], "1");
}

#[tokio::test(start_paused = true, crate = "leakless")]
async fn an_attempt_is_told_when_another_takes_its_place() {
    let script = Script::new([status(503, "")]);
    let response = RetryLayer::http().layer(script.clone()).oneshot(get()).await.unwrap();
    let seen = script.seen();
    assert_eq!(seen[0].context.check(), Err(buttress::Cancelled::Superseded));
    // The one that is answered ends with its answer.
    assert_eq!(seen[1].context.check(), Ok(()));
    response.into_body().collect().await.unwrap();
    assert_eq!(seen[1].context.check(), Err(buttress::Cancelled::Finished));
}

#[tokio::test(start_paused = true, crate = "leakless")]
async fn the_deadline_is_written_at_each_attempt() {
    let script = Script::new([late(100 * MS, status(503, "retry-after-ms: 400"))]);
    let client = ServiceBuilder::new()
        .layer(RetryLayer::http())
        .layer(PropagateDeadlineLayer::new())
        .service(script.clone());
    let context = Context::default().with_timeout(1_000 * MS);
    context.scope(client.oneshot(get())).await.unwrap();
    let left = |seen: &script::Seen| {
        seen.headers["x-request-timeout-ms"]
            .to_str()
            .unwrap()
            .parse::<u64>()
            .unwrap()
    };
    let left: Vec<_> = script.seen().iter().map(left).collect();
    assert_eq!(left[0], 1_000);
    assert!((400..=500).contains(&left[1]), "{left:?}");
}

#[tokio::test(start_paused = true, crate = "leakless")]
async fn every_attempt_has_the_whole_body_and_its_trailers() {
    let script = Script::new([status(503, ""), early(status(503, ""))]);
    let (mut send, body) = Channel::<Bytes, BoxError>::new(8);
    let request = Request::put("http://upstream/").body(body).unwrap();
    let client = RetryLayer::http().layer(script.clone());
    let call = tokio::spawn(client.oneshot(request));
    for part in ["one ", "two ", "three"] {
        send.send_data(part.into()).await.unwrap();
    }
    let mut trailers = http::HeaderMap::new();
    trailers.insert("digest", "x".parse().unwrap());
    send.send_trailers(trailers.clone()).await.unwrap();
    drop(send);
    call.await.unwrap().unwrap();
    let seen = script.seen();
    assert_eq!(seen.len(), 3);
    for attempt in [0, 2] {
        assert_eq!(seen[attempt].body, "one two three");
        assert_eq!(seen[attempt].trailers.as_ref(), Some(&trailers));
    }
}

#[tokio::test(start_paused = true, crate = "leakless")]
async fn a_body_beyond_its_cap_or_still_being_sent_is_not_sent_again() {
    let layer = RetryLayer::http().body_limit(3);
    assert_eq!(attempts(&layer, status(503, ""), get()).await, 1);
    assert_eq!(layer.snapshot().kept(Kept::Body), 1);
    assert_eq!(attempts(&layer.clone().body_limit(4), status(503, ""), get()).await, 2);
}

/// Seen with hyper, on HTTP/1 and HTTP/2: the task that has the body hears of the end a moment after the caller.
#[tokio::test(start_paused = true, crate = "leakless")]
async fn a_body_that_comes_back_after_the_error_is_sent_again() {
    let calls = Arc::new(AtomicU32::new(0));
    let transport = {
        let calls = calls.clone();
        tower::service_fn(move |request: Request<Replay<Channel<Bytes, BoxError>>>| {
            let first = calls.fetch_add(1, Ordering::Relaxed) == 0;
            async move {
                if first {
                    tokio::spawn(async move {
                        tokio::time::sleep(3 * MS).await;
                        drop(request);
                    });
                    return Err(BoxError::from("reset"));
                }
                let body = request.into_body().collect().await?.to_bytes();
                Ok(Response::new(Full::new(body)))
            }
        })
    };
    let (mut send, body) = Channel::new(8);
    send.send_data("whole".into()).await.unwrap();
    drop(send);
    let request = Request::put("http://upstream/").body(body).unwrap();
    let client = RetryLayer::http()
        .backoff(Backoff::new(Duration::ZERO, Duration::ZERO))
        .layer(transport);
    let response = client.oneshot(request).await.unwrap();
    assert_eq!(response.into_body().collect().await.unwrap().to_bytes(), "whole");
}

// === what the caller gets ===

#[tokio::test(start_paused = true, crate = "leakless")]
async fn the_last_answer_is_passed_up_with_its_body() {
    let script = Script::new([status(502, ""), status(503, ""), status(504, "")]);
    let response = RetryLayer::http().layer(script).oneshot(get()).await.unwrap();
    assert_eq!(response.status(), StatusCode::GATEWAY_TIMEOUT);
    assert_eq!(response.into_body().collect().await.unwrap().to_bytes(), "504");
}

#[tokio::test(start_paused = true, crate = "leakless")]
async fn the_snapshot_counts() {
    let layer = RetryLayer::http();
    assert_eq!(attempts(&layer, status(503, ""), get()).await, 2);
    assert_eq!(attempts(&layer, status(200, ""), get()).await, 1);
    let now = layer.snapshot();
    assert_eq!((now.requests, now.retries, now.recovered), (2, 1, 1));
}

#[tokio::test(start_paused = true, crate = "leakless")]
async fn a_background_job_tries_for_longer_and_not_for_ever() {
    let script = Script::new((0..99).map(|_| status(503, "")));
    let response = RetryLayer::http()
        .background()
        .budget(plenty())
        .layer(script.clone())
        .oneshot(get())
        .await
        .unwrap();
    assert_eq!(
        (script.attempts(), response.status()),
        (10, StatusCode::SERVICE_UNAVAILABLE)
    );
}

/// A law that counts what is in flight loses a place with each attempt that it does not hear of.
#[tokio::test(start_paused = true, crate = "leakless")]
async fn a_law_hears_of_every_attempt_though_its_caller_leaves() {
    for (leaves_after, answers, again) in [
        (1, vec![Answer::Hang], 0),
        (1, vec![status(503, ""), Answer::Hang], 0),
        (60_000, vec![status(503, ""), Answer::Hang], 1),
        (60_000, vec![status(503, ""), status(503, ""), Answer::Hang], 2),
    ] {
        let ledger = Arc::<Ledger>::default();
        let client = RetryLayer::http()
            .backoff(Backoff::new(5_000 * MS, 5_000 * MS))
            .budget(Budget::with_law(ledger.clone()))
            .layer(Script::new(answers));
        let _ = tokio::time::timeout(leaves_after * MS, client.oneshot(get())).await;
        assert_eq!(ledger.is_balanced(), again);
    }
}

#[tokio::test(start_paused = true, crate = "leakless")]
async fn a_law_hears_no_end_of_what_was_given_back() {
    let ledger = Arc::<Ledger>::default();
    // As above: the second attempt is paid for, and rejected below.
    let client = ServiceBuilder::new()
        .layer(RetryLayer::http().budget(Budget::with_law(ledger.clone())))
        .layer(ConcurrencyLimitLayer::new(1).queue(0))
        .service(Script::new([status(503, "")]));
    drop(client.oneshot(get()).await.unwrap());
    assert_eq!(ledger.is_balanced(), 1);
}

#[tokio::test(start_paused = true, crate = "leakless")]
async fn the_grpc_law_hears_how_calls_end() {
    let budget = Budget::grpc(10.0, 0.1).unwrap();
    let layer = RetryLayer::grpc().attempts(2).budget(budget.clone());
    let mut made = Vec::new();
    for _ in 0..4 {
        // Each call fails twice, and so costs two tokens: those after the fourth failure are not made again.
        let script = Script::new([grpc(14, ""), grpc(14, "")]);
        let _ = layer.layer(script.clone()).oneshot(call_grpc()).await;
        made.push(script.attempts());
    }
    assert_eq!(made, [2, 2, 1, 1]);
    assert_eq!(budget.snapshot().tokens, Some(4.0));

    // A success counts when its status has come.
    let streams = || {
        let trailers = [("grpc-status", "0")].into_iter();
        let trailers = trailers
            .map(|(name, value)| (name.parse().unwrap(), value.parse().unwrap()))
            .collect();
        let body =
            Full::from("message").with_trailers(std::future::ready(Some(Ok::<http::HeaderMap, Infallible>(trailers))));
        Response::new(body)
    };
    let client = layer.layer(tower::service_fn(
        move |_| async move { Ok::<_, Infallible>(streams()) },
    ));
    let response = client.oneshot(call_grpc()).await.unwrap();
    assert_eq!(budget.snapshot().tokens, Some(4.0));
    response.into_body().collect().await.unwrap();
    assert_eq!(budget.snapshot().tokens, Some(4.1));
}

#[tokio::test(start_paused = true, crate = "leakless")]
async fn the_grpc_law_counts_by_status_though_it_come_too_late_to_be_retried() {
    // As C-core does: tests/peers lays the two side by side.
    for (code, tokens) in [(14, 8.0), (10, 8.0), (4, 9.0), (13, 9.0), (3, 9.0), (0, 9.1)] {
        let budget = Budget::grpc(10.0, 0.1).unwrap();
        let failed = Script::new([grpc(14, "grpc-retry-pushback-ms: -1")]);
        let _ = RetryLayer::grpc()
            .budget(budget.clone())
            .layer(failed)
            .oneshot(call_grpc())
            .await;
        let answer = move || {
            let trailers = http::HeaderMap::from_iter([(http::HeaderName::from_static("grpc-status"), code.into())]);
            let status = std::future::ready(Some(Ok::<_, Infallible>(trailers)));
            Response::new(Full::from("message").with_trailers(status))
        };
        let client = RetryLayer::grpc()
            .retry_code(10)
            .retry_code(4)
            .budget(budget.clone())
            .layer(tower::service_fn(move |_| async move { Ok::<_, Infallible>(answer()) }));
        let response = client.oneshot(call_grpc()).await.unwrap();
        response.into_body().collect().await.unwrap();
        assert_eq!(budget.snapshot().tokens, Some(tokens), "{code}");
    }
}

#[tokio::test(start_paused = true, crate = "leakless")]
async fn to_the_grpc_law_a_call_that_the_server_could_not_take_is_no_success() {
    let budget = Budget::grpc(10.0, 0.1).unwrap();
    let layer = RetryLayer::grpc().budget(budget.clone());
    for (answer, tokens) in [
        (grpc(14, "grpc-retry-pushback-ms: -1"), 9.0),
        (grpc(3, ""), 9.0),
        (grpc(8, ""), 9.0),
        (grpc(0, ""), 9.1),
    ] {
        let response = layer.layer(Script::new([answer])).oneshot(call_grpc()).await.unwrap();
        response.into_body().collect().await.unwrap();
        assert_eq!(budget.snapshot().tokens, Some(tokens));
    }
}

/// A gateway's innermost service never fails: it makes an answer of its transport's error.
#[tokio::test(start_paused = true, crate = "leakless")]
async fn an_error_that_is_told_as_an_answer_is_followed_by_its_body_too() {
    let calls = Arc::new(AtomicU32::new(0));
    let seen = calls.clone();
    let transport = tower::service_fn(move |request: Request<Replay<Body>>| {
        let first = seen.fetch_add(1, Ordering::Relaxed) == 0;
        async move {
            let protocol = Protocol::of(&request);
            let body = request.into_body();
            if first {
                // The connection's task has it for a moment more.
                tokio::spawn(async move {
                    tokio::time::sleep(MS).await;
                    drop(body);
                });
                let unreachable = Rejection::new(Reason::Unreachable, "gateway");
                return Ok::<_, Infallible>(unreachable.into_answer(&protocol).map(Full::from));
            }
            Ok(Response::new(Full::from(body.collect().await.unwrap().to_bytes())))
        }
    });
    let client = RetryLayer::http().layer(transport);
    let response = client.oneshot(request(&Method::POST)).await.unwrap();
    assert_eq!(response.status(), StatusCode::OK);
    assert_eq!(calls.load(Ordering::Relaxed), 2);
}

/// A budget that is no bound here.
fn plenty() -> Budget {
    Budget::builder().min_per_second(100.0).burst(1_000).build().unwrap()
}

/// A layer is as good as its inference: a stack of them, and no type is written.
#[tokio::test(start_paused = true, crate = "leakless")]
async fn a_stack_of_retries_infers() {
    let script = Script::new([]);
    let client = ServiceBuilder::new()
        .layer(RetryLayer::new())
        .layer(RetryLayer::grpc())
        .service(script);
    let response = client.oneshot(get()).await.unwrap();
    let _: Response<buttress::body::Tracked<_, Ending>> = response;
}

/// What an attempt started ends with it: when the next one begins, when there is none, and when the caller leaves in between.
#[test]
fn attempts_leave_nothing() {
    leak::assert_none(|| async {
        let upstream = |_: Request<Replay<Body>>| async {
            drop(Context::current().spawn("of an attempt", std::future::pending::<()>()));
            let mut response = Response::new(Body::from("no"));
            *response.status_mut() = StatusCode::SERVICE_UNAVAILABLE;
            Ok::<_, Infallible>(response)
        };
        let retry = RetryLayer::new().attempts(3).budget(plenty());
        let quick = retry
            .clone()
            .backoff(Backoff::new(MS, MS))
            .layer(tower::service_fn(upstream));
        let response = quick.oneshot(get()).await.unwrap();
        response.into_body().collect().await.unwrap();
        assert_eq!(retry.snapshot().retries, 2);

        let slow = retry
            .backoff(Backoff::new(60_000 * MS, 60_000 * MS))
            .layer(tower::service_fn(upstream));
        let left = tokio::time::timeout(5 * MS, slow.oneshot(get())).await;
        drop(left);
    });
}

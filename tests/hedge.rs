//! Hedges: who gets company, who wins, who pays, and what becomes of the losers.
#![allow(clippy::disallowed_methods, clippy::unwrap_used, reason = "a test may")]

#[path = "support/leakless.rs"]
mod leakless;
#[path = "support/ledger.rs"]
mod ledger;
#[path = "support/script.rs"]
mod script;

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use buttress::{
    BoxError, Cancelled, ConcurrencyLimitLayer, Context, HedgeLayer, RetryLayer, body::replay::Replay, budget::Budget,
    outcome::Hint, testing::leak,
};
use bytes::Bytes;
use http::{Method, Request, Response, StatusCode};
use http_body_util::{BodyExt, Channel, Full};
use tokio::time::Instant;
use tower::{Layer, ServiceBuilder, ServiceExt};

use self::ledger::Ledger;
use self::script::{Answer, Script, broken, grpc, late, status};

const MS: Duration = Duration::from_millis(1);

fn request(method: &Method) -> Request<Full<Bytes>> {
    Request::builder()
        .method(method)
        .uri("http://upstream/")
        .body(Full::from("body"))
        .unwrap()
}

fn get() -> Request<Full<Bytes>> {
    request(&Method::GET)
}

fn slow(status_code: u16, millis: u32) -> Answer {
    late(millis * MS, status(status_code, ""))
}

#[tokio::test(start_paused = true, crate = "leakless")]
async fn who_is_quick_stays_alone() {
    let script = Script::new([slow(200, 9)]);
    let layer = HedgeLayer::after(10 * MS);
    layer.layer(script.clone()).oneshot(get()).await.unwrap();
    tokio::time::sleep(1_000 * MS).await;
    assert_eq!((script.attempts(), layer.snapshot().hedges), (1, 0));
}

#[tokio::test(start_paused = true, crate = "leakless")]
async fn who_is_slow_gets_company_and_the_first_to_answer_wins() {
    let script = Script::new([slow(200, 500), slow(201, 5)]);
    let layer = HedgeLayer::after(10 * MS);
    let start = Instant::now();
    let response = layer.layer(script.clone()).oneshot(get()).await.unwrap();
    assert_eq!(
        (response.status(), start.elapsed().as_millis()),
        (StatusCode::CREATED, 15)
    );
    let seen = script.seen();
    assert_eq!(seen.iter().map(|seen| seen.at.as_millis()).collect::<Vec<_>>(), [0, 10]);
    assert_eq!(
        seen.iter().map(|seen| &seen.body[..]).collect::<Vec<_>>(),
        [b"body", b"body"]
    );
    assert_eq!(seen[1].headers["x-retry-attempt"], "1");
    assert_eq!(seen[1].context.attempt(), 2);
    let now = layer.snapshot();
    assert_eq!((now.hedges, now.won), (1, 1));
}

#[tokio::test(start_paused = true, crate = "leakless")]
async fn the_first_attempt_can_win_all_the_same() {
    let script = Script::new([slow(200, 12), slow(201, 500)]);
    let layer = HedgeLayer::after(10 * MS);
    let response = layer.layer(script.clone()).oneshot(get()).await.unwrap();
    assert_eq!(response.status(), StatusCode::OK);
    assert_eq!((layer.snapshot().hedges, layer.snapshot().won), (1, 0));
}

#[tokio::test(start_paused = true, crate = "leakless")]
async fn losers_are_dropped_and_their_contexts_superseded() {
    let script = Script::new([Answer::Hang, slow(200, 5)]);
    let response = HedgeLayer::after(10 * MS)
        .layer(script.clone())
        .oneshot(get())
        .await
        .unwrap();
    let seen = script.seen();
    assert_eq!(seen[0].context.check(), Err(Cancelled::Superseded));
    // The winner's lives as long as its answer.
    assert_eq!(seen[1].context.check(), Ok(()));
    response.into_body().collect().await.unwrap();
    assert_eq!(seen[1].context.check(), Err(Cancelled::Finished));
}

#[tokio::test(start_paused = true, crate = "leakless")]
async fn a_caller_that_leaves_ends_all_attempts() {
    let script = Script::new([Answer::Hang, Answer::Hang]);
    let client = HedgeLayer::after(10 * MS).layer(script.clone());
    let _ = tokio::time::timeout(20 * MS, client.oneshot(get())).await;
    let seen = script.seen();
    assert_eq!(seen.len(), 2);
    for seen in seen {
        assert_eq!(seen.context.check(), Err(Cancelled::Disconnected));
    }
}

#[tokio::test(start_paused = true, crate = "leakless")]
async fn a_law_hears_of_every_attempt_whoever_wins_and_whoever_leaves() {
    for answers in [
        [Answer::Hang, Answer::Hang],
        [slow(200, 15), Answer::Hang],
        [Answer::Hang, slow(200, 5)],
    ] {
        let ledger = Arc::<Ledger>::default();
        let client = HedgeLayer::after(10 * MS)
            .budget(Budget::with_law(ledger.clone()))
            .layer(Script::new(answers));
        let _ = tokio::time::timeout(20 * MS, client.oneshot(get())).await;
        assert_eq!(ledger.is_balanced(), 1);
    }
}

#[tokio::test(start_paused = true, crate = "leakless")]
async fn only_what_may_be_sent_twice_is() {
    for (method, hedged) in [
        (Method::GET, 2),
        (Method::PUT, 2),
        (Method::POST, 1),
        (Method::PATCH, 1),
    ] {
        let script = Script::new([slow(200, 50)]);
        HedgeLayer::after(10 * MS)
            .layer(script.clone())
            .oneshot(request(&method))
            .await
            .unwrap();
        assert_eq!(script.attempts(), hedged, "{method}");
    }
    let script = Script::new([slow(200, 50)]);
    let layer = HedgeLayer::after(10 * MS).when(|head| head.uri.path() == "/");
    layer
        .layer(script.clone())
        .oneshot(request(&Method::POST))
        .await
        .unwrap();
    assert_eq!(script.attempts(), 2);
}

#[tokio::test(start_paused = true, crate = "leakless")]
async fn a_failure_starts_the_next_early() {
    for answer in [status(503, ""), broken()] {
        let script = Script::new([late(5 * MS, answer)]);
        let start = Instant::now();
        let response = HedgeLayer::after(1_000 * MS)
            .layer(script.clone())
            .oneshot(get())
            .await
            .unwrap();
        assert_eq!((response.status(), start.elapsed().as_millis()), (StatusCode::OK, 5));
        assert_eq!(script.attempts(), 2);
    }
}

#[tokio::test(start_paused = true, crate = "leakless")]
async fn a_failure_of_another_kind_is_the_answer() {
    let script = Script::new([status(500, "")]);
    let response = HedgeLayer::after(10 * MS)
        .layer(script.clone())
        .oneshot(get())
        .await
        .unwrap();
    assert_eq!(
        (response.status(), script.attempts()),
        (StatusCode::INTERNAL_SERVER_ERROR, 1)
    );
}

#[tokio::test(start_paused = true, crate = "leakless")]
async fn pushback_is_honoured() {
    let call = || {
        let request = Request::post("http://upstream/pkg.Service/Method").header("content-type", "application/grpc");
        request.body(Full::<Bytes>::from("body")).unwrap()
    };
    let layer = HedgeLayer::after(10 * MS).when(|_| true);
    let script = Script::new([grpc(14, "grpc-retry-pushback-ms: 70")]);
    layer.layer(script.clone()).oneshot(call()).await.unwrap();
    assert_eq!(script.seen()[1].at, 70 * MS);

    let script = Script::new([grpc(14, "grpc-retry-pushback-ms: -1")]);
    let response = layer.layer(script.clone()).oneshot(call()).await.unwrap();
    assert_eq!(
        (script.attempts(), &response.headers()["grpc-status"]),
        (1, &"14".parse().unwrap())
    );

    // One that says stop does not stop another that is under way.
    let script = Script::new([late(20 * MS, grpc(14, "grpc-retry-pushback-ms: -1")), slow(200, 50)]);
    let response = layer
        .clone()
        .attempts(3)
        .layer(script.clone())
        .oneshot(call())
        .await
        .unwrap();
    assert_eq!((script.attempts(), response.headers().get("grpc-status")), (2, None));
}

#[tokio::test(start_paused = true, crate = "leakless")]
async fn when_all_have_failed_the_last_failure_is_the_answer_and_marked() {
    let script = Script::new([slow(503, 20), slow(502, 5)]);
    let response = HedgeLayer::after(10 * MS)
        .layer(script.clone())
        .oneshot(get())
        .await
        .unwrap();
    assert_eq!(
        (response.status(), script.attempts()),
        (StatusCode::SERVICE_UNAVAILABLE, 2)
    );
    assert_eq!(Hint::should_retry(response.headers()), Some(false));
    assert_eq!(response.into_body().collect().await.unwrap().to_bytes(), "503");
}

#[tokio::test(start_paused = true, crate = "leakless")]
async fn a_hedge_is_paid_from_the_budget_of_the_retries() {
    let budget = Budget::builder()
        .ratio(0.0)
        .min_per_second(0.5)
        .burst(2)
        .build()
        .unwrap();
    let hedge = HedgeLayer::after(10 * MS).budget(budget.clone());
    for (pays, sent) in [(true, 2), (true, 2), (false, 1)] {
        let script = Script::new([slow(200, 50)]);
        hedge.layer(script.clone()).oneshot(get()).await.unwrap();
        assert_eq!((script.attempts(), pays), (sent, sent == 2));
    }
    assert_eq!((hedge.snapshot().hedges, hedge.snapshot().unpaid), (2, 1));
    let script = Script::new([status(503, "")]);
    RetryLayer::http()
        .budget(budget)
        .layer(script.clone())
        .oneshot(get())
        .await
        .unwrap();
    assert_eq!(script.attempts(), 1);
}

#[tokio::test(start_paused = true, crate = "leakless")]
async fn a_limit_below_is_not_asked_again_and_what_was_paid_comes_back() {
    let budget = Budget::default();
    let script = Script::new([slow(200, 50)]);
    let client = ServiceBuilder::new()
        .layer(HedgeLayer::after(10 * MS).budget(budget.clone()))
        .layer(ConcurrencyLimitLayer::new(1).queue(0))
        .service(script.clone());
    let response = client.oneshot(get()).await.unwrap();
    assert_eq!((response.status(), script.attempts()), (StatusCode::OK, 1));
    assert_eq!((budget.snapshot().granted, budget.snapshot().returned), (1, 1));
}

/// Of an answer that failed nothing is in the way of the attempt that takes its place.
#[tokio::test(start_paused = true, crate = "leakless")]
async fn an_attempt_finds_the_place_free_that_a_failed_one_had() {
    let script = Script::new([status(503, ""), status(200, "")]);
    let client = ServiceBuilder::new()
        .layer(HedgeLayer::after(10 * MS))
        .layer(ConcurrencyLimitLayer::new(1).queue(0))
        .service(script.clone());
    let response = client.oneshot(get()).await.unwrap();
    assert_eq!((response.status(), script.attempts()), (StatusCode::OK, 2));
}

#[tokio::test(start_paused = true, crate = "leakless")]
async fn nothing_is_sent_in_vain() {
    let hedge = HedgeLayer::after(10 * MS);
    // Not ready:
    let script = Script::new([slow(200, 50)]).ready_for(1);
    hedge.layer(script.clone()).oneshot(get()).await.unwrap();
    assert_eq!(script.attempts(), 1);
    // No time left:
    let script = Script::new([slow(200, 50)]);
    let late = Context::default().with_timeout(11 * MS);
    late.scope(hedge.layer(script.clone()).oneshot(get())).await.unwrap();
    assert_eq!(script.attempts(), 1);
    // Still uploading:
    let script = Script::new([slow(200, 50)]);
    let (mut send, body) = Channel::<Bytes, BoxError>::new(8);
    let call = tokio::spawn(
        hedge
            .layer(script.clone())
            .oneshot(Request::put("/").body(body).unwrap()),
    );
    send.send_data("a".into()).await.unwrap();
    tokio::time::sleep(20 * MS).await;
    drop(send);
    call.await.unwrap().unwrap();
    assert_eq!(script.attempts(), 1);
    assert_eq!(hedge.budgets().snapshot()[0].1.granted, 0);
}

/// The task of a transport that has the body hears of the end a moment after the caller.
#[tokio::test(start_paused = true, crate = "leakless")]
async fn a_body_that_comes_back_after_the_error_is_sent_again() {
    for (moment, sent_again) in [(3 * MS, true), (1_500 * MS, false)] {
        let hedge = HedgeLayer::after(10 * MS);
        let first = Arc::new(AtomicBool::new(true));
        let transport = tower::service_fn(move |request: Request<Replay<Channel<Bytes, BoxError>>>| {
            let first = first.swap(false, Ordering::Relaxed);
            async move {
                if first {
                    tokio::spawn(async move {
                        tokio::time::sleep(moment).await;
                        drop(request);
                    });
                    return Err(BoxError::from("reset"));
                }
                Ok(Response::new(Full::new(
                    request.into_body().collect().await?.to_bytes(),
                )))
            }
        });
        let (mut send, body) = Channel::new(8);
        send.send_data("whole".into()).await.unwrap();
        drop(send);
        let request = Request::put("/").body(body).unwrap();
        let answer = hedge.layer(transport).oneshot(request).await;
        assert_eq!(answer.is_ok(), sent_again, "after {moment:?}");
        tokio::time::sleep(1_000 * MS).await;
    }
}

#[tokio::test(start_paused = true, crate = "leakless")]
async fn the_delay_is_the_quantile_of_the_destination() {
    let hedge = HedgeLayer::quantile(0.95);
    // Nothing is known yet:
    for _ in 0..20 {
        let script = Script::new([slow(200, 100)]);
        hedge.layer(script.clone()).oneshot(get()).await.unwrap();
        assert_eq!(script.attempts(), 1);
    }
    let script = Script::new([slow(200, 1_000), slow(200, 10)]);
    hedge.layer(script.clone()).oneshot(get()).await.unwrap();
    let at = script.seen()[1].at;
    assert!(at > 80 * MS && at <= 101 * MS, "{at:?}");
    // Of another destination nothing is known.
    let script = Script::new([slow(200, 1_000)]);
    let other = Request::get("http://other/").body(Full::<Bytes>::default()).unwrap();
    hedge.layer(script.clone()).oneshot(other).await.unwrap();
    assert_eq!(script.attempts(), 1);
}

#[tokio::test(start_paused = true, crate = "leakless")]
async fn when_everything_is_slow_the_budget_bounds_the_load() {
    let hedge = HedgeLayer::after(10 * MS);
    let script = Script::new((0..10_000).map(|_| slow(200, 50)));
    let client = hedge.layer(script.clone());
    let calls = (0..1_000).map(|_| tokio::spawn(client.clone().oneshot(get())));
    for call in calls.collect::<Vec<_>>() {
        call.await.unwrap().unwrap();
    }
    let attempts = script.attempts();
    assert!((1_010..=1_111).contains(&attempts), "{attempts}");
}

/// And each attempt ends once: for the hedge's first, the retry around it tells.
#[tokio::test(start_paused = true, crate = "leakless")]
async fn a_law_that_two_layers_share_hears_of_each_attempt_once() {
    for (answers, again) in [
        (vec![slow(200, 5)], 0),
        (vec![slow(503, 5), slow(503, 5)], 1),
        (vec![Answer::Hang, slow(200, 5)], 1),
        (vec![Answer::Hang, Answer::Hang], 1),
    ] {
        let ledger = Arc::<Ledger>::default();
        let budget = Budget::with_law(ledger.clone());
        let client = ServiceBuilder::new()
            .layer(RetryLayer::http().budget(budget.clone()))
            .layer(HedgeLayer::after(10 * MS).budget(budget))
            .service(Script::new(answers));
        let answer = tokio::time::timeout(5_000 * MS, client.oneshot(get())).await;
        drop(answer);
        assert_eq!(ledger.is_balanced(), again);
    }
}

/// Found through the gateway, where a retry around a hedge brought their budget each request twice.
#[tokio::test(start_paused = true, crate = "leakless")]
async fn a_request_counts_once_for_a_budget_that_two_layers_share() {
    let budget = Budget::builder()
        .ratio(0.5)
        .min_per_second(0.0)
        .burst(10)
        .build()
        .unwrap();
    let script = Script::new([]);
    let client = ServiceBuilder::new()
        .layer(RetryLayer::http().budget(budget.clone()))
        .layer(HedgeLayer::after(10 * MS).budget(budget.clone()))
        .service(script);
    for _ in 0..4 {
        client.clone().oneshot(get()).await.unwrap();
    }
    assert_eq!(budget.snapshot().tokens, Some(2.0));
}

/// Who wins and who loses, and all of them when the caller leaves: what they had started ends.
#[test]
fn winners_and_losers_leave_nothing() {
    leak::assert_none(|| async {
        let upstream = |request: Request<Replay<Full<Bytes>>>| async move {
            drop(Context::current().spawn("of an attempt", std::future::pending::<()>()));
            let hangs = Context::current().attempt() == 1 || request.uri().path() == "/hangs";
            // A body that an attempt still sends is not sent twice.
            request.into_body().collect().await?;
            if hangs {
                std::future::pending::<()>().await;
            }
            Ok::<_, BoxError>(Response::new(Full::<Bytes>::from("second")))
        };
        let client = HedgeLayer::after(MS).layer(tower::service_fn(upstream));
        let response = client.clone().oneshot(get()).await.unwrap();
        response.into_body().collect().await.unwrap();

        let mut hangs = get();
        *hangs.uri_mut() = http::Uri::from_static("http://upstream/hangs");
        let left = tokio::time::timeout(10 * MS, client.oneshot(hangs)).await;
        assert!(left.is_err());
    });
}

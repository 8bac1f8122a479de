//! The policies that let in.

use buttress::{
    BreakerLayer, ConcurrencyLimitLayer, Criticality, LoadShedLayer, RateLimitLayer, ThrottleLayer,
    admission::{breaker::Forced, drain::Drain, rate::Quota, shed::Floor},
    budget::{Budget, Budgets},
    telemetry::{ByDestination, Report},
};

use super::*;

const ALL: [Ending; 5] = [Success, Failure, LeftAtHead, LeftInBody, Panic];

#[tokio::test(start_paused = true, crate = "leakless")]
async fn concurrency() {
    let make = async |ending| {
        let layer = ConcurrencyLimitLayer::new(if ending == Rejected { 0 } else { 7 })
            .queue(0)
            .name("it");
        Subject::new(layer.clone()).measured(layer.limit())
    };
    // Nothing is in flight and nothing waits, whatever became of it.
    let stands = |ending| (ending, &[][..], &["limit.concurrency 7"][..]);
    assert_counts(&ALL.map(stands), make).await;
    let rows: &[Row<'_>] = &[(
        Rejected,
        &["rejected by concurrency: overloaded, critical"],
        &["limit.rejected{band=critical,reason=full} 1"],
    )];
    assert_counts(rows, make).await;
}

/// One holds the only place for a second, or for ever.
#[tokio::test(start_paused = true, crate = "leakless")]
async fn concurrency_with_a_queue() {
    const QUEUED: &str = "queued in it as critical for 1s, admitted";
    let make = async |held: Duration| {
        let layer = ConcurrencyLimitLayer::new(1)
            .queue(1)
            .max_wait(Duration::from_secs(2))
            .name("it");
        let mut holds = layer.layer(Handler(Late));
        let call = holds.call(Request::new(Empty::<Bytes>::new()));
        tokio::spawn(async move { timeout(held, call).await.is_err() });
        yield_now().await;
        Subject::new(layer.clone()).measured(layer.limit())
    };
    for ending in [Success, Failure, LeftInBody, Panic] {
        let rows: &[Row<'_>] = &[(ending, &[QUEUED], &["limit.concurrency 1"])];
        assert_counts(rows, async |_| make(Duration::from_secs(1)).await).await;
    }
    let rows: &[Row<'_>] = &[
        // Left in the queue, which tells of nobody that has gone.
        (LeftAtHead, &[], &["limit.concurrency 1", "limit.in_flight 1"]),
        (
            Rejected,
            &[
                "queued in it as critical for 2s, rejected",
                "rejected by concurrency: overloaded, critical",
            ],
            &[
                "limit.concurrency 1",
                "limit.in_flight 1",
                "limit.rejected{band=critical,reason=overdue} 1",
            ],
        ),
    ];
    assert_counts(rows, async |_| make(Duration::from_secs(60)).await).await;
    tokio::time::sleep(Duration::from_secs(60)).await;
}

#[tokio::test(start_paused = true, crate = "leakless")]
async fn shed() {
    let make = async |ending| {
        let layer = LoadShedLayer::without_signals();
        if ending == Rejected {
            layer.policy().hold(Floor::below(Criticality::CriticalPlus));
        }
        Subject::new(layer.clone()).measured(layer.policy())
    };
    assert_counts(&nothing(&ALL), make).await;
    let rows: &[Row<'_>] = &[(
        Rejected,
        &["rejected by shed: shed, critical"],
        &["shed.rejected{band=critical} 1"],
    )];
    assert_counts(rows, make).await;
}

#[tokio::test(start_paused = true, crate = "leakless")]
async fn rate() {
    let make = async |ending| {
        let layer = RateLimitLayer::new(Quota::per_hour(1));
        if ending == Rejected {
            let mut service = layer.layer(Handler(Success));
            end(Success, &mut service, Request::new(Empty::new())).await;
        }
        Subject::new(layer.clone()).measured(layer.policy())
    };
    let allowed = |ending| (ending, &[][..], &["rate.requests{decision=allowed} 1"][..]);
    assert_counts(&ALL.map(allowed), make).await;
    let rows: &[Row<'_>] = &[(
        Rejected,
        &["rejected by rate: quota, critical"],
        &[
            "rate.requests{decision=allowed} 1",
            "rate.requests{decision=rejected} 1",
        ],
    )];
    assert_counts(rows, make).await;
}

#[tokio::test(start_paused = true, crate = "leakless")]
async fn breaker() {
    let make = async |ending| {
        let layer = BreakerLayer::new();
        if ending == Rejected {
            layer.breaker().force(Some(Forced::Open));
        }
        Subject::new(layer.clone()).measured(layer.breaker())
    };
    let closed = |ending| (ending, &[][..], &["breaker.state{state=closed} 1"][..]);
    assert_counts(&ALL.map(closed), make).await;
    let rows: &[Row<'_>] = &[(
        Rejected,
        &["rejected by breaker: breaker_open, critical"],
        &["breaker.state{state=open} 1", "breaker.rejected 1"],
    )];
    assert_counts(rows, make).await;
}

/// Where there is one for all, that one is told.
#[tokio::test(start_paused = true, crate = "leakless")]
async fn by_destination_where_there_is_none() {
    struct Each<T>(T);
    impl<T> Measured for Each<T>
    where
        for<'a> ByDestination<&'a T>: Measured,
    {
        fn measure(&self, name: &str, report: &mut dyn Report) {
            ByDestination(&self.0).measure(name, report);
        }
    }
    let (breaker, throttle, budgets) = (
        BreakerLayer::new(),
        ThrottleLayer::new(),
        Budgets::from(Budget::default()),
    );
    for (one, each) in [
        (
            Subject::new(()).measured(breaker.breaker()),
            Subject::new(()).measured(Each(breaker.breaker())),
        ),
        (
            Subject::new(()).measured(throttle.throttle()),
            Subject::new(()).measured(Each(throttle.throttle())),
        ),
        (
            Subject::new(()).measured(Budget::default()),
            Subject::new(()).measured(Each(budgets)),
        ),
    ] {
        assert_eq!(one.counts(), each.counts());
    }
}

#[tokio::test(start_paused = true, crate = "leakless")]
async fn throttle() {
    let make = async |_| {
        let layer = ThrottleLayer::new();
        Subject::new(layer.clone()).measured(layer.throttle())
    };
    assert_counts(&nothing(&[Success, LeftAtHead, LeftInBody, Panic]), make).await;

    // After so much that was refused, as good as nothing is sent.
    fastrand::seed(7);
    let layer = ThrottleLayer::new().k(1.0);
    let mut service = layer.layer(Handler(Failure));
    for _ in 0..5_000 {
        end(Failure, &mut service, Request::new(Empty::new())).await;
    }
    let before = layer.throttle().snapshot().rejected;
    let rows: &[Row<'_>] = &[(Rejected, &["rejected by throttle: overloaded, critical"], &[])];
    assert_counts(rows, async |_| Subject::new(layer.clone())).await;
    let rejected = format!("throttle.rejected {}", before + 1);
    assert!(Subject::new(()).measured(layer.throttle()).counts().contains(&rejected));
}

#[tokio::test(start_paused = true, crate = "leakless")]
async fn drain() {
    let make = async |ending| {
        let drain = Drain::new();
        if ending == Rejected {
            drain.start();
        }
        Subject::new(drain.layer()).measured(drain)
    };
    assert_counts(&nothing(&ALL), make).await;
    let rows: &[Row<'_>] = &[(
        Rejected,
        &["rejected by drain: draining, critical"],
        &["drain.rejected 1"],
    )];
    assert_counts(rows, make).await;
}

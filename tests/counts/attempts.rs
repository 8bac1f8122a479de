//! The layers that make more than one attempt.

use buttress::{HedgeLayer, RetryLayer, budget::Budget, retry::Backoff};

use super::*;

#[tokio::test(start_paused = true, crate = "leakless")]
async fn retry() {
    let make = async |attempts| {
        let none = Backoff::new(Duration::ZERO, Duration::ZERO);
        let layer = RetryLayer::new()
            .attempts(attempts)
            .backoff(none)
            .budget(Budget::default());
        Subject::new(layer.clone()).measured(layer)
    };
    let once: &[&str] = &["retry.requests 1"];
    let rows: &[Row<'_>] = &[
        (Success, &[], once),
        (LeftAtHead, &[], once),
        (LeftInBody, &[], once),
        (Panic, &[], once),
        (
            Failure,
            &["retried 2", "retried 3", "gave up after 3: attempts"],
            &[
                "retry.requests 1",
                "retry.attempts{outcome=failed} 2",
                "retry.kept{reason=attempts} 1",
            ],
        ),
    ];
    assert_counts(rows, async |_| make(3).await).await;
}

#[tokio::test(start_paused = true, crate = "leakless")]
async fn hedge() {
    let make = async |budget: &Budget| {
        let layer = HedgeLayer::after(Duration::from_millis(10)).budget(budget.clone());
        Subject::new(layer.clone()).measured(layer)
    };
    let budget = Budget::default();
    let rows = nothing(&[Success, LeftAtHead, LeftInBody, Panic]);
    assert_counts(&rows, async |_| make(&budget).await).await;
    // One that fails is not waited for.
    let rows: &[Row<'_>] = &[(Failure, &["hedged 2"], &["hedge.attempts{outcome=lost} 1"])];
    assert_counts(rows, async |_| make(&budget).await).await;
    let layer = HedgeLayer::after(Duration::from_micros(100)).budget(budget);
    let make = async |_| Subject::new(layer.clone()).measured(layer.clone());
    let rows: &[Row<'_>] = &[(LeftAtHead, &["hedged 2"], &["hedge.attempts{outcome=lost} 1"])];
    assert_counts(rows, make).await;
}

//! The layers that a call flows through. Those without a state of their own count nothing: what they do is told of the call.

use std::time::Duration;

use buttress::{
    CancelLayer, Context, CriticalityLayer, DeadlineLayer, PropagateCriticalityLayer, PropagateDeadlineLayer,
    ShieldLayer, TimeoutLayer,
    rejection::{Render, RenderLayer},
};
use tokio::time::Instant;
use tower::layer::util::Identity;

use super::*;

const LIMIT: Duration = Duration::from_secs(8);

/// Of a layer that never rejects, and so lets a rejection from within pass.
fn passes<'a>() -> Vec<Row<'a>> {
    let mut rows = nothing(&[Success, Failure, LeftAtHead, LeftInBody, Panic]);
    rows.push((Rejected, &["rejected by handler: unreachable, critical"], &[]));
    rows
}

#[tokio::test(start_paused = true, crate = "leakless")]
async fn observe() {
    assert_counts(&passes(), async |_| Subject::new(Identity::new())).await;
}

#[tokio::test(start_paused = true, crate = "leakless")]
async fn cancel() {
    assert_counts(&passes(), async |_| Subject::new(CancelLayer::new())).await;
}

#[tokio::test(start_paused = true, crate = "leakless")]
async fn render() {
    assert_counts(&passes(), async |_| Subject::new(RenderLayer::new(Render::default()))).await;
}

#[tokio::test(start_paused = true, crate = "leakless")]
async fn criticality() {
    let graded = async |header| {
        let layer = CriticalityLayer::new();
        Subject::new(layer.clone())
            .measured(layer)
            .header("x-criticality", header)
    };
    assert_counts(&passes(), async |_| graded("critical").await).await;
    let rows: &[Row<'_>] = &[
        (
            Rejected,
            &["rejected by handler: unreachable, critical"],
            &["criticality.capped 1"],
        ),
        (Success, &[], &["criticality.capped 1"]),
    ];
    assert_counts(rows, async |_| graded("critical-plus").await).await;
    let rows: &[Row<'_>] = &[(Success, &[], &["criticality.invalid 1"])];
    assert_counts(rows, async |_| graded("very").await).await;
    let rows: &[Row<'_>] = &[(Rejected, &["rejected by handler: unreachable, sheddable"], &[])];
    assert_counts(rows, async |_| graded("sheddable").await).await;
    assert_counts(&passes(), async |_| Subject::new(PropagateCriticalityLayer::new())).await;
}

#[tokio::test(start_paused = true, crate = "leakless")]
async fn deadline() {
    const ARRIVED: &str = "deadline arrival 8s";
    const REJECTED: &str = "rejected by deadline: deadline, critical";
    let make = |header: Option<&'static str>| {
        let layer = DeadlineLayer::new(LIMIT);
        let subject = Subject::new(layer.clone()).measured(layer);
        match header {
            Some(header) => subject.header("x-request-timeout-ms", header),
            None => subject,
        }
    };
    let rows: &[Row<'_>] = &[
        (Success, &[ARRIVED], &[]),
        (Failure, &[ARRIVED], &[]),
        (Late, &[ARRIVED, REJECTED], &[]),
        (LateInBody, &[ARRIVED, REJECTED], &[]),
        (LeftAtHead, &[ARRIVED], &[]),
        (LeftInBody, &[ARRIVED], &[]),
        (Panic, &[ARRIVED], &[]),
    ];
    assert_counts(rows, async |_| make(None)).await;
    let rows: &[Row<'_>] = &[(Rejected, &["deadline arrival 0ns", REJECTED], &["deadline.expired 1"])];
    assert_counts(rows, async |_| make(Some("0"))).await;
    let rows: &[Row<'_>] = &[(Success, &[ARRIVED], &["deadline.invalid 1"])];
    assert_counts(rows, async |_| make(Some("soon"))).await;
}

#[tokio::test(start_paused = true, crate = "leakless")]
async fn propagate_deadline() {
    const SENT: &str = "deadline call 8s";
    const REJECTED: &str = "rejected by propagate-deadline: deadline, critical";
    let make = async |_| {
        let layer = PropagateDeadlineLayer::new();
        Subject::new(layer.clone()).measured(layer)
    };
    let within = |left| Context::current().with_deadline(Instant::now() + left);
    let rows: &[Row<'_>] = &[
        (Success, &[SENT], &[]),
        (Failure, &[SENT], &[]),
        (LeftAtHead, &[SENT], &[]),
        (LeftInBody, &[SENT], &[]),
        (Panic, &[SENT], &[]),
    ];
    for row in rows {
        within(LIMIT).scope(assert_counts(&[*row], make)).await;
    }
    for ending in [Late, LateInBody] {
        within(LIMIT)
            .scope(assert_counts(&[(ending, &[SENT, REJECTED], &[])], make))
            .await;
    }
    let rows: &[Row<'_>] = &[(Rejected, &["deadline call 0ns", REJECTED], &["deadline.not_sent 1"])];
    within(Duration::ZERO).scope(assert_counts(rows, make)).await;
    let require = async |_| {
        let layer = PropagateDeadlineLayer::new().require_deadline();
        Subject::new(layer.clone()).measured(layer)
    };
    assert_counts(&[(Success, &[], &["deadline.missing 1"])], require).await;
}

#[tokio::test(start_paused = true, crate = "leakless")]
async fn timeout_of_an_attempt() {
    const REJECTED: &str = "rejected by timeout: deadline, critical";
    let make = async |_| Subject::new(TimeoutLayer::new(LIMIT));
    assert_counts(&passes(), make).await;
    assert_counts(&[(Late, &[REJECTED], &[]), (LateInBody, &[REJECTED], &[])], make).await;
}

#[tokio::test(start_paused = true, crate = "leakless")]
async fn shield() {
    const REJECTED: &str = "rejected by shield: deadline, critical";
    let make = async |_| Subject::new(ShieldLayer::new("it", LIMIT));
    // What goes on behind a caller that left ends with its own deadline.
    let rows = nothing(&[Success, Failure, LeftAtHead, LeftInBody, Panic]);
    assert_counts(&rows, make).await;
    assert_counts(&[(Late, &[REJECTED], &[])], make).await;
    tokio::time::sleep(LIMIT).await;
}

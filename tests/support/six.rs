//! Six layers as one: the stack that a server has, and that of a client.

use std::time::Duration;

use buttress::{
    BreakerLayer, CancelLayer, ConcurrencyLimitLayer, DeadlineLayer, ObserveLayer, PropagateDeadlineLayer, RetryLayer,
    ShieldLayer, ThrottleLayer, TimeoutLayer,
    outcome::Outcome,
    rejection::{Reason, Render, RenderLayer},
};

use super::{Heard, Tell, log};

const LONG: Duration = Duration::from_secs(20);

/// How they say that a call took too long.
pub(crate) const PROBLEM: &str = r#"{"title":"deadline exceeded","status":504,"detail":"deadline exceeded"}"#;

pub(crate) type Six = (
    ObserveLayer<Tell<Outcome>>,
    RenderLayer,
    DeadlineLayer,
    CancelLayer,
    TimeoutLayer,
    ShieldLayer,
);

/// Outermost first, and what they observe. Each call has `timeout`.
pub(crate) fn six(timeout: Duration) -> (Six, Heard<Outcome>) {
    let (tell, outcomes) = log();
    let layers = (
        ObserveLayer::server(tell),
        RenderLayer::new(Render::Problem),
        DeadlineLayer::new(LONG),
        CancelLayer::new(),
        TimeoutLayer::new(timeout),
        ShieldLayer::new("six", timeout * 4),
    );
    (layers, outcomes)
}

pub(crate) type ClientSix = (
    ObserveLayer<Tell<Outcome>>,
    RetryLayer,
    BreakerLayer,
    ThrottleLayer,
    ConcurrencyLimitLayer,
    PropagateDeadlineLayer,
);

/// Outermost first, and what they observe. Each call has `timeout`.
pub(crate) fn client_six(timeout: Duration) -> (ClientSix, Heard<Outcome>) {
    let (tell, outcomes) = log();
    let layers = (
        ObserveLayer::client(tell),
        RetryLayer::new(),
        BreakerLayer::new().per_destination(),
        ThrottleLayer::new().per_destination(),
        ConcurrencyLimitLayer::adaptive(),
        PropagateDeadlineLayer::new().max(timeout),
    );
    (layers, outcomes)
}

/// Whether a layer of ours ended it at its deadline.
pub(crate) fn is_late(outcome: &Outcome) -> bool {
    matches!(outcome, Outcome::Rejected(rejection) if rejection.reason() == Reason::DeadlineExceeded)
}

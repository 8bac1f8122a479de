//! What the end of a call says about the destination.

use std::time::Duration;

use http::StatusCode;

use super::circuit::Evidence;
use crate::{
    outcome::{Class, Failure, Hint, Outcome},
    rejection::{Reason, Rejection},
};

/// gRPC's `RESOURCE_EXHAUSTED`.
const RESOURCE_EXHAUSTED: i32 = 8;

/// What this outcome says, of a call that was slow or not.
///
/// `failing` is what the user takes for a failure, if that is not left to us.
pub(super) fn of(outcome: &Outcome, slow: bool, failing: Option<&dyn Fn(&Outcome) -> bool>) -> Evidence {
    let failed = match (outcome, failing) {
        (Outcome::Cancelled(_), _) => return Evidence::None,
        (Outcome::Rejected(rejection), _) if !reached(rejection) => return Evidence::None,
        (Outcome::Rejected(rejection), None) => is_failure_of_destination(rejection).then_some(true),
        (Outcome::Rejected(_), Some(failing)) => failing(outcome).then_some(true),
        (_, Some(failing)) => Some(failing(outcome)),
        (Outcome::Failure(failure), None) => (!is_quota(failure.class)).then_some(true),
        (Outcome::Success, None) => Some(false),
    };
    match (failed, slow) {
        (Some(false), false) => Evidence::Fine,
        (None, false) => Evidence::None,
        (failed, slow) => Evidence::Bad {
            failed: failed == Some(true),
            slow,
            hint: hint(outcome),
        },
    }
}

/// Whether the destination had anything to do with it.
fn reached(rejection: &Rejection) -> bool {
    rejection.was_executed() || rejection.reason() == Reason::Unreachable
}

/// A layer of ours below gave up on a destination that cannot be reached, or did not answer in the time that this side gives
/// to all: not in what was left to one caller.
fn is_failure_of_destination(rejection: &Rejection) -> bool {
    match rejection.reason() {
        Reason::Unreachable => true,
        Reason::DeadlineExceeded => rejection.layer() == "timeout",
        _ => false,
    }
}

/// Whether it is over a quota. That says nothing of the destination's health, in either direction: whoever counts the quota may
/// stand in front of it.
fn is_quota(class: Class) -> bool {
    matches!(
        class,
        Class::Http(StatusCode::TOO_MANY_REQUESTS) | Class::Grpc(RESOURCE_EXHAUSTED)
    )
}

/// How long the destination asked to be left alone.
fn hint(outcome: &Outcome) -> Option<Duration> {
    match outcome {
        Outcome::Failure(Failure {
            hint: Some(Hint::After(wait)),
            ..
        }) => Some(*wait),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::context::Cancelled;

    const FAILED: Evidence = Evidence::Bad {
        failed: true,
        slow: false,
        hint: None,
    };
    const SLOW: Evidence = Evidence::Bad {
        failed: false,
        slow: true,
        hint: None,
    };

    fn rejected(reason: Reason, layer: &'static str) -> Rejection {
        Rejection::new(reason, layer)
    }

    #[test]
    fn vectors() {
        let http = |status| Outcome::failure(Class::Http(StatusCode::from_u16(status).unwrap()));
        let late = |layer| Outcome::Rejected(rejected(Reason::DeadlineExceeded, layer).executed());
        for (outcome, quick, slow) in [
            (Outcome::Success, Evidence::Fine, SLOW),
            (
                Outcome::Cancelled(Cancelled::Superseded),
                Evidence::None,
                Evidence::None,
            ),
            // Failures.
            (http(500), FAILED, FAILED),
            (http(503), FAILED, FAILED),
            (Outcome::failure(Class::Grpc(14)), FAILED, FAILED),
            (Outcome::failure(Class::MissingStatus), FAILED, FAILED),
            (Outcome::failure(Class::Transport), FAILED, FAILED),
            (Outcome::failure(Class::Body), FAILED, FAILED),
            // Quotas.
            (http(429), Evidence::None, SLOW),
            (Outcome::failure(Class::Grpc(8)), Evidence::None, SLOW),
            // Ours, below.
            (
                Outcome::Rejected(rejected(Reason::Overloaded, "concurrency")),
                Evidence::None,
                Evidence::None,
            ),
            (
                Outcome::Rejected(rejected(Reason::Quota, "rate")),
                Evidence::None,
                Evidence::None,
            ),
            (
                Outcome::Rejected(rejected(Reason::DeadlineExceeded, "propagate-deadline")),
                Evidence::None,
                Evidence::None,
            ),
            (late("deadline"), Evidence::None, SLOW),
            (late("timeout"), FAILED, FAILED),
            (
                Outcome::Rejected(rejected(Reason::Unreachable, "gateway")),
                FAILED,
                FAILED,
            ),
        ] {
            assert_eq!(of(&outcome, false, None), quick, "{outcome:?}");
            let expected = match slow {
                Evidence::Bad { failed, hint, .. } => Evidence::Bad {
                    failed,
                    slow: true,
                    hint,
                },
                other => other,
            };
            assert_eq!(of(&outcome, true, None), expected, "{outcome:?}, slow");
        }
    }

    #[test]
    fn the_user_knows_better() {
        let only_429 = |outcome: &Outcome| *outcome == Outcome::failure(Class::Http(StatusCode::TOO_MANY_REQUESTS));
        let of = |outcome| of(&outcome, false, Some(&only_429));
        assert_eq!(of(Outcome::failure(Class::Http(StatusCode::TOO_MANY_REQUESTS))), FAILED);
        assert_eq!(of(Outcome::failure(Class::Transport)), Evidence::Fine);
        assert_eq!(of(Outcome::Success), Evidence::Fine);
        assert_eq!(of(Outcome::Cancelled(Cancelled::Disconnected)), Evidence::None);
        assert_eq!(
            of(Outcome::Rejected(rejected(Reason::Overloaded, "concurrency"))),
            Evidence::None
        );
    }
}

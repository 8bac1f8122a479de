use http::{HeaderMap, Response, StatusCode};

use crate::{
    context::{Cancelled, Context},
    outcome::{Class, Delivery, Outcome, of_any},
    rejection::{Reason, Rejection},
};

/// A call that was not answered as it should be, as far as the head of its answer tells.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct Failed<'a> {
    /// How it ended: by a failure, a rejection of ours, a cancellation. A status of 4xx is [`Outcome::Success`]: the service did
    /// what it should.
    pub outcome: &'a Outcome,
    /// The HTTP status of its answer. `None` where the service returned an error, or is not HTTP.
    pub status: Option<StatusCode>,
    /// The headers of its answer.
    pub headers: Option<&'a HeaderMap>,
    /// How far it got, where the service returned an error.
    pub delivery: Option<Delivery>,
    /// Why the work that it is part of has ended by now, if it has: then nobody waits for another answer.
    pub ended: Option<Cancelled>,
}

/// Says which calls are answered otherwise. A closure of [`Failed`] does:
///
/// ```
/// use buttress::{FallbackLayer, fallback::Failed};
/// use bytes::Bytes;
/// use http::{Response, StatusCode};
///
/// // What is not there is empty, for this caller.
/// let layer = FallbackLayer::value(Response::new(Bytes::from_static(b"[]")))
///     .when(|failed: &Failed<'_>| failed.status == Some(StatusCode::NOT_FOUND));
/// ```
#[diagnostic::on_unimplemented(
    message = "`{Self}` does not say which calls are to be answered otherwise",
    note = "a closure does: `|failed: &Failed<'_>| failed.outcome.is_failure()`"
)]
pub trait When {
    /// Whether this one is.
    fn when(&self, failed: &Failed<'_>) -> bool;
}

/// What is answered otherwise unless [something else is said](super::FallbackLayer::when): see the [module](super).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Usual(());

const UNAVAILABLE: i32 = 14;

impl When for Usual {
    fn when(&self, failed: &Failed<'_>) -> bool {
        if failed.ended.is_some() {
            return false;
        }
        match failed.outcome {
            Outcome::Rejected(rejection) => {
                rejection.reason().is_temporary() || rejection.reason() == Reason::Unreachable
            }
            Outcome::Failure(failure) => match failure.class {
                Class::Http(status) => status.is_server_error(),
                Class::Grpc(code) => code == UNAVAILABLE,
                Class::Transport => true,
                _ => false,
            },
            Outcome::Success | Outcome::Cancelled(_) => false,
        }
    }
}

impl<F: Fn(&Failed<'_>) -> bool> When for F {
    fn when(&self, failed: &Failed<'_>) -> bool {
        self(failed)
    }
}

impl<'a> Failed<'a> {
    /// Of a call of HTTP.
    pub(super) fn http<T, E: 'static>(outcome: &'a Outcome, output: &'a Result<Response<T>, E>) -> Self {
        Self {
            outcome,
            status: output.as_ref().ok().map(Response::status),
            headers: output.as_ref().ok().map(Response::headers),
            delivery: output.as_ref().err().map(Delivery::of_any),
            ended: ended(),
        }
    }

    /// Of any other.
    pub(super) fn typed<E: 'static>(outcome: &'a Outcome, error: &E) -> Self {
        Self {
            outcome,
            status: None,
            headers: None,
            delivery: Some(Delivery::of_any(error)),
            ended: ended(),
        }
    }

    /// The rejection that it is, if it is one of ours.
    pub fn rejection(&self) -> Option<&'a Rejection> {
        match self.outcome {
            Outcome::Rejected(rejection) => Some(rejection),
            _ => None,
        }
    }

    /// The gRPC status of an answer that ended with its head.
    pub fn code(&self) -> Option<i32> {
        code_in(self.headers?)
    }

    /// Whether it is known that nobody acted on the request.
    pub(super) fn was_never_executed(&self) -> bool {
        match (self.outcome, self.delivery) {
            (_, Some(Delivery::NotSent)) => true,
            (Outcome::Rejected(rejection), _) => !rejection.was_executed(),
            // It came to who was not to have it (RFC 9110, section 15.5.20).
            _ => self.status == Some(StatusCode::MISDIRECTED_REQUEST),
        }
    }
}

fn ended() -> Option<Cancelled> {
    Context::current().check().err()
}

pub(super) fn code_in(headers: &HeaderMap) -> Option<i32> {
    headers.get("grpc-status")?.to_str().ok()?.parse().ok()
}

/// How a call failed that returned this error.
pub(super) fn of_error<E: 'static>(error: &E) -> Outcome {
    of_any(error)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn usual(outcome: &Outcome) -> bool {
        let failed = Failed {
            outcome,
            status: None,
            headers: None,
            delivery: None,
            ended: None,
        };
        let ended = Failed {
            ended: Some(Cancelled::DeadlineExceeded),
            ..failed
        };
        assert!(!Usual::default().when(&ended), "{outcome:?}, and it is too late");
        Usual::default().when(&failed)
    }

    #[test]
    fn what_is_answered_otherwise_unless_something_else_is_said() {
        let status = |status: u16| Outcome::failure(Class::Http(status.try_into().unwrap()));
        for yes in [500, 501, 502, 503, 504, 599].map(status) {
            assert!(usual(&yes), "{yes:?}");
        }
        for no in [408, 421, 425, 429].map(status) {
            assert!(!usual(&no), "{no:?}");
        }
        for code in 1..17 {
            assert_eq!(usual(&Outcome::failure(Class::Grpc(code))), code == 14, "{code}");
        }
        assert!(usual(&Outcome::failure(Class::Transport)));
        for no in [Class::Body, Class::MissingStatus, Class::Panic].map(Outcome::failure) {
            assert!(!usual(&no), "{no:?}");
        }
        assert!(!usual(&Outcome::Success) && !usual(&Outcome::Cancelled(Cancelled::Disconnected)));
    }

    #[test]
    fn of_our_own_rejections_those_for_want_of_capacity_or_of_a_connection() {
        for (reason, is) in [
            (Reason::Overloaded, true),
            (Reason::Shed, true),
            (Reason::BreakerOpen, true),
            (Reason::Draining, true),
            (Reason::Quota, true),
            (Reason::Unreachable, true),
            (Reason::DeadlineExceeded, false),
            (Reason::Cancelled, false),
            (Reason::InvalidDeadline, false),
            (Reason::MissingDeadline, false),
        ] {
            assert_eq!(
                usual(&Outcome::Rejected(Rejection::new(reason, "test"))),
                is,
                "{reason:?}"
            );
        }
    }
}

use std::fmt;

use http::StatusCode;

use super::Side;
use crate::{
    context::Cancelled,
    outcome::{Class, Outcome},
    rejection::Reason,
};

/// What kind of error a call ended with, as the attribute `error.type` has it: one of few values.
///
/// `Display` writes it: `shed`, `deadline`, `client_disconnect`, `503`, `UNAVAILABLE`, `transport`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ErrorType {
    /// A layer of ours rejected it.
    Rejected(Reason),
    /// Nobody waited for its end.
    Cancelled(Cancelled),
    /// It was answered with this status.
    Http(StatusCode),
    /// It was answered with this gRPC status, 1 to 16; -1 is any other.
    Grpc(i32),
    /// It was answered with no gRPC status.
    MissingStatus,
    /// There was no answer.
    Transport,
    /// The answer broke off.
    Body,
    /// The service panicked.
    Panic,
}

/// The names of gRPC's statuses, as its specification writes them.
const GRPC: [&str; 17] = [
    "OK",
    "CANCELLED",
    "UNKNOWN",
    "INVALID_ARGUMENT",
    "DEADLINE_EXCEEDED",
    "NOT_FOUND",
    "ALREADY_EXISTS",
    "PERMISSION_DENIED",
    "RESOURCE_EXHAUSTED",
    "FAILED_PRECONDITION",
    "ABORTED",
    "OUT_OF_RANGE",
    "UNIMPLEMENTED",
    "INTERNAL",
    "UNAVAILABLE",
    "DATA_LOSS",
    "UNAUTHENTICATED",
];

/// The name of a gRPC status as the attribute `rpc.response.status_code` has it. `None`: it is not in the specification.
pub fn grpc_status_name(status: i32) -> Option<&'static str> {
    usize::try_from(status)
        .ok()
        .and_then(|status| GRPC.get(status).copied())
}

impl ErrorType {
    /// Of a call that ended so. A server takes no blame for its callers' mistakes, 4xx; for a client they are errors.
    pub(super) fn of(
        side: Side,
        outcome: &Outcome,
        status: Option<StatusCode>,
        grpc_status: Option<i32>,
    ) -> Option<Self> {
        match outcome {
            Outcome::Success => {}
            Outcome::Failure(failure) => return Some(failure.class.into()),
            Outcome::Rejected(rejection) => return Some(Self::Rejected(rejection.reason())),
            Outcome::Cancelled(why) => return Some(Self::Cancelled(*why)),
        }
        if side == Side::Server {
            return None;
        }
        match (grpc_status, status) {
            (Some(0), _) | (None, None) => None,
            (Some(status), _) => Some(Class::Grpc(status).into()),
            (None, Some(status)) => status.is_client_error().then_some(Self::Http(status)),
        }
    }
}

/// Of a failure of this class.
impl From<Class> for ErrorType {
    fn from(class: Class) -> Self {
        match class {
            Class::Http(status) => Self::Http(status),
            Class::Grpc(status @ 0..=16) => Self::Grpc(status),
            Class::Grpc(_) => Self::Grpc(-1),
            Class::MissingStatus => Self::MissingStatus,
            Class::Transport => Self::Transport,
            Class::Body => Self::Body,
            Class::Panic => Self::Panic,
        }
    }
}

impl fmt::Display for ErrorType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Rejected(reason) => reason.as_str(),
            Self::Cancelled(why) => why.as_str(),
            Self::Http(status) => status.as_str(),
            Self::Grpc(status) => grpc_status_name(*status).unwrap_or("_OTHER"),
            Self::MissingStatus => "missing_status",
            Self::Transport => "transport",
            Self::Body => "body",
            Self::Panic => "panic",
        })
    }
}

//! What flows up: how a call really ended, decided at the end of its body.
//!
//! A gRPC call is `200 OK` at its head whatever happens; its status comes in trailers. A download that breaks in the middle was
//! `200 OK` too. So an [`Outcome`] is known when the body [ends](crate::body), not before:
//!
//! ```
//! use buttress::{body::Tracked, outcome::{Classified, Outcome, Settle}, rejection::Protocol};
//! use http::Response;
//! use http_body_util::Empty;
//!
//! struct Permit;
//! impl Settle for Permit {
//!     fn settle(self, outcome: Outcome) {
//!         assert!(outcome.is_failure()); // a gRPC response without a status
//!     }
//! }
//!
//! let request = http::Request::post("/pkg.Service/Method").header("content-type", "application/grpc").body(())?;
//! let response = Response::new(Empty::<bytes::Bytes>::new());
//! Classified::follow(response, &Protocol::of(&request), Permit);
//! # Ok::<(), http::Error>(())
//! ```
//!
//! # What is a failure
//!
//! What speaks against the health of whoever answered. HTTP: 5xx, 408, 421, 425 and 429; another 4xx is the caller's mistake
//! and this side's success. gRPC: UNKNOWN, `DEADLINE_EXCEEDED`, `RESOURCE_EXHAUSTED`, UNIMPLEMENTED, INTERNAL, UNAVAILABLE,
//! `DATA_LOSS`, and no status at all. CANCELLED is neither success nor failure. gRPC-Web: the same where the status is in the
//! head; elsewhere it is in the body, which is not read, and the HTTP status decides. An answer that one of our layers made is
//! [rejected](Outcome::Rejected), on whichever side of the wire body or head that was.

mod classify;
mod delivery;
mod hint;
pub(crate) mod latency;
#[cfg(test)]
mod tests;

use http::{HeaderMap, StatusCode};

use self::classify::is_failure;
pub(crate) use self::classify::{Held, SoFar, of_any, of_head, of_rejection, wall_clock};
#[cfg(feature = "reqwest")]
pub(crate) use self::delivery::Unconnected;
#[cfg(feature = "hyper")]
pub(crate) use self::delivery::Uses;
#[cfg(feature = "tonic")]
pub(crate) use self::delivery::as_error;
pub use self::{classify::Classified, delivery::Delivery, hint::Hint};
use crate::{context::Cancelled, rejection::Rejection};

/// How a call ended.
///
/// ```
/// use buttress::{Cancelled, outcome::{Class, Outcome}};
///
/// let broken = Outcome::failure(Class::Transport);
/// assert!(broken.is_failure() && !broken.is_success());
/// // Neither speaks for the upstream nor against it:
/// let left = Outcome::Cancelled(Cancelled::Disconnected);
/// assert!(!left.is_failure() && !left.is_success());
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Outcome {
    /// It was answered in full.
    Success,
    /// Whoever answered failed.
    Failure(Failure),
    /// A layer of ours on this side answered instead.
    Rejected(Rejection),
    /// Nobody waited for its end.
    Cancelled(Cancelled),
}

/// How whoever answered failed, and what it said about trying again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Failure {
    /// In which way.
    pub class: Class,
    /// What it said about trying again, uncapped. `None`: nothing that can be read.
    pub hint: Option<Hint>,
}

/// The ways to fail.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Class {
    /// By an HTTP status.
    Http(StatusCode),
    /// By a gRPC status, 0 to 16 where the peer keeps to the specification.
    Grpc(i32),
    /// A gRPC response that ended without a status that can be read.
    MissingStatus,
    /// No answer: the service returned an error.
    Transport,
    /// The answer broke off in its body.
    Body,
    /// The service panicked.
    Panic,
}

impl Outcome {
    /// A failure of that class, without a hint.
    pub const fn failure(class: Class) -> Self {
        Self::Failure(Failure { class, hint: None })
    }

    /// Whether it was answered in full.
    pub fn is_success(&self) -> bool {
        *self == Self::Success
    }

    /// Whether whoever answered failed.
    pub fn is_failure(&self) -> bool {
        matches!(self, Self::Failure(_))
    }

    /// As whoever judges the other side takes it: a good answer that nobody read to its end was a good answer.
    #[inline]
    pub(crate) fn of_unread(self, was_good: bool) -> Self {
        match self {
            Self::Cancelled(_) if was_good => Self::Success,
            outcome => outcome,
        }
    }

    /// The outcome as a metric's attribute has it: `success`, `failure`, `rejected`, `cancelled`.
    pub const fn as_str(&self) -> &'static str {
        match self {
            Self::Success => "success",
            Self::Failure(_) => "failure",
            Self::Rejected(_) => "rejected",
            Self::Cancelled(_) => "cancelled",
        }
    }
}

/// The head of an answer on its way out, as [`Settle::answered`] sees it.
#[derive(Debug)]
#[non_exhaustive]
pub struct Answer<'a> {
    /// Its status.
    pub status: StatusCode,
    /// Its headers, to be added to.
    pub headers: &'a mut HeaderMap,
    /// Whether a body is still to come. If not, the outcome follows at once.
    pub streams: bool,
    /// Whether it is a success as far as the head tells. Of gRPC with its status in trailers nothing is known yet: no.
    pub is_success: bool,
}

impl<'a> Answer<'a> {
    /// A head on its way out, of plain HTTP. The engine makes it; a test of a policy may, too.
    pub fn new(status: StatusCode, headers: &'a mut HeaderMap, streams: bool) -> Self {
        Self {
            status,
            headers,
            streams,
            is_success: !is_failure(status),
        }
    }
}

/// What is told the outcome of a call, exactly once: a permit, a count.
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot be told an outcome",
    note = "implement `Settle`: `settle` is told how the call ended, once; a policy that need not know has the permit `()`"
)]
pub trait Settle {
    /// The head of the answer is here, and goes out after this. Not called where there is no HTTP.
    fn answered(&mut self, answer: &mut Answer<'_>) {
        let _ = answer;
    }

    /// The call ended like this.
    fn settle(self, outcome: Outcome);
}

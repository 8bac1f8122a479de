use std::fmt;

use http::{HeaderMap, Response, StatusCode};

use super::settings::Settings;
use crate::{
    context::Head,
    outcome::{Class, Delivery, Hint, Outcome},
    rejection::Protocol,
};

/// An attempt that has ended, as a [classifier](super::Classify) sees it: the request, and what became of it up to the head of its
/// answer.
#[derive(Clone, Copy)]
#[non_exhaustive]
pub struct Attempt<'a> {
    /// The head of the request.
    pub request: Head<'a>,
    /// Which attempt it was; the first is 1.
    pub number: u32,
    /// How it ended, as far as its head tells: a gRPC call that streams its answer is a success so far.
    pub outcome: &'a Outcome,
    /// The HTTP status of its answer. `None` where the service returned an error.
    pub status: Option<StatusCode>,
    /// The headers of its answer.
    pub headers: Option<&'a HeaderMap>,
    /// How far it got, where the service returned an error.
    pub delivery: Option<Delivery>,
    settings: &'a Settings,
    protocol: &'a Protocol,
}

/// What is to become of an attempt.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Verdict {
    /// It is passed up to the caller as it is.
    Pass,
    /// Another attempt, if all else allows it: after the upstream's hint, or else the backoff.
    Retry,
    /// Another attempt, if all else allows it, without a wait: nothing was sent, and nobody is overloaded. A hint is waited for
    /// all the same.
    RetryAtOnce,
}

/// Says what is to become of attempts. A closure from [`Attempt`] to [`Verdict`] is one:
///
/// ```
/// use buttress::retry::{Attempt, RetryLayer, Verdict};
/// use http::StatusCode;
///
/// // A service that locks rows, and answers 409 where two calls met:
/// let retry = RetryLayer::with(|attempt: &Attempt<'_>| match attempt.status {
///     Some(StatusCode::CONFLICT) => Verdict::Retry,
///     _ => Verdict::Pass,
/// });
/// ```
///
/// What it says is not yet done: the attempts, the budget, the deadline, the body and the upstream's own word are asked too.
#[diagnostic::on_unimplemented(
    message = "`{Self}` does not say what is to be retried",
    note = "a closure does, in `RetryLayer::with(|attempt: &Attempt<'_>| Verdict::Retry)`, and so does an `impl Classify`"
)]
pub trait Classify {
    /// What is to become of this attempt.
    fn classify(&self, attempt: &Attempt<'_>) -> Verdict;
}

impl<F: Fn(&Attempt<'_>) -> Verdict> Classify for F {
    fn classify(&self, attempt: &Attempt<'_>) -> Verdict {
        self(attempt)
    }
}

impl<'a> Attempt<'a> {
    pub(crate) fn new<T, E>(
        (request, number): (Head<'a>, u32),
        outcome: &'a Outcome,
        output: &'a Result<Response<T>, E>,
        delivery: Option<Delivery>,
        (settings, protocol): (&'a Settings, &'a Protocol),
    ) -> Self {
        Self {
            request,
            number,
            outcome,
            status: output.as_ref().ok().map(Response::status),
            headers: output.as_ref().ok().map(Response::headers),
            delivery,
            settings,
            protocol,
        }
    }

    /// The gRPC status of an answer that ended with its head.
    pub fn code(&self) -> Option<i32> {
        code_in(self.headers?)
    }

    /// What the upstream said about trying again: read by the request's protocol, or as the user
    /// [reads it](super::RetryLayer::read_hints).
    pub fn hint(&self) -> Option<Hint> {
        self.settings.hint(self.headers?, self.protocol)
    }

    /// Whether sending it twice does no more than sending it once: by its method ([RFC 9110, 9.2.2]), by an `idempotency-key`
    /// ([draft-ietf-httpapi-idempotency-key-header]), or because the user [says so](super::RetryLayer::idempotent).
    ///
    /// [RFC 9110, 9.2.2]: https://www.rfc-editor.org/rfc/rfc9110#section-9.2.2
    /// [draft-ietf-httpapi-idempotency-key-header]: https://datatracker.ietf.org/doc/draft-ietf-httpapi-idempotency-key-header/
    pub fn is_idempotent(&self) -> bool {
        self.settings.is_idempotent(self.request)
    }

    /// Whether its status is gRPC's: in gRPC and in gRPC-Web.
    pub fn is_grpc(&self) -> bool {
        self.protocol.has_grpc_status()
    }

    /// In which way it failed; or its status, where it was a success.
    pub(super) fn class(&self) -> Class {
        match (self.outcome, self.status) {
            (Outcome::Failure(failure), _) => failure.class,
            (_, Some(status)) => Class::Http(status),
            (_, None) => Class::Transport,
        }
    }
}

/// The gRPC status in a head, or in trailers.
pub(super) fn code_in(headers: &HeaderMap) -> Option<i32> {
    headers.get("grpc-status")?.to_str().ok()?.parse().ok()
}

impl fmt::Debug for Attempt<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Attempt")
            .field("request", &self.request)
            .field("number", &self.number)
            .field("outcome", self.outcome)
            .field("status", &self.status)
            .field("delivery", &self.delivery)
            .finish_non_exhaustive()
    }
}

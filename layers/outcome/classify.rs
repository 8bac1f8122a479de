use std::{any::Any, mem, time::SystemTime};

use bytes::Bytes;
use http::{HeaderMap, Response, StatusCode};
use http_body::Body;

use super::{Answer, Class, Failure, Hint, Outcome, Settle};
use crate::{
    body::{BoxError, End, Tracked, Watch, length},
    context::Cancelled,
    rejection::{Protocol, Reason, Rejection},
};

/// Rides in a response's body and settles what it holds with the call's [`Outcome`].
#[derive(Debug)]
pub struct Classified<S: Settle> {
    settle: S,
    so_far: SoFar,
}

/// What the head said.
#[derive(Debug)]
pub(crate) enum SoFar {
    /// Success. Only the end can still change it: by breaking, or by nobody reading it.
    Success,
    /// Anything else, as above. Boxed, or every body would carry the room of a failure.
    Known(Box<Outcome>),
    /// gRPC: the status is still to come.
    AwaitsStatus,
}

impl<S: Settle> Classified<S> {
    /// Tells `settle` of the head of the response to a request of that protocol, follows its body, and settles at its end.
    #[inline]
    pub fn follow<B>(response: Response<B>, protocol: &Protocol, settle: S) -> Response<Tracked<B, Self>>
    where
        B: Body<Data = Bytes>,
        B::Error: Into<BoxError>,
    {
        Self::follow_in(response, protocol, settle, |tracked| tracked)
    }

    /// The same, and wraps the body that is followed.
    #[inline]
    pub(crate) fn follow_in<B, O>(
        mut response: Response<B>,
        protocol: &Protocol,
        mut settle: S,
        wrap: impl FnOnce(Tracked<B, Self>) -> O,
    ) -> Response<O>
    where
        B: Body<Data = Bytes>,
        B::Error: Into<BoxError>,
    {
        let so_far = of_head(&response, protocol);
        let head = *protocol == Protocol::HttpHead;
        let length = length(&response, head, so_far.is_none());
        settle.answered(&mut Answer {
            status: response.status(),
            headers: response.headers_mut(),
            streams: length != Some(0),
            is_success: so_far.as_ref().is_some_and(Outcome::is_success),
        });
        if length == Some(0) {
            settle.settle(so_far.unwrap_or(Outcome::failure(Class::MissingStatus)));
            return Tracked::ended(response, wrap);
        }
        let so_far = SoFar::from(so_far);
        Tracked::follow_for(length, response, Self { settle, so_far }, wrap)
    }
}

/// How a call ended as far as the head of its answer tells. `None`: gRPC, and the status is still to come.
#[inline]
pub(crate) fn of_head<B>(response: &Response<B>, protocol: &Protocol) -> Option<Outcome> {
    match response.extensions().get::<Rejection>() {
        Some(rejection) => Some(of_rejection(rejection)),
        None if protocol.is_grpc() => of_grpc_head(response),
        // Its trailers are a frame of the body, which nobody reads here; but where there is no body they are in the head.
        None if protocol.has_grpc_status() && response.headers().contains_key("grpc-status") => of_grpc_head(response),
        None => Some(of_http(response.status(), response.headers())),
    }
}

impl From<Option<Outcome>> for SoFar {
    #[inline]
    fn from(head: Option<Outcome>) -> Self {
        match head {
            Some(Outcome::Success) => Self::Success,
            Some(outcome) => Self::Known(Box::new(outcome)),
            None => Self::AwaitsStatus,
        }
    }
}

impl SoFar {
    /// Whether it is known only at the end.
    pub(crate) fn awaits_status(&self) -> bool {
        matches!(self, Self::AwaitsStatus)
    }

    /// The outcome, now that the body has ended like this.
    pub(crate) fn end(self, end: End<'_>) -> Outcome {
        match (end, self) {
            // Who looks at the status and has seen enough does not make a success of it.
            (End::Dropped, Self::Known(outcome)) => *outcome,
            (End::Dropped, _) => Outcome::Cancelled(Cancelled::Disconnected),
            (End::Cut { layer }, _) => Outcome::Rejected(Rejection::new(Reason::DeadlineExceeded, layer).executed()),
            (End::Error(error), _) => of_error(error, Class::Body),
            (End::Trailers(trailers), Self::AwaitsStatus) => of_grpc(trailers),
            (End::Complete | End::Trailers(_), so_far) => so_far.complete(),
        }
    }

    /// The outcome, now that all of the body has come without a status in its trailers.
    #[inline]
    fn complete(self) -> Outcome {
        match self {
            Self::Success => Outcome::Success,
            Self::Known(outcome) => *outcome,
            Self::AwaitsStatus => Outcome::failure(Class::MissingStatus),
        }
    }
}

/// `None`: the status is still to come.
fn of_grpc_head<B>(response: &Response<B>) -> Option<Outcome> {
    if response.headers().contains_key("grpc-status") {
        #[cfg(feature = "tonic")]
        if let Some(rejection) = of_status(response) {
            return Some(of_rejection(rejection));
        }
        Some(of_grpc(response.headers()))
    } else if response.status() == StatusCode::OK {
        None
    } else {
        // A proxy answered: gRPC's `http-grpc-status-mapping.md` judges it by its HTTP status.
        Some(of_http(response.status(), response.headers()))
    }
}

/// The rejection that a handler or an interceptor of tonic's made a status of: the status rides in its answer.
#[cfg(feature = "tonic")]
fn of_status<B>(response: &Response<B>) -> Option<&Rejection> {
    use crate::rejection::ResponseExt;
    response.extensions().get::<tonic::Status>()?.rejection()
}

impl<S: Settle> Watch for Classified<S> {
    fn awaits_trailers(&self) -> bool {
        self.so_far.awaits_status()
    }

    fn end(self, end: End<'_>) {
        self.settle.settle(self.so_far.end(end));
    }
}

/// What one of us said: that the caller had left is a departure, all else a rejection.
pub(crate) fn of_rejection(rejection: &Rejection) -> Outcome {
    match rejection.reason() {
        Reason::Cancelled => Outcome::Cancelled(Cancelled::Disconnected),
        _ => Outcome::Rejected(rejection.clone()),
    }
}

/// How a call that is not HTTP ended, by the error that it returned.
pub(crate) fn of_any<E: 'static>(error: &E) -> Outcome {
    let error: &dyn Any = error;
    if let Some(rejection) = error.downcast_ref::<Rejection>() {
        of_rejection(rejection)
    } else if let Some(error) = error.downcast_ref::<BoxError>() {
        of_error(error, Class::Transport)
    } else {
        Outcome::failure(Class::Transport)
    }
}

/// What a layer of ours broke off has its rejection among its causes; else it failed like this.
fn of_error(error: &BoxError, class: Class) -> Outcome {
    let mut cause: Option<&(dyn std::error::Error + 'static)> = Some(error.as_ref());
    while let Some(error) = cause {
        if let Some(rejection) = error.downcast_ref::<Rejection>() {
            return of_rejection(rejection);
        }
        cause = error.source();
    }
    Outcome::failure(class)
}

/// Whether this status speaks against whoever answered.
#[inline]
pub(super) fn is_failure(status: StatusCode) -> bool {
    status.is_server_error() || matches!(status.as_u16(), 408 | 421 | 425 | 429)
}

#[inline]
fn of_http(status: StatusCode, headers: &HeaderMap) -> Outcome {
    if !is_failure(status) {
        return Outcome::Success;
    }
    Outcome::Failure(Failure {
        class: Class::Http(status),
        hint: Hint::http(headers, wall_clock),
    })
}

fn of_grpc(headers: &HeaderMap) -> Outcome {
    const CANCELLED: i32 = 1;
    const FAILURES: [i32; 7] = [2, 4, 8, 12, 13, 14, 15];
    let status = headers
        .get("grpc-status")
        .and_then(|status| status.to_str().ok()?.parse().ok());
    match status {
        None => Outcome::failure(Class::MissingStatus),
        Some(CANCELLED) => Outcome::Cancelled(Cancelled::Disconnected),
        // A code that is not in the specification is to be taken for UNKNOWN.
        Some(status) if FAILURES.contains(&status) || !(0..=16).contains(&status) => Outcome::Failure(Failure {
            class: Class::Grpc(status),
            hint: Hint::grpc(headers),
        }),
        Some(_) => Outcome::Success,
    }
}

/// The one use of wall time: an HTTP date is one.
#[expect(clippy::disallowed_methods, reason = "an HTTP date is compared with the wall clock")]
pub(crate) fn wall_clock() -> SystemTime {
    SystemTime::now()
}

/// Holds what must be settled until it is, and settles it as cancelled when it is dropped before.
#[derive(Debug)]
pub(crate) struct Held<S: Settle>(Option<S>);

impl<S: Settle> Held<S> {
    pub(crate) fn new(settle: S) -> Self {
        Self(Some(settle))
    }

    pub(crate) fn settle(&mut self, outcome: Outcome) {
        if let Some(settle) = mem::take(&mut self.0) {
            settle.settle(outcome);
        }
    }

    /// It, until it is settled.
    pub(crate) fn held(&mut self) -> Option<&mut S> {
        self.0.as_mut()
    }

    /// Hands it on to who settles it now.
    pub(crate) fn take(&mut self) -> Option<S> {
        self.0.take()
    }
}

impl<S: Settle> Drop for Held<S> {
    fn drop(&mut self) {
        self.settle(Outcome::Cancelled(Cancelled::Disconnected));
    }
}

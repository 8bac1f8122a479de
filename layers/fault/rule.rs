use std::{fmt, sync::Arc, time::Duration};

use http::StatusCode;

use super::{Delay, abort::Abort, pace::Pace};
use crate::{context::Head, rejection::Reason};

type When = dyn for<'a> Fn(Head<'a>) -> bool + Send + Sync;

/// A fault, and which requests it befalls.
///
/// All requests, unless it is restricted: to a [`share`](Self::share) of them, or to those of which a function of the head
/// [says so](Self::when); or both, which is a share of those.
///
/// ```
/// use buttress::fault::Rule;
/// use http::StatusCode;
/// use std::time::Duration;
///
/// let slow = Rule::delay(Duration::from_millis(20)..=Duration::from_millis(400)).share(0.1);
/// let down = Rule::abort(StatusCode::SERVICE_UNAVAILABLE).when(|head| head.uri.path() == "/checkout");
/// ```
#[derive(Clone)]
pub struct Rule {
    pub(super) kind: Kind,
    pub(super) share: f64,
    when: Option<Arc<When>>,
}

/// The fault, and how much of it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Kind {
    Delay(Delay),
    Abort(Abort),
    Reject(Reason),
    Reset,
    ResetBody(u64),
    SlowBody(Pace),
}

impl Rule {
    /// The request waits so long before it is handed on: a [`Duration`], a range of them, or a [`Delay`].
    ///
    /// The wait ends with the work: by its deadline or its cancellation, with what is [rejected](crate::Rejection) for it.
    pub fn delay(delay: impl Into<Delay>) -> Self {
        Self::of(Kind::Delay(delay.into()))
    }

    /// The request is not handed on, and is answered with this status, as the service within could have: the layers above take it for
    /// a failure of that service. One of 1xx is no answer (RFC 9110, section 15.2), and is taken for 500.
    ///
    /// gRPC and Connect hear the code that goes with the status ([http-grpc-status-mapping]): UNAVAILABLE of 429, 502, 503 and 504, UNKNOWN of
    /// 500. Around a service that is not HTTP it fails with a [`Rejection`](crate::Rejection).
    ///
    /// [http-grpc-status-mapping]: https://github.com/grpc/grpc/blob/master/doc/http-grpc-status-mapping.md
    pub fn abort(status: StatusCode) -> Self {
        let status = if status.is_informational() {
            StatusCode::INTERNAL_SERVER_ERROR
        } else {
            status
        };
        Self::of(Kind::Abort(Abort::Status(status)))
    }

    /// The same with a gRPC code, 1 to 16: 14 is UNAVAILABLE. 0 would be no fault, and is taken for 2, UNKNOWN.
    ///
    /// Plain HTTP hears the status that goes with the code, as Connect and gRPC's gateways map them: 503 of 14, 500 of 13.
    pub fn abort_grpc(code: i32) -> Self {
        Self::of(Kind::Abort(Abort::Grpc(if code == 0 { 2 } else { code })))
    }

    /// The request is not handed on, and is rejected for this reason, as by another layer of this crate: the layers above know it for
    /// a [`Rejection`](crate::Rejection), and a retry does not try again what its own side rejected.
    pub fn reject(reason: Reason) -> Self {
        Self::of(Kind::Reject(reason))
    }

    /// The request is not handed on, and the call breaks off without an answer.
    ///
    /// Where the layer has an error [to fail with](super::FaultLayer::error), it does; a client's retry and breaker see a transport that
    /// failed. Else the body of an answer breaks before its first byte: a server of hyper (and so axum's and tonic's) has sent nothing
    /// by then, closes the connection of HTTP/1, and resets the stream of HTTP/2. Around a service that is not HTTP it fails with a
    /// [`Rejection`](crate::Rejection), unless it has an error.
    pub fn reset() -> Self {
        Self::of(Kind::Reset)
    }

    /// The body of the answer breaks off after so many bytes, 0 included: the head goes out. One that is shorter ends as it is.
    pub fn reset_body(after: u64) -> Self {
        Self::of(Kind::ResetBody(after))
    }

    /// The body of the answer comes at so many bytes per second at most; 0 is taken for 1. Its frames are cut to sixteenths of
    /// a second.
    pub fn slow_body(bytes_per_second: u64) -> Self {
        Self::of(Kind::SlowBody(Pace::rate(bytes_per_second)))
    }

    /// The body of the answer pauses so long between two frames, as its service made them.
    pub fn pause_body(pause: Duration) -> Self {
        Self::of(Kind::SlowBody(Pace::Pause(pause)))
    }

    /// This share of the requests alone, 0 to 1, as the layer's [dice](super::FaultLayer::seed) fall. What is beyond is taken for the
    /// nearer of both, and what is no number for 0.
    #[must_use]
    pub fn share(mut self, share: f64) -> Self {
        self.share = if share.is_nan() { 0.0 } else { share.clamp(0.0, 1.0) };
        self
    }

    /// These requests alone. Around a service that is not HTTP there is no head, and so none of them.
    ///
    /// It is called for each request while faults are on, and should be quick.
    #[must_use]
    pub fn when(mut self, is: impl for<'a> Fn(Head<'a>) -> bool + Send + Sync + 'static) -> Self {
        self.when = Some(Arc::new(is));
        self
    }

    fn of(kind: Kind) -> Self {
        Self {
            kind,
            share: 1.0,
            when: None,
        }
    }

    /// Whether its function, if it has one, says so.
    pub(super) fn is_for(&self, head: Option<Head<'_>>) -> bool {
        match (&self.when, head) {
            (None, _) => true,
            (Some(is), Some(head)) => is(head),
            (Some(_), None) => false,
        }
    }
}

impl fmt::Debug for Rule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Rule")
            .field("kind", &self.kind)
            .field("share", &self.share)
            .field("when", &self.when.is_some())
            .finish()
    }
}

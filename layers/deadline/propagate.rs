use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    task::{Context, Poll},
    time::Duration,
};

use bytes::Bytes;
use http::{HeaderMap, Request, Response};
use http_body::Body;
use tokio::time::Instant;
use tower_layer::Layer;
use tower_service::Service;

use super::{
    By, DeadlineBody,
    future::{Bounded, DeadlineFuture},
    tell_remaining,
};
use crate::{
    body::BoxError,
    context::{
        Frame,
        wire::{self, DeadlineHeader},
    },
    rejection::{Protocol, Reason, Rejection},
    telemetry::{Measured, Report, Stage, instruments},
};

/// Writes what remains of the context's deadline on a client's requests, and holds the calls to it.
///
/// The innermost layer of a client, below retries: so it writes what remains at each attempt, after backoff and readiness.
///
/// ```
/// # #[tokio::main(flavor = "current_thread", start_paused = true)] async fn main() {
/// use buttress::{Context, PropagateDeadlineLayer};
/// use http::{Request, Response};
/// use std::{convert::Infallible, time::Duration};
/// use tower::{ServiceBuilder, ServiceExt};
///
/// let client = ServiceBuilder::new().layer(PropagateDeadlineLayer::new()).service_fn(|request: Request<String>| async move {
///     assert_eq!(request.headers()["x-request-timeout-ms"], "2000");
///     Ok::<_, Infallible>(Response::new(String::new()))
/// });
///
/// let ctx = Context::current().with_timeout(Duration::from_secs(2));
/// ctx.scope(client.oneshot(Request::new(String::new()))).await.unwrap();
/// # }
/// ```
///
/// | setting | default | |
/// |---|---|---|
/// | [`margin`](Self::margin) | 0 | held back, for the way home |
/// | [`max`](Self::max) | none | no call gets more than this |
/// | [`header`](Self::header) | `x-request-timeout-ms` | what a plain HTTP request carries |
/// | [`require_deadline`](Self::require_deadline) | off | count, report or reject calls that have no deadline |
///
/// gRPC requests carry `grpc-timeout`, Connect ones `connect-timeout-ms`. The value is rounded down, and replaces one that is
/// there. Where less than a millisecond remains nothing is sent: the answer is 504, or gRPC status 4. A call without a deadline
/// is passed on as it is. `poll_ready` is the inner service's; the layer's clones and services share its counters.
#[derive(Clone, Debug)]
pub struct PropagateDeadlineLayer {
    config: Arc<Config>,
}

#[derive(Clone, Debug)]
struct Config {
    margin: Duration,
    max: Option<Duration>,
    /// What plain HTTP carries. `None`: nothing is written, in no protocol.
    header: Option<DeadlineHeader>,
    require: Require,
    counts: Arc<Counts>,
}

/// What becomes of a call without a deadline.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Require {
    No,
    Report,
    Reject,
}

#[derive(Debug, Default)]
struct Counts {
    without_deadline: AtomicU64,
    not_sent: AtomicU64,
}

/// What a [`PropagateDeadlineLayer`] saw since it was made.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct PropagateSnapshot {
    /// Calls without a deadline, where one is [required](PropagateDeadlineLayer::require_deadline).
    pub without_deadline: u64,
    /// Calls that were not sent, because less than a millisecond remained.
    pub not_sent: u64,
}

impl Default for PropagateDeadlineLayer {
    fn default() -> Self {
        Self::new()
    }
}

impl PropagateDeadlineLayer {
    /// The layer, with its defaults.
    pub fn new() -> Self {
        Self {
            config: Arc::new(Config {
                margin: Duration::ZERO,
                max: None,
                header: Some(DeadlineHeader::RequestTimeoutMs),
                require: Require::No,
                counts: Arc::default(),
            }),
        }
    }

    /// One that writes nothing: calls end with their context all the same.
    pub(crate) fn off() -> Self {
        let mut off = Self::new();
        off.config_mut().header = None;
        off
    }

    /// The upstream is told this much less than remains, so that its answer, or its failure, can still be used here. Zero
    /// unless set.
    ///
    /// Without a margin all tiers run out at the same instant, and which of them says so first is chance: a lower one may see
    /// its caller leave before its own deadline passes. The way home on a local network is a good measure, some milliseconds.
    #[must_use]
    pub fn margin(mut self, margin: Duration) -> Self {
        self.config_mut().margin = margin;
        self
    }

    /// No call takes longer than this, and the upstream is told so. Also gives a deadline to calls that have none.
    #[must_use]
    pub fn max(mut self, max: Duration) -> Self {
        self.config_mut().max = Some(max);
        self
    }

    /// What a plain HTTP request carries: for an upstream behind Envoy, say, [`DeadlineHeader::EnvoyUpstreamMs`].
    #[must_use]
    pub fn header(mut self, header: DeadlineHeader) -> Self {
        self.config_mut().header = Some(header);
        self
    }

    /// Makes calls without a deadline in their context visible: they are counted, and with the feature `tracing` each is an
    /// event with its method and host. It finds the code that lost its caller's context, as a review for
    /// `context.Background()` does in Go.
    #[must_use]
    pub fn require_deadline(mut self) -> Self {
        self.config_mut().require = Require::Report;
        self
    }

    /// As [`require_deadline`](Self::require_deadline), and answers such calls with 500 (gRPC INTERNAL) without sending them.
    #[must_use]
    pub fn reject_without_deadline(mut self) -> Self {
        self.config_mut().require = Require::Reject;
        self
    }

    /// What it saw so far.
    pub fn snapshot(&self) -> PropagateSnapshot {
        let Counts {
            without_deadline,
            not_sent,
        } = &*self.config.counts;
        PropagateSnapshot {
            without_deadline: without_deadline.load(Ordering::Relaxed),
            not_sent: not_sent.load(Ordering::Relaxed),
        }
    }

    fn config_mut(&mut self) -> &mut Config {
        Arc::make_mut(&mut self.config)
    }
}

impl Config {
    /// When this call must be done, and what the upstream is told.
    fn outgoing<B>(&self, request: &Request<B>) -> Result<Option<(Instant, Duration)>, Rejection> {
        let deadline = Frame::facts().deadline;
        if deadline.is_none() && self.require != Require::No {
            self.report(request)?;
        }
        if deadline.is_none() && self.max.is_none() {
            return Ok(None);
        }
        let now = Instant::now();
        let remaining = deadline.map_or(Duration::MAX, |deadline| deadline.saturating_duration_since(now));
        let cap = self.max.unwrap_or(Duration::MAX);
        if deadline.is_some() {
            tell_remaining(Stage::Call, now);
        }
        let Some(timeout) = wire::outgoing(remaining, self.margin, None, cap) else {
            self.counts.not_sent.fetch_add(1, Ordering::Relaxed);
            return Err(Rejection::new(Reason::DeadlineExceeded, By::Propagate.name()));
        };
        Ok(now.checked_add(remaining.min(cap)).map(|deadline| (deadline, timeout)))
    }

    fn report<B>(&self, request: &Request<B>) -> Result<(), Rejection> {
        self.counts.without_deadline.fetch_add(1, Ordering::Relaxed);
        #[cfg(feature = "tracing")]
        tracing::warn!(
            method = %request.method(),
            host = request.uri().host(),
            "call without a deadline: its caller's context is lost"
        );
        #[cfg(not(feature = "tracing"))]
        let _ = request;
        match self.require {
            Require::Reject => Err(Rejection::new(Reason::MissingDeadline, By::Propagate.name()).do_not_retry()),
            Require::No | Require::Report => Ok(()),
        }
    }

    fn write(&self, timeout: Duration, protocol: &Protocol, headers: &mut HeaderMap) {
        let Some(plain) = self.header else { return };
        let header = match protocol {
            Protocol::Http | Protocol::HttpHead => plain,
            Protocol::Grpc(_) | Protocol::GrpcWeb(_) | Protocol::GrpcWebText(_) => DeadlineHeader::GrpcTimeout,
            Protocol::ConnectUnary | Protocol::ConnectStreaming(_) => DeadlineHeader::ConnectTimeoutMs,
        };
        // One of a pair would contradict the other, and it is the milliseconds that are believed.
        let other = match header {
            DeadlineHeader::RequestTimeoutMs => Some(DeadlineHeader::RequestTimeout),
            DeadlineHeader::RequestTimeout => Some(DeadlineHeader::RequestTimeoutMs),
            _ => None,
        };
        if let Some(other) = other {
            headers.remove(other.name());
        }
        match header.encode(timeout) {
            Some(value) => headers.insert(header.name(), value),
            // Longer than the header can say: none at all.
            None => headers.remove(header.name()),
        };
    }
}

impl<S> Layer<S> for PropagateDeadlineLayer {
    type Service = PropagateDeadline<S>;

    fn layer(&self, inner: S) -> PropagateDeadline<S> {
        PropagateDeadline {
            inner,
            config: self.config.clone(),
        }
    }
}

/// The service of [`PropagateDeadlineLayer`].
#[derive(Clone, Debug)]
pub struct PropagateDeadline<S> {
    inner: S,
    config: Arc<Config>,
}

impl<S, B, ResBody> Service<Request<B>> for PropagateDeadline<S>
where
    S: Service<Request<B>, Response = Response<ResBody>>,
    ResBody: Body<Data = Bytes>,
    ResBody::Error: Into<BoxError>,
{
    type Response = Response<DeadlineBody<ResBody>>;
    type Error = S::Error;
    type Future = DeadlineFuture<S::Future>;

    #[inline]
    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(cx)
    }

    #[inline]
    fn call(&mut self, mut request: Request<B>) -> Self::Future {
        let protocol = Protocol::of(&request);
        let deadline = match self.config.outgoing(&request) {
            Ok(None) => None,
            Ok(Some((deadline, timeout))) => {
                self.config.write(timeout, &protocol, request.headers_mut());
                Some(deadline)
            }
            Err(rejection) => return DeadlineFuture::rejected(rejection, protocol, By::Propagate),
        };
        let frame = Frame::until(deadline).hold();
        let future = self.inner.call(request);
        DeadlineFuture::running(Bounded::new(frame.release(), future), protocol, By::Propagate)
    }
}

impl Measured for PropagateDeadlineLayer {
    fn measure(&self, name: &str, report: &mut dyn Report) {
        let now = self.snapshot();
        instruments::CALL_NOT_SENT.count(now.not_sent, &[("name", name)], report);
        instruments::CALL_WITHOUT_DEADLINE.count(now.without_deadline, &[("name", name)], report);
    }
}

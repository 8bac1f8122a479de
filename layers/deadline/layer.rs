use std::{
    fmt,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    task::{Context, Poll},
    time::Duration,
};

use bytes::Bytes;
use http::{Request, Response};
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
        Frame, Head, clock,
        wire::{DeadlineHeaders, InvalidDeadline, Reading},
    },
    rejection::{Protocol, Reason, Rejection},
    telemetry::{Event, Measured, Report, Stage, emit, instruments},
};

/// The longest deadline that a header can ask for, unless the user says otherwise.
const DEFAULT_MAX: Duration = Duration::from_secs(30);

/// Holds a server's requests to their caller's deadline, or to a default. See the [module](super).
///
/// | setting | default | |
/// |---|---|---|
/// | [`new`](Self::new) | required | the deadline of a request that brings none |
/// | [`max`](Self::max) | 30 s, or the default where that is longer | no header asks for more than this; set, it bounds the default, too |
/// | [`headers`](Self::headers) | gRPC, Connect, `x-request-timeout[-ms]` | which headers are read |
/// | [`trust`](Self::trust) | everybody | whose headers are read |
/// | [`strict`](Self::strict) | off | reject what cannot be read, instead of ignoring and counting it |
///
/// A deadline in the context outside (an outer layer's, a test's) bounds this one too. The clock starts when the request is
/// handed over, once, and only if there is a deadline. Put this layer outside of every queue, so that waiting counts.
///
/// State is shared by all services made from a layer and its clones: it is the [snapshot](Self::snapshot)'s counters alone.
#[derive(Clone, Debug)]
pub struct DeadlineLayer {
    config: Arc<Config>,
}

type Trust = dyn Fn(Head<'_>) -> bool + Send + Sync;

#[derive(Clone)]
struct Config {
    default: Option<Duration>,
    max: Duration,
    headers: DeadlineHeaders,
    trust: Option<Arc<Trust>>,
    strict: bool,
    in_extensions: bool,
    counts: Arc<Counts>,
}

#[derive(Default)]
struct Counts {
    invalid: AtomicU64,
    expired: AtomicU64,
}

/// What a [`DeadlineLayer`] saw at the door, since it was made.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct DeadlineSnapshot {
    /// Requests with a deadline header that could not be read.
    pub invalid: u64,
    /// Requests whose deadline had passed when they arrived.
    pub expired_on_arrival: u64,
}

impl DeadlineLayer {
    /// Requests that bring no deadline get this one. Zero rejects them all.
    pub fn new(default: Duration) -> Self {
        Self::with_default(Some(default))
    }

    /// Requests that bring no deadline get none.
    pub fn from_headers() -> Self {
        Self::with_default(None)
    }

    /// Requests have no deadline but that of the context outside.
    pub(crate) fn off() -> Self {
        Self::from_headers().headers(DeadlineHeaders::NONE)
    }

    fn with_default(default: Option<Duration>) -> Self {
        Self {
            config: Arc::new(Config {
                default,
                max: default.unwrap_or_default().max(DEFAULT_MAX),
                headers: DeadlineHeaders::default(),
                trust: None,
                strict: false,
                in_extensions: false,
                counts: Arc::default(),
            }),
        }
    }

    /// No request gets more than this, whatever its headers and the default say. Unless set, headers get 30 s, or the default where that is
    /// longer.
    #[must_use]
    pub fn max(mut self, max: Duration) -> Self {
        self.config_mut().max = max;
        self
    }

    /// Which headers are read. A mesh's headers mean something only behind that mesh, so those are by choice:
    ///
    /// ```
    /// use buttress::{DeadlineLayer, context::wire::DeadlineHeaders};
    /// # use std::time::Duration;
    /// let layer = DeadlineLayer::new(Duration::from_secs(10))
    ///     .headers(DeadlineHeaders::default().with(DeadlineHeaders::ENVOY));
    /// ```
    #[must_use]
    pub fn headers(mut self, headers: DeadlineHeaders) -> Self {
        self.config_mut().headers = headers;
        self
    }

    /// Reads the headers of those requests alone for which `trust` answers yes; others get the default.
    ///
    /// A caller can only shorten its own deadline below [`max`](Self::max), so most servers need not ask. It is called for
    /// requests that have a deadline header, before anything else is done with them, and should be quick.
    #[must_use]
    pub fn trust(mut self, trust: impl Fn(Head<'_>) -> bool + Send + Sync + 'static) -> Self {
        self.config_mut().trust = Some(Arc::new(trust));
        self
    }

    /// Rejects a request with a deadline that cannot be read: 400, gRPC INTERNAL, Connect `invalid_argument`.
    ///
    /// Otherwise it is counted, and treated like one without.
    #[must_use]
    pub fn strict(mut self) -> Self {
        self.config_mut().strict = true;
        self
    }

    /// Puts the [`Context`](crate::Context) into the request's extensions too, for what a task-local does not cross. It costs
    /// an insertion, and makes the cancellation of a context that has one.
    #[must_use]
    pub fn in_extensions(mut self) -> Self {
        self.config_mut().in_extensions = true;
        self
    }

    /// What it saw so far.
    pub fn snapshot(&self) -> DeadlineSnapshot {
        let Counts { invalid, expired } = &*self.config.counts;
        DeadlineSnapshot {
            invalid: invalid.load(Ordering::Relaxed),
            expired_on_arrival: expired.load(Ordering::Relaxed),
        }
    }

    fn config_mut(&mut self) -> &mut Config {
        Arc::make_mut(&mut self.config)
    }
}

impl Config {
    /// How long this request has, as its head and the configuration say.
    fn timeout(&self, head: Head<'_>) -> Result<Option<Duration>, Rejection> {
        let mut reading = self.headers.read(head.headers);
        if let Some(trust) = &self.trust
            && reading != Reading::default()
            && !trust(head)
        {
            reading = Reading::default();
        }
        if !reading.invalid.is_empty() {
            self.counts.invalid.fetch_add(1, Ordering::Relaxed);
        }
        if self.strict {
            let reject = |error: InvalidDeadline| {
                Rejection::new(Reason::InvalidDeadline, By::Deadline.name()).with_message(error.to_string())
            };
            reading.strict().map_err(reject)?;
        }
        Ok(reading.timeout.or(self.default).map(|timeout| timeout.min(self.max)))
    }

    /// The deadline of this request, and when it was counted from: the one clock read of its arrival.
    #[inline]
    fn deadline(&self, head: Head<'_>) -> Result<(Option<Instant>, Option<Instant>), Rejection> {
        let timeout = if self.headers.are_in(head.headers) {
            self.timeout(head)?
        } else {
            self.default.map(|timeout| timeout.min(self.max))
        };
        let Some(timeout) = timeout else {
            return Ok((None, None));
        };
        if timeout.is_zero() {
            return Err(self.expired());
        }
        let now = clock::now();
        Ok((now.checked_add(timeout), Some(now)))
    }

    #[cold]
    fn expired(&self) -> Rejection {
        self.counts.expired.fetch_add(1, Ordering::Relaxed);
        emit(|| Event::Deadline {
            stage: Stage::Arrival,
            remaining: Duration::ZERO,
        });
        Rejection::new(Reason::DeadlineExceeded, By::Deadline.name())
    }
}

impl<S> Layer<S> for DeadlineLayer {
    type Service = DeadlineService<S>;

    fn layer(&self, inner: S) -> DeadlineService<S> {
        DeadlineService {
            inner,
            config: self.config.clone(),
        }
    }
}

/// The service of [`DeadlineLayer`]. `poll_ready` is the inner service's.
#[derive(Clone, Debug)]
pub struct DeadlineService<S> {
    inner: S,
    config: Arc<Config>,
}

impl<S, B, ResBody> Service<Request<B>> for DeadlineService<S>
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
        let head = Head::from(&request);
        let protocol = Protocol::of_head(head);
        let (frame, now) = match self.config.deadline(head) {
            Ok((deadline, now)) => (Frame::until(deadline).hold(), now),
            Err(rejection) => return DeadlineFuture::rejected(rejection, protocol, By::Deadline),
        };
        if self.config.in_extensions {
            request.extensions_mut().insert(crate::Context::current());
        }
        if let Some(now) = now {
            tell_remaining(Stage::Arrival, now);
        }
        let now = clock::Shared::new(now);
        let future = self.inner.call(request);
        drop(now);
        DeadlineFuture::running(Bounded::new(frame.release(), future), protocol, By::Deadline)
    }
}

impl fmt::Debug for Config {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Config")
            .field("default", &self.default)
            .field("max", &self.max)
            .field("headers", &self.headers)
            .field("strict", &self.strict)
            .field("in_extensions", &self.in_extensions)
            .finish_non_exhaustive()
    }
}

impl Measured for DeadlineLayer {
    fn measure(&self, name: &str, report: &mut dyn Report) {
        let now = self.snapshot();
        instruments::DEADLINE_INVALID.count(now.invalid, &[("name", name)], report);
        instruments::DEADLINE_EXPIRED.count(now.expired_on_arrival, &[("name", name)], report);
    }
}

use std::{
    fmt,
    future::Future,
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    task::{Context, Poll},
};

use http::{HeaderMap, HeaderName, HeaderValue, Request};
use pin_project::pin_project;
use tower_layer::Layer;
use tower_service::Service;

use super::HEADER;
use crate::{
    context::{Criticality, Facts, Frame, Graded, Head},
    telemetry::{Measured, Report, instruments},
};

/// Says how much each request matters, for all that is within. See the [module](super).
///
/// | setting | default | |
/// |---|---|---|
/// | [`by`](Self::by) | nobody | what the server itself says of a request, by its head |
/// | [`header`](Self::header) | `x-criticality` | where a caller says it |
/// | [`trust`](Self::trust) | nobody | whose header can raise a request, too |
///
/// The server's word is that of `by`; without one, the criticality in scope outside, which is critical where nobody set
/// it. A trusted caller's header stands in its place; anybody else's can lower it.
///
/// Requests, responses and errors stay as they are, nothing is allocated, and `poll_ready` is the inner service's.
/// State is shared by all services made from a layer and its clones: it is the [snapshot](Self::snapshot)'s counters
/// alone.
#[derive(Clone, Debug)]
pub struct CriticalityLayer {
    config: Arc<Config>,
}

type By = dyn Fn(Head<'_>) -> Option<Criticality> + Send + Sync;
type Trust = dyn Fn(Head<'_>) -> bool + Send + Sync;

#[derive(Clone)]
struct Config {
    by: Option<Arc<By>>,
    /// `None`: no caller is heard.
    header: Option<HeaderName>,
    trust: Option<Arc<Trust>>,
    counts: Arc<Counts>,
}

#[derive(Default)]
struct Counts {
    invalid: AtomicU64,
    capped: AtomicU64,
}

/// What a [`CriticalityLayer`] read so far.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct CriticalitySnapshot {
    /// Requests with a header that could not be read.
    pub invalid: u64,
    /// Requests of callers who are not trusted, and asked for more than they got.
    pub capped: u64,
}

impl CriticalityLayer {
    /// Reads `x-criticality`, and trusts nobody: a caller can lower its own request.
    pub fn new() -> Self {
        Self {
            config: Arc::new(Config {
                by: None,
                header: Some(HEADER),
                trust: None,
                counts: Arc::default(),
            }),
        }
    }

    /// One that leaves it as it is.
    pub(crate) fn off() -> Self {
        let mut off = Self::new();
        off.config_mut().header = None;
        off
    }

    /// What the server itself says of a request; `None` leaves it as it is. It is called for every request, and should
    /// be quick.
    #[must_use]
    pub fn by(mut self, by: impl Fn(Head<'_>) -> Option<Criticality> + Send + Sync + 'static) -> Self {
        self.config_mut().by = Some(Arc::new(by));
        self
    }

    /// Where a caller says how much its request matters: `critical-plus`, `critical`, `sheddable-plus` or `sheddable`,
    /// in any case. Of several such headers the least critical counts.
    ///
    /// ```
    /// use buttress::CriticalityLayer;
    /// use http::HeaderName;
    ///
    /// let layer = CriticalityLayer::new().header(HeaderName::from_static("x-acme-criticality"));
    /// ```
    #[must_use]
    pub fn header(mut self, name: HeaderName) -> Self {
        self.config_mut().header = Some(name);
        self
    }

    /// Believes the header of those requests for which `trust` answers yes, whichever way it points. Nobody's, unless
    /// set.
    ///
    /// It is called for requests whose header asks for more than they would get without, and should be quick. Go by
    /// what a caller cannot write: the peer's address, a client certificate.
    #[must_use]
    pub fn trust(mut self, trust: impl Fn(Head<'_>) -> bool + Send + Sync + 'static) -> Self {
        self.config_mut().trust = Some(Arc::new(trust));
        self
    }

    /// What it read so far.
    pub fn snapshot(&self) -> CriticalitySnapshot {
        let Counts { invalid, capped } = &*self.config.counts;
        CriticalitySnapshot {
            invalid: invalid.load(Ordering::Relaxed),
            capped: capped.load(Ordering::Relaxed),
        }
    }

    fn config_mut(&mut self) -> &mut Config {
        Arc::make_mut(&mut self.config)
    }
}

impl Config {
    #[inline]
    fn criticality(&self, head: Head<'_>) -> Criticality {
        let ours = self.by.as_ref().and_then(|by| by(head));
        let ours = ours.unwrap_or_else(|| {
            let Facts { criticality, .. } = Frame::facts();
            criticality
        });
        match &self.header {
            Some(header) if is_in(head.headers, header) => self.heard(head, header, ours),
            _ => ours,
        }
    }

    /// What becomes of `ours` by what the caller says.
    fn heard(&self, head: Head<'_>, header: &HeaderName, ours: Criticality) -> Criticality {
        let said = match said(head.headers, header) {
            Ok(Some(said)) => said,
            Ok(None) => return ours,
            Err(Unreadable) => {
                self.counts.invalid.fetch_add(1, Ordering::Relaxed);
                return ours;
            }
        };
        // Who lowers itself is believed anyway.
        if said <= ours || self.trust.as_ref().is_some_and(|trust| trust(head)) {
            return said;
        }
        self.counts.capped.fetch_add(1, Ordering::Relaxed);
        ours
    }
}

/// The least that is said: what a caller sent may stand beside what a proxy added.
fn said(headers: &HeaderMap, header: &HeaderName) -> Result<Option<Criticality>, Unreadable> {
    let mut least = None;
    for value in headers.get_all(header) {
        let said = read(value)?;
        least = Some(least.map_or(said, |least: Criticality| least.min(said)));
    }
    Ok(least)
}

/// No [`Criticality`] is named.
struct Unreadable;

fn read(value: &HeaderValue) -> Result<Criticality, Unreadable> {
    let text = value.to_str().map_err(|_| Unreadable)?;
    text.parse().map_err(|_| Unreadable)
}

/// Whether this header is there. Most requests have none: to see that their names tell is quicker than to hash this
/// one.
#[inline]
pub(super) fn is_in(headers: &HeaderMap, name: &HeaderName) -> bool {
    !headers.is_empty() && headers.keys().any(|key| key == name)
}

impl Default for CriticalityLayer {
    fn default() -> Self {
        Self::new()
    }
}

impl<S> Layer<S> for CriticalityLayer {
    type Service = CriticalityService<S>;

    fn layer(&self, inner: S) -> CriticalityService<S> {
        CriticalityService {
            inner,
            config: self.config.clone(),
        }
    }
}

/// The service of [`CriticalityLayer`]. `poll_ready` is the inner service's.
#[derive(Clone, Debug)]
pub struct CriticalityService<S> {
    inner: S,
    config: Arc<Config>,
}

impl<S, B> Service<Request<B>> for CriticalityService<S>
where
    S: Service<Request<B>>,
{
    type Response = S::Response;
    type Error = S::Error;
    type Future = CriticalityFuture<S::Future>;

    #[inline]
    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(cx)
    }

    #[inline]
    fn call(&mut self, request: Request<B>) -> Self::Future {
        let criticality = self.config.criticality(Head::from(&request));
        let graded = Graded::enter(criticality);
        let inner = self.inner.call(request);
        drop(graded);
        CriticalityFuture { criticality, inner }
    }
}

/// The response future of [`CriticalityService`].
#[pin_project]
#[derive(Debug)]
pub struct CriticalityFuture<F> {
    criticality: Criticality,
    #[pin]
    inner: F,
}

impl<F: Future> Future for CriticalityFuture<F> {
    type Output = F::Output;

    #[inline]
    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<F::Output> {
        let this = self.project();
        let _graded = Graded::enter(*this.criticality);
        this.inner.poll(cx)
    }
}

impl Measured for CriticalityLayer {
    fn measure(&self, name: &str, report: &mut dyn Report) {
        let now = self.snapshot();
        instruments::CRITICALITY_INVALID.count(now.invalid, &[("name", name)], report);
        instruments::CRITICALITY_CAPPED.count(now.capped, &[("name", name)], report);
    }
}

impl fmt::Debug for Config {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Config")
            .field("by", &self.by.is_some())
            .field("header", &self.header)
            .field("trust", &self.trust.is_some())
            .finish_non_exhaustive()
    }
}

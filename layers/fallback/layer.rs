use std::{fmt, marker::PhantomData, sync::Arc};

use tower_layer::Layer;

use super::{Failed, Fallback, FallbackSnapshot, Function, Keeping, Other, Usual, Value, When, counts::Counts};
use crate::{
    context::{Head, home::Homes},
    rejection::{Http, Typed},
    telemetry::{Measured, Report},
};

type Only = dyn for<'a> Fn(Head<'a>) -> bool + Send + Sync;

/// What is kept of a request's body, to be sent again, unless it is set: 64 KiB.
const BODY_LIMIT: usize = 64 << 10;

/// Answers with something else where a call failed. See the [module](super).
///
/// | setting | default | |
/// |---|---|---|
/// | [`value`](Self::value), [`with`](Self::with), [`with_kept`](Self::with_kept), [`service`](Self::service), [`on_error`](Self::on_error) | one of them | where the other answer comes from |
/// | [`when`](Self::when) | transport errors, 5xx, UNAVAILABLE, our own rejections for want of capacity | which calls |
/// | [`only`](Self::only) | all | which requests |
/// | [`idempotent`](Self::idempotent) | by method, or an `idempotency-key` | which requests another service may get, after the first may have acted |
/// | [`body_limit`](Self::body_limit) | 64 KiB | what is kept of a body for another service |
///
/// The counts are the layer's: all services made from it, and from its clones, share them.
pub struct FallbackLayer<F, W = Usual, M = Http> {
    source: Arc<F>,
    when: Arc<W>,
    only: Option<Arc<Only>>,
    counts: Arc<Counts>,
    mode: PhantomData<M>,
}

/// What a service and its calls hold.
pub(super) struct Shared<F, W> {
    pub(super) source: Arc<F>,
    pub(super) when: Arc<W>,
    pub(super) only: Option<Arc<Only>>,
    pub(super) counts: Arc<Counts>,
}

impl<T> FallbackLayer<Value<T>> {
    /// The same answer, always: an `http::Response<Bytes>`, with status, headers and body, in the protocol of the requests. Around
    /// a service that [is not HTTP](Self::typed), what that answers.
    pub fn value(answer: T) -> Self {
        Self::of(Value(answer))
    }
}

impl<F> FallbackLayer<Function<F>> {
    /// What an async function makes of how the call failed: an `http::Response<Bytes>`, or an `Option` of one. With `None` the failure
    /// is passed up.
    ///
    /// ```
    /// use buttress::{FallbackLayer, fallback::Failed};
    /// use bytes::Bytes;
    /// use http::Response;
    ///
    /// let layer = FallbackLayer::with(|failed: &Failed<'_>| {
    ///     let text = format!("please come back later ({})", failed.outcome.as_str());
    ///     async move { Response::new(Bytes::from(text)) }
    /// });
    /// ```
    ///
    /// The future is polled where the call was, in its context, and ends with it.
    pub fn with<Fut>(function: F) -> Self
    where
        F: Fn(&Failed<'_>) -> Fut,
        Fut: Future,
    {
        Self::of(Function(function))
    }
}

impl<F> FallbackLayer<Function<F>, Usual, Typed> {
    /// What an async function makes of the error, around a service that is not HTTP: an answer of that service, or an `Option` of
    /// one. With `None` the error is passed up.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), buttress::BoxError> {
    /// use buttress::{BoxError, FallbackLayer};
    /// use tower::{ServiceBuilder, ServiceExt};
    ///
    /// let rates = ServiceBuilder::new()
    ///     .layer(FallbackLayer::on_error(|error: &BoxError| {
    ///         let stale = (error.to_string() == "down").then_some(1.08);
    ///         async move { stale }
    ///     }))
    ///     .service_fn(|_currency: &'static str| async { Err::<f64, BoxError>("down".into()) });
    /// assert_eq!(rates.oneshot("USD").await?, 1.08);
    /// # Ok(()) }
    /// ```
    pub fn on_error<E, Fut>(function: F) -> Self
    where
        F: Fn(&E) -> Fut,
        Fut: Future,
    {
        Self::of(Function(function))
    }
}

impl<K, F> FallbackLayer<Keeping<K, F>> {
    /// The same, with what another function keeps of the request's head: its path for a cache, say. It is called for each request.
    ///
    /// ```
    /// use buttress::{FallbackLayer, fallback::Failed};
    /// use bytes::Bytes;
    /// use http::Response;
    ///
    /// async fn cached(path: String) -> Option<Bytes> { Some(Bytes::from(path)) }
    ///
    /// let layer = FallbackLayer::with_kept(
    ///     |head| head.uri.path().to_owned(),
    ///     |_: &Failed<'_>, path: String| async { cached(path).await.map(Response::new) },
    /// );
    /// ```
    pub fn with_kept<T, Fut>(keep: K, function: F) -> Self
    where
        K: Fn(Head<'_>) -> T,
        F: Fn(&Failed<'_>, T) -> Fut,
        Fut: Future,
    {
        Self::of(Keeping { keep, function })
    }
}

impl<S> FallbackLayer<Other<S>> {
    /// What another service answers to the same request: a cache, another region, an older version.
    ///
    /// It gets the head as it came, and the body if all of it could be [kept](Self::body_limit). Where the first service may have acted
    /// on the request, it gets what is safe to do twice alone: by its method, by an `idempotency-key`, or because
    /// [you say so](Self::idempotent). It is asked whether it is ready when it is needed, and waited for up to the deadline, or for a
    /// second where there is none. Its error is nobody's: the first failure is passed up.
    ///
    /// It is cloned when it is called, and shared until then: it must be `Sync` for a stack that is to be.
    pub fn service(service: S) -> Self {
        Self::of(Other {
            service,
            body_limit: BODY_LIMIT,
            idempotent: None,
        })
    }
}

impl<S: Clone, W, M> FallbackLayer<Other<S>, W, M> {
    /// So many bytes of a request's body are kept, for the other service. A request with a larger one is not asked again. All of
    /// the process together keep no more than [so much](crate::body::replay).
    #[must_use]
    pub fn body_limit(mut self, bytes: usize) -> Self {
        Arc::make_mut(&mut self.source).body_limit = bytes;
        self
    }

    /// These requests may be sent twice too, whatever their method: the reads of a gRPC service, say.
    #[must_use]
    pub fn idempotent(mut self, is: impl for<'a> Fn(Head<'a>) -> bool + Send + Sync + 'static) -> Self {
        Arc::make_mut(&mut self.source).idempotent = Some(Arc::new(is));
        self
    }
}

impl<F, M> FallbackLayer<F, Usual, M> {
    fn of(source: F) -> Self {
        Self {
            source: Arc::new(source),
            when: Arc::default(),
            only: None,
            counts: Arc::default(),
            mode: PhantomData,
        }
    }

    /// Which calls are answered otherwise, instead of the [usual](super#what-is-answered-otherwise): of all whose answer is no
    /// success, 4xx and deadlines included, those of which this says so.
    #[must_use]
    pub fn when<W: Fn(&Failed<'_>) -> bool>(self, when: W) -> FallbackLayer<F, W, M> {
        FallbackLayer {
            source: self.source,
            when: Arc::new(when),
            only: self.only,
            counts: self.counts,
            mode: PhantomData,
        }
    }
}

impl<F, W, M> FallbackLayer<F, W, M> {
    /// These requests alone: those for a page that can do without, say. It is called for each; of others nothing is kept.
    /// Around a service that is not HTTP there is no head, and it is not asked.
    #[must_use]
    pub fn only(mut self, is: impl for<'a> Fn(Head<'a>) -> bool + Send + Sync + 'static) -> Self {
        self.only = Some(Arc::new(is));
        self
    }

    /// What it has done so far.
    pub fn snapshot(&self) -> FallbackSnapshot {
        self.counts.snapshot()
    }
}

impl<F, W> FallbackLayer<F, W> {
    /// Around a service that is not HTTP: what is replaced is its error. Another [service](Self::service) wants requests that are `Clone`,
    /// and gets them whatever they are.
    pub fn typed(self) -> FallbackLayer<F, W, Typed> {
        FallbackLayer {
            source: self.source,
            when: self.when,
            only: self.only,
            counts: self.counts,
            mode: PhantomData,
        }
    }
}

impl<S, F, W: When, M> Layer<S> for FallbackLayer<F, W, M> {
    type Service = Fallback<S, F, W, M>;

    fn layer(&self, inner: S) -> Fallback<S, F, W, M> {
        Fallback {
            inner,
            homes: Homes::new(Shared {
                source: self.source.clone(),
                when: self.when.clone(),
                only: self.only.clone(),
                counts: self.counts.clone(),
            }),
            mode: PhantomData,
        }
    }
}

impl<F, W, M> Clone for FallbackLayer<F, W, M> {
    fn clone(&self) -> Self {
        Self {
            source: self.source.clone(),
            when: self.when.clone(),
            only: self.only.clone(),
            counts: self.counts.clone(),
            mode: PhantomData,
        }
    }
}

impl<F, W, M> fmt::Debug for FallbackLayer<F, W, M> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FallbackLayer")
            .field("only", &self.only.is_some())
            .finish_non_exhaustive()
    }
}

impl<F, W, M> Measured for FallbackLayer<F, W, M> {
    fn measure(&self, name: &str, report: &mut dyn Report) {
        self.snapshot().measure(name, report);
    }
}

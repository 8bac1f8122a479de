use std::{
    fmt,
    future::Future,
    marker::PhantomData,
    mem,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
};

use bytes::Bytes;
use http::{Request, Response};
use http_body::Body;
use pin_project::pin_project;
use tower_layer::Layer;
use tower_service::Service;

use super::{
    Began, Observer, Side,
    telling::{ObservedBody, Telling},
};
use crate::{
    body::{BoxError, Tracked},
    context::{Head, clock},
    outcome::{Class, Outcome, of_any},
    rejection::{Http, Protocol, Typed},
};

type Route = dyn for<'a> Fn(Head<'a>) -> Option<&'a str> + Send + Sync;

/// Tells an [`Observer`] of each call. See the [module](super).
///
/// State is the observer's, shared by all services of the layer and its clones. `poll_ready` is the inner service's. Two clock reads are
/// made for a call, the first of which the layers below share. With `()` for an observer it is as if the layer were not there.
pub struct ObserveLayer<O, M = Http> {
    observer: Arc<O>,
    side: Side,
    route: Option<Arc<Route>>,
    mode: PhantomData<M>,
}

impl<O: Observer> ObserveLayer<O> {
    /// Tells of the requests that are answered here: the outermost layer of a server.
    pub fn server(observer: O) -> Self {
        Self::of(observer, Side::Server)
    }

    /// Tells of the calls that are made here: the outermost layer of a client.
    pub fn client(observer: O) -> Self {
        Self::of(observer, Side::Client)
    }

    fn of(observer: O, side: Side) -> Self {
        Self {
            observer: Arc::new(observer),
            side,
            route: None,
            mode: PhantomData,
        }
    }

    /// What a request's route is called: one of few, for it becomes an attribute of metrics and the name of spans. None unless set, for a
    /// path is whatever a stranger wrote. With axum, in a [layer of the router](https://docs.rs/axum/0.8/axum/struct.Router.html#method.layer):
    ///
    /// ```
    /// use axum::extract::MatchedPath;
    /// use buttress::ObserveLayer;
    ///
    /// let layer = ObserveLayer::server(())
    ///     .route(|head| head.extensions.get::<MatchedPath>().map(MatchedPath::as_str));
    /// ```
    #[must_use]
    pub fn route(mut self, name: impl for<'a> Fn(Head<'a>) -> Option<&'a str> + Send + Sync + 'static) -> Self {
        self.route = Some(Arc::new(name));
        self
    }

    /// Around a service that is not HTTP. A [`Rejection`](crate::Rejection) in its error is told as such.
    pub fn typed(self) -> ObserveLayer<O, Typed> {
        ObserveLayer {
            observer: self.observer,
            side: self.side,
            route: None,
            mode: PhantomData,
        }
    }
}

/// The service of [`ObserveLayer`].
pub struct Observe<S, O, M = Http> {
    inner: S,
    layer: ObserveLayer<O, M>,
}

impl<S, O, B, ResBody> Service<Request<B>> for Observe<S, O, Http>
where
    S: Service<Request<B>, Response = Response<ResBody>>,
    O: Observer,
    ResBody: Body<Data = Bytes>,
    ResBody::Error: Into<BoxError>,
{
    type Response = Response<Tracked<ResBody, ObservedBody<O>>>;
    type Error = S::Error;
    type Future = ObserveFuture<S::Future, O, Protocol>;

    #[inline]
    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(cx)
    }

    #[inline]
    fn call(&mut self, request: Request<B>) -> Self::Future {
        let Self { inner, layer } = self;
        if !layer.observer.listens() {
            return ObserveFuture {
                telling: Telling::silent(),
                inner: inner.call(request),
                protocol: Protocol::Http,
            };
        }
        let protocol = Protocol::of(&request);
        let head = Head::from(&request);
        let now = clock::now();
        let began = Began {
            side: layer.side,
            protocol: Some(&protocol),
            head: Some(head),
            route: layer.route.as_ref().and_then(|route| route(head)),
        };
        let mut telling = Telling::began(&layer.observer, &began, now);
        let shared = clock::Shared::new(Some(now));
        let inner = telling.enter(|| inner.call(request));
        drop(shared);
        ObserveFuture {
            telling,
            inner,
            protocol,
        }
    }
}

impl<S, O, R> Service<R> for Observe<S, O, Typed>
where
    S: Service<R>,
    S::Error: 'static,
    O: Observer,
{
    type Response = S::Response;
    type Error = S::Error;
    type Future = ObserveFuture<S::Future, O, Typed>;

    #[inline]
    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, request: R) -> Self::Future {
        let Self { inner, layer } = self;
        if !layer.observer.listens() {
            return ObserveFuture {
                telling: Telling::silent(),
                inner: inner.call(request),
                protocol: Typed::default(),
            };
        }
        let began = Began {
            side: layer.side,
            protocol: None,
            head: None,
            route: None,
        };
        let now = clock::now();
        let mut telling = Telling::began(&layer.observer, &began, now);
        let shared = clock::Shared::new(Some(now));
        let inner = telling.enter(|| inner.call(request));
        drop(shared);
        ObserveFuture {
            telling,
            inner,
            protocol: Typed::default(),
        }
    }
}

/// The response future of [`Observe`]. Dropping it before its end tells the observer that the caller left.
#[pin_project]
pub struct ObserveFuture<F, O: Observer, P = Protocol> {
    // Before the call: what it tells while it is dropped is told after its end, to nobody.
    telling: Telling<O>,
    #[pin]
    inner: F,
    protocol: P,
}

impl<F, O, ResBody, E> Future for ObserveFuture<F, O, Protocol>
where
    F: Future<Output = Result<Response<ResBody>, E>>,
    O: Observer,
    ResBody: Body<Data = Bytes>,
    ResBody::Error: Into<BoxError>,
{
    type Output = Result<Response<Tracked<ResBody, ObservedBody<O>>>, E>;

    #[inline]
    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.project();
        let output = ready!(this.telling.enter(|| this.inner.poll(cx)));
        if this.telling.is_silent() {
            // What nobody is told is not moved either.
            return Poll::Ready(output.map(|response| Tracked::ended(response, |body| body)));
        }
        let mut telling = mem::replace(this.telling, Telling::silent());
        Poll::Ready(match output {
            Ok(response) => Ok(telling.follow(response, this.protocol)),
            Err(error) => {
                telling.end(Outcome::failure(Class::Transport));
                Err(error)
            }
        })
    }
}

impl<F, O, T, E> Future for ObserveFuture<F, O, Typed>
where
    F: Future<Output = Result<T, E>>,
    O: Observer,
    E: 'static,
{
    type Output = Result<T, E>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.project();
        let output = ready!(this.telling.enter(|| this.inner.poll(cx)));
        this.telling.end(match &output {
            Ok(_) => Outcome::Success,
            Err(error) => of_any(error),
        });
        Poll::Ready(output)
    }
}

// === impl ObserveLayer, Observe, ObserveFuture ===

impl<S, O, M> Layer<S> for ObserveLayer<O, M> {
    type Service = Observe<S, O, M>;

    fn layer(&self, inner: S) -> Observe<S, O, M> {
        Observe {
            inner,
            layer: self.clone(),
        }
    }
}

impl<O, M> Clone for ObserveLayer<O, M> {
    fn clone(&self) -> Self {
        Self {
            observer: self.observer.clone(),
            side: self.side,
            route: self.route.clone(),
            mode: PhantomData,
        }
    }
}

impl<O, M> fmt::Debug for ObserveLayer<O, M> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ObserveLayer")
            .field("side", &self.side)
            .finish_non_exhaustive()
    }
}

impl<S: Clone, O, M> Clone for Observe<S, O, M> {
    fn clone(&self) -> Self {
        Self {
            inner: self.inner.clone(),
            layer: self.layer.clone(),
        }
    }
}

impl<S: fmt::Debug, O, M> fmt::Debug for Observe<S, O, M> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Observe")
            .field("inner", &self.inner)
            .finish_non_exhaustive()
    }
}

impl<F: fmt::Debug, O: Observer, P> fmt::Debug for ObserveFuture<F, O, P> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ObserveFuture")
            .field("inner", &self.inner)
            .finish_non_exhaustive()
    }
}

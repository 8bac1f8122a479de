use std::{
    fmt,
    future::Future,
    marker::PhantomData,
    pin::Pin,
    task::{Context, Poll, ready},
};

use bytes::Bytes;
use http::{Request, Response};
use http_body::Body;
use pin_project::pin_project;
use tower_layer::Layer;
use tower_service::Service;

use crate::{
    body::{BoxError, Reply},
    rejection::{Http, Protocol, Reason, Rejection, Typed},
    telemetry,
};

/// Rejects a request that finds the service within not ready, instead of letting it wait: what tower's `LoadShed` does,
/// with a response in the protocol of the request, or with a typed error.
///
/// It is for services of others that say "not ready" when they are full, as tower's `ConcurrencyLimit` and `Buffer` do.
/// Layers of ours decide in `call`, and reject by themselves.
///
/// ```
/// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), buttress::BoxError> {
/// use buttress::admission::shed::ShedUnreadyLayer;
/// use http::{Request, Response};
/// use tower::{ServiceBuilder, ServiceExt};
///
/// let service = ServiceBuilder::new()
///     .layer(ShedUnreadyLayer::new())
///     .concurrency_limit(0)
///     .service_fn(|_: Request<String>| async { Ok::<_, buttress::BoxError>(Response::new(String::new())) });
/// assert_eq!(service.oneshot(Request::new(String::new())).await?.status(), 503);
/// # Ok(()) }
/// ```
///
/// `poll_ready` is ready at once, whether the service within is or not, and fails where that fails. Only a service that
/// was ready is called: each call, and each clone, wants a `poll_ready` of its own. The rejection is
/// [`Reason::Overloaded`](crate::rejection::Reason::Overloaded), whatever the criticality. No state, no allocation
/// before it rejects.
#[derive(Clone, Copy, Debug, Default)]
pub struct ShedUnreadyLayer<M = Http>(PhantomData<M>);

impl ShedUnreadyLayer {
    /// Around an HTTP service.
    pub const fn new() -> Self {
        Self(PhantomData)
    }

    /// Around any other service: a rejection is an error, `S::Error: From<Rejection>`.
    pub const fn typed(self) -> ShedUnreadyLayer<Typed> {
        ShedUnreadyLayer(PhantomData)
    }
}

impl<S, M> Layer<S> for ShedUnreadyLayer<M> {
    type Service = ShedUnready<S, M>;

    fn layer(&self, inner: S) -> Self::Service {
        ShedUnready {
            inner,
            ready: false,
            mode: PhantomData,
        }
    }
}

/// The service of [`ShedUnreadyLayer`].
pub struct ShedUnready<S, M = Http> {
    inner: S,
    /// What `poll_ready` last found; no call since.
    ready: bool,
    mode: PhantomData<M>,
}

impl<S, M> ShedUnready<S, M> {
    fn poll_inner<R>(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>>
    where
        S: Service<R>,
    {
        self.ready = match self.inner.poll_ready(cx) {
            Poll::Ready(Ok(())) => true,
            Poll::Ready(Err(error)) => {
                self.ready = false;
                return Poll::Ready(Err(error));
            }
            Poll::Pending => false,
        };
        Poll::Ready(Ok(()))
    }

    fn call_inner<R>(&mut self, request: R) -> Inner<S::Future>
    where
        S: Service<R>,
    {
        if std::mem::take(&mut self.ready) {
            Inner::Called(self.inner.call(request))
        } else {
            Inner::Rejected(Rejection::new(Reason::Overloaded, "shed-unready"))
        }
    }
}

#[pin_project(project = InnerProj)]
#[derive(Debug)]
enum Inner<F> {
    Called(#[pin] F),
    Rejected(Rejection),
}

impl<S, B, ResBody> Service<Request<B>> for ShedUnready<S, Http>
where
    S: Service<Request<B>, Response = Response<ResBody>>,
    ResBody: Body<Data = Bytes>,
    ResBody::Error: Into<BoxError>,
{
    type Response = Response<Reply<ResBody>>;
    type Error = S::Error;
    type Future = ShedUnreadyFuture<S::Future>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.poll_inner(cx)
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        ShedUnreadyFuture {
            protocol: Protocol::of(&request),
            inner: self.call_inner(request),
        }
    }
}

/// The response future of [`ShedUnready`].
#[pin_project]
#[derive(Debug)]
pub struct ShedUnreadyFuture<F> {
    #[pin]
    inner: Inner<F>,
    protocol: Protocol,
}

impl<F, B, E> Future for ShedUnreadyFuture<F>
where
    F: Future<Output = Result<Response<B>, E>>,
{
    type Output = Result<Response<Reply<B>>, E>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.project();
        Poll::Ready(match this.inner.project() {
            InnerProj::Called(future) => ready!(future.poll(cx)).map(|response| response.map(Reply::inner)),
            InnerProj::Rejected(rejection) => {
                telemetry::rejected(rejection);
                Ok(rejection.clone().into_answer(this.protocol).map(Reply::ours))
            }
        })
    }
}

impl<S, R> Service<R> for ShedUnready<S, Typed>
where
    S: Service<R>,
    S::Error: From<Rejection>,
{
    type Response = S::Response;
    type Error = S::Error;
    type Future = TypedShedUnreadyFuture<S::Future>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.poll_inner(cx)
    }

    fn call(&mut self, request: R) -> Self::Future {
        TypedShedUnreadyFuture(self.call_inner(request))
    }
}

/// The response future of a [`ShedUnready`] that is [typed](crate::rejection::Typed).
#[pin_project]
#[derive(Debug)]
pub struct TypedShedUnreadyFuture<F>(#[pin] Inner<F>);

impl<F, T, E> Future for TypedShedUnreadyFuture<F>
where
    F: Future<Output = Result<T, E>>,
    E: From<Rejection>,
{
    type Output = Result<T, E>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        match self.project().0.project() {
            InnerProj::Called(future) => future.poll(cx),
            InnerProj::Rejected(rejection) => {
                telemetry::rejected(rejection);
                Poll::Ready(Err(rejection.clone().into()))
            }
        }
    }
}

/// A clone of a service that was ready is not.
impl<S: Clone, M> Clone for ShedUnready<S, M> {
    fn clone(&self) -> Self {
        Self {
            inner: self.inner.clone(),
            ready: false,
            mode: PhantomData,
        }
    }
}

impl<S: fmt::Debug, M> fmt::Debug for ShedUnready<S, M> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ShedUnready")
            .field("inner", &self.inner)
            .field("ready", &self.ready)
            .finish()
    }
}

use std::{
    future::Future,
    marker::PhantomData,
    pin::Pin,
    task::{Context, Poll, ready},
    time::Duration,
};

use bytes::Bytes;
use http::{Request, Response};
use http_body::Body;
use pin_project::pin_project;
use tower_layer::Layer;
use tower_service::Service;

use crate::{
    body::{BoxError, Reply},
    context::{Cancelled, Frame, Shield},
    rejection::{Http, Protocol, Reason, Rejection, Typed},
    telemetry,
};

const NAME: &str = "shield";

/// Runs each call to its end although its caller leaves, at most so long: for writes that must not be half done.
///
/// ```
/// use axum::{Router, routing::post};
/// use buttress::ShieldLayer;
/// use std::time::Duration;
///
/// async fn transfer() -> &'static str { "done" }
///
/// let app: Router =
///     Router::new().route("/transfer", post(transfer).layer(ShieldLayer::new("transfer", Duration::from_secs(30))));
/// ```
///
/// It is [`Context::shield`](crate::Context::shield) around the inner service: the call runs in place, and only if its caller
/// leaves is the rest of it spawned, under the layer's name. Its context has the layer's maximum for a deadline and hears of
/// no departure. At the maximum the call is dropped, and a caller who still waits gets 504 (gRPC: status 4), or with
/// [`typed`](Self::typed) a [`Rejection`]. Once the process has ended none is begun: 503 (gRPC: status 14). The body of the answer is not shielded: nobody is there to read it. A request body
/// that had not arrived when the caller left breaks off.
///
/// `poll_ready` is the inner service's. One box per call.
#[derive(Clone, Copy, Debug)]
pub struct ShieldLayer<M = Http> {
    name: &'static str,
    max: Duration,
    mode: PhantomData<M>,
}

impl ShieldLayer {
    /// Around an HTTP service: each call runs to its end, at most `max`, named so in the [registry](crate::registry).
    pub const fn new(name: &'static str, max: Duration) -> Self {
        Self {
            name,
            max,
            mode: PhantomData,
        }
    }

    /// Around any other service; at the maximum it fails with `S::Error: From<Rejection>`.
    pub const fn typed(self) -> ShieldLayer<Typed> {
        ShieldLayer {
            name: self.name,
            max: self.max,
            mode: PhantomData,
        }
    }
}

impl<S, M: Copy> Layer<S> for ShieldLayer<M> {
    type Service = ShieldService<S, M>;

    fn layer(&self, inner: S) -> ShieldService<S, M> {
        ShieldService { inner, layer: *self }
    }
}

/// The service of [`ShieldLayer`].
#[derive(Clone, Copy, Debug)]
pub struct ShieldService<S, M = Http> {
    inner: S,
    layer: ShieldLayer<M>,
}

impl<S, M> ShieldService<S, M> {
    fn shield<R>(&mut self, request: R) -> Shield<S::Future>
    where
        S: Service<R>,
        S::Future: Send + 'static,
        <S::Future as Future>::Output: Send,
    {
        let frame = Frame::detached(Frame::facts(), self.layer.max, Frame::root()).hold();
        let future = self.inner.call(request);
        Shield::new(frame.release(), self.layer.name, future)
    }
}

/// Why there is no answer: it took too long, or the process had ended and it was never begun.
fn unanswered(why: Cancelled) -> Rejection {
    let rejection = match why {
        Cancelled::ShuttingDown => Rejection::new(Reason::Draining, NAME),
        _ => Rejection::new(Reason::DeadlineExceeded, NAME).executed(),
    };
    telemetry::rejected(&rejection);
    rejection
}

impl<S, B, ResBody> Service<Request<B>> for ShieldService<S, Http>
where
    S: Service<Request<B>, Response = Response<ResBody>>,
    S::Future: Send + 'static,
    S::Error: Send + 'static,
    ResBody: Body<Data = Bytes> + Send + 'static,
    ResBody::Error: Into<BoxError>,
{
    type Response = Response<Reply<ResBody>>;
    type Error = S::Error;
    type Future = ShieldFuture<S::Future>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        let protocol = Protocol::of(&request);
        ShieldFuture {
            inner: self.shield(request),
            protocol,
        }
    }
}

/// The response future of [`ShieldService`]. Dropping it after its first poll spawns what is left of the call.
#[pin_project]
#[derive(Debug)]
pub struct ShieldFuture<F: Future + Send + 'static>
where
    F::Output: Send,
{
    #[pin]
    inner: Shield<F>,
    protocol: Protocol,
}

impl<F, ResBody, E> Future for ShieldFuture<F>
where
    F: Future<Output = Result<Response<ResBody>, E>> + Send + 'static,
    F::Output: Send,
{
    type Output = Result<Response<Reply<ResBody>>, E>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.project();
        Poll::Ready(match ready!(this.inner.poll(cx)) {
            Ok(output) => output.map(|response| response.map(Reply::inner)),
            Err(why) => Ok(unanswered(why).into_answer(this.protocol).map(Reply::ours)),
        })
    }
}

impl<S, R> Service<R> for ShieldService<S, Typed>
where
    S: Service<R>,
    S::Future: Send + 'static,
    S::Response: Send + 'static,
    S::Error: From<Rejection> + Send + 'static,
{
    type Response = S::Response;
    type Error = S::Error;
    type Future = TypedShieldFuture<S::Future>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, request: R) -> Self::Future {
        TypedShieldFuture {
            inner: self.shield(request),
        }
    }
}

/// The response future of a [`ShieldService`] that is [typed](crate::rejection::Typed).
#[pin_project]
#[derive(Debug)]
pub struct TypedShieldFuture<F: Future + Send + 'static>
where
    F::Output: Send,
{
    #[pin]
    inner: Shield<F>,
}

impl<F, T, E> Future for TypedShieldFuture<F>
where
    F: Future<Output = Result<T, E>> + Send + 'static,
    F::Output: Send,
    E: From<Rejection>,
{
    type Output = Result<T, E>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        Poll::Ready(ready!(self.project().inner.poll(cx)).unwrap_or_else(|why| Err(unanswered(why).into())))
    }
}

use std::{
    fmt,
    marker::PhantomData,
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
    future::{Bounded, DeadlineFuture, TypedDeadlineFuture},
};
use crate::{
    body::BoxError,
    context::Frame,
    rejection::{Http, Protocol, Rejection, Typed},
};

/// A plain bound on what it wraps: a child deadline, that what is below sees and passes on.
///
/// Around an HTTP service it bounds the body too, and answers as the protocol wants; around any other, with
/// [`typed`](Self::typed), it fails with a [`Rejection`]:
///
/// ```
/// # #[tokio::main(flavor = "current_thread", start_paused = true)] async fn main() {
/// use buttress::{BoxError, TimeoutLayer};
/// use std::time::Duration;
/// use tower::{ServiceBuilder, ServiceExt};
///
/// let query = ServiceBuilder::new()
///     .layer(TimeoutLayer::new(Duration::from_millis(100)).typed())
///     .service_fn(|_sql: &'static str| std::future::pending::<Result<u64, BoxError>>());
///
/// let error = query.oneshot("select pg_sleep(3600)").await.unwrap_err();
/// assert!(error.is::<buttress::rejection::Rejection>());
/// # }
/// ```
///
/// A timeout of zero expires on the first poll that is not ready; one too long for the clock is none. `poll_ready` is the inner
/// service's, and is not covered.
#[derive(Clone, Copy)]
pub struct TimeoutLayer<M = Http> {
    timeout: Duration,
    mode: PhantomData<M>,
}

impl TimeoutLayer {
    /// Around an HTTP service: each call, up to the end of its body, has this long.
    pub const fn new(timeout: Duration) -> Self {
        Self {
            timeout,
            mode: PhantomData,
        }
    }

    /// Around any other service: each call has this long, and then fails with `S::Error: From<Rejection>`.
    pub const fn typed(self) -> TimeoutLayer<Typed> {
        TimeoutLayer {
            timeout: self.timeout,
            mode: PhantomData,
        }
    }
}

impl<M> TimeoutLayer<M> {
    fn deadline(&self) -> Option<Instant> {
        // What has no end needs no clock.
        match self.timeout {
            Duration::MAX => None,
            timeout => Instant::now().checked_add(timeout),
        }
    }
}

impl<M> fmt::Debug for TimeoutLayer<M> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut debug = f.debug_struct("TimeoutLayer");
        match self.timeout {
            Duration::MAX => debug.field("timeout", &format_args!("none")),
            timeout => debug.field("timeout", &timeout),
        };
        debug.finish_non_exhaustive()
    }
}

impl<S, M: Copy> Layer<S> for TimeoutLayer<M> {
    type Service = Timeout<S, M>;

    fn layer(&self, inner: S) -> Timeout<S, M> {
        Timeout { inner, layer: *self }
    }
}

/// The service of [`TimeoutLayer`].
#[derive(Clone, Copy, Debug)]
pub struct Timeout<S, M = Http> {
    inner: S,
    layer: TimeoutLayer<M>,
}

impl<S, M> Timeout<S, M> {
    fn bounded<R>(&mut self, request: R) -> Bounded<S::Future>
    where
        S: Service<R>,
    {
        let frame = Frame::until(self.layer.deadline()).hold();
        let future = self.inner.call(request);
        Bounded::new(frame.release(), future)
    }
}

impl<S, B, ResBody> Service<Request<B>> for Timeout<S, Http>
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
    fn call(&mut self, request: Request<B>) -> Self::Future {
        let protocol = Protocol::of(&request);
        DeadlineFuture::running(self.bounded(request), protocol, By::Timeout)
    }
}

impl<S, R> Service<R> for Timeout<S, Typed>
where
    S: Service<R>,
    S::Error: From<Rejection>,
{
    type Response = S::Response;
    type Error = S::Error;
    type Future = TypedDeadlineFuture<S::Future>;

    #[inline]
    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(cx)
    }

    #[inline]
    fn call(&mut self, request: R) -> Self::Future {
        TypedDeadlineFuture::running(self.bounded(request), By::Timeout)
    }
}

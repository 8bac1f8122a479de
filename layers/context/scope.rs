//! Futures and services that run with a context in scope.

use std::{
    future::Future,
    pin::Pin,
    task::{Context as Poller, Poll},
};

use http::Request;
use pin_project::pin_project;
use tokio::time::Instant;
use tower_layer::Layer;
use tower_service::Service;

use super::{Context, Frame};

/// A future that is polled with a context in scope. Made by [`Context::scope`].
#[must_use = "a future does nothing until it is polled"]
#[pin_project]
#[derive(Debug)]
pub struct Scoped<F> {
    frame: Frame,
    #[pin]
    future: F,
}

impl<F> Scoped<F> {
    pub(crate) fn new(frame: Frame, future: F) -> Self {
        Self { frame, future }
    }

    pub(crate) fn deadline(&self) -> Option<Instant> {
        self.frame.deadline()
    }

    pub(crate) fn context(&self) -> Context {
        Context::from_frame(&self.frame)
    }
}

impl<F: Future> Future for Scoped<F> {
    type Output = F::Output;

    fn poll(self: Pin<&mut Self>, cx: &mut Poller<'_>) -> Poll<F::Output> {
        let this = self.project();
        this.frame.enter(|| this.future.poll(cx))
    }
}

/// Takes a context up again from the request's extensions, behind whatever lost it: tower's `Buffer`, a foreign spawn.
///
/// In front, a layer was asked to put it there: [`CancelLayer::in_extensions`](crate::CancelLayer::in_extensions) or
/// [`DeadlineLayer::in_extensions`](crate::DeadlineLayer::in_extensions). A request that carries none is passed on as it is.
///
/// ```
/// use buttress::{CancelLayer, context::ScopeLayer};
/// use tower::ServiceBuilder;
/// # fn build<S>(inner: S) where S: tower::Service<http::Request<String>, Response = http::Response<String>> + Send + 'static, S::Future: Send, S::Error: Into<tower::BoxError> + Send + Sync {
/// let service = ServiceBuilder::new()
///     .layer(CancelLayer::new().in_extensions())
///     .buffer(64)
///     .layer(ScopeLayer::new())
///     .service(inner);
/// # }
/// ```
#[derive(Clone, Copy, Debug, Default)]
pub struct ScopeLayer(());

impl ScopeLayer {
    /// The layer.
    pub const fn new() -> Self {
        Self(())
    }
}

impl<S> Layer<S> for ScopeLayer {
    type Service = ScopeService<S>;

    fn layer(&self, inner: S) -> ScopeService<S> {
        ScopeService { inner }
    }
}

/// The service of [`ScopeLayer`]. `poll_ready` is the inner service's.
#[derive(Clone, Copy, Debug)]
pub struct ScopeService<S> {
    inner: S,
}

impl<S, B> Service<Request<B>> for ScopeService<S>
where
    S: Service<Request<B>>,
{
    type Response = S::Response;
    type Error = S::Error;
    type Future = Scoped<S::Future>;

    fn poll_ready(&mut self, cx: &mut Poller<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        let frame = match Context::from_extensions(request.extensions()) {
            Some(context) => Frame::from(context),
            None => Frame::until(None),
        };
        let frame = frame.hold();
        let future = self.inner.call(request);
        Scoped::new(frame.release(), future)
    }
}

use std::{
    fmt,
    marker::PhantomData,
    task::{Context, Poll},
};

use bytes::Bytes;
use http::{Request, Response};
use http_body::Body;
use tower_service::Service;

use super::{FallbackBody, FallbackFuture, Source, TypedFallbackFuture, TypedSource, Usual, When, layer::Shared};
use crate::{
    body::BoxError,
    context::{Head, home::Homes},
    rejection::{Http, Protocol, Typed},
};

/// The service of [`FallbackLayer`](super::FallbackLayer). `poll_ready` is the inner service's.
pub struct Fallback<S, F, W = Usual, M = Http> {
    pub(super) inner: S,
    pub(super) homes: Homes<Shared<F, W>>,
    pub(super) mode: PhantomData<M>,
}

impl<S, F, W, B, ResBody> Service<Request<B>> for Fallback<S, F, W, Http>
where
    F: Source<B>,
    W: When,
    S: Service<Request<F::Sent>, Response = Response<ResBody>>,
    S::Error: 'static,
    ResBody: Body<Data = Bytes>,
    ResBody::Error: Into<BoxError>,
{
    type Response = Response<FallbackBody<ResBody, F::Body>>;
    type Error = S::Error;
    type Future = FallbackFuture<S, F, W, B>;

    #[inline]
    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(cx)
    }

    #[inline]
    fn call(&mut self, request: Request<B>) -> Self::Future {
        let shared = self.homes.here().clone();
        let head = Head::from(&request);
        let protocol = Protocol::of_head(head);
        let wanted = shared.only.as_ref().is_none_or(|only| only(head));
        let (request, kept) = shared.source.keep(request, wanted);
        FallbackFuture::new(shared, protocol, self.inner.call(request), kept)
    }
}

impl<S, F, W, R> Service<R> for Fallback<S, F, W, Typed>
where
    F: TypedSource<R, S::Response, S::Error>,
    W: When,
    S: Service<R>,
    S::Error: 'static,
{
    type Response = S::Response;
    type Error = S::Error;
    type Future = TypedFallbackFuture<S, F, W, R>;

    #[inline]
    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(cx)
    }

    #[inline]
    fn call(&mut self, request: R) -> Self::Future {
        let shared = self.homes.here().clone();
        let kept = shared.source.keep(&request);
        TypedFallbackFuture::new(shared, self.inner.call(request), kept)
    }
}

impl<S: Clone, F, W, M> Clone for Fallback<S, F, W, M> {
    fn clone(&self) -> Self {
        Self {
            inner: self.inner.clone(),
            homes: self.homes.clone(),
            mode: PhantomData,
        }
    }
}

impl<S: fmt::Debug, F, W, M> fmt::Debug for Fallback<S, F, W, M> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Fallback")
            .field("inner", &self.inner)
            .finish_non_exhaustive()
    }
}

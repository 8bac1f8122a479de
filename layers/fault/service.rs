use std::{
    fmt,
    marker::PhantomData,
    sync::Arc,
    task::{Context, Poll},
};

use bytes::Bytes;
use http::{Request, Response};
use http_body::Body;
use tower_service::Service;

use super::{
    Breaks, FaultBody, FaultFuture, InBody, TypedFaultFuture,
    call::{Call, Injection},
    layer::Shared,
};
use crate::{
    body::BoxError,
    context::Head,
    rejection::{Http, Protocol, Rejection, Typed},
};

/// The service of [`FaultLayer`](super::FaultLayer).
///
/// `poll_ready` is the inner service's. A request that is delayed keeps the service that was made ready for it, and a clone takes its
/// place; one that ends here leaves it as it is.
pub struct Fault<S, X = InBody, M = Http> {
    pub(super) inner: S,
    pub(super) shared: Arc<Shared<X>>,
    pub(super) mode: PhantomData<M>,
}

impl<S, X, B, ResBody> Service<Request<B>> for Fault<S, X, Http>
where
    S: Service<Request<B>, Response = Response<ResBody>> + Clone,
    X: Breaks<S::Error>,
    ResBody: Body<Data = Bytes>,
    ResBody::Error: Into<BoxError>,
{
    type Response = Response<FaultBody<ResBody>>;
    type Error = S::Error;
    type Future = FaultFuture<S, Request<B>, X>;

    #[inline]
    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(cx)
    }

    #[inline]
    fn call(&mut self, request: Request<B>) -> Self::Future {
        if self.shared.state.is_on() {
            return self.call_on(request);
        }
        FaultFuture::new(Call::Running(self.inner.call(request)), None)
    }
}

impl<S, X> Fault<S, X, Http> {
    /// Apart, or the request would be moved once more where faults are off.
    #[cold]
    fn call_on<B>(&mut self, request: Request<B>) -> FaultFuture<S, Request<B>, X>
    where
        S: Service<Request<B>> + Clone,
    {
        match self.injection(&request) {
            Some(injection) => {
                let call = Call::injected(&mut self.inner, &injection, request);
                FaultFuture::new(call, Some(injection))
            }
            None => FaultFuture::new(Call::Running(self.inner.call(request)), None),
        }
    }
}

impl<S, X, M> Fault<S, X, M> {
    fn injection<B>(&self, request: &Request<B>) -> Option<Box<Injection<X>>> {
        let head = Head::from(request);
        let plan = self.shared.plan(Some(head))?;
        Some(Box::new(Injection {
            shared: self.shared.clone(),
            plan,
            protocol: Protocol::of_head(head),
        }))
    }
}

impl<S, X, R> Service<R> for Fault<S, X, Typed>
where
    S: Service<R> + Clone,
    S::Error: From<Rejection>,
    X: Breaks<S::Error>,
{
    type Response = S::Response;
    type Error = S::Error;
    type Future = TypedFaultFuture<S, R, X>;

    #[inline]
    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(cx)
    }

    #[inline]
    fn call(&mut self, request: R) -> Self::Future {
        if self.shared.state.is_on() {
            return self.call_on(request);
        }
        TypedFaultFuture::new(Call::Running(self.inner.call(request)), None)
    }
}

impl<S, X> Fault<S, X, Typed> {
    #[cold]
    fn call_on<R>(&mut self, request: R) -> TypedFaultFuture<S, R, X>
    where
        S: Service<R> + Clone,
    {
        let Some(plan) = self.shared.plan(None) else {
            return TypedFaultFuture::new(Call::Running(self.inner.call(request)), None);
        };
        let injection = Box::new(Injection {
            shared: self.shared.clone(),
            plan,
            protocol: Protocol::Http,
        });
        let call = Call::injected(&mut self.inner, &injection, request);
        TypedFaultFuture::new(call, Some(injection))
    }
}

impl<S: Clone, X, M> Clone for Fault<S, X, M> {
    fn clone(&self) -> Self {
        Self {
            inner: self.inner.clone(),
            shared: self.shared.clone(),
            mode: PhantomData,
        }
    }
}

impl<S: fmt::Debug, X, M> fmt::Debug for Fault<S, X, M> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Fault")
            .field("inner", &self.inner)
            .field("enabled", &self.shared.state.is_on())
            .finish_non_exhaustive()
    }
}

use std::{
    fmt, mem,
    task::{Context, Poll},
};

use bytes::Bytes;
use http::{HeaderMap, Request, Response, request::Parts};
use http_body::Body;
use tower_service::Service;

use super::{
    Classify, RetryFuture, Rules,
    ending::{Ending, Paid},
    layer::Shared,
    marks,
};
use crate::{
    body::{
        BoxError, Tracked,
        replay::{Recording, TakesReplay},
    },
    context::{Frame, Head, Scope, clock, home::Homes},
    rejection::Protocol,
};

/// The service of [`RetryLayer`](super::RetryLayer).
///
/// `poll_ready` is the inner service's, and the service that it made ready has the first attempt. The inner service is called with a
/// body of [`Replay`](crate::body::replay::Replay), is cloned once for each request, and is asked again whether it is ready before each further attempt.
pub struct Retry<S, C = Rules> {
    pub(super) inner: S,
    pub(super) homes: Homes<Shared<C>>,
}

/// What another attempt is made of.
pub(crate) struct Again<S, B> {
    pub(crate) service: S,
    pub(crate) head: Parts,
    pub(crate) body: Recording<B>,
}

impl<S, C, B> Service<Request<B>> for Retry<S, C>
where
    S: TakesReplay<B> + Clone,
    C: Classify,
    B: Body<Data = Bytes>,
    B::Error: Into<BoxError>,
{
    type Response = Response<Tracked<S::ResBody, Ending>>;
    type Error = S::Error;
    type Future = RetryFuture<S, C, B>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(cx)
    }

    #[inline]
    fn call(&mut self, request: Request<B>) -> Self::Future {
        let shared = self.homes.here().clone();
        let settings = &shared.settings;
        shared.counts.request(shared.number);
        let protocol = Protocol::of(&request);
        let paid = Paid::first(settings.budgets.of(Some(Head::from(&request)), clock::now));

        if settings.bounds.attempts <= 1 || settings.only_first && is_retry(request.headers()) {
            let request = request.map(|body| Recording::none(body).0);
            let (scope, counted) = (Scope::begin(), paid.by.counted());
            let call = self.inner.call(request);
            drop(counted);
            return RetryFuture::new(shared, protocol, scope.release(), call, None, paid);
        }
        // The service that was made ready goes first, and stays for the others.
        let mut service = self.inner.clone();
        mem::swap(&mut service, &mut self.inner);
        let (head, body) = request.into_parts();
        let (body, record) = Recording::begin(body, settings.body_limit);
        let (scope, counted) = (Scope::begin(), paid.by.counted());
        let call = service.call(Request::from_parts(head.clone(), body));
        drop(counted);
        let scope = scope.release();
        let again = Again {
            service,
            head,
            body: record,
        };
        RetryFuture::new(shared, protocol, scope, call, Some(again), paid)
    }
}

fn is_retry(headers: &HeaderMap) -> bool {
    marks::is_retry(headers) || Frame::facts().attempt > 1
}

impl<S: Clone, C> Clone for Retry<S, C> {
    fn clone(&self) -> Self {
        Self {
            inner: self.inner.clone(),
            homes: self.homes.clone(),
        }
    }
}

impl<S: fmt::Debug, C> fmt::Debug for Retry<S, C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Retry")
            .field("inner", &self.inner)
            .finish_non_exhaustive()
    }
}

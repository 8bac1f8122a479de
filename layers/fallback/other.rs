//! The same request, asked of another service.

use std::{
    fmt,
    future::Future,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
    time::Duration,
};

use bytes::Bytes;
use http::{Request, Response, request::Parts};
use http_body::Body;
use pin_project::pin_project;
use tokio::time::{Sleep, sleep, sleep_until};
use tower_service::Service;

use super::{
    Failed,
    source::{Source, TypedSource},
};
use crate::{
    body::{
        BoxError,
        replay::{Recording, Replay},
    },
    context::{Frame, Head},
};

/// How long a service is waited for that is not ready, where there is no deadline to keep.
const PATIENCE: Duration = Duration::from_secs(1);

type IsIdempotent = dyn for<'a> Fn(Head<'a>) -> bool + Send + Sync;

/// Another service, which gets the request again. Made by [`FallbackLayer::service`](super::FallbackLayer::service).
#[derive(Clone)]
pub struct Other<S> {
    pub(super) service: S,
    /// Bytes of a body that are kept.
    pub(super) body_limit: usize,
    pub(super) idempotent: Option<Arc<IsIdempotent>>,
}

/// A request that can be asked again, if its body can.
#[derive(Debug)]
pub struct Again<B> {
    head: Parts,
    body: Recording<B>,
}

impl<S, B, ResBody> Source<B> for Other<S>
where
    S: Service<Request<Replay<B>>, Response = Response<ResBody>> + Clone,
    B: Body<Data = Bytes>,
    B::Error: Into<BoxError>,
    ResBody: Body<Data = Bytes>,
    ResBody::Error: Into<BoxError>,
{
    type Sent = Replay<B>;
    type Kept = Again<B>;
    type Body = ResBody;
    type Answering = OtherFuture<S, Request<Replay<B>>>;

    fn keep(&self, request: Request<B>, wanted: bool) -> (Request<Replay<B>>, Option<Again<B>>) {
        if !wanted {
            return (request.map(|body| Recording::none(body).0), None);
        }
        let (head, body) = request.into_parts();
        let (body, record) = Recording::begin(body, self.body_limit);
        let kept = Again {
            head: head.clone(),
            body: record,
        };
        (Request::from_parts(head, body), Some(kept))
    }

    fn poll_kept(&self, kept: &Again<B>, cx: &mut Context<'_>) -> Poll<()> {
        kept.body.poll_back(cx)
    }

    fn answer(&self, failed: &Failed<'_>, kept: Again<B>) -> Option<Self::Answering> {
        let Again { head, body } = kept;
        let may = failed.was_never_executed()
            || head.method.is_idempotent()
            || head.headers.contains_key("idempotency-key")
            || self.idempotent.as_ref().is_some_and(|says| says(Head::from(&head)));
        if !may {
            return None;
        }
        let request = Request::from_parts(head, body.again().ok()?);
        Some(OtherFuture::new(self.service.clone(), request))
    }
}

impl<S, R, T, E> TypedSource<R, T, E> for Other<S>
where
    S: Service<R, Response = T> + Clone,
    R: Clone,
{
    type Kept = R;
    type Answering = OtherFuture<S, R>;

    fn keep(&self, request: &R) -> R {
        request.clone()
    }

    fn answer(&self, _: &E, kept: R) -> Self::Answering {
        OtherFuture::new(self.service.clone(), kept)
    }
}

/// A call of the other service, once that is ready.
#[pin_project]
pub struct OtherFuture<S: Service<R>, R> {
    service: S,
    request: Option<R>,
    /// Armed where it is not ready at once.
    patience: Option<Pin<Box<Sleep>>>,
    #[pin]
    call: Option<S::Future>,
}

impl<S: Service<R>, R> OtherFuture<S, R> {
    fn new(service: S, request: R) -> Self {
        Self {
            service,
            request: Some(request),
            patience: None,
            call: None,
        }
    }
}

impl<S: Service<R>, R> Future for OtherFuture<S, R> {
    type Output = Option<S::Response>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let mut this = self.project();
        if this.request.is_some() {
            match this.service.poll_ready(cx) {
                Poll::Ready(Ok(())) => *this.patience = None,
                Poll::Ready(Err(_)) => return Poll::Ready(None),
                Poll::Pending => {
                    let patience = this.patience.get_or_insert_with(|| {
                        let deadline = Frame::facts().deadline;
                        Box::pin(deadline.map_or_else(|| sleep(PATIENCE), sleep_until))
                    });
                    ready!(patience.as_mut().poll(cx));
                    return Poll::Ready(None);
                }
            }
            if let Some(request) = this.request.take() {
                let call = this.service.call(request);
                this.call.set(Some(call));
            }
        }
        match this.call.as_pin_mut() {
            Some(call) => call.poll(cx).map(Result::ok),
            None => Poll::Ready(None),
        }
    }
}

impl<S: fmt::Debug> fmt::Debug for Other<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Other")
            .field("service", &self.service)
            .field("body_limit", &self.body_limit)
            .finish_non_exhaustive()
    }
}

impl<S: Service<R>, R> fmt::Debug for OtherFuture<S, R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("OtherFuture")
            .field("called", &self.call.is_some())
            .finish_non_exhaustive()
    }
}

//! What stands below the layers: a transport that takes whatever body they send.

use std::{
    convert::Infallible,
    hint::black_box,
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    task::{Context, Poll},
};

use bytes::Bytes;
use http::{Request, Response, StatusCode, Uri};
use http_body_util::Full;
use tower::Service;

/// Answers with an empty body: no closure, no box, a future with a name.
///
/// Never inlined, as in [`Handler`](super::support::Handler), and for the same reason.
#[derive(Clone, Debug, Default)]
pub(super) struct Transport {
    pending: bool,
    work: u32,
    /// Whether the next request fails.
    fails: Option<Arc<AtomicBool>>,
}

impl Transport {
    /// Answers 200 at once.
    pub(super) fn immediate() -> Self {
        Self::default()
    }

    /// Is pending once: a layer that has a timer arms it.
    pub(super) fn pending_once(mut self) -> Self {
        self.pending = true;
        self
    }

    /// Works for so many turns of a loop, which no other thread disturbs.
    pub(super) fn works(mut self, turns: u32) -> Self {
        self.work = turns;
        self
    }

    /// Answers every other request with 503. All clones take turns.
    pub(super) fn fails_first(mut self) -> Self {
        self.fails = Some(Arc::new(AtomicBool::new(true)));
        self
    }
}

impl<B> Service<Request<B>> for Transport {
    type Response = Response<Full<Bytes>>;
    type Error = Infallible;
    type Future = TransportFuture;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    #[inline(never)]
    fn call(&mut self, request: Request<B>) -> TransportFuture {
        drop(black_box(request));
        let fails = match &self.fails {
            Some(next) => next.fetch_not(Ordering::Relaxed),
            None => false,
        };
        TransportFuture {
            pending: self.pending,
            work: self.work,
            fails,
        }
    }
}

/// The response future of [`Transport`].
#[derive(Debug)]
pub(super) struct TransportFuture {
    pending: bool,
    work: u32,
    fails: bool,
}

impl Future for TransportFuture {
    type Output = Result<Response<Full<Bytes>>, Infallible>;

    #[inline(never)]
    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        if self.pending {
            self.pending = false;
            cx.waker().wake_by_ref();
            return Poll::Pending;
        }
        for turn in 0..self.work {
            black_box(turn);
        }
        let mut response = Response::new(Full::default());
        if self.fails {
            *response.status_mut() = StatusCode::SERVICE_UNAVAILABLE;
        }
        Poll::Ready(Ok(response))
    }
}

/// What calls a client: it says where requests go.
#[derive(Clone, Debug)]
pub(super) struct Addressed<S>(pub(super) S, pub(super) Uri);

impl<S: Service<Request<B>>, B> Service<Request<B>> for Addressed<S> {
    type Response = S::Response;
    type Error = S::Error;
    type Future = S::Future;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.0.poll_ready(cx)
    }

    fn call(&mut self, mut request: Request<B>) -> S::Future {
        *request.uri_mut() = self.1.clone();
        self.0.call(request)
    }
}

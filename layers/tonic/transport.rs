use std::{
    future::Future,
    pin::Pin,
    task::{Context as Poller, Poll, ready},
};

use bytes::Bytes;
use http::{Request, Response};
use http_body::Body;
use pin_project::pin_project;
use tonic::TimeoutExpired;
use tower_layer::Layer;
use tower_service::Service;

use crate::{
    body::{BoxError, Reply},
    context::Context,
    outcome::as_error,
    rejection::{Protocol, Reason, Rejection},
    telemetry,
};

/// Between the layers and a tonic channel. See the [module](super).
#[derive(Clone, Copy, Debug, Default)]
pub struct TransportLayer {
    in_extensions: bool,
}

/// The service of [`TransportLayer`]: takes requests with any body. `poll_ready` is the channel's.
#[derive(Clone, Copy, Debug)]
pub struct Transport<S> {
    inner: S,
    layer: TransportLayer,
}

/// The response future of [`Transport`].
#[pin_project]
#[derive(Debug)]
pub struct TransportFuture<F> {
    #[pin]
    inner: F,
    protocol: Protocol,
}

// === impl TransportLayer ===

impl TransportLayer {
    /// To be put around a channel, or around what is around it and takes tonic's body: an intercepted one.
    pub const fn new() -> Self {
        Self { in_extensions: false }
    }

    /// Puts the [`Context`] of the attempt into the request's extensions, for a [`ScopeLayer`](crate::context::ScopeLayer) behind a buffer of your
    /// own. It costs an insertion and the making of the cancellation. tonic's channel has no place for a layer.
    #[must_use]
    pub const fn in_extensions(mut self) -> Self {
        self.in_extensions = true;
        self
    }
}

impl<S> Layer<S> for TransportLayer {
    type Service = Transport<S>;

    fn layer(&self, inner: S) -> Transport<S> {
        Transport { inner, layer: *self }
    }
}

// === impl Transport ===

impl<S, B, ResBody> Service<Request<B>> for Transport<S>
where
    S: Service<Request<tonic::body::Body>, Response = Response<ResBody>>,
    S::Error: 'static,
    B: Body<Data = Bytes> + Send + 'static,
    B::Error: Into<BoxError>,
    ResBody: Body<Data = Bytes>,
    ResBody::Error: Into<BoxError>,
{
    type Response = Response<Reply<ResBody>>;
    type Error = S::Error;
    type Future = TransportFuture<S::Future>;

    fn poll_ready(&mut self, cx: &mut Poller<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        let protocol = Protocol::of(&request);
        let mut request = request.map(tonic::body::Body::new);
        if self.layer.in_extensions {
            request.extensions_mut().insert(Context::current());
        }
        TransportFuture {
            inner: self.inner.call(request),
            protocol,
        }
    }
}

impl<F, E, ResBody> Future for TransportFuture<F>
where
    F: Future<Output = Result<Response<ResBody>, E>>,
    E: 'static,
{
    type Output = Result<Response<Reply<ResBody>>, E>;

    fn poll(self: Pin<&mut Self>, cx: &mut Poller<'_>) -> Poll<Self::Output> {
        let this = self.project();
        Poll::Ready(match ready!(this.inner.poll(cx)) {
            Ok(response) => Ok(response.map(Reply::inner)),
            Err(error) if is_late(&error) => {
                let late = Rejection::new(Reason::DeadlineExceeded, "transport").executed();
                telemetry::rejected(&late);
                Ok(late.into_answer(this.protocol).map(Reply::ours))
            }
            Err(error) => Err(error),
        })
    }
}

/// Whether the channel gave up at the call's timeout, or at its own.
fn is_late<E: 'static>(error: &E) -> bool {
    let mut cause = as_error(error);
    while let Some(error) = cause {
        if error.is::<TimeoutExpired>() {
            return true;
        }
        cause = error.source();
    }
    false
}

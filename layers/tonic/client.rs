use std::{
    future::Future,
    pin::Pin,
    task::{Context, Poll, ready},
};

use bytes::Bytes;
use http::{Request, Response};
use http_body::Body;
use pin_project::pin_project;
use tonic::Status;
use tower_layer::Layer;
use tower_service::Service;

use crate::{body::BoxError, rejection::ResponseExt};

/// Makes a stack of layers what a generated client takes in all its forms. See the [module](super#clients).
#[derive(Clone, Copy, Debug, Default)]
#[non_exhaustive]
pub struct ClientLayer;

/// The service of [`ClientLayer`]: its error is a `Status`, its bodies are tonic's. `poll_ready` is the inner service's.
#[derive(Clone, Copy, Debug)]
pub struct Client<S> {
    inner: S,
}

/// The response future of [`Client`].
#[pin_project]
#[derive(Debug)]
pub struct ClientFuture<F>(#[pin] F);

impl ClientLayer {
    /// To be put around the outermost of the other layers.
    pub const fn new() -> Self {
        Self
    }
}

impl<S> Layer<S> for ClientLayer {
    type Service = Client<S>;

    fn layer(&self, inner: S) -> Client<S> {
        Client { inner }
    }
}

impl<S, B, ResBody> Service<Request<B>> for Client<S>
where
    S: Service<Request<B>, Response = Response<ResBody>>,
    S::Error: Into<BoxError>,
    ResBody: Body<Data = Bytes> + Send + 'static,
    ResBody::Error: Into<BoxError>,
{
    type Response = Response<tonic::body::Body>;
    type Error = Status;
    type Future = ClientFuture<S::Future>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Status>> {
        self.inner.poll_ready(cx).map_err(status)
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        ClientFuture(self.inner.call(request))
    }
}

impl<F, E, ResBody> Future for ClientFuture<F>
where
    F: Future<Output = Result<Response<ResBody>, E>>,
    E: Into<BoxError>,
    ResBody: Body<Data = Bytes> + Send + 'static,
    ResBody::Error: Into<BoxError>,
{
    type Output = Result<Response<tonic::body::Body>, Status>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let mut answer = ready!(self.project().0.poll(cx)).map_err(status)?;
        // An interceptor's, which has a source, as one that is read from headers has not.
        if let Some(status) = answer.extensions_mut().remove::<Status>() {
            return Poll::Ready(Err(status));
        }
        Poll::Ready(Ok(answer.error_for_rejection()?.map(tonic::body::Body::new)))
    }
}

fn status(error: impl Into<BoxError>) -> Status {
    Status::from_error(error.into())
}

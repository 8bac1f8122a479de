use std::{
    future::Future,
    pin::Pin,
    task::{Context, Poll, ready},
};

use bytes::Bytes;
use http::{Request, Response};
use http_body::Body;
use pin_project::pin_project;
use tower_layer::Layer;
use tower_service::Service;

use super::{body::wrap, located};
use crate::body::BoxError;

/// Between the layers and a reqwest client. See the [module](super).
#[derive(Clone, Copy, Debug, Default)]
#[non_exhaustive]
pub struct TransportLayer;

/// The service of [`TransportLayer`]: requests and responses are of the crate `http`. `poll_ready` is the client's.
#[derive(Clone, Copy, Debug)]
pub struct Transport<S> {
    inner: S,
}

/// The response future of [`Transport`].
#[pin_project]
#[derive(Debug)]
pub struct TransportFuture<F, E>(#[pin] State<F, E>);

#[pin_project(project = StateProj)]
#[derive(Debug)]
enum State<F, E> {
    Calling(#[pin] F),
    /// It could not be translated. Nothing once that is said.
    Failed(Option<E>),
}

impl TransportLayer {
    /// To be put around a `reqwest::Client`, or around what is around it and has its types.
    pub const fn new() -> Self {
        Self
    }
}

impl<S> Layer<S> for TransportLayer {
    type Service = Transport<S>;

    fn layer(&self, inner: S) -> Transport<S> {
        Transport { inner }
    }
}

impl<S, B> Service<Request<B>> for Transport<S>
where
    S: Service<reqwest::Request, Response = reqwest::Response>,
    S::Error: From<reqwest::Error>,
    B: Body<Data = Bytes> + Send + 'static,
    B::Error: Into<BoxError>,
{
    type Response = Response<reqwest::Body>;
    type Error = S::Error;
    type Future = TransportFuture<S::Future, S::Error>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        TransportFuture(match reqwest::Request::try_from(request.map(wrap)) {
            Ok(request) => State::Calling(self.inner.call(request)),
            Err(error) => State::Failed(Some(error.into())),
        })
    }
}

impl<F, E> Future for TransportFuture<F, E>
where
    F: Future<Output = Result<reqwest::Response, E>>,
{
    type Output = Result<Response<reqwest::Body>, E>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        match self.project().0.project() {
            StateProj::Calling(call) => {
                let response = ready!(call.poll(cx))?;
                let url = located(response.url().clone());
                let mut response = Response::from(response);
                response.extensions_mut().extend(url);
                Poll::Ready(Ok(response))
            }
            StateProj::Failed(error) => match error.take() {
                Some(error) => Poll::Ready(Err(error)),
                None => Poll::Pending,
            },
        }
    }
}

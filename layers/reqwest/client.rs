use std::{
    future::{Future, poll_fn},
    mem,
    pin::Pin,
    task::{Context, Poll, ready},
};

use bytes::Bytes;
use http::{Extensions, Request, Response};
use http_body::Body;
use pin_project::pin_project;
use tower_layer::Layer;
use tower_service::Service;

use super::{body::wrap, located};
use crate::body::BoxError;

/// Makes a stack of layers take reqwest's requests, and give its responses. See the [module](super).
#[derive(Clone, Copy, Debug, Default)]
#[non_exhaustive]
pub struct ClientLayer;

/// The service of [`ClientLayer`]. `poll_ready` is the inner service's.
#[derive(Clone, Copy, Debug)]
pub struct Client<S> {
    inner: S,
}

/// The response future of [`Client`].
#[pin_project]
#[derive(Debug)]
pub struct ClientFuture<F, E>(#[pin] State<F, E>);

#[pin_project(project = StateProj)]
#[derive(Debug)]
enum State<F, E> {
    Calling {
        #[pin]
        call: F,
        /// Where the request was sent: that is where the answer is from, unless it says otherwise.
        asked: Extensions,
    },
    /// It could not be translated. Nothing once that is said.
    Failed(Option<E>),
}

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

impl<S> Client<S> {
    /// Sends a request, as [`reqwest::Client::execute`] does, through the layers. A clone of the stack waits until it is ready, and is
    /// called once.
    ///
    /// # Errors
    ///
    /// Those of the stack, and that the request's URL is none that HTTP knows. An answer with an error's status is an answer.
    pub async fn send<ResBody>(&self, request: reqwest::Request) -> Result<reqwest::Response, S::Error>
    where
        S: Service<Request<reqwest::Body>, Response = Response<ResBody>> + Clone,
        S::Error: From<reqwest::Error>,
        ResBody: Body<Data = Bytes> + Send + 'static,
        ResBody::Error: Into<BoxError>,
    {
        let mut client = self.clone();
        poll_fn(|cx| client.poll_ready(cx)).await?;
        client.call(request).await
    }
}

impl<S, ResBody> Service<reqwest::Request> for Client<S>
where
    S: Service<Request<reqwest::Body>, Response = Response<ResBody>>,
    S::Error: From<reqwest::Error>,
    ResBody: Body<Data = Bytes> + Send + 'static,
    ResBody::Error: Into<BoxError>,
{
    type Response = reqwest::Response;
    type Error = S::Error;
    type Future = ClientFuture<S::Future, S::Error>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, request: reqwest::Request) -> Self::Future {
        let asked = located(request.url().clone());
        ClientFuture(match Request::try_from(request) {
            Ok(request) => State::Calling {
                call: self.inner.call(request),
                asked,
            },
            Err(error) => State::Failed(Some(error.into())),
        })
    }
}

impl<F, E, ResBody> Future for ClientFuture<F, E>
where
    F: Future<Output = Result<Response<ResBody>, E>>,
    ResBody: Body<Data = Bytes> + Send + 'static,
    ResBody::Error: Into<BoxError>,
{
    type Output = Result<reqwest::Response, E>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        match self.project().0.project() {
            StateProj::Calling { call, asked } => {
                let mut response = ready!(call.poll(cx))?.map(wrap);
                let extensions = response.extensions_mut();
                asked.extend(mem::take(extensions));
                *extensions = mem::take(asked);
                Poll::Ready(Ok(response.into()))
            }
            StateProj::Failed(error) => match error.take() {
                Some(error) => Poll::Ready(Err(error)),
                None => Poll::Pending,
            },
        }
    }
}

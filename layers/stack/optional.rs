use std::{
    future::Future,
    pin::Pin,
    task::{Context, Poll},
};

use bytes::Bytes;
use http::{Request, Response};
use http_body::{Body, Frame, SizeHint};
use pin_project::pin_project;
use tower_layer::Layer;
use tower_service::Service;

use crate::body::BoxError;

/// A layer that is there or not, as configuration has it.
///
/// tower's `option_layer` wants both sides to agree in their response and their error. A layer that follows the body changes
/// the response, so it cannot go in there; it can go in here, because the errors of ours agree and the bodies are reconciled:
///
/// ```
/// use axum::Router;
/// use buttress::{DeadlineLayer, optional};
/// use std::time::Duration;
///
/// fn app(deadline: Option<Duration>) -> Router {
///     Router::new().layer(optional(deadline.map(DeadlineLayer::new)))
/// }
/// # app(None);
/// ```
///
/// Its service has both sides in its type, so each one within another doubles what the compiler has to look at: two or three are nothing,
/// six take minutes. The stacks of [`server`](super::server) and [`client`](super::client) leave out any of their layers for nothing.
pub const fn optional<L>(layer: Option<L>) -> OptionalLayer<L> {
    OptionalLayer(layer)
}

/// The layer of [`optional`].
#[derive(Clone, Copy, Debug, Default)]
pub struct OptionalLayer<L>(Option<L>);

impl<S, L> Layer<S> for OptionalLayer<L>
where
    L: Layer<S>,
{
    type Service = Optional<L::Service, S>;

    fn layer(&self, inner: S) -> Self::Service {
        match &self.0 {
            Some(layer) => Optional::Some(layer.layer(inner)),
            None => Optional::None(inner),
        }
    }
}

/// The service of [`optional`]: with the layer, or without.
#[derive(Clone, Copy, Debug)]
pub enum Optional<A, S> {
    /// With it.
    Some(A),
    /// Without it.
    None(S),
}

impl<A, S, B, ABody, SBody> Service<Request<B>> for Optional<A, S>
where
    A: Service<Request<B>, Response = Response<ABody>, Error = S::Error>,
    S: Service<Request<B>, Response = Response<SBody>>,
    ABody: Body<Data = Bytes>,
    ABody::Error: Into<BoxError>,
    SBody: Body<Data = Bytes>,
    SBody::Error: Into<BoxError>,
{
    type Response = Response<OptionalBody<ABody, SBody>>;
    type Error = S::Error;
    type Future = OptionalFuture<A::Future, S::Future>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        match self {
            Self::Some(service) => service.poll_ready(cx),
            Self::None(service) => service.poll_ready(cx),
        }
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        match self {
            Self::Some(service) => OptionalFuture(Either::Some(service.call(request))),
            Self::None(service) => OptionalFuture(Either::None(service.call(request))),
        }
    }
}

#[pin_project(project = EitherProj)]
#[derive(Debug)]
enum Either<A, B> {
    Some(#[pin] A),
    None(#[pin] B),
}

/// The response future of [`Optional`].
#[pin_project]
#[derive(Debug)]
pub struct OptionalFuture<A, S>(#[pin] Either<A, S>);

impl<A, S, ABody, SBody, E> Future for OptionalFuture<A, S>
where
    A: Future<Output = Result<Response<ABody>, E>>,
    S: Future<Output = Result<Response<SBody>, E>>,
{
    type Output = Result<Response<OptionalBody<ABody, SBody>>, E>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        match self.project().0.project() {
            EitherProj::Some(future) => future
                .poll(cx)
                .map_ok(|response| response.map(|body| OptionalBody(Either::Some(body)))),
            EitherProj::None(future) => future
                .poll(cx)
                .map_ok(|response| response.map(|body| OptionalBody(Either::None(body)))),
        }
    }
}

/// The response body of [`Optional`].
#[pin_project]
#[derive(Debug)]
pub struct OptionalBody<A, S>(#[pin] Either<A, S>);

/// As the inner service's is, as middleware makes one that answers by itself.
impl<A, S: Default> Default for OptionalBody<A, S> {
    fn default() -> Self {
        Self(Either::None(S::default()))
    }
}

impl<A, S> Body for OptionalBody<A, S>
where
    A: Body<Data = Bytes>,
    A::Error: Into<BoxError>,
    S: Body<Data = Bytes>,
    S::Error: Into<BoxError>,
{
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        match self.project().0.project() {
            EitherProj::Some(body) => body.poll_frame(cx).map_err(Into::into),
            EitherProj::None(body) => body.poll_frame(cx).map_err(Into::into),
        }
    }

    fn is_end_stream(&self) -> bool {
        match &self.0 {
            Either::Some(body) => body.is_end_stream(),
            Either::None(body) => body.is_end_stream(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match &self.0 {
            Either::Some(body) => body.size_hint(),
            Either::None(body) => body.size_hint(),
        }
    }
}

//! How rejections look in plain HTTP, chosen once for all layers below.

use std::{
    fmt,
    future::Future,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
};

use bytes::Bytes;
use http::{
    HeaderName, HeaderValue, Request, Response,
    header::{CONTENT_LENGTH, CONTENT_TYPE},
};
use http_body::Body;
use pin_project::pin_project;
use tower_layer::Layer;
use tower_service::Service;

use super::{Protocol, Rejection, render::without_body};
use crate::body::{BoxError, Reply};

const REJECTED_BY: HeaderName = HeaderName::from_static("x-rejected-by");

type Renderer = dyn Fn(&Rejection, &mut Response<Bytes>) + Send + Sync;

/// How a rejection is rendered in plain HTTP.
#[derive(Clone, Default)]
#[non_exhaustive]
pub enum Render {
    /// A line of text. The default.
    #[default]
    Text,
    /// Problem details, RFC 9457.
    Problem,
    /// As a function makes it of the default answer.
    With(Arc<Renderer>),
}

/// Renders the rejections of all layers below it in one's own way. The outermost layer but for observation.
///
/// ```
/// use buttress::rejection::{Render, RenderLayer};
///
/// let problems = RenderLayer::new(Render::Problem);
/// let branded = RenderLayer::with(|rejection, response| {
///     *response.body_mut() = format!("Sorry: {}.", rejection.message()).into();
/// })
/// .rejected_by(http::HeaderValue::from_static("edge-1"));
/// ```
///
/// It touches the answers that carry a [`Rejection`], and of those only the ones in plain HTTP: the other protocols leave no
/// choice. One that was made in plain HTTP for a request of another protocol, by a handler that did not know, is made anew in that.
/// `poll_ready` is the inner service's.
#[derive(Clone, Default)]
pub struct RenderLayer {
    is_off: bool,
    render: Render,
    rejected_by: Option<HeaderValue>,
}

impl RenderLayer {
    /// Renders in that way.
    pub fn new(render: Render) -> Self {
        Self {
            is_off: false,
            render,
            rejected_by: None,
        }
    }

    /// One that leaves answers as they are.
    pub(crate) fn off() -> Self {
        Self {
            is_off: true,
            ..Self::default()
        }
    }

    /// Renders with a function, which finds the default answer and changes what it likes.
    pub fn with(renderer: impl Fn(&Rejection, &mut Response<Bytes>) + Send + Sync + 'static) -> Self {
        Self::new(Render::With(Arc::new(renderer)))
    }

    /// Names this service in `x-rejected-by`, so that people see which tier said no. Off by default: it tells strangers too.
    #[must_use]
    pub fn rejected_by(mut self, name: HeaderValue) -> Self {
        self.rejected_by = Some(name);
        self
    }
}

impl<S> Layer<S> for RenderLayer {
    type Service = RenderService<S>;

    fn layer(&self, inner: S) -> RenderService<S> {
        RenderService {
            inner,
            layer: self.clone(),
        }
    }
}

/// The service of [`RenderLayer`].
#[derive(Clone, Debug)]
pub struct RenderService<S> {
    inner: S,
    layer: RenderLayer,
}

impl<S, B, ResBody> Service<Request<B>> for RenderService<S>
where
    S: Service<Request<B>, Response = Response<ResBody>>,
    ResBody: Body<Data = Bytes>,
    ResBody::Error: Into<BoxError>,
{
    type Response = Response<Reply<ResBody>>;
    type Error = S::Error;
    type Future = RenderFuture<S::Future>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        let renders = (!self.layer.is_off).then(|| (self.layer.clone(), Protocol::of(&request)));
        RenderFuture {
            inner: self.inner.call(request),
            renders,
        }
    }
}

/// The response future of [`RenderService`].
#[pin_project]
#[derive(Debug)]
pub struct RenderFuture<F> {
    #[pin]
    inner: F,
    /// How, and for whom. `None`: as it is.
    renders: Option<(RenderLayer, Protocol)>,
}

impl<F, ResBody, E> Future for RenderFuture<F>
where
    F: Future<Output = Result<Response<ResBody>, E>>,
{
    type Output = Result<Response<Reply<ResBody>>, E>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.project();
        let response = ready!(this.inner.poll(cx))?;
        let rejection = response.extensions().get::<Rejection>();
        Poll::Ready(Ok(match this.renders.as_ref().zip(rejection.cloned()) {
            Some(((layer, protocol), rejection)) => layer.render(&rejection, protocol, response),
            None => response.map(Reply::inner),
        }))
    }
}

impl RenderLayer {
    fn render<B>(&self, rejection: &Rejection, protocol: &Protocol, response: Response<B>) -> Response<Reply<B>> {
        let (mut head, inner) = response.into_parts();
        if let Some(name) = &self.rejected_by {
            head.headers.insert(REJECTED_BY, name.clone());
        }
        let ours = |text: &str| Bytes::copy_from_slice(text.as_bytes());
        let response = match (protocol, &self.render) {
            (Protocol::Http | Protocol::HttpHead, Render::Problem) => {
                let problem = HeaderValue::from_static("application/problem+json");
                head.headers.insert(CONTENT_TYPE, problem);
                head.headers.remove(CONTENT_LENGTH);
                Response::from_parts(head, ours(&rejection.problem()))
            }
            (Protocol::Http | Protocol::HttpHead, Render::With(renderer)) => {
                head.headers.remove(CONTENT_LENGTH);
                let mut response = Response::from_parts(head, ours(rejection.message()));
                renderer(rejection, &mut response);
                response
            }
            (protocol, _) if !protocol.is_of(&head.headers) => {
                let (made, body) = rejection.clone().into_answer(protocol).into_parts();
                head.status = made.status;
                head.headers.remove(CONTENT_LENGTH);
                head.headers.extend(made.headers);
                Response::from_parts(head, body)
            }
            _ => return Response::from_parts(head, Reply::inner(inner)),
        };
        match protocol {
            Protocol::HttpHead => without_body(response).map(Reply::ours),
            _ => response.map(Reply::ours),
        }
    }
}

impl fmt::Debug for RenderLayer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RenderLayer")
            .field("render", &self.render)
            .field("rejected_by", &self.rejected_by)
            .finish_non_exhaustive()
    }
}

impl fmt::Debug for Render {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Text => "Text",
            Self::Problem => "Problem",
            Self::With(_) => "With(..)",
        })
    }
}

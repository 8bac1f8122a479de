use std::task::{Context, Poll};

use http::{HeaderMap, HeaderName, HeaderValue, Request};
use tower_layer::Layer;
use tower_service::Service;

use super::{HEADER, layer::is_in};
use crate::context::{Criticality, Frame};

/// Writes the context's criticality on a client's requests, for a [`CriticalityLayer`](crate::CriticalityLayer) in the
/// next tier that [trusts](crate::CriticalityLayer::trust) this one.
///
/// ```
/// # #[tokio::main(flavor = "current_thread")] async fn main() {
/// use buttress::{Context, Criticality, PropagateCriticalityLayer};
/// use http::{Request, Response};
/// use std::convert::Infallible;
/// use tower::{ServiceBuilder, ServiceExt};
///
/// let client = ServiceBuilder::new()
///     .layer(PropagateCriticalityLayer::new())
///     .service_fn(|request: Request<String>| async move {
///         assert_eq!(request.headers()["x-criticality"], "sheddable");
///         Ok::<_, Infallible>(Response::new(String::new()))
///     });
///
/// let context = Context::current().with_criticality(Criticality::Sheddable);
/// context.scope(client.oneshot(Request::new(String::new()))).await.unwrap();
/// # }
/// ```
///
/// The [default](Criticality::Critical) is not written, so that the next tier can have a word of its own about what
/// nobody marked. A header that is there already is replaced, or taken away: a proxy that passes on what it got would
/// lend a stranger's word its own name.
///
/// The response, the error and `poll_ready` are the inner service's. The layer has no state.
#[derive(Clone, Debug)]
pub struct PropagateCriticalityLayer {
    /// `None`: nothing is written.
    header: Option<HeaderName>,
}

impl PropagateCriticalityLayer {
    /// Writes `x-criticality`.
    pub fn new() -> Self {
        Self { header: Some(HEADER) }
    }

    /// One that writes nothing.
    pub(crate) const fn off() -> Self {
        Self { header: None }
    }

    /// Writes this header.
    #[must_use]
    pub fn header(mut self, name: HeaderName) -> Self {
        self.header = Some(name);
        self
    }
}

impl Default for PropagateCriticalityLayer {
    fn default() -> Self {
        Self::new()
    }
}

impl<S> Layer<S> for PropagateCriticalityLayer {
    type Service = PropagateCriticality<S>;

    fn layer(&self, inner: S) -> PropagateCriticality<S> {
        PropagateCriticality {
            inner,
            header: self.header.clone(),
        }
    }
}

/// The service of [`PropagateCriticalityLayer`].
#[derive(Clone, Debug)]
pub struct PropagateCriticality<S> {
    inner: S,
    header: Option<HeaderName>,
}

impl<S> PropagateCriticality<S> {
    #[inline]
    fn write(&self, headers: &mut HeaderMap) {
        let Some(header) = &self.header else { return };
        let criticality = Frame::facts().criticality;
        if criticality != Criticality::default() {
            headers.insert(header.clone(), HeaderValue::from_static(criticality.as_str()));
        } else if is_in(headers, header) {
            headers.remove(header);
        }
    }
}

impl<S, B> Service<Request<B>> for PropagateCriticality<S>
where
    S: Service<Request<B>>,
{
    type Response = S::Response;
    type Error = S::Error;
    type Future = S::Future;

    #[inline]
    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(cx)
    }

    #[inline]
    fn call(&mut self, mut request: Request<B>) -> Self::Future {
        self.write(request.headers_mut());
        self.inner.call(request)
    }
}

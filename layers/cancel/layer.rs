use std::{
    fmt,
    future::Future,
    marker::PhantomData,
    mem,
    pin::Pin,
    task::{Context, Poll, ready},
};

use bytes::Bytes;
use http::{Method, Request, Response};
use http_body::Body;
use pin_project::pin_project;
use tower_layer::Layer;
use tower_service::Service;

use crate::{
    body::{BoxError, End, Tracked, Watch},
    context::{Cancelled, Scope},
    rejection::{Http, Typed},
};

/// Gives each request a context, and ends it when the request ends or its caller leaves. See the [module](super).
///
/// Around an HTTP service the context lives to the end of the response's body; around any other, with [`typed`](Self::typed),
/// to the end of the call. It is a child of the context outside, so put it below the [`DeadlineLayer`](crate::DeadlineLayer).
///
/// ```
/// use axum::{Router, routing::get};
/// use buttress::{CancelLayer, Context};
///
/// async fn report() -> &'static str {
///     // Ends when the client leaves, and so do its own calls.
///     let totals = Context::current().spawn("totals", async { /* long work */ });
///     match totals.await {
///         Ok(()) => "done",
///         Err(_) => "nobody reads this",
///     }
/// }
///
/// let app: Router = Router::new().route("/report", get(report)).layer(CancelLayer::new());
/// ```
///
/// `poll_ready` is the inner service's. The layer has no state, and allocates nothing until somebody below asks for the context: a
/// handler, or a layer that makes a child of it, as a client's [`PropagateDeadlineLayer`](crate::PropagateDeadlineLayer) does.
#[derive(Clone, Copy, Default)]
pub struct CancelLayer<M = Http> {
    in_extensions: bool,
    is_off: bool,
    mode: PhantomData<M>,
}

impl CancelLayer {
    /// Around an HTTP service.
    pub const fn new() -> Self {
        Self {
            in_extensions: false,
            is_off: false,
            mode: PhantomData,
        }
    }

    /// One that does nothing.
    pub(crate) const fn off() -> Self {
        Self {
            is_off: true,
            ..Self::new()
        }
    }

    /// Puts the [`Context`](crate::Context) into the request's extensions too, for what a task-local does not cross: a
    /// [`ScopeLayer`](crate::context::ScopeLayer) takes it up there. It costs an insertion and the making of the cancellation.
    #[must_use]
    pub const fn in_extensions(mut self) -> Self {
        self.in_extensions = true;
        self
    }

    /// Around any other service.
    pub const fn typed(self) -> CancelLayer<Typed> {
        CancelLayer {
            in_extensions: false,
            is_off: false,
            mode: PhantomData,
        }
    }
}

impl<M> fmt::Debug for CancelLayer<M> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CancelLayer")
            .field("in_extensions", &self.in_extensions)
            .finish_non_exhaustive()
    }
}

impl<S, M: Copy> Layer<S> for CancelLayer<M> {
    type Service = Cancel<S, M>;

    fn layer(&self, inner: S) -> Cancel<S, M> {
        Cancel { inner, layer: *self }
    }
}

/// The service of [`CancelLayer`].
#[derive(Clone, Copy, Debug)]
pub struct Cancel<S, M = Http> {
    inner: S,
    layer: CancelLayer<M>,
}

impl<S, B, ResBody> Service<Request<B>> for Cancel<S, Http>
where
    S: Service<Request<B>, Response = Response<ResBody>>,
    ResBody: Body<Data = Bytes>,
    ResBody::Error: Into<BoxError>,
{
    type Response = Response<Tracked<ResBody, ContextWatch>>;
    type Error = S::Error;
    type Future = CancelFuture<S::Future>;

    #[inline]
    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(cx)
    }

    #[inline]
    fn call(&mut self, mut request: Request<B>) -> Self::Future {
        let head = request.method() == Method::HEAD;
        if self.layer.is_off {
            let inner = self.inner.call(request);
            return CancelFuture {
                own: Own::Nothing,
                inner,
                head,
            };
        }
        let scope = Scope::begin();
        if self.layer.in_extensions {
            request.extensions_mut().insert(crate::Context::current());
        }
        let inner = self.inner.call(request);
        CancelFuture {
            own: Own::Context(scope.release()),
            inner,
            head,
        }
    }
}

/// The response future of [`Cancel`]. Dropping it before its end ends the context.
#[pin_project]
#[derive(Debug)]
pub struct CancelFuture<F> {
    // Before the work: what the work spawned hears of the end before the work itself is taken down.
    own: Own,
    #[pin]
    inner: F,
    head: bool,
}

/// What a call has of its own.
#[derive(Debug)]
enum Own {
    /// A context, to be ended with it.
    Context(Scope),
    /// None: the layer is off.
    Nothing,
    /// It is over.
    Over,
}

impl<F, ResBody, E> Future for CancelFuture<F>
where
    F: Future<Output = Result<Response<ResBody>, E>>,
    ResBody: Body<Data = Bytes>,
    ResBody::Error: Into<BoxError>,
{
    type Output = Result<Response<Tracked<ResBody, ContextWatch>>, E>;

    #[inline]
    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.project();
        let output = match this.own {
            Own::Context(scope) => ready!(scope.enter(|| this.inner.poll(cx))),
            Own::Nothing => ready!(this.inner.poll(cx)),
            Own::Over => return Poll::Pending,
        };
        let Own::Context(mut scope) = mem::replace(this.own, Own::Over) else {
            return Poll::Ready(output.map(|response| Tracked::ended(response, |body| body)));
        };
        Poll::Ready(match output {
            Ok(response) => Ok(Tracked::follow(response, *this.head, ContextWatch(scope))),
            Err(error) => {
                scope.end(Cancelled::Finished);
                Err(error)
            }
        })
    }
}

/// Rides in a response's body, and ends the request's context with it.
#[derive(Debug)]
pub struct ContextWatch(Scope);

impl Watch for ContextWatch {
    fn enter<R>(&mut self, poll: impl FnOnce() -> R) -> R {
        self.0.enter(poll)
    }

    fn end(mut self, end: End<'_>) {
        match end {
            // Its own drop tells a departure from a deadline.
            End::Dropped => {}
            End::Cut { .. } => self.0.end(Cancelled::DeadlineExceeded),
            End::Complete | End::Trailers(_) | End::Error(_) => self.0.end(Cancelled::Finished),
        }
    }
}

impl<S, R> Service<R> for Cancel<S, Typed>
where
    S: Service<R>,
{
    type Response = S::Response;
    type Error = S::Error;
    type Future = TypedCancelFuture<S::Future>;

    #[inline]
    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(cx)
    }

    #[inline]
    fn call(&mut self, request: R) -> Self::Future {
        let scope = Scope::begin();
        let inner = self.inner.call(request);
        TypedCancelFuture {
            scope: scope.release(),
            inner,
        }
    }
}

/// The response future of a [`Cancel`] that is [typed](crate::rejection::Typed). Dropping it before its end ends the context.
#[pin_project]
#[derive(Debug)]
pub struct TypedCancelFuture<F> {
    scope: Scope,
    #[pin]
    inner: F,
}

impl<F: Future> Future for TypedCancelFuture<F> {
    type Output = F::Output;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<F::Output> {
        let this = self.project();
        let output = ready!(this.scope.enter(|| this.inner.poll(cx)));
        this.scope.end(Cancelled::Finished);
        Poll::Ready(output)
    }
}

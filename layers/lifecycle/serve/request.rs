use std::{
    fmt,
    future::Future,
    pin::Pin,
    task::{Context, Poll, ready},
};

use bytes::Bytes;
use http::{Method, Request, Response};
use http_body::Body;
use pin_project::pin_project;
use tower_layer::Layer;
use tower_service::Service;

use super::origin::{Hold, Origin};
use crate::{
    body::{self, BoxError, Tracked, Watch},
    context::{Cancelled, Context as Work, Scope},
    registry::{self, Entry, Kind},
};

/// Puts a server's requests below the process. Made by [`Lifecycle::layer`](crate::Lifecycle::layer).
///
/// Each request gets a context of its own, as from a [`CancelLayer`](crate::CancelLayer), which ends with the request and with the
/// process; and where the process is on its way to its end, the end of the drain for a deadline.
///
/// `poll_ready` is the inner service's. Services made from it and its clones share a handful of contexts, one for each of a few
/// threads, so that requests do not meet at the process's own.
#[derive(Clone)]
pub struct ProcessLayer {
    origin: Origin,
    is_tracking: bool,
}

/// The service of [`ProcessLayer`].
#[derive(Clone)]
pub struct ProcessService<S> {
    inner: S,
    layer: ProcessLayer,
}

/// The response future of [`ProcessService`]. Dropping it before its end ends the request's context.
#[pin_project]
#[derive(Debug)]
pub struct ProcessFuture<F> {
    // Before the work: what the work spawned hears of the end before the work itself is taken down.
    ride: Option<ProcessWatch>,
    #[pin]
    inner: F,
    head: bool,
    /// The name to enter the registry by, once it has to wait.
    track: Option<&'static str>,
}

/// Rides in a response's body, and ends what belongs to the request with it.
pub struct ProcessWatch {
    scope: Scope,
    entry: Option<Entry>,
    hold: Hold,
}

// === impl ProcessLayer, ProcessService ===

impl ProcessLayer {
    pub(super) fn new(origin: Origin) -> Self {
        Self {
            origin,
            is_tracking: false,
        }
    }

    /// Enters every request that has to wait into the [registry](crate::registry), under its method: an answer at once pays nothing.
    #[must_use]
    pub fn track_requests(mut self) -> Self {
        self.is_tracking = true;
        self
    }
}

impl<S> Layer<S> for ProcessLayer {
    type Service = ProcessService<S>;

    fn layer(&self, inner: S) -> ProcessService<S> {
        ProcessService {
            inner,
            layer: self.clone(),
        }
    }
}

impl<S, B, ResBody> Service<Request<B>> for ProcessService<S>
where
    S: Service<Request<B>, Response = Response<ResBody>>,
    ResBody: Body<Data = Bytes>,
    ResBody::Error: Into<BoxError>,
{
    type Response = Response<Tracked<ResBody, ProcessWatch>>;
    type Error = S::Error;
    type Future = ProcessFuture<S::Future>;

    #[inline]
    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        let head = request.method() == Method::HEAD;
        let track = self.layer.is_tracking.then(|| name(request.method()));
        let hold = self.layer.origin.hold();
        let around = hold.frame().hold();
        let scope = Scope::begin();
        let inner = self.inner.call(request);
        let scope = scope.release();
        drop(around);
        ProcessFuture {
            ride: Some(ProcessWatch {
                scope,
                entry: None,
                hold,
            }),
            inner,
            head,
            track,
        }
    }
}

// === impl ProcessFuture, ProcessWatch ===

impl<F, ResBody, E> Future for ProcessFuture<F>
where
    F: Future<Output = Result<Response<ResBody>, E>>,
    ResBody: Body<Data = Bytes>,
    ResBody::Error: Into<BoxError>,
{
    type Output = Result<Response<Tracked<ResBody, ProcessWatch>>, E>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.project();
        let Some(ride) = this.ride else { return Poll::Pending };
        if this.track.is_some() {
            // Of another, if any.
            registry::take_held_to();
        }
        let polled = ride.enter(|| this.inner.poll(cx));
        if polled.is_pending()
            && let Some(name) = this.track.take()
        {
            ride.register(name);
        }
        let output = ready!(polled);
        let Some(mut ride) = this.ride.take() else {
            return Poll::Pending;
        };
        Poll::Ready(match output {
            Ok(mut response) => {
                ride.hold.answer(&mut response);
                Ok(Tracked::follow(response, *this.head, ride))
            }
            Err(error) => {
                ride.scope.end(Cancelled::Finished);
                Err(error)
            }
        })
    }
}

impl ProcessWatch {
    #[cold]
    fn register(&mut self, name: &'static str) {
        let own = self.scope.enter(Work::current_deadline);
        let deadline = own.into_iter().chain(registry::take_held_to()).min();
        self.entry = registry::enter(Kind::Request, name, deadline, Some(self.hold.root().clone()));
    }
}

impl Watch for ProcessWatch {
    #[inline]
    fn enter<R>(&mut self, poll: impl FnOnce() -> R) -> R {
        let Self { scope, entry, .. } = self;
        match entry {
            Some(entry) => entry.enter(|| scope.enter(poll)),
            None => scope.enter(poll),
        }
    }

    fn end(mut self, end: body::End<'_>) {
        match end {
            // Its own drop tells a departure from a deadline.
            body::End::Dropped => {}
            body::End::Cut { .. } => self.scope.end(Cancelled::DeadlineExceeded),
            body::End::Complete | body::End::Trailers(_) | body::End::Error(_) => self.scope.end(Cancelled::Finished),
        }
    }
}

/// What a request is called in the registry. Methods of one's own have no name that lives long enough, and paths say too much.
fn name(method: &Method) -> &'static str {
    match *method {
        Method::GET => "GET",
        Method::HEAD => "HEAD",
        Method::POST => "POST",
        Method::PUT => "PUT",
        Method::PATCH => "PATCH",
        Method::DELETE => "DELETE",
        Method::OPTIONS => "OPTIONS",
        Method::CONNECT => "CONNECT",
        Method::TRACE => "TRACE",
        _ => "of another method",
    }
}

impl fmt::Debug for ProcessLayer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ProcessLayer")
            .field("is_tracking", &self.is_tracking)
            .finish_non_exhaustive()
    }
}

impl<S: fmt::Debug> fmt::Debug for ProcessService<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ProcessService")
            .field("inner", &self.inner)
            .finish_non_exhaustive()
    }
}

impl fmt::Debug for ProcessWatch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ProcessWatch")
            .field("entry", &self.entry)
            .finish_non_exhaustive()
    }
}

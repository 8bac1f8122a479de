//! Every ending, seen from outside: the outermost layer.
//!
//! ```
//! use buttress::{DeadlineLayer, observe::ObserveLayer, outcome::Outcome};
//! use std::{sync::atomic::{AtomicU64, Ordering}, time::Duration};
//! # use axum::Router;
//!
//! static REJECTED: AtomicU64 = AtomicU64::new(0);
//!
//! let app: Router = Router::new()
//!     .layer(DeadlineLayer::new(Duration::from_secs(10)))
//!     .layer(ObserveLayer::new(|outcome: &Outcome| {
//!         if matches!(outcome, Outcome::Rejected(_)) {
//!             REJECTED.fetch_add(1, Ordering::Relaxed);
//!         }
//!     }));
//! ```
//!
//! The observer is told each call's [`Outcome`] exactly once: at the end of the body, or when the caller left, or when the
//! service failed. Rejections by the layers below are told as such. State is the observer's, shared by all services of the
//! layer and its clones. `poll_ready` is the inner service's.

use std::{
    fmt,
    future::Future,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
};

use bytes::Bytes;
use http::{Request, Response};
use http_body::Body;
use pin_project::pin_project;
use tower_layer::Layer;
use tower_service::Service;

use crate::{
    body::{BoxError, Tracked},
    outcome::{Class, Classified, Held, Outcome, Settle},
    rejection::Protocol,
};

/// Who is told how calls end. A function of the [`Outcome`] is one.
#[diagnostic::on_unimplemented(message = "`{Self}` is not an observer: it wants `Fn(&Outcome)`, or an `impl Observer`")]
pub trait Observer {
    /// A call ended.
    fn ended(&self, outcome: &Outcome);
}

impl<F: Fn(&Outcome)> Observer for F {
    fn ended(&self, outcome: &Outcome) {
        self(outcome);
    }
}

/// Tells an [`Observer`] how each call ended. See the [module](self).
pub struct ObserveLayer<O> {
    observer: Arc<O>,
}

impl<O: Observer> ObserveLayer<O> {
    /// Tells this observer.
    pub fn new(observer: O) -> Self {
        Self {
            observer: Arc::new(observer),
        }
    }
}

/// The service of [`ObserveLayer`].
pub struct Observe<S, O> {
    inner: S,
    observer: Arc<O>,
}

/// Tells the observer, once.
pub struct Told<O: Observer>(Arc<O>);

/// The response future of [`Observe`]. Dropping it before its end tells the observer that the caller left.
#[pin_project]
pub struct ObserveFuture<F, O: Observer> {
    #[pin]
    inner: F,
    told: Held<Told<O>>,
    protocol: Protocol,
}

// === impl ObserveLayer ===

impl<S, O> Layer<S> for ObserveLayer<O> {
    type Service = Observe<S, O>;

    fn layer(&self, inner: S) -> Observe<S, O> {
        Observe {
            inner,
            observer: self.observer.clone(),
        }
    }
}

impl<O> Clone for ObserveLayer<O> {
    fn clone(&self) -> Self {
        Self {
            observer: self.observer.clone(),
        }
    }
}

impl<O> fmt::Debug for ObserveLayer<O> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ObserveLayer")
    }
}

// === impl Observe ===

impl<S, O, B, ResBody> Service<Request<B>> for Observe<S, O>
where
    S: Service<Request<B>, Response = Response<ResBody>>,
    O: Observer,
    ResBody: Body<Data = Bytes>,
    ResBody::Error: Into<BoxError>,
{
    type Response = Response<Tracked<ResBody, Classified<Told<O>>>>;
    type Error = S::Error;
    type Future = ObserveFuture<S::Future, O>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        let protocol = Protocol::of(&request);
        let told = Held::new(Told(self.observer.clone()));
        ObserveFuture {
            inner: self.inner.call(request),
            told,
            protocol,
        }
    }
}

impl<S: Clone, O> Clone for Observe<S, O> {
    fn clone(&self) -> Self {
        Self {
            inner: self.inner.clone(),
            observer: self.observer.clone(),
        }
    }
}

impl<S: fmt::Debug, O> fmt::Debug for Observe<S, O> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Observe")
            .field("inner", &self.inner)
            .finish_non_exhaustive()
    }
}

// === impl ObserveFuture ===

impl<F, O, ResBody, E> Future for ObserveFuture<F, O>
where
    F: Future<Output = Result<Response<ResBody>, E>>,
    O: Observer,
    ResBody: Body<Data = Bytes>,
    ResBody::Error: Into<BoxError>,
{
    type Output = Result<Response<Tracked<ResBody, Classified<Told<O>>>>, E>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.project();
        let output = ready!(this.inner.poll(cx));
        let Some(told) = this.told.take() else {
            return Poll::Pending;
        };
        Poll::Ready(match output {
            Ok(response) => Ok(Classified::follow(response, this.protocol, told)),
            Err(error) => {
                told.settle(Outcome::failure(Class::Transport));
                Err(error)
            }
        })
    }
}

impl<F: fmt::Debug, O: Observer> fmt::Debug for ObserveFuture<F, O> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ObserveFuture")
            .field("inner", &self.inner)
            .finish_non_exhaustive()
    }
}

// === impl Told ===

impl<O: Observer> Settle for Told<O> {
    fn settle(self, outcome: Outcome) {
        self.0.ended(&outcome);
    }
}

impl<O: Observer> fmt::Debug for Told<O> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Told")
    }
}

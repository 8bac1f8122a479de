//! What arrives of a call in another process, and of its answer in this one: heads and bodies, and nothing that lives in memory.

use std::{
    convert::Infallible,
    future::Future,
    pin::Pin,
    sync::{Arc, Mutex, PoisonError},
    task::{self, Poll},
};

use buttress::{BoxError, Context};
use bytes::Bytes;
use http::{Request, Response, StatusCode};
use http_body::Body;
use http_body_util::{BodyExt, Empty};
use tokio::time::Instant;
use tower::{Service, ServiceExt, util::BoxCloneSyncService};

use super::seen::Attempts;

pub(crate) type Call = Request<Empty<Bytes>>;
pub(crate) type Answer = Response<Empty<Bytes>>;
pub(crate) type Answering = Pin<Box<dyn Future<Output = Result<Answer, Infallible>> + Send>>;
/// Some service, with its layers.
pub(crate) type Upstream = BoxCloneSyncService<Call, Answer, Infallible>;

/// A service, of which each answer is read to its end.
pub(super) fn read_whole<S, B>(service: S) -> Upstream
where
    S: Service<Call, Response = Response<B>, Error = Infallible> + Clone + Send + Sync + 'static,
    S::Future: Send + 'static,
    B: Body<Data = Bytes, Error = BoxError> + Send + 'static,
{
    BoxCloneSyncService::new(service.and_then(async |response: Response<B>| {
        let (mut head, body) = response.into_parts();
        if body.collect().await.is_err() {
            head.status = StatusCode::BAD_GATEWAY;
        }
        Ok(Response::from_parts(head, Empty::new()))
    }))
}

/// The way to a service in another process.
#[derive(Clone)]
pub(super) struct Wire {
    pub(super) to: Upstream,
    /// What was sent on it.
    pub(super) attempts: Attempts,
    /// Whether the callers heed what layers tell each other about retries.
    pub(super) marks: bool,
    /// The part of the calls that the far end fails, at once.
    pub(super) faults: f64,
    pub(super) dice: Arc<Mutex<fastrand::Rng>>,
}

impl<B> Service<Request<B>> for Wire {
    type Response = Answer;
    type Error = Infallible;
    type Future = Answering;

    fn poll_ready(&mut self, _: &mut task::Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<B>) -> Answering {
        self.attempts.add(Instant::now());
        let fails = self.dice.lock().unwrap_or_else(PoisonError::into_inner).f64() < self.faults;
        let (to, marks) = (self.to.clone(), self.marks);
        // The calls here have no bodies.
        let mut request = request.map(|_| Empty::new());
        request.extensions_mut().clear();
        Box::pin(async move {
            let mut response = if fails {
                let mut response = Response::new(Empty::new());
                *response.status_mut() = StatusCode::SERVICE_UNAVAILABLE;
                response
            } else {
                Context::default().scope(to.oneshot(request)).await?
            };
            response.extensions_mut().clear();
            if !marks {
                response.headers_mut().remove("x-should-retry");
            }
            Ok(response)
        })
    }
}

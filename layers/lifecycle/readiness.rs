use std::{
    convert::Infallible,
    fmt,
    future::{Ready, ready},
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    task::{Context, Poll},
};

use bytes::Bytes;
use http::{Request, Response, StatusCode};
use tokio::sync::watch;
use tower_service::Service;

use super::Phase;
use crate::body::Reply;

/// By its name.
type Check = (&'static str, Arc<dyn Fn() -> bool + Send + Sync>);

/// Whether the process should be sent requests: while it is [running](Phase::Running), and all checks say so. Clones are the same.
///
/// As a service it answers any request, 200 or 503, for a load balancer to ask:
///
/// ```
/// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// use axum::Router;
/// use buttress::Lifecycle;
///
/// let life = Lifecycle::builder().build()?;
/// let app: Router = Router::new().route_service("/ready", life.readiness());
/// # Ok(()) }
/// ```
#[derive(Clone)]
pub struct Readiness {
    phase: watch::Receiver<Phase>,
    checks: Arc<Mutex<Vec<Check>>>,
}

impl Readiness {
    pub(super) fn new(phase: watch::Receiver<Phase>) -> Self {
        Self {
            phase,
            checks: Arc::default(),
        }
    }

    /// Whether it should be sent requests now.
    pub fn is_ready(&self) -> bool {
        self.why_not().is_none()
    }

    /// What speaks against it: the phase, or the name of the first check that says no.
    pub fn why_not(&self) -> Option<&'static str> {
        let phase = *self.phase.borrow();
        if phase != Phase::Running {
            return Some(phase.as_str());
        }
        // Not under the lock: one that is slow holds up who asks it, and nobody else.
        let checks = self.checks().clone();
        let says_no = |(_, check): &&Check| !catch_unwind(AssertUnwindSafe(|| check())).unwrap_or(false);
        checks.iter().find(says_no).map(|(name, _)| *name)
    }

    /// It is not ready either while this says no: a queue that is behind, a cache that is cold. It is asked whenever readiness is,
    /// and should be quick. One that panics says no.
    pub fn depends_on(&self, name: &'static str, check: impl Fn() -> bool + Send + Sync + 'static) {
        self.checks().push((name, Arc::new(check)));
    }

    fn checks(&self) -> MutexGuard<'_, Vec<Check>> {
        self.checks.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<B> Service<Request<B>> for Readiness {
    type Response = Response<Reply<String>>;
    type Error = Infallible;
    type Future = Ready<Result<Self::Response, Infallible>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, _: Request<B>) -> Self::Future {
        let why_not = self.why_not();
        let text = why_not.unwrap_or("ready");
        let mut response = Response::new(Reply::ours(Bytes::from_static(text.as_bytes())));
        if why_not.is_some() {
            *response.status_mut() = StatusCode::SERVICE_UNAVAILABLE;
        }
        ready(Ok(response))
    }
}

impl fmt::Debug for Readiness {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Readiness")
            .field("why_not", &self.why_not())
            .finish_non_exhaustive()
    }
}

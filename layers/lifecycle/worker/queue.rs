use std::{
    fmt,
    future::{Future, Ready, ready},
    pin::Pin,
    sync::Arc,
    task::{Context as Poller, Poll},
};

use pin_project::pin_project;
use tokio::time::{Instant, sleep_until};
use tower_service::Service;

use super::{
    EnqueueError, NotEnqueued, QueueStatus,
    caller::CallerWaits,
    line::{Caller, No},
    shared::Shared,
};
use crate::context::{Cancelled, Context};

/// The queue of a worker: where its jobs are left. Clones are the same queue. See the [module](super).
///
/// As a tower service it takes a job for a request, always ready: whether there is room is seen when there is a job.
///
/// ```
/// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// use buttress::Lifecycle;
/// use tower::{ServiceBuilder, ServiceExt};
///
/// let life = Lifecycle::builder().build()?;
/// let square = life.worker("square").queue(16).run(async |n: u64| Ok::<_, std::num::TryFromIntError>(_ = n * n))?;
/// let squares = ServiceBuilder::new().map_request(u64::from).service(square);
/// squares.oneshot(7_u32).await?;
/// # Ok(()) }
/// ```
pub struct Queue<J> {
    shared: Arc<Shared<J>>,
}

impl<J> Queue<J> {
    pub(super) fn new(shared: Arc<Shared<J>>) -> Self {
        Self { shared }
    }

    /// Leaves a job, if there is room for it now.
    ///
    /// The deadline and the criticality in scope go with it.
    ///
    /// # Errors
    ///
    /// Full, late or closed, with the job: see [`NotEnqueued`].
    pub fn try_enqueue(&self, job: J) -> Result<(), EnqueueError<J>> {
        self.shared.offer(job, Caller::New).map_err(error)
    }

    /// Leaves a job, and waits for room where there is none: no longer than the context in scope and the worker's
    /// [`max_wait`](super::WorkerBuilder::max_wait) allow, and not beyond the closing of its intake.
    ///
    /// Those who wait are served in the order in which they came. Dropped while it waits, it drops the job, which was not taken in.
    ///
    /// # Errors
    ///
    /// Full, late, closed or cancelled, with the job: see [`NotEnqueued`].
    pub async fn enqueue(&self, job: J) -> Result<(), EnqueueError<J>> {
        match self.shared.offer(job, Caller::New) {
            Err((No::Full, job)) => wait(&self.shared, job).await,
            decided => decided.map_err(error),
        }
    }

    /// How it stands. It takes the queue's lock for a moment: for readiness and metrics, not for every job.
    pub fn status(&self) -> QueueStatus {
        self.shared.status()
    }

    /// The name of its worker.
    pub fn name(&self) -> &'static str {
        self.shared.name
    }
}

fn error<J>((no, job): (No, J)) -> EnqueueError<J> {
    EnqueueError::new(no.into(), job)
}

/// It waits for room, and then the job goes in within one poll: no future that is given up in the middle holds the job.
async fn wait<J>(shared: &Shared<J>, job: J) -> Result<(), EnqueueError<J>> {
    let context = Context::current();
    let until = Instant::now().checked_add(shared.settings.max_wait);
    let too_long = async {
        match until {
            Some(until) => sleep_until(until).await,
            None => std::future::pending().await,
        }
    };
    let waits = CallerWaits::new(shared);
    let kind = tokio::select! {
        biased;
        () = waits.called() => return waits.come(job).map_err(error),
        why = context.cancelled() => match why {
            Cancelled::DeadlineExceeded => NotEnqueued::Late,
            why => NotEnqueued::Cancelled(why),
        },
        () = too_long => NotEnqueued::Full,
    };
    Err(EnqueueError::new(kind, job))
}

impl<J: Send + 'static> Service<J> for Queue<J> {
    type Response = ();
    type Error = EnqueueError<J>;
    type Future = Enqueue<J>;

    fn poll_ready(&mut self, _: &mut Poller<'_>) -> Poll<Result<(), EnqueueError<J>>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, job: J) -> Enqueue<J> {
        Enqueue(match self.shared.offer(job, Caller::New) {
            Err((No::Full, job)) => {
                let shared = self.shared.clone();
                Entering::Waits(Box::pin(async move { wait(&shared, job).await }))
            }
            decided => Entering::Decided(ready(decided.map_err(error))),
        })
    }
}

/// The future of a [`Queue`] as a service: at once ready, unless the queue is full. Only then is it boxed.
#[must_use = "a future does nothing until it is polled"]
#[pin_project]
pub struct Enqueue<J>(#[pin] Entering<J>);

type Waits<J> = Pin<Box<dyn Future<Output = Result<(), EnqueueError<J>>> + Send>>;

#[pin_project(project = EnteringPinned)]
enum Entering<J> {
    Decided(Ready<Result<(), EnqueueError<J>>>),
    Waits(Waits<J>),
}

impl<J> Future for Enqueue<J> {
    type Output = Result<(), EnqueueError<J>>;

    fn poll(self: Pin<&mut Self>, cx: &mut Poller<'_>) -> Poll<Self::Output> {
        match self.project().0.project() {
            EnteringPinned::Decided(decided) => Pin::new(decided).poll(cx),
            EnteringPinned::Waits(waits) => waits.as_mut().poll(cx),
        }
    }
}

impl<J> Clone for Queue<J> {
    fn clone(&self) -> Self {
        Self {
            shared: self.shared.clone(),
        }
    }
}

impl<J> fmt::Debug for Queue<J> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Queue")
            .field("name", &self.name())
            .field("status", &self.status())
            .finish()
    }
}

impl<J> fmt::Debug for Enqueue<J> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Enqueue")
            .field("waits", &matches!(self.0, Entering::Waits(_)))
            .finish()
    }
}

use std::{error, fmt, future::Future, marker::PhantomData, pin::Pin, sync::Arc, time::Duration};

use tokio::time::{Instant, timeout_at};

use super::{
    Failed, Queue, QueueStatus, crew,
    settings::{Retry, Settings},
    shared::Shared,
};
use crate::{
    body::BoxError,
    budget::Budget,
    lifecycle::{
        life::Handle,
        staff::{Left, Staff},
    },
    retry::Backoff,
};

/// A worker that has no queue yet. See [`Lifecycle::worker`](crate::Lifecycle::worker).
#[derive(Debug)]
#[must_use = "a worker begins to work when it is run"]
pub struct NewWorker {
    pub(super) life: Handle,
    pub(super) name: &'static str,
}

/// A [worker](super) to be.
///
/// | setting | default | |
/// |---|---|---|
/// | [`queue`](NewWorker::queue) | none: it must be said | how many jobs can wait |
/// | [`concurrency`](Self::concurrency) | 1 | how many run at a time |
/// | [`job_timeout`](Self::job_timeout) | none, but the job's own deadline | how long a job may take, all attempts together |
/// | [`max_wait`](Self::max_wait) | 5 s | how long an `enqueue` waits for room |
/// | [`retry`](Self::retry) | one attempt | |
/// | [`on_failed`](Self::on_failed) | counted alone | is given what failed |
/// | [`on_unprocessed`](Self::on_unprocessed) | counted alone | is given what was not run |
/// | [`behind_after`](Self::behind_after) | 10 s | |
/// | [`stalled_after`](Self::stalled_after) | 60 s | |
/// | [`restart`](Self::restart) | 100 ms, up to 10 s | before a worker that died is started again |
#[must_use = "a worker begins to work when it is run"]
pub struct WorkerBuilder<J> {
    life: Handle,
    name: &'static str,
    settings: Settings<J>,
    jobs: PhantomData<fn(J)>,
}

/// Why there is no such worker.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum InvalidWorker {
    /// The process has a worker of this name.
    Name,
    /// A queue of none, or of more than 16 million.
    Queue,
    /// None at a time, or more than 65,536.
    Concurrency,
    /// No attempt.
    Attempts,
    /// There is no tokio runtime here.
    NoRuntime,
    /// The process ends.
    ShuttingDown,
}

const MOST_JOBS: usize = 16 << 20;
const MOST_AT_A_TIME: usize = 1 << 16;

impl NewWorker {
    /// So many jobs can wait, beside those that run. There is no default: it is as many as may be lost at once if the machine is, and as
    /// many as the last of them waits for.
    pub fn queue<J>(self, capacity: usize) -> WorkerBuilder<J> {
        WorkerBuilder {
            life: self.life,
            name: self.name,
            settings: Settings::new(capacity),
            jobs: PhantomData,
        }
    }
}

impl<J> WorkerBuilder<J> {
    /// How many jobs run at a time. 1 unless set.
    pub fn concurrency(mut self, concurrency: usize) -> Self {
        self.settings.concurrency = concurrency;
        self
    }

    /// How long a job may take, with all of its attempts: then it is dropped at its next yield, and has failed.
    ///
    /// Unless set, its own deadline alone bounds it, if it has one: that of whoever enqueued it.
    pub fn job_timeout(mut self, timeout: Duration) -> Self {
        self.settings.job_timeout = Some(timeout);
        self
    }

    /// How long an [`enqueue`](Queue::enqueue) waits for room where its caller has no deadline, or a later one. 5 s unless set.
    pub fn max_wait(mut self, wait: Duration) -> Self {
        self.settings.max_wait = wait;
        self
    }

    /// The queue is [behind](super::QueueStatus::behind) when its backlog takes longer, or its oldest job has waited for longer, than
    /// this. 10 s unless set.
    pub fn behind_after(mut self, after: Duration) -> Self {
        self.settings.bounds.behind = after;
        self
    }

    /// The worker is [stalled](super::QueueStatus::stalled) when jobs wait, and none has begun or ended for longer than this. 60 s unless
    /// set.
    pub fn stalled_after(mut self, after: Duration) -> Self {
        self.settings.bounds.stalled = after;
        self
    }

    /// How long to wait before a worker that died is started again: by a panic outside of a job, as where a job's `clone` or `drop` does.
    /// The wait starts anew after a minute without a death. 100 ms, up to 10 s, unless set.
    pub fn restart(mut self, backoff: Backoff) -> Self {
        self.settings.restart = backoff;
        self
    }

    /// Is given each job that was taken in and not run: because its deadline passed while it waited, or because the process ended first.
    /// The place to write it where the next process finds it. It must be quick, and must not block.
    ///
    /// Without one, or where it panics, what the end of the process leaves is [lost](crate::lifecycle::Report::lost), and its exit code
    /// says so.
    pub fn on_unprocessed(mut self, hand_back: impl Fn(J) + Send + Sync + 'static) -> Self {
        self.settings.on_unprocessed = Some(Box::new(hand_back));
        self
    }

    /// Starts the worker, and gives its queue.
    ///
    /// # Errors
    ///
    /// See [`InvalidWorker`].
    pub fn run<H, F, E>(self, handler: H) -> Result<Queue<J>, InvalidWorker>
    where
        J: Send + 'static,
        H: Fn(J) -> F + Send + Sync + 'static,
        F: Future<Output = Result<(), E>> + Send + 'static,
        E: Into<BoxError> + 'static,
    {
        self.settings.check()?;
        let process = &self.life.0;
        let mut workers = process.workers();
        if workers.iter().any(|worker| worker.name() == self.name) {
            return Err(InvalidWorker::Name);
        }
        if process.schedule.get().is_some() {
            return Err(InvalidWorker::ShuttingDown);
        }
        let shared = Arc::new(Shared::new(self.name, self.settings, process.told.clone()));
        crew::start(process, shared.clone(), handler)?;
        workers.push(shared.clone());
        Ok(Queue::new(shared))
    }
}

/// Where a job is tried again, or given to somebody when it has failed, a copy of it is kept while it runs. An `Arc` is cheap to copy.
impl<J: Clone + 'static> WorkerBuilder<J> {
    /// Tries a job that returned an error again: so many attempts in all, and so long a wait in between, which the job's place waits, too.
    ///
    /// Each further attempt is paid from a [budget](Self::retry_from): by default one of the worker's own.
    pub fn retry(self, attempts: u32, backoff: Backoff) -> Self {
        self.retry_from(Budget::default(), attempts, backoff)
    }

    /// The same, from this budget, which others may share.
    pub fn retry_from(mut self, budget: Budget, attempts: u32, backoff: Backoff) -> Self {
        self.settings.retry = Some(Retry {
            attempts,
            backoff,
            budget,
        });
        self.keeping()
    }

    /// Is given each job that failed for good: the dead letters. It must be quick, and must not block.
    pub fn on_failed(mut self, take: impl Fn(Failed<J>) + Send + Sync + 'static) -> Self {
        self.settings.on_failed = Some(Box::new(take));
        self.keeping()
    }

    fn keeping(mut self) -> Self {
        self.settings.keep = Some(J::clone);
        self
    }
}

impl<J> Settings<J> {
    fn check(&self) -> Result<(), InvalidWorker> {
        match self {
            Self { capacity, .. } if !(1..=MOST_JOBS).contains(capacity) => Err(InvalidWorker::Queue),
            Self { concurrency, .. } if !(1..=MOST_AT_A_TIME).contains(concurrency) => Err(InvalidWorker::Concurrency),
            Self {
                retry: Some(Retry { attempts: 0, .. }),
                ..
            } => Err(InvalidWorker::Attempts),
            _ => Ok(()),
        }
    }
}

impl<J: Send + 'static> Staff for Shared<J> {
    fn name(&self) -> &'static str {
        self.name
    }

    fn stop(&self, until: Instant) -> Pin<Box<dyn Future<Output = ()> + Send + '_>> {
        Box::pin(async move {
            self.close();
            // What has begun by then goes on to the abort, which names it.
            let _ = timeout_at(until, self.done()).await;
            self.over();
        })
    }

    fn end(&self) {
        self.over();
    }

    fn status(&self) -> QueueStatus {
        Self::status(self)
    }

    fn left(&self) -> Left {
        let unprocessed = usize::try_from(self.counts().unprocessed).unwrap_or(usize::MAX);
        let lost = self.lost();
        Left {
            handed_back: unprocessed.saturating_sub(lost),
            lost,
        }
    }
}

impl<J> fmt::Debug for WorkerBuilder<J> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("WorkerBuilder")
            .field("name", &self.name)
            .field("capacity", &self.settings.capacity)
            .field("concurrency", &self.settings.concurrency)
            .finish_non_exhaustive()
    }
}

impl fmt::Display for InvalidWorker {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Name => "the process has a worker of this name already",
            Self::Queue => "a worker's queue holds between 1 and 16,777,216 jobs",
            Self::Concurrency => "a worker runs between 1 and 65,536 jobs at a time",
            Self::Attempts => "a job is tried once at least",
            Self::NoRuntime => "a worker is started within a tokio runtime",
            Self::ShuttingDown => "the process ends: it starts no worker any more",
        })
    }
}

impl error::Error for InvalidWorker {}

use std::time::Duration;

use super::{Failed, status::Bounds};
use crate::{budget::Budget, retry::Backoff};

pub(super) type OnFailed<J> = dyn Fn(Failed<J>) + Send + Sync;
pub(super) type OnUnprocessed<J> = dyn Fn(J) + Send + Sync;

/// Everything that a user can set.
pub(super) struct Settings<J> {
    pub(super) capacity: usize,
    pub(super) concurrency: usize,
    pub(super) job_timeout: Option<Duration>,
    pub(super) max_wait: Duration,
    pub(super) bounds: Bounds,
    pub(super) restart: Backoff,
    pub(super) retry: Option<Retry>,
    /// How a copy of a job is kept while it runs, where one is needed.
    pub(super) keep: Option<fn(&J) -> J>,
    pub(super) on_failed: Option<Box<OnFailed<J>>>,
    pub(super) on_unprocessed: Option<Box<OnUnprocessed<J>>>,
}

/// What bounds the attempts at a job.
#[derive(Clone, Debug)]
pub(super) struct Retry {
    pub(super) attempts: u32,
    pub(super) backoff: Backoff,
    pub(super) budget: Budget,
}

impl<J> Settings<J> {
    /// Whether a job is held to a time that is counted from its beginning.
    pub(super) fn is_timed(&self) -> bool {
        self.job_timeout.is_some() || self.retry.is_some()
    }

    pub(super) fn new(capacity: usize) -> Self {
        Self {
            capacity,
            concurrency: 1,
            job_timeout: None,
            max_wait: Duration::from_secs(5),
            bounds: Bounds {
                behind: Duration::from_secs(10),
                stalled: Duration::from_secs(60),
            },
            restart: Backoff::new(Duration::from_millis(100), Duration::from_secs(10)),
            retry: None,
            keep: None,
            on_failed: None,
            on_unprocessed: None,
        }
    }
}

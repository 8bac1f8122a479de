use std::time::Duration;

use tokio::time::Instant;

use super::line::Line;

/// How a queue stands. See [`Queue::status`](super::Queue::status).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct QueueStatus {
    /// How many jobs wait.
    pub depth: usize,
    /// How many can wait.
    pub capacity: usize,
    /// How many run.
    pub in_progress: usize,
    /// How many can run.
    pub concurrency: usize,
    /// How long the oldest of those that wait has done so.
    pub oldest: Option<Duration>,
    /// How long a job takes, by the last eight or so: all of its attempts, with the waits between them. Jobs that take microseconds and are
    /// held to no time of their own are timed together, and each took its share.
    pub mean_job_time: Option<Duration>,
    /// How long those that wait will take: depth x mean job time / concurrency.
    pub backlog: Duration,
    /// Whether the backlog or the oldest is longer than [`behind_after`](super::WorkerBuilder::behind_after).
    pub behind: bool,
    /// Whether jobs wait, and for longer than [`stalled_after`](super::WorkerBuilder::stalled_after) none began or ended.
    pub stalled: bool,
    /// What became of all the jobs there were.
    pub counts: Counts,
}

/// What became of a queue's jobs. At every moment `accepted` is the sum of `done`, `failed`, `expired`, `unprocessed`, and of what waits
/// and runs.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Counts {
    /// Taken in.
    pub accepted: u64,
    /// Ran, and returned `Ok`.
    pub done: u64,
    /// Ran, and returned an error, panicked, took too long, or were cut off by the end of the process.
    pub failed: u64,
    /// Not run, because their deadline passed while they waited.
    pub expired: u64,
    /// Not run, because the process ended first.
    pub unprocessed: u64,
    /// How often the worker itself died, and was started again.
    pub restarts: u64,
}

/// What is too much.
#[derive(Clone, Copy, Debug)]
pub(super) struct Bounds {
    pub(super) behind: Duration,
    pub(super) stalled: Duration,
}

impl QueueStatus {
    pub(super) fn of<J>(line: &Line<J>, bounds: Bounds, now: Instant) -> Self {
        let since = |then| now.saturating_duration_since(then);
        let (oldest, backlog) = (line.oldest().map(since), line.backlog());
        Self {
            depth: line.depth(),
            capacity: line.capacity(),
            in_progress: line.in_progress(),
            concurrency: line.concurrency(),
            oldest,
            mean_job_time: line.mean(),
            backlog,
            behind: backlog > bounds.behind || oldest.is_some_and(|oldest| oldest > bounds.behind),
            stalled: line.still().is_some_and(|then| since(then) > bounds.stalled),
            counts: line.counts(),
        }
    }
}

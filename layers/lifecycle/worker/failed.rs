use std::fmt;

use crate::body::BoxError;

/// A job that failed for good. See [`WorkerBuilder::on_failed`](super::WorkerBuilder::on_failed).
#[derive(Debug)]
#[non_exhaustive]
pub struct Failed<J> {
    /// The job, as it was taken in.
    pub job: J,
    /// How its last attempt failed.
    pub why: FailedBy,
    /// How often it was tried.
    pub attempts: u32,
}

/// How a job failed.
#[derive(Debug)]
#[non_exhaustive]
pub enum FailedBy {
    /// It returned this.
    Error(BoxError),
    /// It panicked.
    Panicked,
    /// It took longer than its own deadline or the worker's [timeout](super::WorkerBuilder::job_timeout).
    TimedOut,
    /// The process ended first: it was dropped in its middle, and some of it may have been done.
    Aborted,
}

impl FailedBy {
    /// The reason as a metric's attribute has it.
    pub const fn as_str(&self) -> &'static str {
        match self {
            Self::Error(_) => "error",
            Self::Panicked => "panic",
            Self::TimedOut => "timeout",
            Self::Aborted => "aborted",
        }
    }
}

impl fmt::Display for FailedBy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Error(error) => error.fmt(f),
            Self::Panicked => f.write_str("it panicked"),
            Self::TimedOut => f.write_str("it took too long"),
            Self::Aborted => f.write_str("the process ended first"),
        }
    }
}

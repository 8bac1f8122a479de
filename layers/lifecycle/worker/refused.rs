use std::{error, fmt};

use super::line::No;
use crate::context::Cancelled;

/// A job that a [`Queue`](super::Queue) did not take in, and why.
pub struct EnqueueError<J> {
    /// Why.
    pub kind: NotEnqueued,
    /// The job, as it was.
    pub job: J,
}

/// Why a job was not taken in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum NotEnqueued {
    /// The queue is full, and was for as long as it could be waited for.
    Full,
    /// The caller's deadline has passed, or will have passed when it would be the job's turn.
    Late,
    /// The worker takes nothing in any more: the process ends.
    Closed,
    /// The caller's work was cancelled while it waited.
    Cancelled(Cancelled),
}

impl NotEnqueued {
    /// The reason as a metric's attribute has it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Full => "full",
            Self::Late => "late",
            Self::Closed => "closed",
            Self::Cancelled(_) => "cancelled",
        }
    }
}

impl<J> EnqueueError<J> {
    pub(super) const fn new(kind: NotEnqueued, job: J) -> Self {
        Self { kind, job }
    }

    /// The job, as it was.
    pub fn into_job(self) -> J {
        self.job
    }
}

impl From<No> for NotEnqueued {
    fn from(no: No) -> Self {
        match no {
            No::Full => Self::Full,
            No::Late => Self::Late,
            No::Closed => Self::Closed,
        }
    }
}

impl fmt::Display for NotEnqueued {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Full => f.write_str("the queue is full"),
            Self::Late => f.write_str("the job's turn would come after its deadline"),
            Self::Closed => f.write_str("the worker takes nothing in any more"),
            Self::Cancelled(why) => write!(f, "not waited for room any more: {why}"),
        }
    }
}

/// A job need not be `Debug` for its error to be.
impl<J> fmt::Debug for EnqueueError<J> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("EnqueueError")
            .field("kind", &self.kind)
            .finish_non_exhaustive()
    }
}

impl<J> fmt::Display for EnqueueError<J> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.kind.fmt(f)
    }
}

impl<J> error::Error for EnqueueError<J> {}

//! Tasks of a context: named, registered, ended with it.

use std::{
    error, fmt,
    future::Future,
    pin::Pin,
    task::{Poll, ready},
};

use tokio::{runtime::Handle, task::JoinHandle};

use super::{Cancelled, Context};
use crate::registry::{self, Kind};

/// A task started by [`Context::spawn`]. As a future it gives the task's output.
///
/// Dropping it detaches the task, which still ends with its context.
#[must_use = "a task that nobody awaits can fail unseen; `drop` it to detach it on purpose"]
#[derive(Debug)]
pub struct Task<T> {
    name: &'static str,
    handle: Option<JoinHandle<Result<T, Cancelled>>>,
}

#[expect(
    clippy::disallowed_methods,
    reason = "this is the spawn that the others are banned for"
)]
pub(super) fn spawn<F>(context: Context, name: &'static str, future: F) -> Task<F::Output>
where
    F: Future + Send + 'static,
    F::Output: Send + 'static,
{
    let handle = Handle::try_current().ok().map(|runtime| {
        let entry = registry::enter(Kind::Task, name, context.deadline());
        runtime.spawn(async move {
            let _entry = entry;
            tokio::select! {
                biased;
                why = context.cancelled() => Err(why),
                output = context.scope(future) => Ok(output),
            }
        })
    });
    Task { name, handle }
}

impl<T> Task<T> {
    /// The name it was started under.
    pub fn name(&self) -> &'static str {
        self.name
    }

    /// Ends it at its next yield, whatever its context says.
    pub fn abort(&self) {
        if let Some(handle) = &self.handle {
            handle.abort();
        }
    }

    /// Whether it has ended.
    pub fn is_finished(&self) -> bool {
        self.handle.as_ref().is_none_or(JoinHandle::is_finished)
    }
}

impl<T> Future for Task<T> {
    type Output = Result<T, TaskError>;

    fn poll(self: Pin<&mut Self>, cx: &mut std::task::Context<'_>) -> Poll<Self::Output> {
        let this = self.get_mut();
        let Some(handle) = &mut this.handle else {
            return Poll::Ready(Err(TaskError::NoRuntime { name: this.name }));
        };
        Poll::Ready(match ready!(Pin::new(handle).poll(cx)) {
            Ok(Ok(output)) => Ok(output),
            Ok(Err(reason)) => Err(TaskError::Cancelled {
                name: this.name,
                reason,
            }),
            Err(join) if join.is_panic() => Err(TaskError::Panicked { name: this.name }),
            Err(_) => Err(TaskError::Aborted { name: this.name }),
        })
    }
}

/// Why a [`Task`] has no output.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum TaskError {
    /// Its context ended first.
    Cancelled {
        /// The task's name.
        name: &'static str,
        /// Why the context ended.
        reason: Cancelled,
    },
    /// It panicked.
    Panicked {
        /// The task's name.
        name: &'static str,
    },
    /// It was [aborted](Task::abort), or its runtime shut down.
    Aborted {
        /// The task's name.
        name: &'static str,
    },
    /// It was never started: there was no tokio runtime to start it on.
    NoRuntime {
        /// The task's name.
        name: &'static str,
    },
}

impl TaskError {
    /// Why its context ended, if that is what ended the task.
    pub fn reason(&self) -> Option<Cancelled> {
        match self {
            Self::Cancelled { reason, .. } => Some(*reason),
            _ => None,
        }
    }
}

impl fmt::Display for TaskError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Cancelled { name, reason } => write!(f, "task {name} was ended: {reason}"),
            Self::Panicked { name } => write!(f, "task {name} panicked"),
            Self::Aborted { name } => write!(f, "task {name} was aborted"),
            Self::NoRuntime { name } => write!(f, "task {name} was not started: no tokio runtime here"),
        }
    }
}

impl error::Error for TaskError {}

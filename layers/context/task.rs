//! Tasks of a context: named, registered, ended with it.

use std::{
    error, fmt,
    future::{Future, poll_fn},
    pin::{Pin, pin},
    task::{Poll, ready},
    time::Duration,
};

use tokio::{runtime::Handle, task::JoinHandle};

use super::{Cancelled, Context, Frame, shield::Bounded};
use crate::registry::{self, End, Entry, Kind};

/// A task started by [`Context::spawn`] and its kin. As a future it gives the task's output.
///
/// Dropping it detaches the task, which still ends as its kind does.
///
/// ```
/// # #[tokio::main(flavor = "current_thread")] async fn main() {
/// use buttress::{Cancelled, Context};
///
/// let task = Context::current().spawn("totals", async { 6 * 7 });
/// assert_eq!(task.await, Ok(42));
///
/// let part = Context::current().child();
/// let task = part.spawn("search", std::future::pending::<()>());
/// part.cancel(Cancelled::Superseded); // another was quicker
/// assert_eq!(task.await.unwrap_err().reason(), Some(Cancelled::Superseded));
/// # }
/// ```
#[must_use = "a task that nobody awaits can fail unseen; `drop` it to detach it on purpose"]
#[derive(Debug)]
pub struct Task<T> {
    name: &'static str,
    run: Run<T>,
}

#[derive(Debug)]
enum Run<T> {
    Started(JoinHandle<Result<T, Cancelled>>),
    /// It was not started.
    Not(TaskError),
}

/// What runs on its own.
impl Context {
    /// Starts `future` as a task of this work, under a name for the [registry], with this context in scope.
    ///
    /// It ends with the context: when that ends, the task is dropped at its next yield. Nothing else stops it; dropping the
    /// [`Task`] detaches. Outside of a tokio runtime the future is dropped unpolled and the task says so.
    pub fn spawn<F>(&self, name: &'static str, future: F) -> Task<F::Output>
    where
        F: Future + Send + 'static,
        F::Output: Send + 'static,
    {
        self.spawn_as(Kind::Task, name, future)
    }

    /// The same, as work of another kind.
    pub(crate) fn spawn_as<F>(&self, kind: Kind, name: &'static str, future: F) -> Task<F::Output>
    where
        F: Future + Send + 'static,
        F::Output: Send + 'static,
    {
        spawn(kind, self.clone(), name, future)
    }

    /// Runs code that blocks its thread as work of this context, under a name for the [registry], on the threads that
    /// tokio has for it.
    ///
    /// Nothing can end such code but itself: it is handed the context, and should [ask it](Context::check) as it goes.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")] async fn main() {
    /// use buttress::Context;
    ///
    /// let sum = Context::current().spawn_blocking("sum", |ctx| {
    ///     (0..1_000_u64).take_while(|_| ctx.check().is_ok()).sum::<u64>()
    /// });
    /// assert_eq!(sum.await, Ok(499_500));
    /// # }
    /// ```
    pub fn spawn_blocking<F, T>(&self, name: &'static str, work: F) -> Task<T>
    where
        F: FnOnce(&Context) -> T + Send + 'static,
        T: Send + 'static,
    {
        spawn_blocking(self.clone(), name, work)
    }

    /// Sends `future` on its way, to outlive this work on purpose, for `max` at most: the mail that is sent after the answer.
    ///
    /// It has this context's criticality and attempt, `max` from now for a deadline, and no cancellation. At `max` it is dropped at its
    /// next yield. The process waits for it when it ends, as long as it has time.
    pub fn detach<F>(&self, name: &'static str, max: Duration, future: F) -> Task<F::Output>
    where
        F: Future + Send + 'static,
        F::Output: Send + 'static,
    {
        detach(Frame::detached(self.facts, max, self.root()), name, future)
    }
}

/// Enters a task, and starts it on the runtime at hand.
fn start<T>(
    kind: Kind,
    context: &Context,
    name: &'static str,
    run: impl FnOnce(&Handle, Entry) -> JoinHandle<Result<T, Cancelled>>,
) -> Task<T> {
    let run = match Handle::try_current() {
        Err(_) => Run::Not(TaskError::NoRuntime { name }),
        Ok(runtime) => match registry::enter(kind, name, context.deadline(), context.root()) {
            Some(entry) => Run::Started(run(&runtime, entry)),
            None => Run::Not(TaskError::Cancelled {
                name,
                reason: Cancelled::ShuttingDown,
            }),
        },
    };
    Task { name, run }
}

#[expect(
    clippy::disallowed_methods,
    reason = "this is the spawn that the others are banned for"
)]
fn spawn<F>(kind: Kind, context: Context, name: &'static str, future: F) -> Task<F::Output>
where
    F: Future + Send + 'static,
    F::Output: Send + 'static,
{
    start(kind, &context.clone(), name, |runtime, entry| {
        runtime.spawn(async move {
            let mut work = pin!(context.scope(future));
            // A task that ends at once waits for nothing, and arms no timer.
            let (mut ended, mut waits) = (pin!(context.cancelled()), false);
            poll_fn(|cx| {
                if !waits {
                    context.check()?;
                } else if let Poll::Ready(why) = ended.as_mut().poll(cx) {
                    return Poll::Ready(Err(why));
                }
                if let Poll::Ready(output) = entry.enter(|| work.as_mut().poll(cx)) {
                    return Poll::Ready(Ok(output));
                }
                if std::mem::replace(&mut waits, true) {
                    Poll::Pending
                } else {
                    ended.as_mut().poll(cx).map(Err)
                }
            })
            .await
        })
    })
}

#[expect(clippy::disallowed_methods, reason = "as above")]
fn detach<F>(frame: Frame, name: &'static str, future: F) -> Task<F::Output>
where
    F: Future + Send + 'static,
    F::Output: Send + 'static,
{
    let context = Context::from_frame(&frame);
    start(Kind::Detached, &context, name, |runtime, entry| {
        let entry = std::sync::Arc::new(entry);
        let work = Bounded::new(frame, future);
        let held = entry.clone();
        let task = runtime.spawn(async move {
            let mut work = pin!(work);
            poll_fn(|cx| held.enter(|| work.as_mut().poll(cx))).await
        });
        entry.ends_by(End::Task(task.abort_handle()));
        task
    })
}

#[expect(clippy::disallowed_methods, reason = "as above")]
fn spawn_blocking<F, T>(context: Context, name: &'static str, work: F) -> Task<T>
where
    F: FnOnce(&Context) -> T + Send + 'static,
    T: Send + 'static,
{
    start(Kind::Blocking, &context.clone(), name, |runtime, entry| {
        runtime.spawn_blocking(move || {
            let mut frame = Frame::from(context.clone());
            Ok(entry.enter(|| frame.enter(|| work(&context))))
        })
    })
}

impl<T> Task<T> {
    /// The name it was started under.
    pub fn name(&self) -> &'static str {
        self.name
    }

    /// Why it was not started, if it was not.
    pub(crate) fn not_started(&self) -> Option<TaskError> {
        match &self.run {
            Run::Started(_) => None,
            Run::Not(why) => Some(*why),
        }
    }

    /// Ends it at its next yield, whatever its context says. Code that blocks goes on.
    pub fn abort(&self) {
        if let Run::Started(handle) = &self.run {
            handle.abort();
        }
    }

    /// Whether it has ended.
    pub fn is_finished(&self) -> bool {
        match &self.run {
            Run::Started(handle) => handle.is_finished(),
            Run::Not(_) => true,
        }
    }
}

impl<T> Future for Task<T> {
    type Output = Result<T, TaskError>;

    fn poll(self: Pin<&mut Self>, cx: &mut std::task::Context<'_>) -> Poll<Self::Output> {
        let this = self.get_mut();
        let name = this.name;
        let handle = match &mut this.run {
            Run::Started(handle) => handle,
            Run::Not(why) => return Poll::Ready(Err(*why)),
        };
        Poll::Ready(match ready!(Pin::new(handle).poll(cx)) {
            Ok(Ok(output)) => Ok(output),
            Ok(Err(reason)) => Err(TaskError::Cancelled { name, reason }),
            Err(join) if join.is_panic() => Err(TaskError::Panicked { name }),
            Err(_) => Err(TaskError::Aborted { name }),
        })
    }
}

/// Why a [`Task`] has no output.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum TaskError {
    /// Its context ended first, or its own deadline passed; or the process was shutting down when it was to be started.
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

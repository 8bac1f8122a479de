//! Work that outlives its caller on purpose, for a bounded time.

use std::{
    fmt,
    future::Future,
    pin::{Pin, pin},
    sync::Arc,
    task::{Poll, ready},
};

use pin_project::pin_project;
use tokio::{
    runtime::Handle,
    time::{Sleep, sleep_until},
};

use super::{Cancelled, Frame, Scoped};
use crate::registry::{self, End, Entry, Kind};

/// Runs a future to its end although the one who polls it leaves. Made by [`Context::shield`](super::Context::shield).
#[must_use = "a future does nothing until it is polled"]
pub struct Shield<F: Future + Send + 'static>
where
    F::Output: Send,
{
    name: &'static str,
    /// Gone once it has ended.
    work: Option<Pin<Box<Bounded<F>>>>,
    /// Since its first poll.
    entry: Option<Entry>,
}

/// A future in a frame, up to the frame's deadline.
#[pin_project]
pub(super) struct Bounded<F> {
    #[pin]
    future: Scoped<F>,
    #[pin]
    limit: Option<Sleep>,
}

impl<F: Future> Bounded<F> {
    pub(super) fn new(frame: Frame, future: F) -> Self {
        Self {
            future: Scoped::new(frame, future),
            limit: None,
        }
    }
}

impl<F: Future + Send + 'static> Shield<F>
where
    F::Output: Send,
{
    pub(crate) fn new(frame: Frame, name: &'static str, future: F) -> Self {
        Self {
            name,
            work: Some(Box::pin(Bounded::new(frame, future))),
            entry: None,
        }
    }
}

impl<F: Future + Send + 'static> Future for Shield<F>
where
    F::Output: Send,
{
    type Output = Result<F::Output, Cancelled>;

    fn poll(self: Pin<&mut Self>, cx: &mut std::task::Context<'_>) -> Poll<Self::Output> {
        let this = self.get_mut();
        // Taken out for the poll, so that work which panics is not spawned by the unwinding drop.
        let Some(mut work) = this.work.take() else {
            return Poll::Pending;
        };
        if this.entry.is_none() {
            let context = work.future.context();
            this.entry = registry::enter(Kind::Shield, this.name, context.deadline(), context.root());
        }
        let Some(entry) = &this.entry else {
            return Poll::Ready(Err(Cancelled::ShuttingDown));
        };
        let output = match entry.enter(|| work.as_mut().poll(cx)) {
            Poll::Pending => {
                this.work = Some(work);
                return Poll::Pending;
            }
            Poll::Ready(output) => output,
        };
        this.entry = None;
        Poll::Ready(output)
    }
}

impl<F: Future> Future for Bounded<F> {
    type Output = Result<F::Output, Cancelled>;

    fn poll(self: Pin<&mut Self>, cx: &mut std::task::Context<'_>) -> Poll<Self::Output> {
        let mut this = self.project();
        let deadline = this.future.deadline();
        if let Poll::Ready(output) = this.future.poll(cx) {
            return Poll::Ready(Ok(output));
        }
        let Some(deadline) = deadline else { return Poll::Pending };
        if this.limit.is_none() {
            this.limit.set(Some(sleep_until(deadline)));
        }
        if let Some(limit) = this.limit.as_pin_mut() {
            ready!(limit.poll(cx));
        }
        Poll::Ready(Err(Cancelled::DeadlineExceeded))
    }
}

impl<F: Future + Send + 'static> Drop for Shield<F>
where
    F::Output: Send,
{
    #[expect(
        clippy::disallowed_methods,
        reason = "the shield is registered under its name since its first poll"
    )]
    fn drop(&mut self) {
        if let Some(entry) = self.entry.take()
            && let Some(mut work) = self.work.take()
            && let Ok(runtime) = Handle::try_current()
        {
            let entry = Arc::new(entry);
            let held = entry.clone();
            let task = runtime.spawn(async move {
                let mut work = pin!(std::future::poll_fn(|cx| held.enter(|| work.as_mut().poll(cx))));
                let _ = work.as_mut().await;
            });
            entry.ends_by(End::Task(task.abort_handle()));
        }
    }
}

impl<F: Future + Send + 'static> fmt::Debug for Shield<F>
where
    F::Output: Send,
{
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Shield")
            .field("name", &self.name)
            .field("ended", &self.work.is_none())
            .finish_non_exhaustive()
    }
}

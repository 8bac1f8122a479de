//! Work that outlives its caller on purpose, for a bounded time.

use std::{fmt, future::Future, pin::Pin, task::Poll};

use pin_project::pin_project;
use tokio::{
    runtime::Handle,
    time::{Sleep, sleep_until},
};

use super::{Cancelled, Frame, Scoped};
use crate::registry::{self, Entry, Kind};

/// Runs a future to its end although the one who polls it leaves. Made by [`Context::shield`](super::Context::shield).
#[must_use = "a future does nothing until it is polled"]
pub struct Shield<F: Future + Send + 'static>
where
    F::Output: Send,
{
    name: &'static str,
    /// Gone once it has ended.
    work: Option<Pin<Box<Work<F>>>>,
}

#[pin_project]
struct Work<F> {
    #[pin]
    future: Scoped<F>,
    #[pin]
    limit: Option<Sleep>,
    entry: Option<Entry>,
}

impl<F: Future + Send + 'static> Shield<F>
where
    F::Output: Send,
{
    pub(crate) fn new(frame: Frame, name: &'static str, future: F) -> Self {
        Self {
            name,
            work: Some(Box::pin(Work {
                future: Scoped::new(frame, future),
                limit: None,
                entry: None,
            })),
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
        if work.entry.is_none() {
            let deadline = work.future.deadline();
            *work.as_mut().project().entry = Some(registry::enter(Kind::Shield, this.name, deadline));
        }
        let polled = work.as_mut().poll(cx);
        if polled.is_pending() {
            this.work = Some(work);
        }
        polled
    }
}

impl<F: Future> Future for Work<F> {
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
        match this.limit.as_pin_mut() {
            Some(limit) => limit.poll(cx).map(|()| Err(Cancelled::DeadlineExceeded)),
            None => Poll::Pending,
        }
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
        if let Some(work) = self.work.take_if(|work| work.entry.is_some())
            && let Ok(runtime) = Handle::try_current()
        {
            runtime.spawn(work);
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
            .finish()
    }
}

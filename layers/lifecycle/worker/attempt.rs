//! One attempt at a job: in a context of its own, up to its deadline, and whatever it does it does to itself.

use std::{
    future::Future,
    panic::{AssertUnwindSafe, catch_unwind},
    pin::Pin,
    task::{Context as Poller, Poll, ready},
};

use pin_project::pin_project;
use tokio::time::{Sleep, sleep_until};

use super::{FailedBy, running::Running};
use crate::{
    body::BoxError,
    context::{Cancelled, Scope},
};

/// An attempt at a job.
#[pin_project]
pub(super) struct Attempt<'a, 'w, J, H, F> {
    running: &'a mut Running<'w, J>,
    /// In front of the future, so that what is dropped in the middle hears of it.
    scope: Scope,
    handler: &'a H,
    /// Until it has begun.
    job: Option<J>,
    #[pin]
    future: Option<F>,
    #[pin]
    limit: Option<Sleep>,
}

impl<'a, 'w, J, H, F> Attempt<'a, 'w, J, H, F> {
    pub(super) fn new(running: &'a mut Running<'w, J>, scope: Scope, handler: &'a H, job: J) -> Self {
        Self {
            running,
            scope,
            handler,
            job: Some(job),
            future: None,
            limit: None,
        }
    }
}

impl<J, H, F, E> Future for Attempt<'_, '_, J, H, F>
where
    H: Fn(J) -> F,
    F: Future<Output = Result<(), E>>,
    E: Into<BoxError>,
{
    type Output = Result<(), FailedBy>;

    fn poll(self: Pin<&mut Self>, cx: &mut Poller<'_>) -> Poll<Self::Output> {
        let mut this = self.project();
        let mut poll = || {
            this.scope.enter(|| {
                if let Some(job) = this.job.take() {
                    this.future.set(Some((this.handler)(job)));
                }
                match this.future.as_mut().as_pin_mut() {
                    Some(future) => future.poll(cx),
                    None => Poll::Pending,
                }
            })
        };
        let polled = catch_unwind(AssertUnwindSafe(|| match this.running.entry() {
            Some(entry) => entry.enter(poll),
            None => poll(),
        }));
        match polled {
            Ok(Poll::Pending) => {}
            Ok(Poll::Ready(end)) => {
                this.scope.end(Cancelled::Finished);
                return Poll::Ready(end.map_err(|error| FailedBy::Error(error.into())));
            }
            Err(_) => {
                this.scope.end(Cancelled::Finished);
                return Poll::Ready(Err(FailedBy::Panicked));
            }
        }
        this.running.waits();
        let Some(until) = this.running.until() else {
            return Poll::Pending;
        };
        if this.limit.is_none() {
            this.limit.set(Some(sleep_until(until)));
        }
        if let Some(limit) = this.limit.as_pin_mut() {
            ready!(limit.poll(cx));
        }
        this.scope.end(Cancelled::DeadlineExceeded);
        Poll::Ready(Err(FailedBy::TimedOut))
    }
}

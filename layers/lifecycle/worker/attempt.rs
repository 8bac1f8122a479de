//! One attempt at a job: in a context of its own, up to its deadline, and whatever it does it does to itself.

use std::{
    future::Future,
    panic::{AssertUnwindSafe, catch_unwind},
    pin::Pin,
    sync::Arc,
    task::{Poll, ready},
};

use pin_project::pin_project;
use tokio::time::{Instant, Sleep, sleep_until};

use super::FailedBy;
use crate::{
    body::BoxError,
    context::{Cancelled, Context, Criticality, Frame, Scope},
    registry::{self, Entry, Kind, Root},
};

/// A job while it runs: what it is told, and what the registry knows of it.
pub(super) struct Alive<'a> {
    pub(super) name: &'static str,
    pub(super) root: &'a Arc<Root>,
    /// The worker's.
    pub(super) context: &'a Context,
    pub(super) criticality: Criticality,
    /// When it must be done, as it is told.
    pub(super) deadline: Option<Instant>,
    /// When it is dropped, if it has not ended.
    pub(super) until: Option<Instant>,
    pub(super) entry: Option<Entry>,
}

/// An attempt at a job.
#[pin_project]
pub(super) struct Attempt<'a, 'w, F> {
    alive: &'a mut Alive<'w>,
    /// In front of the future, so that what is dropped in the middle hears of it.
    scope: Scope,
    #[pin]
    future: F,
    #[pin]
    limit: Option<Sleep>,
}

impl<'w> Alive<'w> {
    /// Enters it. What ends at once is not worth it.
    pub(super) fn enter(&mut self) {
        if self.entry.is_none() {
            self.entry = registry::enter(Kind::Job, self.name, self.deadline, Some(self.root.clone()));
        }
    }

    fn context(&self) -> Context {
        let context = self.context.with_criticality(self.criticality);
        match self.deadline {
            Some(deadline) => context.with_deadline(deadline),
            None => context,
        }
    }

    /// Begins an attempt.
    pub(super) fn attempt<F>(
        &mut self,
        attempt: u32,
        start: impl FnOnce() -> F,
    ) -> Result<Attempt<'_, 'w, F>, FailedBy> {
        let around = Frame::from(self.context()).hold();
        let within = Scope::begin_attempt(attempt);
        let begun = catch_unwind(AssertUnwindSafe(start));
        let scope = within.release();
        drop(around.release());
        Ok(Attempt {
            alive: self,
            scope,
            future: begun.map_err(|_| FailedBy::Panicked)?,
            limit: None,
        })
    }
}

impl<F, E> Future for Attempt<'_, '_, F>
where
    F: Future<Output = Result<(), E>>,
    E: Into<BoxError>,
{
    type Output = Result<(), FailedBy>;

    fn poll(self: Pin<&mut Self>, cx: &mut std::task::Context<'_>) -> Poll<Self::Output> {
        let mut this = self.project();
        let poll = || this.scope.enter(|| this.future.poll(cx));
        let polled = catch_unwind(AssertUnwindSafe(|| match &this.alive.entry {
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
        this.alive.enter();
        if let Some(until) = this.alive.until
            && this.limit.is_none()
        {
            this.limit.set(Some(sleep_until(until)));
        }
        let Some(limit) = this.limit.as_pin_mut() else {
            return Poll::Pending;
        };
        ready!(limit.poll(cx));
        this.scope.end(Cancelled::DeadlineExceeded);
        Poll::Ready(Err(FailedBy::TimedOut))
    }
}

//! One of the places in which jobs run, one after the other.

use std::{
    future::Future,
    sync::{Arc, OnceLock},
    thread,
    time::Duration,
};

use tokio::{
    task::coop,
    time::{Instant, sleep},
};

use super::{
    FailedBy,
    attempt::Alive,
    line::Waiting,
    settings::{Retry, Settings},
    shared::{Failure, Shared},
};
use crate::{
    body::BoxError,
    budget::{Law, Why},
    context::Context,
    lifecycle::phase::Schedule,
    outcome::Class,
    registry::Root,
};

/// What each lane of a worker has.
pub(super) struct Lane<J, H> {
    pub(super) shared: Arc<Shared<J>>,
    pub(super) handler: Arc<H>,
    pub(super) root: Arc<Root>,
    /// The worker's. Its jobs are told when it ends.
    pub(super) context: Context,
    /// When the process aborts, once that is known.
    pub(super) schedule: Arc<OnceLock<Schedule>>,
}

impl<J, H> Clone for Lane<J, H> {
    fn clone(&self) -> Self {
        Self {
            shared: self.shared.clone(),
            handler: self.handler.clone(),
            root: self.root.clone(),
            context: self.context.clone(),
            schedule: self.schedule.clone(),
        }
    }
}

impl<J, H> Lane<J, H> {
    /// Runs jobs until there are none and will be none.
    pub(super) async fn run<F, E>(self)
    where
        H: Fn(J) -> F,
        F: Future<Output = Result<(), E>>,
        E: Into<BoxError>,
    {
        // The end of one job is the beginning of the next: one clock read for both, unless there was a wait in between.
        let mut now = None;
        while let Some((job, began)) = self.shared.next(now).await {
            let ended = self.run_job(job, began).await;
            now = coop::has_budget_remaining().then_some(ended);
            // Jobs that never wait would otherwise keep the thread.
            coop::consume_budget().await;
        }
    }

    async fn run_job<F, E>(&self, waiting: Waiting<J>, began: Instant) -> Instant
    where
        H: Fn(J) -> F,
        F: Future<Output = Result<(), E>>,
        E: Into<BoxError>,
    {
        let Settings { keep, retry, .. } = &self.shared.settings;
        let mut running = Running::new(&self.shared, began);
        let mut alive = self.alive(&waiting, began);
        let mut job = waiting.job;
        if let Some(retry) = retry {
            retry.budget.first(began);
        }
        loop {
            running.attempts += 1;
            running.kept = keep.map(|keep| keep(&job));
            let end = match alive.attempt(running.attempts, || (self.handler)(job)) {
                Ok(attempt) => attempt.await,
                Err(why) => Err(why),
            };
            let Err(why) = end else { return running.end(Ok(())) };
            let again = match retry {
                Some(retry) => retry.wait(running.attempts, &mut alive, &why).await,
                None => false,
            };
            job = match running.kept.take() {
                Some(kept) if again => kept,
                kept => {
                    running.kept = kept;
                    return running.end(Err(why));
                }
            };
        }
    }

    /// What a job is told, and what it is held to. Of the time when the process aborts it is told; the abort itself names what it ends.
    fn alive(&self, waiting: &Waiting<J>, began: Instant) -> Alive<'_> {
        let timeout = self.shared.settings.job_timeout;
        let by_timeout = timeout.and_then(|timeout| began.checked_add(timeout));
        let until = sooner(waiting.deadline, by_timeout);
        let abort = self.schedule.get().map(|schedule| schedule.hooks);
        Alive {
            name: self.shared.name,
            root: &self.root,
            context: &self.context,
            criticality: waiting.criticality,
            deadline: sooner(until, abort),
            until,
            entry: None,
        }
    }
}

fn sooner(one: Option<Instant>, other: Option<Instant>) -> Option<Instant> {
    one.into_iter().chain(other).min()
}

const SHORTEST: Duration = Duration::from_millis(1);

impl Retry {
    /// Waits for the next attempt, if there is one: a panic is a mistake that would be made again, and time that is over does not come back.
    async fn wait(&self, attempt: u32, alive: &mut Alive<'_>, why: &FailedBy) -> bool {
        if !matches!(why, FailedBy::Error(_)) || attempt >= self.attempts {
            return false;
        }
        let wait = self.backoff.after(attempt, fastrand::f64());
        let (now, why) = (Instant::now(), Why::Failed(Class::Transport));
        let left = alive.until.map(|until| until.saturating_duration_since(now));
        if left.is_some_and(|left| left <= wait.saturating_add(SHORTEST)) || !self.budget.may(why, now) {
            return false;
        }
        if !wait.is_zero() {
            alive.enter();
            sleep(wait).await;
        }
        self.budget.again(why, Instant::now())
    }
}

/// A job in the books, until it has ended: also where its lane is aborted or dies.
struct Running<'a, J> {
    shared: &'a Shared<J>,
    began: Instant,
    kept: Option<J>,
    attempts: u32,
    has_ended: bool,
}

impl<'a, J> Running<'a, J> {
    fn new(shared: &'a Shared<J>, began: Instant) -> Self {
        Self {
            shared,
            began,
            kept: None,
            attempts: 0,
            has_ended: false,
        }
    }

    fn end(mut self, end: Result<(), FailedBy>) -> Instant {
        self.enter_end(end)
    }

    fn enter_end(&mut self, end: Result<(), FailedBy>) -> Instant {
        self.has_ended = true;
        let failure = |why| Failure {
            job: self.kept.take(),
            why,
            attempts: self.attempts,
        };
        self.shared.ended(self.began, end.map_err(failure))
    }
}

impl<J> Drop for Running<'_, J> {
    fn drop(&mut self) {
        if !self.has_ended {
            self.enter_end(Err(if thread::panicking() {
                FailedBy::Panicked
            } else {
                FailedBy::Aborted
            }));
        }
    }
}

//! One of the places in which jobs run, one after the other.

use std::{
    future::Future,
    sync::{Arc, OnceLock},
    time::Duration,
};

use tokio::{
    task::coop,
    time::{Instant, sleep},
};

use super::{
    FailedBy,
    line::Waiting,
    running::{Limits, Running},
    settings::{Retry, Settings},
    shared::Shared,
    stretch::Stretch,
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
        let mut stretch = Stretch::new(Instant::now());
        while let Some(job) = self.shared.next(&mut stretch).await {
            self.run_job(job, &mut stretch).await;
            // Jobs that never wait would otherwise keep the thread.
            if !coop::has_budget_remaining() {
                self.shared.settle(&mut stretch);
                stretch.is_over();
            }
            coop::consume_budget().await;
        }
    }

    async fn run_job<F, E>(&self, waiting: Waiting<J>, stretch: &mut Stretch)
    where
        H: Fn(J) -> F,
        F: Future<Output = Result<(), E>>,
        E: Into<BoxError>,
    {
        let Settings { keep, retry, .. } = &self.shared.settings;
        let mut running = self.running(&waiting, stretch);
        let mut job = waiting.job;
        if let Some(retry) = retry {
            retry.budget.first(running.began());
        }
        loop {
            let kept = keep.map(|keep| keep(&job));
            let end = running.attempt(&*self.handler, job, kept).await;
            let Err(why) = end else { return running.done() };
            let again = match retry {
                Some(retry) => {
                    retry
                        .wait(&mut running, &why, async |then| self.ends_before(then).await)
                        .await
                }
                None => false,
            };
            job = match running.kept.take() {
                Some(kept) if again => kept,
                kept => {
                    running.kept = kept;
                    return running.failed(why);
                }
            };
        }
    }

    /// What a job is told, and what it is held to. Of the time when the process aborts it is told; the abort itself names what it ends.
    #[inline]
    fn running<'a>(&'a self, waiting: &Waiting<J>, stretch: &'a mut Stretch) -> Running<'a, J> {
        let timeout = self.shared.settings.job_timeout;
        let by_timeout = timeout.and_then(|timeout| stretch.at().checked_add(timeout));
        let until = sooner(waiting.deadline, by_timeout);
        let abort = self.schedule.get().map(|schedule| schedule.hooks);
        let limits = Limits {
            criticality: waiting.criticality,
            told: sooner(until, abort),
            until,
        };
        Running::new(&self.shared, &self.root, &self.context, stretch, limits)
    }
}

impl<J, H> Lane<J, H> {
    /// Ready once its worker is told to end, and will have by then. `None` is beyond all times.
    async fn ends_before(&self, then: Option<Instant>) {
        self.shared.closed().await;
        let ends = self.schedule.get().map(|schedule| schedule.workers);
        if ends.is_some_and(|ends| then.is_some_and(|then| then < ends)) {
            std::future::pending::<()>().await;
        }
    }
}

fn sooner(one: Option<Instant>, other: Option<Instant>) -> Option<Instant> {
    match (one, other) {
        (Some(one), Some(other)) => Some(one.min(other)),
        (one, other) => one.or(other),
    }
}

const SHORTEST: Duration = Duration::from_millis(1);

impl Retry {
    /// Waits for the next attempt, if there is one: a panic is a mistake that would be made again, and time that is over does not come back.
    async fn wait<J>(
        &self,
        running: &mut Running<'_, J>,
        why: &FailedBy,
        ends_before: impl AsyncFnOnce(Option<Instant>),
    ) -> bool {
        let attempt = running.attempts();
        if !matches!(why, FailedBy::Error(_)) || attempt >= self.attempts {
            return false;
        }
        let wait = self.backoff.after(attempt, fastrand::f64());
        let (now, why) = (Instant::now(), Why::Failed(Class::Transport));
        let left = running.until().map(|until| until.saturating_duration_since(now));
        if left.is_some_and(|left| left <= wait.saturating_add(SHORTEST)) || !self.budget.may(why, now) {
            return false;
        }
        if !wait.is_zero() {
            running.waits();
            tokio::select! {
                biased;
                () = sleep(wait) => {}
                () = ends_before(now.checked_add(wait)) => return false,
            }
        }
        self.budget.again(why, Instant::now())
    }
}

//! The task of a worker: starts its lanes, puts another in the place of one that dies, and hands back at the end what is left.

use std::{
    future::{Future, poll_fn},
    pin::pin,
    sync::Arc,
    time::Duration,
};

use tokio::{
    runtime::Handle,
    task::JoinSet,
    time::{Instant, sleep},
};

use super::{InvalidWorker, lane::Lane, shared::Shared};
use crate::{
    body::BoxError,
    context::ContextGuard,
    lifecycle::life::Process,
    registry::{self, Entry, Kind},
    retry::Backoff,
};

/// Starts a worker.
#[expect(clippy::disallowed_methods, reason = "it is entered in the registry, under its name")]
pub(super) fn start<J, H, F, E>(process: &Arc<Process>, shared: Arc<Shared<J>>, handler: H) -> Result<(), InvalidWorker>
where
    J: Send + 'static,
    H: Fn(J) -> F + Send + Sync + 'static,
    F: Future<Output = Result<(), E>> + Send + 'static,
    E: Into<BoxError> + 'static,
{
    let runtime = Handle::try_current().map_err(|_| InvalidWorker::NoRuntime)?;
    let staff = &process.staff;
    let entry = registry::enter(Kind::Worker, shared.name, None, Some(staff.root.clone()));
    let entry = Arc::new(entry.ok_or(InvalidWorker::ShuttingDown)?);
    let context = staff.context.child();
    let lane = Lane {
        shared,
        handler: Arc::new(handler),
        root: staff.root.clone(),
        context: (*context).clone(),
        schedule: process.schedule.clone(),
    };
    let crew = Crew {
        _rest: Rest(lane.shared.clone()),
        lane,
        context,
        entry,
    };
    drop(runtime.spawn(crew.run()));
    Ok(())
}

struct Crew<J, H> {
    lane: Lane<J, H>,
    context: ContextGuard,
    entry: Arc<Entry>,
    /// However this ends, with its runtime before it was ever polled too, it hands back what is left.
    _rest: Rest<J>,
}

impl<J, H, F, E> Crew<J, H>
where
    J: Send + 'static,
    H: Fn(J) -> F + Send + Sync + 'static,
    F: Future<Output = Result<(), E>> + Send + 'static,
    E: Into<BoxError> + 'static,
{
    /// Until its queue is closed and empty, or its context ends.
    async fn run(self) {
        let mut lanes = JoinSet::new();
        let settings = &self.lane.shared.settings;
        for _ in 0..settings.concurrency {
            self.start_lane(&mut lanes, Duration::ZERO);
        }
        let mut deaths = Deaths::default();
        let mut ended = pin!(self.context.cancelled());
        loop {
            let lane = tokio::select! {
                biased;
                _ = &mut ended => break,
                lane = lanes.join_next() => lane,
            };
            match lane {
                None => break,
                Some(Ok(())) => {}
                Some(Err(_)) => {
                    let wait = deaths.wait(&settings.restart, Instant::now(), fastrand::f64());
                    self.lane.shared.restarted(wait);
                    #[cfg(feature = "tracing")]
                    tracing::warn!(
                        worker = self.lane.shared.name,
                        ?wait,
                        "a worker died, and is started again"
                    );
                    self.start_lane(&mut lanes, wait);
                }
            }
        }
        self.lane.shared.over();
        lanes.shutdown().await;
    }

    #[expect(
        clippy::disallowed_methods,
        reason = "it ends with its worker, which is in the registry"
    )]
    fn start_lane(&self, lanes: &mut JoinSet<()>, after: Duration) {
        let (lane, entry) = (self.lane.clone(), self.entry.clone());
        lanes.spawn(async move {
            if !after.is_zero() {
                sleep(after).await;
            }
            let mut work = pin!(lane.run());
            poll_fn(|cx| entry.enter(|| work.as_mut().poll(cx))).await;
        });
    }
}

struct Rest<J>(Arc<Shared<J>>);

impl<J> Drop for Rest<J> {
    fn drop(&mut self) {
        self.0.over();
    }
}

/// How often lanes died of late.
#[derive(Debug, Default)]
struct Deaths {
    count: u32,
    last: Option<Instant>,
}

/// When a worker did not die for so long, what was before is forgotten.
const FORGOTTEN: Duration = Duration::from_secs(60);

impl Deaths {
    /// One more: how long to wait before the next start.
    fn wait(&mut self, backoff: &Backoff, now: Instant, share: f64) -> Duration {
        if self
            .last
            .is_some_and(|last| now.saturating_duration_since(last) > FORGOTTEN)
        {
            self.count = 0;
        }
        self.count = self.count.saturating_add(1);
        self.last = Some(now);
        backoff.after(self.count, share)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_wait_grows_with_each_death_until_there_was_none_for_a_while() {
        let (mut deaths, backoff, start) = (Deaths::default(), Backoff::default(), Instant::now());
        let mut wait = |at| deaths.wait(&backoff, start + Duration::from_secs(at), 1.0).as_millis();
        assert_eq!(
            [wait(0), wait(1), wait(2), wait(62), wait(123)],
            [50, 100, 200, 400, 50]
        );
    }
}

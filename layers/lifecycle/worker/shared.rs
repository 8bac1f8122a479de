//! The line under its lock, and who waits at its two ends.

use std::{
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use tokio::{
    sync::{Notify, futures::Notified},
    time::Instant,
};

use super::{
    Counts, Failed, FailedBy, QueueStatus,
    line::{Caller, Ended, Line, Next, No, Room, Waiting},
    settings::Settings,
};
use crate::{
    context::{Frame, clock},
    lifecycle::told::Told,
    telemetry::ProcessEvent,
};

/// What a queue, its lanes and the end of the process share.
pub(super) struct Shared<J> {
    pub(super) name: &'static str,
    pub(super) settings: Settings<J>,
    told: Told,
    line: Mutex<Line<J>>,
    /// Lanes wait for a job.
    work: Notify,
    /// Callers wait for room.
    room: Notify,
    /// The end waits until all is done.
    done: Notify,
}

impl<J> Shared<J> {
    pub(super) fn new(name: &'static str, settings: Settings<J>, told: Told) -> Self {
        Self {
            line: Mutex::new(Line::new(settings.capacity, settings.concurrency)),
            name,
            settings,
            told,
            work: Notify::new(),
            room: Notify::new(),
            done: Notify::new(),
        }
    }

    /// Takes a job in, or gives it back.
    pub(super) fn offer(&self, job: J, caller: Caller) -> Result<(), (No, J)> {
        let facts = Frame::facts();
        let waiting = Waiting {
            job,
            since: clock::now(),
            deadline: facts.deadline,
            criticality: facts.criticality,
        };
        if self.line().offer(waiting, caller)? {
            self.work.notify_one();
        }
        Ok(())
    }

    /// Begins to wait for room, in front of all who come later.
    pub(super) fn caller_waits(&self) -> CallerWaits<'_, J> {
        self.line().caller_waits();
        CallerWaits(self)
    }

    /// The next job for a lane, and when it was taken. `None`: there is none, and will be none.
    pub(super) async fn next(&self, now: Option<Instant>) -> Option<(Waiting<J>, Instant)> {
        let mut now = now.unwrap_or_else(Instant::now);
        let mut next = self.line().next(now);
        loop {
            match next {
                Next::Run(job, room) => {
                    self.call_caller(room);
                    return Some((job, now));
                }
                Next::Expired(job, room) => {
                    self.call_caller(room);
                    self.hand_back("expired", job.job);
                    self.tell_if(self.line().is_done());
                    next = self.line().next(now);
                }
                Next::Over => return None,
                Next::Wait => {
                    let work = self.work.notified();
                    tokio::pin!(work);
                    // Before the look, so that what comes after it is heard of.
                    work.as_mut().enable();
                    next = self.line().next_or_idle(now);
                    if matches!(next, Next::Wait) {
                        work.await;
                        now = Instant::now();
                        next = self.line().next(now);
                    }
                }
            }
        }
    }

    /// Enters the end of a job that ran, and tells of it where it failed. Says when that was.
    pub(super) fn ended(&self, began: Instant, end: Result<(), Failure<J>>) -> Instant {
        let now = Instant::now();
        let how = match &end {
            Ok(()) => Ended::Done,
            Err(Failure {
                why: FailedBy::Aborted, ..
            }) => Ended::Cut,
            Err(_) => Ended::Failed,
        };
        let took = now.saturating_duration_since(began);
        let is_done = {
            let mut line = self.line();
            line.ended(how, took, now);
            line.is_done()
        };
        self.tell_end(if how == Ended::Done { "done" } else { "failed" }, Some(took));
        if let Err(Failure {
            job: Some(job),
            why,
            attempts,
        }) = end
            && let Some(on_failed) = &self.settings.on_failed
        {
            // One that panics does nothing to the books: what it is told was entered before.
            let _ = catch_unwind(AssertUnwindSafe(|| on_failed(Failed { job, why, attempts })));
        }
        self.tell_if(is_done);
        now
    }

    /// Takes nothing in any more.
    pub(super) fn close(&self) {
        let is_done = {
            let mut line = self.line();
            line.close();
            line.is_done()
        };
        self.room.notify_waiters();
        self.work.notify_waiters();
        self.tell_if(is_done);
    }

    /// Closes, and hands back all that has not begun. What has, goes on.
    pub(super) fn end(&self) {
        let rest = self.line().end();
        self.close();
        for waiting in rest {
            self.hand_back("unprocessed", waiting.job);
        }
    }

    /// Until it is closed and all is done.
    pub(super) async fn done(&self) {
        loop {
            let done = self.done.notified();
            // It hears of `notify_waiters` from its creation on, so the look comes after it.
            if self.line().is_done() {
                return;
            }
            done.await;
        }
    }

    pub(super) fn restarted(&self, wait: Duration) {
        self.line().restarted();
        let worker = self.name;
        self.told.tell(&ProcessEvent::WorkerRestarted { worker, wait });
    }

    pub(super) fn counts(&self) -> Counts {
        self.line().counts()
    }

    pub(super) fn status(&self) -> QueueStatus {
        QueueStatus::of(&self.line(), self.settings.bounds, Instant::now())
    }

    fn tell_end(&self, outcome: &'static str, took: Option<Duration>) {
        let worker = self.name;
        self.told.tell(&ProcessEvent::JobEnded { worker, outcome, took });
    }

    fn hand_back(&self, outcome: &'static str, job: J) {
        self.tell_end(outcome, None);
        if let Some(on_unprocessed) = &self.settings.on_unprocessed {
            // One that panics must not keep the others from being handed back.
            let _ = catch_unwind(AssertUnwindSafe(|| on_unprocessed(job)));
        }
    }

    fn call_caller(&self, room: Room) {
        if room == Room::Wanted {
            self.room.notify_one();
        }
    }

    fn tell_if(&self, is_done: bool) {
        if is_done {
            self.done.notify_waiters();
        }
    }

    // No code of a user's runs under this lock, so a poisoned one holds sound data.
    fn line(&self) -> MutexGuard<'_, Line<J>> {
        self.line.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A job that failed, if a copy of it was kept.
pub(super) struct Failure<J> {
    pub(super) job: Option<J>,
    pub(super) why: FailedBy,
    pub(super) attempts: u32,
}

/// A caller who waits for room, as long as this lives.
pub(super) struct CallerWaits<'a, J>(&'a Shared<J>);

impl<J> CallerWaits<'_, J> {
    /// Ready when there may be room. To be [enabled](Notified::enable) before the look, so that what becomes free after it is heard of.
    pub(super) fn room(&self) -> Notified<'_> {
        self.0.room.notified()
    }
}

impl<J> Drop for CallerWaits<'_, J> {
    fn drop(&mut self) {
        self.0.line().caller_leaves();
    }
}

//! The line under its lock, and who waits at its two ends.

use std::{
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{
        Mutex, MutexGuard, PoisonError,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use tokio::{sync::Notify, time::Instant};

use super::{
    Counts, Failed, FailedBy, QueueStatus, caller,
    line::{Caller, Ended, Line, Next, No, Waiting},
    settings::Settings,
    stretch::{Stretch, Told as Ends},
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
    /// The end waits until all is done.
    done: Notify,
    /// Who waits for another attempt has to know whether there is time for it.
    closed: Notify,
    lost: AtomicUsize,
}

impl<J> Shared<J> {
    pub(super) fn new(name: &'static str, settings: Settings<J>, told: Told) -> Self {
        Self {
            line: Mutex::new(Line::new(settings.capacity, settings.concurrency)),
            name,
            settings,
            told,
            work: Notify::new(),
            done: Notify::new(),
            closed: Notify::new(),
            lost: AtomicUsize::new(0),
        }
    }

    /// Takes a job in, or gives it back.
    #[inline]
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

    /// The next job for a lane. `None`: there is none, and will be none.
    ///
    /// What the lane did before is entered before it waits.
    pub(super) async fn next(&self, stretch: &mut Stretch) -> Option<Waiting<J>> {
        let mut next = self.take(stretch, Line::next);
        loop {
            match next {
                Next::Run(job, call) => {
                    caller::call(call);
                    return Some(job);
                }
                Next::Expired(job, call) => {
                    caller::call(call);
                    let _ = self.hand_back("expired", job.job);
                    self.tell_if(self.line().is_done());
                }
                Next::Over => return None,
                Next::Wait => {
                    let work = self.work.notified();
                    tokio::pin!(work);
                    // Before the look, so that what comes after it is heard of.
                    work.as_mut().enable();
                    next = self.take(stretch, Line::next_or_idle);
                    if !matches!(next, Next::Wait) {
                        continue;
                    }
                    work.await;
                    stretch.is_over();
                }
            }
            next = self.take(stretch, Line::next);
        }
    }

    /// Enters what the lane did, and takes what is next, at once.
    #[inline]
    fn take(&self, stretch: &mut Stretch, next: impl FnOnce(&mut Line<J>, Instant) -> Next<J>) -> Next<J> {
        let looked = stretch.is_due().then(Instant::now);
        let mut line = self.line();
        let (mut is_done, mut ends) = (false, None);
        if stretch.take_unbooked() {
            line.ended(Ended::Done);
            is_done = line.is_done();
        }
        let looked = looked.or_else(|| (self.settings.is_timed() || line.next_has_deadline()).then(Instant::now));
        if let Some(now) = looked {
            ends = Some(tell(&mut line, stretch, now));
        }
        let next = next(&mut line, stretch.at());
        if matches!(next, Next::Wait | Next::Over) && stretch.has_untold() {
            ends = Some(tell(&mut line, stretch, Instant::now()));
        }
        drop(line);
        if let Some(ends) = ends {
            self.tell_ends(ends, "done");
        }
        self.tell_if(is_done);
        next
    }

    /// Enters what the lane did, before it waits.
    pub(super) fn settle(&self, stretch: &mut Stretch) {
        let now = Instant::now();
        let (is_done, ends) = {
            let mut line = self.line();
            if stretch.take_unbooked() {
                line.ended(Ended::Done);
            }
            let ends = tell(&mut line, stretch, now);
            (line.is_done(), ends)
        };
        self.tell_ends(ends, "done");
        self.tell_if(is_done);
    }

    /// Enters the end of a job that failed, and tells of it.
    pub(super) fn failed(&self, stretch: &mut Stretch, failure: Failure<J>) {
        let now = Instant::now();
        let Failure { job, why, attempts } = failure;
        let (is_done, ends) = {
            let mut line = self.line();
            if let FailedBy::Aborted = why {
                // How long it took says nothing of how long jobs take.
                line.ended(Ended::Cut);
            } else {
                line.ended(Ended::Failed);
                stretch.ended();
            }
            let ends = tell(&mut line, stretch, now);
            (line.is_done(), ends)
        };
        if let FailedBy::Aborted = why {
            self.tell_ends(ends, "done");
            self.tell_end("failed", Some(ends.each));
        } else {
            self.tell_ends(ends, "failed");
        }
        if let (Some(job), Some(on_failed)) = (job, &self.settings.on_failed) {
            // One that panics does nothing to the books: what it is told was entered before.
            let _ = catch_unwind(AssertUnwindSafe(|| on_failed(Failed { job, why, attempts })));
        }
        self.tell_if(is_done);
    }

    /// Takes nothing in any more.
    pub(super) fn close(&self) {
        let (calls, is_done) = {
            let mut line = self.line();
            (line.close(), line.is_done())
        };
        for call in calls {
            call.notify_one();
        }
        self.work.notify_waiters();
        self.closed.notify_waiters();
        self.tell_if(is_done);
    }

    /// Closes, and hands back all that has not begun. What has, goes on.
    pub(super) fn over(&self) {
        let rest = self.line().end();
        self.close();
        for waiting in rest {
            if !self.hand_back("unprocessed", waiting.job) {
                self.lost.fetch_add(1, Ordering::Relaxed);
            }
        }
    }

    /// How many of those that the end left were taken back by nobody.
    pub(super) fn lost(&self) -> usize {
        self.lost.load(Ordering::Relaxed)
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

    /// Until it takes nothing in any more.
    pub(super) async fn closed(&self) {
        loop {
            let closed = self.closed.notified();
            if self.line().is_closed() {
                return;
            }
            closed.await;
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

    /// Tells of the jobs that ended since the last look, of which the last ended so.
    fn tell_ends(&self, ends: Ends, last: &'static str) {
        if self.told.listens() {
            for left in (0..ends.jobs).rev() {
                self.tell_end(if left == 0 { last } else { "done" }, Some(ends.each));
            }
        }
    }

    fn tell_end(&self, outcome: &'static str, took: Option<Duration>) {
        let worker = self.name;
        self.told.tell(&ProcessEvent::JobEnded { worker, outcome, took });
    }

    /// Whether somebody took it.
    fn hand_back(&self, outcome: &'static str, job: J) -> bool {
        self.tell_end(outcome, None);
        self.settings.on_unprocessed.as_ref().is_some_and(|take| {
            // One that panics must not keep the others from being handed back.
            catch_unwind(AssertUnwindSafe(|| take(job))).is_ok()
        })
    }

    fn tell_if(&self, is_done: bool) {
        if is_done {
            self.done.notify_waiters();
        }
    }

    // No code of a user's runs under this lock, so a poisoned one holds sound data.
    pub(super) fn line(&self) -> MutexGuard<'_, Line<J>> {
        self.line.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn tell<J>(line: &mut Line<J>, stretch: &mut Stretch, now: Instant) -> Ends {
    let ends = stretch.look(now);
    line.told(ends);
    stretch.are_quick(line.are_quick());
    ends
}

/// A job that failed, if a copy of it was kept.
pub(super) struct Failure<J> {
    pub(super) job: Option<J>,
    pub(super) why: FailedBy,
    pub(super) attempts: u32,
}

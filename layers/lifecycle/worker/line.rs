//! The queue itself, and its books: given the time, and without a clock, a lock or a runtime.

use std::{collections::VecDeque, sync::Arc, time::Duration};

use tokio::{sync::Notify, time::Instant};

use super::{
    Counts,
    mean::Mean,
    stretch::{Stretch, Told},
};
use crate::context::Criticality;

/// Jobs in a line, and what became of those that were in it.
#[derive(Debug)]
pub(super) struct Line<J> {
    waiting: VecDeque<Waiting<J>>,
    capacity: usize,
    concurrency: usize,
    intake: Intake,
    in_progress: usize,
    /// Callers who wait for room, in the order in which they came.
    callers: VecDeque<Call>,
    /// Room that is kept for callers who were called, and have not come yet.
    kept: usize,
    /// Lanes that wait for a job, and were not called yet.
    idle: usize,
    counts: Counts,
    mean: Mean,
    /// When a job last began or ended.
    moved: Option<Instant>,
}

/// A job, with what came with it.
#[derive(Debug)]
pub(super) struct Waiting<J> {
    pub(super) job: J,
    pub(super) since: Instant,
    pub(super) deadline: Option<Instant>,
    pub(super) criticality: Criticality,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Intake {
    Open,
    /// What is in it is still done.
    Closed,
    /// Nothing comes out of it any more.
    Over,
}

/// Why a job was not taken in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum No {
    Full,
    Late,
    Closed,
}

/// By what a caller who waits for room is called, once.
pub(super) type Call = Arc<Notify>;

/// For who was called there is room.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Caller {
    New,
    Called,
}

/// What is to be done next.
#[derive(Debug)]
pub(super) enum Next<J> {
    /// Run it. Somebody has to be called for whom there is room now, if so.
    Run(Waiting<J>, Option<Call>),
    /// It expired while it waited.
    Expired(Waiting<J>, Option<Call>),
    /// Nothing now.
    Wait,
    /// Nothing ever again.
    Over,
}

/// How a job that ran ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Ended {
    Done,
    Failed,
    /// In its middle, by no fault of its own: how long it took says nothing.
    Cut,
}

impl<J> Line<J> {
    pub(super) fn new(capacity: usize, concurrency: usize) -> Self {
        Self {
            waiting: VecDeque::new(),
            capacity,
            concurrency,
            intake: Intake::Open,
            in_progress: 0,
            callers: VecDeque::new(),
            kept: 0,
            idle: 0,
            counts: Counts::default(),
            mean: Mean::default(),
            moved: None,
        }
    }

    /// Takes a job in, or gives it back. Says whether a lane has to be called.
    #[inline]
    pub(super) fn offer(&mut self, job: Waiting<J>, caller: Caller) -> Result<bool, (No, J)> {
        if self.intake != Intake::Open {
            return Err((No::Closed, job.job));
        }
        if let Some(deadline) = job.deadline {
            let left = deadline.saturating_duration_since(job.since);
            if left.is_zero() || self.backlog() > left {
                return Err((No::Late, job.job));
            }
        }
        match caller {
            // Where somebody waits, all the room is taken or kept.
            Caller::New if !self.has_room() => return Err((No::Full, job.job)),
            Caller::New => {}
            Caller::Called => self.kept -= 1,
        }
        self.waiting.push_back(job);
        self.counts.accepted += 1;
        let call = self.idle > 0;
        self.idle -= usize::from(call);
        Ok(call)
    }

    /// Takes the next job out.
    #[inline]
    pub(super) fn next(&mut self, now: Instant) -> Next<J> {
        if self.intake == Intake::Over {
            return Next::Over;
        }
        let Some(job) = self.waiting.pop_front() else {
            return match self.intake {
                Intake::Open => Next::Wait,
                _ => Next::Over,
            };
        };
        let call = self.call_next();
        self.moved = Some(now);
        if job.deadline.is_some_and(|deadline| deadline <= now) {
            self.counts.expired += 1;
            return Next::Expired(job, call);
        }
        self.in_progress += 1;
        Next::Run(job, call)
    }

    /// The same for a lane that waits where there is nothing: it is called once there is.
    pub(super) fn next_or_idle(&mut self, now: Instant) -> Next<J> {
        let next = self.next(now);
        if matches!(next, Next::Wait) {
            self.idle += 1;
        }
        next
    }

    /// A job that ran has ended.
    #[inline]
    pub(super) fn ended(&mut self, how: Ended) {
        self.in_progress -= 1;
        match how {
            Ended::Done => self.counts.done += 1,
            Ended::Failed | Ended::Cut => self.counts.failed += 1,
        }
    }

    /// How long jobs that ended took, by now. Those that were cut say nothing.
    pub(super) fn told(&mut self, told: Told) {
        self.moved = Some(told.now);
        for _ in 0..told.jobs {
            self.mean.add(told.each);
        }
    }

    /// Whether the next job has to be held to a deadline of its own.
    pub(super) fn next_has_deadline(&self) -> bool {
        self.waiting.front().is_some_and(|job| job.deadline.is_some())
    }

    /// Whether jobs are so quick that it costs to time them.
    pub(super) fn are_quick(&self) -> bool {
        self.mean.get().is_some_and(|mean| mean <= Stretch::QUICK)
    }

    /// A caller begins to wait for room, behind those who do. Says who is to be called: itself, where there is some by now.
    pub(super) fn caller_waits(&mut self, call: Call) -> Option<Call> {
        self.callers.push_back(call);
        self.call_next()
    }

    /// It waits no longer, and did not come. Says who is to be called instead.
    pub(super) fn caller_leaves(&mut self, call: &Call) -> Option<Call> {
        let place = self.callers.iter().position(|other| Arc::ptr_eq(other, call));
        if let Some(place) = place {
            self.callers.remove(place);
            return None;
        }
        // It had been called: the room goes to the next.
        self.kept -= 1;
        self.call_next()
    }

    /// The first of those who wait, if there is room for it. It is kept until that comes or leaves.
    fn call_next(&mut self) -> Option<Call> {
        if !self.has_room() && self.intake == Intake::Open {
            return None;
        }
        let call = self.callers.pop_front()?;
        self.kept += 1;
        Some(call)
    }

    fn has_room(&self) -> bool {
        self.waiting.len() + self.kept < self.capacity
    }

    /// A lane died, and another takes its place.
    pub(super) fn restarted(&mut self) {
        self.counts.restarts += 1;
    }

    /// Takes nothing in any more. All who wait for room are to be called, to hear that.
    pub(super) fn close(&mut self) -> Vec<Call> {
        if self.intake == Intake::Open {
            self.intake = Intake::Closed;
            self.idle = 0;
        }
        std::iter::from_fn(|| self.call_next()).collect()
    }

    /// Neither takes anything in nor gives anything out: what is still in it, to be handed back.
    pub(super) fn end(&mut self) -> VecDeque<Waiting<J>> {
        self.idle = 0;
        self.intake = Intake::Over;
        let rest = std::mem::take(&mut self.waiting);
        self.counts.unprocessed += rest.len() as u64;
        rest
    }

    pub(super) fn is_closed(&self) -> bool {
        self.intake != Intake::Open
    }

    /// Closed, and nothing is left to do.
    pub(super) fn is_done(&self) -> bool {
        self.is_closed() && self.waiting.is_empty() && self.in_progress == 0
    }

    pub(super) fn depth(&self) -> usize {
        self.waiting.len()
    }

    pub(super) fn capacity(&self) -> usize {
        self.capacity
    }

    pub(super) fn concurrency(&self) -> usize {
        self.concurrency
    }

    pub(super) fn in_progress(&self) -> usize {
        self.in_progress
    }

    pub(super) fn counts(&self) -> Counts {
        self.counts
    }

    pub(super) fn mean(&self) -> Option<Duration> {
        self.mean.get()
    }

    /// How long what is in it takes.
    pub(super) fn backlog(&self) -> Duration {
        self.mean.of_all(self.waiting.len(), self.concurrency)
    }

    /// Since when the oldest waits.
    pub(super) fn oldest(&self) -> Option<Instant> {
        self.waiting.front().map(|job| job.since)
    }

    /// Since when jobs wait and nothing moves.
    pub(super) fn still(&self) -> Option<Instant> {
        let oldest = self.oldest()?;
        Some(self.moved.map_or(oldest, |moved| moved.max(oldest)))
    }
}

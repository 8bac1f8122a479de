//! The queue itself, and its books: given the time, and without a clock, a lock or a runtime.

use std::{collections::VecDeque, time::Duration};

use tokio::time::Instant;

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
    /// Callers who wait for room, in front of all who come later.
    callers: usize,
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

/// Who has been waiting already has a right to the room there is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Caller {
    New,
    Waiting,
}

/// What is to be done next.
#[derive(Debug)]
pub(super) enum Next<J> {
    /// Run it. Somebody has to be told that there is room, if so.
    Run(Waiting<J>, Room),
    /// It expired while it waited.
    Expired(Waiting<J>, Room),
    /// Nothing now.
    Wait,
    /// Nothing ever again.
    Over,
}

/// Whether somebody waits for the room there is now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Room {
    Wanted,
    Unwanted,
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
            callers: 0,
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
        let before_it = match caller {
            Caller::New => self.callers,
            Caller::Waiting => 0,
        };
        if self.waiting.len() + before_it >= self.capacity {
            return Err((No::Full, job.job));
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
        let room = if self.callers > 0 { Room::Wanted } else { Room::Unwanted };
        self.moved = Some(now);
        if job.deadline.is_some_and(|deadline| deadline <= now) {
            self.counts.expired += 1;
            return Next::Expired(job, room);
        }
        self.in_progress += 1;
        Next::Run(job, room)
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

    /// A caller begins to wait for room.
    pub(super) fn caller_waits(&mut self) {
        self.callers += 1;
    }

    /// It waits no longer.
    pub(super) fn caller_leaves(&mut self) {
        self.callers -= 1;
    }

    /// A lane died, and another takes its place.
    pub(super) fn restarted(&mut self) {
        self.counts.restarts += 1;
    }

    /// Takes nothing in any more.
    pub(super) fn close(&mut self) {
        if self.intake == Intake::Open {
            self.intake = Intake::Closed;
            self.idle = 0;
        }
    }

    /// Neither takes anything in nor gives anything out: what is still in it, to be handed back.
    pub(super) fn end(&mut self) -> VecDeque<Waiting<J>> {
        self.close();
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

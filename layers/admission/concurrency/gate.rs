//! The gate: permits, and the line of those who wait for one.
//!
//! Who finds a permit takes it and touches nothing else. The line has a lock, and whoever changes anything about it leaves it
//! [in order](Gate::order): no permit is free while somebody waits. That none is *lost* between the two (given back
//! just when somebody begins to wait) hangs on one word: a permit is given back in the same step in which it is seen whether
//! somebody waits; and who begins to wait marks every shard before it looks for a permit a last time.

use std::{sync::PoisonError, task::Waker};

use tokio::time::Instant;

use super::{
    permits::{MOST, Permits, Taken},
    queue::{Bounds, Fate, Queue, Woken},
    sync::{AtomicU64, Mutex, MutexGuard, Ordering},
};

#[derive(Debug)]
pub(super) struct Gate {
    permits: Permits,
    /// As it is in the line.
    limit: AtomicU64,
    line: Mutex<Line>,
    queues: bool,
}

#[derive(Debug)]
struct Line {
    queue: Queue<Option<Waker>>,
    limit: usize,
    /// Permits in use beyond the limit, since it was lowered. They end when they come back.
    excess: usize,
    /// Whether attention was asked for.
    attended: bool,
}

/// What the gate says to who arrives.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Entry {
    /// A permit is held now.
    Now,
    /// It waits, by this key, until it [leaves](Gate::leave).
    Waits(usize),
    /// No permit, and no room to wait.
    Full,
}

/// How it stands.
#[derive(Clone, Copy, Debug)]
pub(super) struct Standing {
    pub(super) limit: usize,
    pub(super) in_flight: usize,
    pub(super) waiting: [usize; 4],
    pub(super) oldest: Option<Instant>,
}

impl Gate {
    pub(super) fn new(limit: usize, bounds: Bounds, shards: usize) -> Self {
        let limit = limit.min(MOST);
        Self {
            permits: Permits::new(limit, shards),
            limit: AtomicU64::new(limit as u64),
            line: Mutex::new(Line {
                queue: Queue::new(bounds),
                limit,
                excess: 0,
                attended: false,
            }),
            queues: bounds.length > 0,
        }
    }

    /// Takes a permit, if one is free and nobody waits for it.
    #[inline]
    pub(super) fn enter(&self, home: usize) -> Taken {
        self.permits.take(home)
    }

    /// Whether there is room to wait at all.
    pub(super) fn has_queue(&self) -> bool {
        self.queues
    }

    /// Enters, or waits, or neither: who could not [enter](Self::enter).
    pub(super) fn arrive(&self, home: usize, band: usize, now: Instant, latest: Option<Instant>) -> Entry {
        let mut woken = Woken::nobody();
        let mut line = self.line();
        self.order(&mut line, home, now, &mut woken);
        let mut entry =
            if line.excess == 0 && line.queue.lengths()[band..] == [0; 4][band..] && self.permits.take_for_line(home) {
                Entry::Now
            } else {
                match line.queue.join(band, now, latest, &mut woken) {
                    Some(key) => Entry::Waits(key),
                    None => Entry::Full,
                }
            };
        self.order(&mut line, home, now, &mut woken);
        if let Entry::Waits(key) = entry
            && line.queue.look(key, |_| {}) == Fate::Granted
        {
            line.queue.leave(key);
            entry = Entry::Now;
        }
        drop(line);
        wake(woken);
        entry
    }

    /// Gives a permit back. The time is asked for if somebody waits.
    #[inline]
    pub(super) fn exit(&self, home: usize, success: bool, now: impl FnOnce() -> Instant) {
        if self.permits.put(home, success) {
            self.attend(home, now());
        }
    }

    #[cold]
    fn attend(&self, home: usize, now: Instant) {
        let mut woken = Woken::nobody();
        self.order(&mut self.line(), home, now, &mut woken);
        wake(woken);
    }

    /// What became of one who waits; `waker` is to be woken when that changes.
    pub(super) fn look(&self, key: usize, waker: &Waker) -> Fate {
        self.line().queue.look(key, |known| match known {
            Some(known) => known.clone_from(waker),
            None => *known = Some(waker.clone()),
        })
    }

    /// One who waited leaves the line, whatever became of it. If it was [granted](Fate::Granted) a permit, it still holds it.
    pub(super) fn leave(&self, key: usize, home: usize, now: Instant) -> Fate {
        let mut woken = Woken::nobody();
        let mut line = self.line();
        let fate = line.queue.leave(key);
        self.order(&mut line, home, now, &mut woken);
        drop(line);
        wake(woken);
        fate
    }

    /// Sets how many permits there are. What is in use beyond that goes on.
    pub(super) fn resize(&self, limit: usize, home: usize, now: Instant) {
        let limit = limit.min(MOST);
        let mut woken = Woken::nobody();
        let mut line = self.line();
        let permits = line.limit + line.excess;
        line.limit = limit;
        self.limit.store(limit as u64, Ordering::Relaxed);
        line.excess = permits.saturating_sub(limit);
        self.permits.add(limit.saturating_sub(permits));
        self.order(&mut line, home, now, &mut woken);
        drop(line);
        wake(woken);
    }

    /// Puts the line in order: there is no permit beyond the limit, nor is one free while somebody waits.
    fn order(&self, line: &mut Line, home: usize, now: Instant, woken: &mut Woken<Option<Waker>>) {
        // First the mark, then the look: a permit that comes back in between is either seen here, or brings its bearer here.
        self.ask(line, line.needs_attention());
        while line.excess > 0 && self.permits.take_for_line(home) {
            line.excess -= 1;
        }
        while !line.queue.is_empty() && self.permits.take_for_line(home) {
            if !line.queue.serve(now, woken) {
                self.permits.put(home, false);
            }
        }
        self.ask(line, line.needs_attention());
    }

    fn ask(&self, line: &mut Line, ask: bool) {
        if line.attended != ask {
            line.attended = ask;
            self.permits.ask_for_attention(ask);
        }
    }

    pub(super) fn permits(&self) -> &Permits {
        &self.permits
    }

    pub(super) fn limit(&self) -> usize {
        usize::try_from(self.limit.load(Ordering::Relaxed)).unwrap_or(MOST)
    }

    /// How many are in flight, up to the limit.
    pub(super) fn in_flight(&self) -> usize {
        self.limit().saturating_sub(self.permits.free())
    }

    pub(super) fn standing(&self) -> Standing {
        let line = self.line();
        Standing {
            limit: line.limit,
            in_flight: (line.limit + line.excess).saturating_sub(self.permits.free()),
            waiting: line.queue.lengths(),
            oldest: line.queue.oldest(),
        }
    }

    fn line(&self) -> MutexGuard<'_, Line> {
        self.line.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Line {
    fn needs_attention(&self) -> bool {
        self.excess > 0 || !self.queue.is_empty()
    }
}

/// With no lock held: a waker is somebody else's code.
fn wake(woken: Woken<Option<Waker>>) {
    woken.into_iter().flatten().for_each(Waker::wake);
}

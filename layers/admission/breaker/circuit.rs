//! The circuit: closed, open, half-open.
//!
//! ```text
//! closed     all are let in and judged             -> open, when too many of late failed or were slow
//! open       nobody is let in                      -> half-open, by the first who comes when its time is over
//! half-open  so many probes are let in             -> closed, when all of them succeeded
//!                                                  -> open, for longer, when one failed
//!                                                  -> half-open anew, when they hang
//! ```
//!
//! An arrival at a closed circuit loads one word, and a success adds one to a counter of its own thread's home. The lock is for
//! calls that are not fine, and for moving the window on, once in a step. A probe that ends without evidence gives its place
//! back; what was let in by another state is no evidence.

use std::{sync::PoisonError, time::Duration};

use fastrand::Rng;
use tokio::time::Instant;

pub(super) use super::ticket::Ticket;
use super::{
    cell::Cell,
    clock::Clock,
    history::{History, Sums},
    law::{LONGEST, Law},
    sync::{AtomicU64, Mutex, MutexGuard, Ordering},
    tally::Tally,
    word::{State, Word},
};

/// A circuit. Whoever asks it says when that is.
#[derive(Debug)]
pub(super) struct Circuit {
    law: Law,
    clock: Clock,
    state: Cell,
    /// When an arrival is to move the window on, in nanoseconds after the origin.
    turns: AtomicU64,
    /// When probes that are still under way are taken to hang, in milliseconds after the origin.
    hang: AtomicU64,
    /// When the state changed last, in milliseconds after the origin.
    changed: AtomicU64,
    probes: AtomicU64,
    opens: AtomicU64,
    tally: Tally,
    past: Mutex<Past>,
}

#[derive(Debug)]
struct Past {
    history: History,
    /// How often it opened since it was last closed.
    streak: u32,
    rng: Rng,
}

/// What a circuit says to who arrives.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Entry {
    /// Go.
    Go(Ticket),
    /// Not before so long.
    No(Duration),
}

/// What a call says about the destination.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Evidence {
    /// It is well.
    Fine,
    /// It is not. With how long it asked to be left alone.
    Bad {
        failed: bool,
        slow: bool,
        hint: Option<Duration>,
    },
    /// Nothing.
    None,
}

/// How a circuit stands.
#[derive(Clone, Copy, Debug)]
pub(super) struct Standing {
    pub(super) state: State,
    pub(super) since: Instant,
    pub(super) recent: Sums,
    pub(super) rejected: u64,
    pub(super) probes: u64,
    pub(super) opens: u64,
}

impl Circuit {
    pub(super) fn new(law: Law, shards: usize, rng: Rng, now: Instant) -> Self {
        Self {
            law,
            clock: Clock::new(now),
            state: Cell::new(),
            turns: AtomicU64::new(0),
            hang: AtomicU64::new(0),
            changed: AtomicU64::new(0),
            probes: AtomicU64::new(0),
            opens: AtomicU64::new(0),
            tally: Tally::new(shards),
            past: Mutex::new(Past {
                history: History::new(),
                streak: 0,
                rng,
            }),
        }
    }

    #[inline]
    pub(super) fn admit(&self, home: impl FnOnce() -> usize, now: impl FnOnce() -> Instant) -> Entry {
        let word = self.state.word();
        if !word.is_closed() {
            return self.admit_some(word, home(), now());
        }
        if self.law.is_timed() {
            let nanos = self.clock.nanos(now());
            if nanos >= self.turns.load(Ordering::Relaxed) {
                self.turn(nanos);
            }
        }
        Entry::Go(Ticket::judged(word))
    }

    /// To a circuit that was not closed a moment ago.
    #[cold]
    fn admit_some(&self, mut word: Word, home: usize, now: Instant) -> Entry {
        let millis = self.clock.millis(now);
        loop {
            let (next, wait) = match word.state() {
                State::Closed => return Entry::Go(Ticket::judged(word)),
                State::Open { until } if millis < until => (None, Duration::from_millis(until - millis)),
                State::HalfOpen { free: 0, .. } if millis < self.hang.load(Ordering::Acquire) => {
                    (None, self.law.open_for)
                }
                State::HalfOpen { free, succeeded } if free > 0 => {
                    let free = free - 1;
                    (Some(word.with(State::HalfOpen { free, succeeded })), Duration::ZERO)
                }
                State::Open { .. } | State::HalfOpen { .. } => {
                    // Before the state, or whoever sees it first might take these probes to hang.
                    let patience = self.law.open_for.max(LONGEST);
                    self.hang
                        .store(self.clock.millis_after(now, patience), Ordering::Release);
                    let free = self.law.probes.saturating_sub(1);
                    let probing = State::HalfOpen { free, succeeded: 0 };
                    (Some(word.next(probing)), Duration::ZERO)
                }
            };
            let Some(next) = next else {
                self.tally.rejected(home);
                return Entry::No(wait);
            };
            match self.state.change(word, next) {
                Ok(()) => {
                    if next.epoch() != word.epoch() {
                        self.changed.store(millis, Ordering::Relaxed);
                    }
                    self.probes.fetch_add(1, Ordering::Relaxed);
                    return Entry::Go(Ticket::probe(next));
                }
                Err(other) => word = other,
            }
        }
    }

    /// Lets this one not in, for a reason of somebody else's.
    pub(super) fn reject(&self, home: usize) -> Entry {
        self.tally.rejected(home);
        Entry::No(self.law.open_for)
    }

    /// A call that was let in has ended.
    #[inline]
    pub(super) fn settle(&self, home: usize, ticket: Ticket, evidence: Evidence, now: impl FnOnce() -> Instant) {
        match evidence {
            Evidence::Fine if !ticket.is_probe() => {
                if ticket.is_of(self.state.word()) {
                    self.tally.fine(home);
                }
            }
            Evidence::None if !ticket.is_probe() => {}
            evidence => self.settle_rare(ticket, evidence, now),
        }
    }

    #[cold]
    fn settle_rare(&self, ticket: Ticket, evidence: Evidence, now: impl FnOnce() -> Instant) {
        match evidence {
            Evidence::Bad { failed, slow, hint } if !ticket.is_probe() => self.judge(ticket, failed, slow, hint, now),
            Evidence::Bad { hint, .. } => self.open(&mut self.past(), ticket, hint, now()),
            Evidence::Fine => self.probe_succeeded(ticket, now),
            Evidence::None => self.probe_returned(ticket),
        }
    }

    /// Counts a call that was not fine, and opens if it was one too many.
    fn judge(&self, ticket: Ticket, failed: bool, slow: bool, hint: Option<Duration>, now: impl FnOnce() -> Instant) {
        let mut past = self.past();
        if !ticket.is_of(self.state.word()) {
            return;
        }
        let fine = self.tally.all_fine();
        past.history.add(&self.law, failed, slow, fine);
        if self.law.condemns(past.history.recent(fine)) {
            self.open(&mut past, ticket, hint, now());
        }
    }

    /// Opens, if it stands where it let this call in.
    fn open(&self, past: &mut Past, ticket: Ticket, hint: Option<Duration>, now: Instant) {
        if !ticket.is_of(self.state.word()) {
            return;
        }
        let stay = self.law.open_time(past.streak, hint, past.rng.f64());
        let until = self.clock.millis_after(now, stay);
        if self.state.leave(ticket, State::Open { until }) {
            self.changed.store(self.clock.millis(now), Ordering::Relaxed);
            past.streak = past.streak.saturating_add(1);
            self.opens.fetch_add(1, Ordering::Relaxed);
        }
    }

    fn probe_succeeded(&self, ticket: Ticket, now: impl FnOnce() -> Instant) {
        let last = self.law.probes;
        let counted = self.state.count(ticket, |free, succeeded| {
            (succeeded + 1 < last).then_some((free, succeeded + 1))
        });
        if counted || !ticket.is_of(self.state.word()) {
            return;
        }
        let mut past = self.past();
        // Before the state: in this one nobody counts.
        past.history.clear(&self.law, self.tally.all_fine());
        if self.state.leave(ticket, State::Closed) {
            self.changed.store(self.clock.millis(now()), Ordering::Relaxed);
            past.streak = 0;
        }
    }

    fn probe_returned(&self, ticket: Ticket) {
        self.state.count(ticket, |free, succeeded| Some((free + 1, succeeded)));
    }

    #[cold]
    fn turn(&self, nanos: u64) {
        let mut past = self.past();
        let next = past.history.turn(&self.law, nanos, self.tally.all_fine());
        self.turns.store(next, Ordering::Relaxed);
    }

    /// Forgets everything: it is closed, as if it were new, and what is under way is no evidence.
    pub(super) fn reset(&self, now: Instant) {
        let mut past = self.past();
        past.history.clear(&self.law, self.tally.all_fine());
        past.streak = 0;
        self.state.leave_any(State::Closed);
        self.changed.store(self.clock.millis(now), Ordering::Relaxed);
    }

    pub(super) fn state(&self) -> State {
        self.state.word().state()
    }

    /// How it stands.
    pub(super) fn standing(&self, now: Instant) -> Standing {
        let nanos = self.clock.nanos(now);
        let recent = self.past().history.recent_at(&self.law, nanos, self.tally.all_fine());
        Standing {
            state: self.state(),
            since: self.clock.at_millis(self.changed.load(Ordering::Relaxed)),
            recent,
            rejected: self.tally.all_rejected(),
            probes: self.probes.load(Ordering::Relaxed),
            opens: self.opens.load(Ordering::Relaxed),
        }
    }

    /// When that is, by the circuit's clock.
    #[inline]
    pub(super) fn nanos(&self, now: Instant) -> u64 {
        self.clock.nanos(now)
    }

    /// Whether it is as if it were new.
    pub(super) fn is_idle(&self, now: Instant) -> bool {
        self.state.word().is_closed() && self.standing(now).recent.calls == 0
    }

    fn past(&self) -> MutexGuard<'_, Past> {
        self.past.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

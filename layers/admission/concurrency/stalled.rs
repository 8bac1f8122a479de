//! Answers whose body is being read: what is held of them ends when their deadline has passed, read or not.
//!
//! A body is not polled while its reader stalls, so a deadline that only the body checks is not kept against such a reader, and
//! a few of them would hold a limit's every permit. So a body that has a deadline leaves its permit here, and whoever first needs
//! it after that deadline takes it.

use std::{
    sync::{
        Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use slab::Slab;
use tokio::time::Instant;

/// How long after its deadline a body can still be read: its own end comes first where anybody reads it.
const GRACE: Duration = Duration::from_secs(1);

/// The permits of bodies with a deadline, of one shard.
#[derive(Debug)]
#[repr(align(128))]
pub(super) struct Stalled {
    start: Instant,
    /// No deadline passes before this, in milliseconds since the start.
    soonest: AtomicU64,
    bodies: Mutex<Bodies>,
}

#[derive(Debug, Default)]
struct Bodies {
    slots: Slab<Body>,
    next: u64,
}

#[derive(Debug)]
struct Body {
    name: u64,
    ends: Instant,
}

/// Where a body has left its permit.
#[derive(Clone, Copy, Debug)]
pub(super) struct Deposit {
    slot: usize,
    name: u64,
}

impl Stalled {
    pub(super) fn new(start: Instant) -> Self {
        Self {
            start,
            soonest: AtomicU64::new(u64::MAX),
            bodies: Mutex::default(),
        }
    }

    /// Leaves the permit of a body here that must end by `deadline`. `None`: that is too far to be told.
    pub(super) fn leave(&self, deadline: Instant) -> Option<Deposit> {
        let ends = deadline.checked_add(GRACE)?;
        let mut bodies = self.bodies();
        let name = bodies.next;
        bodies.next += 1;
        let slot = bodies.slots.insert(Body { name, ends });
        self.soonest.fetch_min(self.millis(ends), Ordering::Relaxed);
        Some(Deposit { slot, name })
    }

    /// Takes the permit back. No, if somebody took it meanwhile.
    pub(super) fn take_back(&self, deposit: Deposit) -> bool {
        let mut bodies = self.bodies();
        let is_there = bodies
            .slots
            .get(deposit.slot)
            .is_some_and(|body| body.name == deposit.name);
        if is_there {
            bodies.slots.remove(deposit.slot);
        }
        is_there
    }

    #[inline]
    pub(super) fn is_empty(&self) -> bool {
        self.soonest.load(Ordering::Relaxed) == u64::MAX
    }

    /// How many permits can be taken from readers who stalled beyond their deadline: they are taken.
    pub(super) fn settle(&self, now: Instant) -> usize {
        if self.millis(now) < self.soonest.load(Ordering::Relaxed) {
            return 0;
        }
        let mut bodies = self.bodies();
        let before = bodies.slots.len();
        bodies.slots.retain(|_, body| body.ends > now);
        let soonest = bodies.slots.iter().map(|(_, body)| self.millis(body.ends)).min();
        self.soonest.store(soonest.unwrap_or(u64::MAX), Ordering::Relaxed);
        before - bodies.slots.len()
    }

    fn millis(&self, at: Instant) -> u64 {
        let millis = at.saturating_duration_since(self.start).as_millis();
        u64::try_from(millis).unwrap_or(u64::MAX)
    }

    fn bodies(&self) -> MutexGuard<'_, Bodies> {
        self.bodies.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

//! Whom the limit turned away, counted where it happened.

use std::sync::atomic::{AtomicU64, Ordering};

use super::queue::Fate;
use crate::{
    context::Criticality,
    rejection::{Reason, Rejection},
};

/// Why a concurrency limit turned a request away.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum NotAdmitted {
    /// The limit is reached, and so is the queue's length.
    Full,
    /// It gave its place in the queue to somebody more critical, or to somebody later where the queue has been standing.
    Evicted,
    /// It waited as long as one may wait.
    Overdue,
    /// Its deadline cannot be met: less is left of it than the work takes.
    Unmeetable,
}

impl NotAdmitted {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::Full, Self::Evicted, Self::Overdue, Self::Unmeetable];

    /// The name in metrics: `full`, `evicted`, `overdue`, `unmeetable`.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Full => "full",
            Self::Evicted => "evicted",
            Self::Overdue => "overdue",
            Self::Unmeetable => "unmeetable",
        }
    }

    pub(super) fn of(fate: Fate) -> Self {
        match fate {
            Fate::Evicted => Self::Evicted,
            Fate::TooLate => Self::Unmeetable,
            Fate::Waiting | Fate::Granted | Fate::Overdue => Self::Overdue,
        }
    }

    pub(super) fn rejection(self) -> Rejection {
        let (reason, message) = match self {
            Self::Full => return Rejection::new(Reason::Overloaded, super::NAME),
            Self::Evicted => (Reason::Overloaded, "overloaded: others came first"),
            Self::Overdue => (Reason::Overloaded, "overloaded: waited too long"),
            Self::Unmeetable => (Reason::DeadlineExceeded, "the deadline cannot be met"),
        };
        Rejection::new(reason, super::NAME).with_message(message)
    }
}

/// The counts of one shard.
#[derive(Debug, Default)]
#[repr(align(128))]
pub(super) struct Counts {
    queued: AtomicU64,
    tight: AtomicU64,
    rejected: [[AtomicU64; NotAdmitted::ALL.len()]; Criticality::ALL.len()],
}

impl Counts {
    pub(super) fn queued(&self) {
        self.queued.fetch_add(1, Ordering::Relaxed);
    }

    /// A deadline came that cannot be met, and so many before it.
    pub(super) fn tight(&self) -> u64 {
        self.tight.fetch_add(1, Ordering::Relaxed)
    }

    pub(super) fn rejected(&self, band: Criticality, why: NotAdmitted) {
        self.rejected[band as usize][why as usize].fetch_add(1, Ordering::Relaxed);
    }
}

/// The counts of all shards.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Totals {
    pub(super) queued: u64,
    rejected: [[u64; NotAdmitted::ALL.len()]; Criticality::ALL.len()],
}

impl Totals {
    pub(super) fn of<'a>(shards: impl Iterator<Item = &'a Counts>) -> Self {
        let mut totals = Self::default();
        for counts in shards {
            totals.queued += counts.queued.load(Ordering::Relaxed);
            for (totals, counts) in totals
                .rejected
                .iter_mut()
                .flatten()
                .zip(counts.rejected.iter().flatten())
            {
                *totals += counts.load(Ordering::Relaxed);
            }
        }
        totals
    }

    pub(super) fn rejected(&self, band: Criticality, why: NotAdmitted) -> u64 {
        self.rejected[band as usize][why as usize]
    }

    /// For want of room.
    pub(super) fn crowded_out(&self) -> u64 {
        let whys = [NotAdmitted::Full, NotAdmitted::Evicted, NotAdmitted::Overdue];
        let of = |band: &[u64; NotAdmitted::ALL.len()]| whys.iter().map(|why| band[*why as usize]).sum::<u64>();
        self.rejected.iter().map(of).sum()
    }
}

use std::{collections::BTreeMap, time::Duration};

use tokio::time::Instant;

use super::super::{Handle, Phase, worker::QueueStatus};
use crate::registry::{Kind, Owner, Work};

/// More than a person reads, and than a page should carry.
const MOST: usize = 1_000;

/// What is shown: the overdue first, and of either the oldest first.
#[derive(Debug)]
pub(super) struct List {
    pub(super) phase: Phase,
    pub(super) alive: usize,
    pub(super) overdue: usize,
    /// How many there are of each kind, by the order of the kinds.
    pub(super) kinds: BTreeMap<Kind, usize>,
    pub(super) queues: Vec<(&'static str, QueueStatus)>,
    pub(super) shown: Vec<Shown>,
}

/// A piece of work, as it stands now.
#[derive(Debug)]
pub(super) struct Shown {
    pub(super) id: u64,
    pub(super) kind: &'static str,
    pub(super) name: &'static str,
    pub(super) owner: Option<Owner>,
    pub(super) age: Duration,
    pub(super) left: Option<Left>,
    pub(super) stopped_by: &'static str,
}

/// How far its deadline is away.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Left {
    Still(Duration),
    Overdue(Duration),
}

impl List {
    pub(super) fn of(handle: &Handle) -> Self {
        let workers = handle.0.workers().clone();
        let queues = workers.iter().map(|worker| (worker.name(), worker.status()));
        Self {
            queues: queues.collect(),
            ..Self::new(handle.phase(), handle.snapshot(), Instant::now())
        }
    }

    pub(super) fn new(phase: Phase, mut works: Vec<Work>, now: Instant) -> Self {
        let mut kinds = BTreeMap::new();
        for work in &works {
            *kinds.entry(work.kind).or_default() += 1;
        }
        works.sort_by_key(|work| (!work.is_overdue(now), work.started, work.id));
        Self {
            phase,
            alive: works.len(),
            overdue: works.iter().take_while(|work| work.is_overdue(now)).count(),
            kinds,
            queues: Vec::new(),
            shown: works
                .into_iter()
                .take(MOST)
                .map(|work| Shown::new(&work, now))
                .collect(),
        }
    }

    /// How many are not shown.
    pub(super) fn more(&self) -> usize {
        self.alive - self.shown.len()
    }
}

impl Shown {
    fn new(work: &Work, now: Instant) -> Self {
        let left = work
            .deadline
            .map(|deadline| match deadline.checked_duration_since(now) {
                Some(left) => Left::Still(left),
                None => Left::Overdue(now - deadline),
            });
        Self {
            id: work.id,
            kind: work.kind.as_str(),
            name: work.name,
            owner: work.owner,
            age: now.saturating_duration_since(work.started),
            left,
            stopped_by: work.kind.stopped_by(),
        }
    }

    pub(super) fn is_overdue(&self) -> bool {
        matches!(self.left, Some(Left::Overdue(_)))
    }
}

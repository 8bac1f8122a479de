use std::sync::atomic::{AtomicU64, Ordering};

use crate::telemetry::{Report, instruments};

/// What became of calls that were to be answered otherwise. Of all others nothing is counted.
#[derive(Debug, Default)]
pub(super) struct Counts {
    answered: AtomicU64,
    failed: AtomicU64,
    not_repeatable: AtomicU64,
}

/// What a [`FallbackLayer`](super::FallbackLayer) has done since it was made.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct FallbackSnapshot {
    /// Calls that failed, and were answered otherwise.
    pub answered: u64,
    /// Calls that failed, and then the fallback did: the first failure was passed up.
    pub failed: u64,
    /// Calls that failed, and could not be sent to another service: for what they may have done already, or because their body
    /// was gone.
    pub not_repeatable: u64,
}

/// What became of one.
#[derive(Clone, Copy, Debug)]
pub(super) enum Fate {
    Answered,
    Failed,
    NotRepeatable,
}

impl Counts {
    pub(super) fn count(&self, fate: Fate) {
        let count = match fate {
            Fate::Answered => &self.answered,
            Fate::Failed => &self.failed,
            Fate::NotRepeatable => &self.not_repeatable,
        };
        count.fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn snapshot(&self) -> FallbackSnapshot {
        let read = |count: &AtomicU64| count.load(Ordering::Relaxed);
        FallbackSnapshot {
            answered: read(&self.answered),
            failed: read(&self.failed),
            not_repeatable: read(&self.not_repeatable),
        }
    }
}

impl FallbackSnapshot {
    pub(super) fn measure(&self, name: &str, report: &mut dyn Report) {
        for (outcome, count) in [
            ("answered", self.answered),
            ("failed", self.failed),
            ("not_repeatable", self.not_repeatable),
        ] {
            instruments::FALLBACK_ANSWERS.count(count, &[("name", name), ("outcome", outcome)], report);
        }
    }
}

use std::sync::atomic::{AtomicU64, Ordering};

use crate::telemetry::{Report, instruments};

/// What happened, for the snapshot. None of it happens to a request that is answered in time.
#[derive(Debug, Default)]
pub(super) struct Counts {
    hedges: AtomicU64,
    won: AtomicU64,
    unpaid: AtomicU64,
}

/// What a [`HedgeLayer`](super::HedgeLayer) has done since it was made.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct HedgeSnapshot {
    /// Attempts after the first.
    pub hedges: u64,
    /// How many of them answered first.
    pub won: u64,
    /// How many there were not, because the budget was spent.
    pub unpaid: u64,
}

impl Counts {
    pub(super) fn hedge(&self) {
        self.hedges.fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn won(&self) {
        self.won.fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn unpaid(&self) {
        self.unpaid.fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn snapshot(&self) -> HedgeSnapshot {
        let read = |count: &AtomicU64| count.load(Ordering::Relaxed);
        HedgeSnapshot {
            hedges: read(&self.hedges),
            won: read(&self.won),
            unpaid: read(&self.unpaid),
        }
    }
}

impl HedgeSnapshot {
    pub(super) fn measure(&self, target: &str, report: &mut dyn Report) {
        let lost = self.hedges.saturating_sub(self.won);
        for (outcome, count) in [("won", self.won), ("lost", lost)] {
            instruments::HEDGE_ATTEMPTS.count(count, &[("target", target), ("outcome", outcome)], report);
        }
        instruments::HEDGE_UNPAID.count(self.unpaid, &[("target", target)], report);
    }
}

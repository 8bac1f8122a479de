use std::time::Duration;

use tokio::time::Instant;

use super::{ConcurrencyLimit, NotAdmitted, counts::Totals, gate::Standing};
use crate::{
    context::Criticality,
    telemetry::{Measured, Report, instruments},
};

/// How a [`ConcurrencyLimit`](super::ConcurrencyLimit) stands. While requests come and go, its numbers are of about the same time.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct ConcurrencySnapshot {
    /// How many may be in flight.
    pub limit: usize,
    /// How many are, their bodies included. More than the limit for a while, after it was lowered.
    pub in_flight: usize,
    /// How many wait in the queue.
    pub queued: usize,
    /// How long the one has waited who has waited the longest. Zero where nobody waits.
    pub longest_wait: Duration,
    waiting: [usize; Criticality::ALL.len()],
    totals: Totals,
}

impl ConcurrencySnapshot {
    pub(super) fn new(standing: Standing, totals: Totals, now: Instant) -> Self {
        let wait = standing.oldest.map(|since| now.saturating_duration_since(since));
        Self {
            limit: standing.limit,
            in_flight: standing.in_flight,
            queued: standing.waiting.iter().sum(),
            longest_wait: wait.unwrap_or_default(),
            waiting: standing.waiting,
            totals,
        }
    }

    /// How many of this criticality wait in the queue.
    pub fn queued_in(&self, band: Criticality) -> usize {
        self.waiting[band as usize]
    }

    /// How many of this criticality were turned away for this, since the limit was made.
    pub fn rejected(&self, band: Criticality, why: NotAdmitted) -> u64 {
        self.totals.rejected(band, why)
    }

    /// How many were turned away in all, since the limit was made.
    pub fn rejected_in_all(&self) -> u64 {
        let of = |band| NotAdmitted::ALL.map(|why| self.rejected(band, why)).iter().sum::<u64>();
        Criticality::ALL.into_iter().map(of).sum()
    }
}

impl Measured for ConcurrencyLimit {
    fn measure(&self, name: &str, report: &mut dyn Report) {
        let now = self.snapshot();
        let named = [("name", name)];
        instruments::LIMIT.count(now.limit as u64, &named, report);
        instruments::LIMIT_IN_FLIGHT.count(now.in_flight as u64, &named, report);
        for band in Criticality::ALL {
            let banded = [("name", name), ("band", band.as_str())];
            instruments::LIMIT_QUEUED.count(now.queued_in(band) as u64, &banded, report);
            for why in NotAdmitted::ALL {
                let attributes = [("name", name), ("band", band.as_str()), ("reason", why.as_str())];
                instruments::LIMIT_REJECTED.count(now.rejected(band, why), &attributes, report);
            }
        }
    }
}

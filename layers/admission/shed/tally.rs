//! How many came and how many were rejected, by criticality.

use std::sync::atomic::{AtomicU64, Ordering};

use crate::context::Criticality;

/// Counts since the layer was made. On cache lines of their own: what every arrival reads is not on them.
#[derive(Default)]
#[repr(align(128))]
pub(super) struct Tally {
    arrived: [AtomicU64; 4],
    rejected: [AtomicU64; 4],
}

/// What had been counted at the last sample, and the share that was rejected before it.
#[derive(Default)]
pub(super) struct Window {
    arrived: [u64; 4],
    rejected: [u64; 4],
    pub(super) rejected_share: f64,
}

impl Tally {
    pub(super) fn count_arrival(&self, criticality: Criticality) {
        self.arrived[criticality as usize].fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn count_rejection(&self, criticality: Criticality) {
        self.rejected[criticality as usize].fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn rejected(&self) -> [u64; 4] {
        totals(&self.rejected)
    }
}

impl Window {
    /// Begins the next window: how many arrived in the one that ends.
    #[expect(clippy::cast_precision_loss, reason = "counts of requests")]
    pub(super) fn turn(&mut self, tally: &Tally) -> [u64; 4] {
        let rejected = since(&mut self.rejected, tally.rejected());
        let arrived = since(&mut self.arrived, totals(&tally.arrived));
        let all = arrived.iter().sum::<u64>().max(1);
        self.rejected_share = (rejected.iter().sum::<u64>() as f64 / all as f64).min(1.0);
        arrived
    }
}

fn totals(of: &[AtomicU64; 4]) -> [u64; 4] {
    of.each_ref().map(|count| count.load(Ordering::Relaxed))
}

/// How many were added to what was there before, which they replace.
fn since(before: &mut [u64; 4], now: [u64; 4]) -> [u64; 4] {
    let mut added = now;
    for (added, before) in added.iter_mut().zip(*before) {
        *added = added.wrapping_sub(before);
    }
    *before = now;
    added
}

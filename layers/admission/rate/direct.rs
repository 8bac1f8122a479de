use std::sync::atomic::{AtomicU64, Ordering};

use super::{
    Quota, Quotas,
    gcra::{self, NotBefore, Place},
    state::Tally,
};

/// One state for all requests, without a lock: a number for each quota.
///
/// With one quota a decision is one exchange. With several, they are taken in turn, and given back where a later one turns out
/// to be spent by whoever came between: for that moment others may find less than there is, never more.
#[derive(Debug, Default)]
pub(super) struct Direct {
    tats: [AtomicU64; Quotas::MAX],
    allowed: AtomicU64,
    rejected: AtomicU64,
    waited: AtomicU64,
}

impl Direct {
    #[inline]
    pub(super) fn grant(&self, quotas: &[Quota], place: &mut Place, now: u64, latest: u64) -> Result<u64, NotBefore> {
        loop {
            for (seen, tat) in place.before.iter_mut().zip(&self.tats).take(quotas.len()) {
                *seen = tat.load(Ordering::Acquire);
            }
            let decided = gcra::grant(quotas, place, now, latest);
            let Ok(at) = decided else {
                self.rejected.fetch_add(1, Ordering::Relaxed);
                return decided;
            };
            if self.take(quotas, place, now, at) {
                let count = if at > now { &self.waited } else { &self.allowed };
                count.fetch_add(1, Ordering::Relaxed);
                return decided;
            }
        }
    }

    /// Takes the place, or of each quota another at the same time; or takes of none.
    #[inline]
    fn take(&self, quotas: &[Quota], place: &mut Place, now: u64, at: u64) -> bool {
        let states = self.tats.iter().zip(place.before.iter_mut().zip(&mut place.after));
        for (index, (quota, (tat, (before, after)))) in quotas.iter().zip(states).enumerate() {
            while let Err(changed) = tat.compare_exchange_weak(*before, *after, Ordering::AcqRel, Ordering::Acquire) {
                *before = changed;
                let Ok(next) = gcra::step(quota, changed, at) else {
                    self.undo(quotas, place, index, at > now);
                    return false;
                };
                *after = next;
            }
        }
        true
    }

    /// Gives the first so many quotas back what was just taken of them.
    #[cold]
    fn undo(&self, quotas: &[Quota], place: &Place, taken: usize, reserved: bool) {
        if reserved {
            self.leave(&Place {
                quotas: taken,
                ..*place
            });
            return;
        }
        for (tat, quota) in self.tats.iter().zip(quotas).take(taken) {
            tat.fetch_sub(quota.interval_nanos(), Ordering::AcqRel);
        }
    }

    /// Gives a place back to the quotas of which it is the last.
    pub(super) fn leave(&self, place: &Place) {
        for (tat, (before, after)) in self.tats.iter().zip(place.each()) {
            let _ = tat.compare_exchange(after, before, Ordering::AcqRel, Ordering::Relaxed);
        }
    }

    pub(super) fn tally(&self) -> Tally {
        Tally {
            allowed: self.allowed.load(Ordering::Relaxed),
            rejected: self.rejected.load(Ordering::Relaxed),
            waited: self.waited.load(Ordering::Relaxed),
            ..Tally::default()
        }
    }
}

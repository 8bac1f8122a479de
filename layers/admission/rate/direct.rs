use std::sync::atomic::{AtomicU64, Ordering};

use super::{
    Quota, Quotas,
    gcra::{self, Denied, Grant, Tats},
    state::{Place, Tally},
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
    pub(super) fn grant(&self, quotas: &[Quota], now: u64, latest: u64) -> (Tats, Result<Grant, Denied>) {
        loop {
            let seen = self.tats.each_ref().map(|tat| tat.load(Ordering::Acquire));
            let decided = gcra::grant(quotas, &seen, now, latest);
            let Ok(mut grant) = decided else {
                self.rejected.fetch_add(1, Ordering::Relaxed);
                return (seen, decided);
            };
            if let Some(before) = self.take(quotas, seen, &mut grant, now) {
                let count = if grant.at > now { &self.waited } else { &self.allowed };
                count.fetch_add(1, Ordering::Relaxed);
                return (before, Ok(grant));
            }
        }
    }

    /// Takes one of each at the time granted, and says what was there before; or takes of none.
    fn take(&self, quotas: &[Quota], mut before: Tats, grant: &mut Grant, now: u64) -> Option<Tats> {
        for (index, quota) in quotas.iter().enumerate() {
            let (tat, seen, next) = (self.tats.get(index)?, before.get_mut(index)?, grant.next.get_mut(index)?);
            while let Err(changed) = tat.compare_exchange_weak(*seen, *next, Ordering::AcqRel, Ordering::Acquire) {
                *seen = changed;
                if let Ok(later) = gcra::step(quota, changed, grant.at) {
                    *next = later;
                    continue;
                }
                let taken = quotas.get(..index)?;
                if grant.at > now {
                    self.leave(&Place { before, after: grant.next, quotas: taken.len() });
                } else {
                    for (tat, quota) in self.tats.iter().zip(taken) {
                        tat.fetch_sub(quota.interval_nanos(), Ordering::AcqRel);
                    }
                }
                return None;
            }
        }
        Some(before)
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

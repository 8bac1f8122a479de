//! What every call counts, each on a cache line of its thread's home.

use super::sync::{AtomicU64, Ordering};

#[derive(Debug)]
pub(super) struct Tally {
    shards: Box<[Shard]>,
}

/// Two cache lines: processors fetch them in pairs.
#[derive(Debug)]
#[repr(align(128))]
struct Shard {
    fine: AtomicU64,
    rejected: AtomicU64,
}

impl Tally {
    /// Over so many shards, a power of two.
    pub(super) fn new(shards: usize) -> Self {
        let shard = || Shard {
            fine: AtomicU64::new(0),
            rejected: AtomicU64::new(0),
        };
        Self {
            shards: (0..shards.max(1)).map(|_| shard()).collect(),
        }
    }

    #[inline]
    pub(super) fn fine(&self, home: usize) {
        self.shard(home).fine.fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn rejected(&self, home: usize) {
        self.shard(home).rejected.fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn all_fine(&self) -> u64 {
        self.shards.iter().map(|shard| shard.fine.load(Ordering::Relaxed)).sum()
    }

    pub(super) fn all_rejected(&self) -> u64 {
        self.shards
            .iter()
            .map(|shard| shard.rejected.load(Ordering::Relaxed))
            .sum()
    }

    #[inline]
    fn shard(&self, home: usize) -> &Shard {
        &self.shards[home & (self.shards.len() - 1)]
    }
}

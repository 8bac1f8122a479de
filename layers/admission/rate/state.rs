use std::{
    fmt,
    hash::{BuildHasher, Hash, RandomState},
    sync::OnceLock,
};

use tokio::time::Instant;

use super::{
    Quota,
    direct::Direct,
    gcra::{NotBefore, Place},
    table::Table,
};

/// What a limit remembers, and since when.
#[derive(Debug, Default)]
pub(super) struct State {
    /// The first arrival. All times are counted from it.
    epoch: OnceLock<Instant>,
    kept: Kept,
}

enum Kept {
    Direct(Direct),
    Keyed(Table),
}

/// What was decided so far.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Tally {
    pub(super) allowed: u64,
    pub(super) waited: u64,
    pub(super) rejected: u64,
    pub(super) evicted: u64,
    pub(super) keys: usize,
}

/// A key as the table knows it: 64 bits of `SipHash` under keys that are drawn for each limit, so that nobody can look for two
/// that collide. Among 100,000 keys two of that many collide by chance once in four billion times; they would share a bucket.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Key(u64);

impl Key {
    pub(super) fn new(hasher: &RandomState, key: &(impl Hash + ?Sized)) -> Self {
        Self(hasher.hash_one(key))
    }
}

impl State {
    /// Of so many keys, with the states of so many quotas each.
    pub(super) fn keyed(keys: usize, quotas: usize) -> Self {
        Self {
            epoch: OnceLock::new(),
            kept: Kept::Keyed(Table::new(keys, quotas)),
        }
    }

    /// That time, in nanoseconds since the epoch.
    #[inline]
    pub(super) fn nanos(&self, now: Instant) -> u64 {
        let since = now.saturating_duration_since(*self.epoch.get_or_init(|| now));
        let seconds = since.as_secs().saturating_mul(1_000_000_000);
        seconds.saturating_add(since.subsec_nanos().into())
    }

    /// Decides, and says what there was before.
    #[inline]
    pub(super) fn grant(
        &self,
        key: Option<Key>,
        quotas: &[Quota],
        place: &mut Place,
        now: u64,
        latest: u64,
    ) -> Result<u64, NotBefore> {
        match &self.kept {
            Kept::Direct(direct) => direct.grant(quotas, place, now, latest),
            Kept::Keyed(table) => table.grant(table_key(key), quotas, place, now, latest),
        }
    }

    /// Gives a place back to the quotas of which it is the last.
    pub(super) fn leave(&self, key: Option<Key>, place: &Place) {
        match &self.kept {
            Kept::Direct(direct) => direct.leave(place),
            Kept::Keyed(table) => table.leave(table_key(key), place),
        }
    }

    pub(super) fn tally(&self) -> Tally {
        match &self.kept {
            Kept::Direct(direct) => direct.tally(),
            Kept::Keyed(table) => table.tally(),
        }
    }
}

fn table_key(key: Option<Key>) -> u64 {
    key.map_or(0, |key| key.0)
}

impl Default for Kept {
    fn default() -> Self {
        Self::Direct(Direct::default())
    }
}

impl fmt::Debug for Kept {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Direct(direct) => direct.fmt(f),
            Self::Keyed(table) => table.fmt(f),
        }
    }
}

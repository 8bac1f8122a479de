use std::{
    fmt,
    hash::{BuildHasher, Hash, RandomState},
    sync::{Arc, OnceLock},
};

use tokio::time::Instant;

use super::{
    Quota,
    direct::Direct,
    gcra::{Denied, Grant, Tats},
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

/// A place that was taken: what it made of the states of so many quotas.
#[derive(Clone, Copy, Debug)]
pub(super) struct Place {
    pub(super) before: Tats,
    pub(super) after: Tats,
    pub(super) quotas: usize,
}

/// A key as the table knows it: 64 bits of SipHash under keys that are drawn for each limit, so that nobody can look for two
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
    pub(super) fn nanos(&self, now: Instant) -> u64 {
        let since = now.saturating_duration_since(*self.epoch.get_or_init(|| now));
        let seconds = since.as_secs().saturating_mul(1_000_000_000);
        seconds.saturating_add(since.subsec_nanos().into())
    }

    /// Decides, and says what there was before.
    #[inline]
    pub(super) fn grant(&self, key: Option<Key>, quotas: &[Quota], now: u64, latest: u64) -> (Tats, Result<Grant, Denied>) {
        match &self.kept {
            Kept::Direct(direct) => direct.grant(quotas, now, latest),
            Kept::Keyed(table) => table.grant(table_key(key), quotas, now, latest),
        }
    }

    fn leave(&self, key: Option<Key>, place: &Place) {
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

impl Place {
    /// What each of its quotas was before, and after.
    pub(super) fn each(&self) -> impl Iterator<Item = (u64, u64)> {
        self.before.into_iter().zip(self.after).take(self.quotas)
    }
}

/// A place in the time to come, held for who waits for it. Dropped, it is given back, if it is still the last.
#[derive(Debug)]
pub(super) struct Reservation {
    pub(super) state: Arc<State>,
    pub(super) key: Option<Key>,
    pub(super) held: Option<Place>,
}

impl Reservation {
    /// The time has come: it is taken.
    pub(super) fn take(&mut self) {
        self.held = None;
    }
}

impl Drop for Reservation {
    fn drop(&mut self) {
        if let Some(place) = self.held.take() {
            self.state.leave(self.key, &place);
        }
    }
}

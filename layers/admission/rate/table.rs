//! The states of many keys: bounded, sharded, and forgetting those first whose state says nothing.

use std::{
    collections::HashMap,
    fmt,
    hash::{BuildHasherDefault, Hasher},
    sync::{Mutex, MutexGuard, PoisonError},
};

use super::{
    Quota, Quotas,
    gcra::{self, NotBefore, Place},
    state::Tally,
};

/// How many keys a shard has at least, and how many shards there are at most.
const SHARD: usize = 64;
const SHARDS: usize = 64;

/// How many entries a newcomer looks at where the shard is full, and where it is not.
const FULL: usize = 8;
const SWEEP: usize = 2;

/// A table of so many keys, each known by its hash.
///
/// Whoever is new advances a hand around its shard. Entries under the hand that are *idle* (their buckets are full, so that
/// forgetting them changes nothing) are dropped; so the table follows the number of active keys without ever being scanned. In a
/// shard that is full, and with none idle among the next eight, the one gives way that would be idle soonest: it is forgiven
/// the least. A key that is over its limit owes the most, so a flood of new keys drives out its own.
pub(super) struct Table {
    shards: Box<[Shard]>,
    /// How many keys a shard may hold.
    room: usize,
    /// How many states a key has.
    stride: usize,
}

/// On cache lines of its own: the next shard is another core's.
#[derive(Default)]
#[repr(align(128))]
struct Shard(Mutex<Entries>);

#[derive(Default)]
struct Entries {
    index: HashMap<u64, usize, BuildHasherDefault<Hashed>>,
    keys: Vec<u64>,
    /// So many for each key as is the stride.
    tats: Vec<u64>,
    hand: usize,
    tally: Tally,
}

impl Table {
    /// A table of no more than `keys` keys, and one at least, each with the states of `stride` quotas.
    pub(super) fn new(keys: usize, stride: usize) -> Self {
        let shards = (keys / SHARD).clamp(1, SHARDS);
        // A power of two, not above.
        let shards = 1 << shards.ilog2();
        Self {
            shards: (0..shards).map(|_| Shard::default()).collect(),
            room: (keys / shards).max(1),
            stride: stride.clamp(1, Quotas::MAX),
        }
    }

    pub(super) fn grant(
        &self,
        key: u64,
        quotas: &[Quota],
        place: &mut Place,
        now: u64,
        latest: u64,
    ) -> Result<u64, NotBefore> {
        let mut entries = self.shard(key).ok_or(None)?;
        let known = entries.index.get(&key).copied();
        if let Some(known) = known {
            for (before, kept) in place.before.iter_mut().zip(entries.of(known, self.stride)) {
                *before = *kept;
            }
        }
        let decided = gcra::grant(quotas, place, now, latest);
        let tally = &mut entries.tally;
        let Ok(at) = decided else {
            tally.rejected += 1;
            return decided;
        };
        *(if at > now {
            &mut tally.waited
        } else {
            &mut tally.allowed
        }) += 1;
        let known = known.unwrap_or_else(|| entries.insert(key, now, self.room, self.stride));
        for (kept, after) in entries
            .of(known, self.stride)
            .iter_mut()
            .zip(place.after)
            .take(quotas.len())
        {
            *kept = after;
        }
        decided
    }

    /// Gives a place back to the quotas of which it is the last.
    pub(super) fn leave(&self, key: u64, place: &Place) {
        let Some(mut entries) = self.shard(key) else { return };
        let Some(&index) = entries.index.get(&key) else { return };
        for (tat, (before, after)) in entries.of(index, self.stride).iter_mut().zip(place.each()) {
            if *tat == after {
                *tat = before;
            }
        }
    }

    pub(super) fn tally(&self) -> Tally {
        self.shards.iter().fold(Tally::default(), |sum, shard| {
            let entries = shard.lock();
            Tally {
                allowed: sum.allowed + entries.tally.allowed,
                waited: sum.waited + entries.tally.waited,
                rejected: sum.rejected + entries.tally.rejected,
                evicted: sum.evicted + entries.tally.evicted,
                keys: sum.keys + entries.keys.len(),
            }
        })
    }

    fn shard(&self, key: u64) -> Option<MutexGuard<'_, Entries>> {
        // The map within takes the lowest and the highest bits.
        let shard = usize::try_from((key >> 40) & 0xffff).unwrap_or_default() & (self.shards.len() - 1);
        self.shards.get(shard).map(Shard::lock)
    }
}

impl Shard {
    /// Nothing that runs under the lock panics.
    fn lock(&self) -> MutexGuard<'_, Entries> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Entries {
    fn of(&mut self, place: usize, stride: usize) -> &mut [u64] {
        let start = place * stride;
        self.tats.get_mut(start..start + stride).unwrap_or_default()
    }

    /// When this one is idle.
    fn idle_at(&self, place: usize, stride: usize) -> u64 {
        self.tats
            .iter()
            .skip(place * stride)
            .take(stride)
            .copied()
            .max()
            .unwrap_or_default()
    }

    /// Makes room for a key that is not there, and says where.
    fn insert(&mut self, key: u64, now: u64, room: usize, stride: usize) -> usize {
        if self.keys.len() < room {
            self.sweep(now, stride);
            self.keys.push(key);
            self.tats.extend(std::iter::repeat_n(0, stride));
            let place = self.keys.len() - 1;
            self.index.insert(key, place);
            return place;
        }
        let place = self.give_way(now, stride);
        if let Some(known) = self.keys.get_mut(place) {
            self.index.remove(known);
            *known = key;
        }
        self.of(place, stride).fill(0);
        self.index.insert(key, place);
        place
    }

    /// Drops those that are idle among the next few.
    fn sweep(&mut self, now: u64, stride: usize) {
        for _ in 0..SWEEP {
            let place = self.advance();
            if place >= self.keys.len() || self.idle_at(place, stride) > now {
                continue;
            }
            let last = self.keys.len() - 1;
            self.index.remove(&self.keys.swap_remove(place));
            if let Some(moved) = self.keys.get(place) {
                self.index.insert(*moved, place);
                self.tats.copy_within(last * stride.., place * stride);
            }
            self.tats.truncate(last * stride);
        }
    }

    /// Who gives way where all is full.
    fn give_way(&mut self, now: u64, stride: usize) -> usize {
        let (mut way, mut soonest) = (0, u64::MAX);
        for _ in 0..FULL.min(self.keys.len()) {
            let place = self.advance();
            let idle_at = self.idle_at(place, stride);
            if idle_at < soonest {
                (way, soonest) = (place, idle_at);
            }
            if idle_at <= now {
                return place;
            }
        }
        self.tally.evicted += 1;
        way
    }

    fn advance(&mut self) -> usize {
        let place = self.hand;
        self.hand = if place + 1 < self.keys.len() { place + 1 } else { 0 };
        place
    }
}

/// The hash of what is a hash.
#[derive(Default)]
struct Hashed(u64);

impl Hasher for Hashed {
    fn write(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.0 = self.0.rotate_left(8) ^ u64::from(*byte);
        }
    }

    fn write_u64(&mut self, hash: u64) {
        self.0 = hash;
    }

    fn finish(&self) -> u64 {
        self.0
    }
}

impl fmt::Debug for Table {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Table")
            .field("shards", &self.shards.len())
            .field("room", &self.room)
            .finish_non_exhaustive()
    }
}

//! The permits of a limit: so many, and each is free or held.
//!
//! They are spread over shards, one for each processor's threads, so that two threads under one limit do not pass one cache line to
//! and fro. A permit comes back to the shard of the thread that gives it back; who finds its own shard empty looks in the others.
//!
//! A shard is one word, so that what a thread must know of it is known in one step: how many are free, whether somebody
//! waits (then a permit that comes back goes to the line and not to who comes first), and how many calls succeeded.

use super::sync::{AtomicU64, Ordering};

/// Free permits, in the lower bits.
const FREE: u64 = ATTENTION - 1;
/// Somebody waits, or there are permits too many: whoever comes or goes has to look.
const ATTENTION: u64 = 1 << 31;
/// One success, in the upper half. It counts around.
const SUCCESS: u64 = 1 << 32;

/// As many as fit in a shard.
pub(super) const MOST: usize = (FREE >> 1) as usize;

/// Two cache lines: processors fetch them in pairs.
#[repr(align(128))]
#[derive(Debug)]
struct Shard(AtomicU64);

#[derive(Debug)]
pub(super) struct Permits {
    shards: Box<[Shard]>,
}

/// What became of a try to take a permit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Taken {
    /// It is held now. With how many successes were counted where it came from, counting around.
    Held(u32),
    /// Somebody waits for one.
    Awaited,
    /// None is free.
    None,
}

impl Permits {
    /// So many permits, over `shards` shards, a power of two.
    pub(super) fn new(permits: usize, shards: usize) -> Self {
        let shards = (0..shards).map(|_| Shard(AtomicU64::new(0))).collect();
        let this = Self { shards };
        this.add(permits);
        this
    }

    /// Makes more of them.
    pub(super) fn add(&self, permits: usize) {
        let each = permits / self.shards.len();
        let more = permits % self.shards.len();
        for (n, shard) in self.shards.iter().enumerate() {
            let share = each + usize::from(n < more);
            shard.0.fetch_add(share as u64, Ordering::AcqRel);
        }
    }

    /// Takes one, unless somebody waits.
    #[inline]
    pub(super) fn take(&self, home: usize) -> Taken {
        match self.shard(home).take(true) {
            Taken::None if self.shards.len() > 1 => self.steal(home, true),
            taken => taken,
        }
    }

    /// Takes one for those who wait.
    pub(super) fn take_for_line(&self, home: usize) -> bool {
        matches!(self.shard(home).take(false), Taken::Held(_)) || matches!(self.steal(home, false), Taken::Held(_))
    }

    #[cold]
    fn steal(&self, home: usize, respectful: bool) -> Taken {
        let others = (1..self.shards.len()).map(|step| self.shard(home + step).take(respectful));
        others
            .into_iter()
            .find(|taken| *taken != Taken::None)
            .unwrap_or(Taken::None)
    }

    /// Gives one back. Says whether somebody has to look after the line.
    #[inline]
    pub(super) fn put(&self, home: usize, success: bool) -> bool {
        let change = if success { SUCCESS + 1 } else { 1 };
        self.shard(home).0.fetch_add(change, Ordering::AcqRel) & ATTENTION != 0
    }

    /// Counts a success of a call that has given its permit back already.
    pub(super) fn succeeded(&self, home: usize) {
        self.shard(home).0.fetch_add(SUCCESS, Ordering::Relaxed);
    }

    /// From now on whoever comes or goes has to look after the line, or no more. Changed by who holds the line alone.
    pub(super) fn ask_for_attention(&self, ask: bool) {
        for shard in &self.shards {
            if ask {
                shard.0.fetch_or(ATTENTION, Ordering::AcqRel);
            } else {
                shard.0.fetch_and(!ATTENTION, Ordering::AcqRel);
            }
        }
    }

    /// How many are free: exactly, where nothing happens meanwhile.
    pub(super) fn free(&self) -> usize {
        let words = self.shards.iter().map(|shard| shard.0.load(Ordering::Relaxed));
        words.map(|word| usize::try_from(word & FREE).unwrap_or(MOST)).sum()
    }

    /// How many calls succeeded so far, counting around.
    pub(super) fn successes(&self) -> u32 {
        let words = self.shards.iter().map(|shard| shard.0.load(Ordering::Relaxed));
        words.map(successes_in).fold(0, u32::wrapping_add)
    }

    #[inline]
    fn shard(&self, home: usize) -> &Shard {
        &self.shards[home & (self.shards.len() - 1)]
    }
}

impl Shard {
    #[inline]
    fn take(&self, respectful: bool) -> Taken {
        let mut word = self.0.load(Ordering::Relaxed);
        loop {
            if respectful && word & ATTENTION != 0 {
                return Taken::Awaited;
            }
            if word & FREE == 0 {
                return Taken::None;
            }
            match self
                .0
                .compare_exchange_weak(word, word - 1, Ordering::AcqRel, Ordering::Relaxed)
            {
                Ok(_) => return Taken::Held(successes_in(word)),
                Err(now) => word = now,
            }
        }
    }
}

#[inline]
fn successes_in(word: u64) -> u32 {
    u32::try_from(word >> 32).unwrap_or_default()
}

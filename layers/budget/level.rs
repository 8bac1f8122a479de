//! How full a budget is: one word, changed by compare-and-swap.
//!
//! ```text
//!  63            40 39            20 19             0
//! +----------------+----------------+----------------+
//! | ticks          | aged           | fresh          |
//! +----------------+----------------+----------------+
//! ```
//!
//! `fresh` came in this half of the window, `aged` in the one before; what is not spent expires with its half, and the aged is
//! spent first. The word is brought up to date by whoever changes it, in the same few steps however long that was not done. `ticks`
//! wraps after 15 days; who stood still for longer is taken for having stood still for less, which can only cost it tokens. Up to
//! 42 minutes before that the difference is taken for a clock that went back, as threads that race bring slightly older times:
//! no time passes then.

use super::sync::{AtomicU64, Ordering};

/// Half of the window, 5 seconds, has so many ticks of 78.125 ms.
pub(super) const HALF: u64 = 1 << HALF_BITS;
const HALF_BITS: u32 = 6;

/// So many milliseconds make so many ticks.
pub(super) const MILLIS: u64 = 625;
pub(super) const TICKS: u64 = 8;

const AMOUNT_BITS: u32 = 20;
const AMOUNT: u64 = (1 << AMOUNT_BITS) - 1;
const TICK_MASK: u64 = (1 << 24) - 1;

/// A difference that would be longer than all but this is a time that is older.
const OLDER: u64 = 1 << 15;

/// How much finer than an amount the floor's [rate](Terms::rate) is.
pub(super) const RATE_BITS: u32 = 16;

/// What the level follows. Amounts are in units of `1 / one` of a token.
#[derive(Clone, Copy, Debug)]
pub(super) struct Terms {
    /// One token.
    pub(super) one: u64,
    /// The most there can be. Below 2^20.
    pub(super) cap: u64,
    /// What a first attempt brings.
    pub(super) deposit: u64,
    /// What a tick brings, in 2^-16 of a unit.
    pub(super) rate: u64,
    /// What expires never takes the level below this, if it was there.
    pub(super) kept: u64,
}

#[derive(Debug)]
pub(super) struct Level {
    terms: Terms,
    word: AtomicU64,
}

#[derive(Clone, Copy, Debug)]
struct Standing {
    ticks: u64,
    aged: u64,
    fresh: u64,
}

impl Level {
    /// Begins with what the floor keeps.
    pub(super) fn new(terms: Terms, now: u64) -> Self {
        Self {
            terms,
            word: AtomicU64::new(terms.new_at(now).pack()),
        }
    }

    pub(super) fn reset(&self, now: u64) {
        self.word.store(self.terms.new_at(now).pack(), Ordering::Relaxed);
    }

    pub(super) const fn terms(&self) -> &Terms {
        &self.terms
    }

    /// A first attempt: what all requests do. Where there is nothing to add, it is a load and no more; and a clock read, where what
    /// is there can expire.
    #[inline]
    pub(super) fn first(&self, now: impl FnOnce() -> u64) {
        let standing = Standing::unpack(self.word.load(Ordering::Relaxed));
        if self.terms.deposit == 0 || (standing.amount() == self.terms.cap && self.terms.kept == self.terms.cap) {
            return;
        }
        let now = now();
        if !self.terms.is_full(standing, now) {
            self.deposit(now);
        }
    }

    #[cold]
    fn deposit(&self, now: u64) {
        self.change(|before| {
            let after = self.terms.add(self.terms.settle(before, now), self.terms.deposit);
            (!self.terms.is_full(before, now)).then_some(after)
        });
    }

    /// Takes a token, if there is one. Where there is none nothing is written, however often that is asked.
    pub(super) fn again(&self, now: u64) -> bool {
        self.change(|before| self.terms.spend(self.terms.settle(before, now), now))
    }

    /// Gives a token back.
    pub(super) fn unsent(&self, now: u64) {
        self.change(|before| {
            let settled = self.terms.settle(before, now);
            let aged = settled.aged + self.terms.one;
            Some(Standing {
                aged: aged.min(self.terms.cap - settled.fresh),
                ..settled
            })
        });
    }

    pub(super) fn amount(&self, now: u64) -> u64 {
        let standing = Standing::unpack(self.word.load(Ordering::Relaxed));
        self.terms.settle(standing, now).amount()
    }

    /// The word guards nothing but itself, so no order is asked.
    fn change(&self, next: impl Fn(Standing) -> Option<Standing>) -> bool {
        let mut word = self.word.load(Ordering::Relaxed);
        while let Some(after) = next(Standing::unpack(word)) {
            let changed = self
                .word
                .compare_exchange_weak(word, after.pack(), Ordering::Relaxed, Ordering::Relaxed);
            match changed {
                Ok(_) => return true,
                Err(current) => word = current,
            }
        }
        false
    }
}

impl Terms {
    fn new_at(&self, now: u64) -> Standing {
        Standing {
            ticks: now & TICK_MASK,
            aged: 0,
            fresh: self.kept,
        }
    }

    /// Whether one more deposit would change nothing: it is full, and will be as full of what expires later.
    fn is_full(&self, at: Standing, now: u64) -> bool {
        let stays = self.kept == self.cap || (at.aged == 0 && at.halves(at.elapsed(now)) == 0);
        at.amount() == self.cap && stays
    }

    /// Up to this time: what is too old has expired, and the floor has brought its own.
    fn settle(&self, at: Standing, now: u64) -> Standing {
        let elapsed = at.elapsed(now);
        if elapsed == 0 {
            return at;
        }
        let floor = elapsed.saturating_mul(self.rate) >> RATE_BITS;
        let expired = self.expire(at, elapsed);
        if at.halves(elapsed) < 2 {
            return self.add(expired, floor);
        }
        // What the floor brought in the meantime has expired, too, but for what it keeps.
        self.add(expired, floor.min(self.kept.saturating_sub(expired.amount())))
    }

    fn expire(&self, at: Standing, elapsed: u64) -> Standing {
        let (aged, fresh) = match at.halves(elapsed) {
            0 => (at.aged, at.fresh),
            1 => (at.fresh, 0),
            _ => (0, 0),
        };
        let kept = self.kept.min(at.amount());
        Standing {
            ticks: (at.ticks + elapsed) & TICK_MASK,
            aged: aged.max(kept.saturating_sub(fresh)),
            fresh,
        }
    }

    /// What is beyond the cap takes the place of the aged.
    fn add(&self, at: Standing, amount: u64) -> Standing {
        let fresh = at.fresh.saturating_add(amount).min(self.cap);
        Standing {
            ticks: at.ticks,
            aged: at.aged.min(self.cap - fresh),
            fresh,
        }
    }

    /// Takes a token from what is settled.
    fn spend(&self, at: Standing, now: u64) -> Option<Standing> {
        // A level near the cap has no room for the part of a tick that has already passed. To count it all the same later on would
        // give more than the cap at once, so the next tick is counted from its end.
        let near = at.amount() + (self.rate >> RATE_BITS) >= self.cap;
        let at = if near && at.ticks == now & TICK_MASK {
            self.expire(at, 1)
        } else {
            at
        };
        let fresh = self.one.saturating_sub(at.aged);
        Some(Standing {
            ticks: at.ticks,
            aged: at.aged.saturating_sub(self.one),
            fresh: at.fresh.checked_sub(fresh)?,
        })
    }
}

impl Standing {
    const fn unpack(word: u64) -> Self {
        Self {
            ticks: word >> (2 * AMOUNT_BITS),
            aged: (word >> AMOUNT_BITS) & AMOUNT,
            fresh: word & AMOUNT,
        }
    }

    const fn pack(self) -> u64 {
        self.ticks << (2 * AMOUNT_BITS) | self.aged << AMOUNT_BITS | self.fresh
    }

    const fn amount(self) -> u64 {
        self.aged + self.fresh
    }

    const fn elapsed(self, now: u64) -> u64 {
        let elapsed = now.wrapping_sub(self.ticks) & TICK_MASK;
        if elapsed > TICK_MASK - OLDER { 0 } else { elapsed }
    }

    /// How many halves of the window end in that time.
    const fn halves(self, elapsed: u64) -> u64 {
        ((self.ticks & (HALF - 1)) + elapsed) >> HALF_BITS
    }
}

//! The law: how likely a request is to be refused, so that it need not be sent.
//!
//! All that ends is counted by whoever ends it, on a cache line of its thread's home. What the counts come to is published in one
//! word now and then: when a count has grown by a five-hundredth of all, and when the window moves on. So an arrival loads a word, and
//! a window with few requests in it is always exact.

use std::{
    sync::{
        Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use tokio::time::Instant;

use crate::admission::sliding::Sliding;

/// The window moves on by so many steps to its length.
const STEPS: usize = 12;
/// Fewer requests than these in the window are no evidence.
const FEW: f64 = 10.0;
/// A count is published when it has grown by one of so many.
const FINE: u64 = 512;

/// What was asked, and what was granted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Sums {
    /// Those that were rejected here included.
    pub(super) requests: u64,
    pub(super) accepts: u64,
}

/// What the destination made of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    Accepted,
    Refused,
    /// It never came to that.
    None,
}

/// Requests and accepts of late, and the odds that follow from them. Whoever asks says when that is.
#[derive(Debug)]
pub(super) struct Odds {
    step: u64,
    origin: Instant,
    /// [`Sums`] of the window, as two `f32`.
    published: AtomicU64,
    /// A count is published when these bits of it are 0.
    mask: AtomicU64,
    /// When an arrival is to move the window on, in nanoseconds after the origin.
    turns: AtomicU64,
    shards: Box<[Shard]>,
    window: Mutex<Sliding<Sums, STEPS>>,
}

/// Two cache lines: processors fetch them in pairs.
#[derive(Debug, Default)]
#[repr(align(128))]
struct Shard {
    accepted: AtomicU64,
    refused: AtomicU64,
    rejected: AtomicU64,
}

impl Sums {
    /// How likely the destination refuses the next: "Handling Overload", chapter 21 of Google's SRE book, equation 21-1. Not at all,
    /// where there are few.
    pub(super) fn probability(self, k: f64) -> f64 {
        let Self { requests, accepts } = self;
        probability(real(requests), real(accepts), k)
    }
}

fn probability(requests: f64, accepts: f64, k: f64) -> f64 {
    if requests < FEW {
        return 0.0;
    }
    ((requests - k * accepts) / (requests + 1.0)).max(0.0)
}

impl Odds {
    /// Over the last so long, with so many shards, a power of two.
    pub(super) fn new(window: Duration, shards: usize, now: Instant) -> Self {
        let step = u64::try_from(window.as_nanos() / STEPS as u128).unwrap_or(u64::MAX);
        Self {
            step: step.max(1_000_000),
            origin: now,
            published: AtomicU64::new(0),
            mask: AtomicU64::new(0),
            turns: AtomicU64::new(0),
            shards: (0..shards.max(1)).map(|_| Shard::default()).collect(),
            window: Mutex::new(Sliding::new(0, Sums::default())),
        }
    }

    /// Whether the destination is likely to refuse it, so that it is better rejected here; then it is counted. `draw` is from
    /// 0 to 1, by chance.
    #[inline]
    pub(super) fn reject(&self, home: usize, k: f64, now: Instant, draw: impl FnOnce() -> f64) -> bool {
        let nanos = self.nanos(now);
        if nanos >= self.turns.load(Ordering::Relaxed) {
            self.turn(nanos);
        }
        let (requests, accepts) = unpack(self.published.load(Ordering::Relaxed));
        if requests <= k * accepts || requests < FEW {
            return false;
        }
        let rejected = draw() < probability(requests, accepts, k);
        if rejected {
            self.count(&self.shard(home).rejected);
        }
        rejected
    }

    /// A request that was sent has ended.
    #[inline]
    pub(super) fn settle(&self, home: usize, verdict: Verdict) {
        match verdict {
            Verdict::Accepted => self.count(&self.shard(home).accepted),
            Verdict::Refused => self.count(&self.shard(home).refused),
            Verdict::None => {}
        }
    }

    #[inline]
    fn count(&self, count: &AtomicU64) {
        let count = count.fetch_add(1, Ordering::Relaxed) + 1;
        if count & self.mask.load(Ordering::Relaxed) == 0 {
            self.publish();
        }
    }

    /// Unless somebody else is about it.
    #[cold]
    fn publish(&self) {
        if let Ok(window) = self.window.try_lock() {
            self.publish_of(&window);
        }
    }

    fn publish_of(&self, window: &Sliding<Sums, STEPS>) {
        let recent = recent(self.totals(), window.start());
        self.published.store(pack(recent), Ordering::Relaxed);
        let often = recent.requests / (FINE * self.shards.len() as u64);
        self.mask.store((often + 1).next_power_of_two() / 2, Ordering::Relaxed);
    }

    #[cold]
    fn turn(&self, nanos: u64) {
        let mut window = self.window();
        let totals = self.totals();
        window.turn(nanos / self.step, |_| totals);
        self.turns
            .store((nanos / self.step + 1).saturating_mul(self.step), Ordering::Relaxed);
        self.publish_of(&window);
    }

    /// Forgets everything.
    pub(super) fn reset(&self) {
        let mut window = self.window();
        window.clear(self.totals());
        self.publish_of(&window);
    }

    /// What is in the window, exactly.
    pub(super) fn recent(&self, now: Instant) -> Sums {
        self.turn(self.nanos(now));
        recent(self.totals(), self.window().start())
    }

    /// How many were rejected, ever.
    pub(super) fn rejected(&self) -> u64 {
        self.sum(|shard| &shard.rejected)
    }

    fn totals(&self) -> Sums {
        let accepts = self.sum(|shard| &shard.accepted);
        Sums {
            requests: accepts + self.sum(|shard| &shard.refused) + self.rejected(),
            accepts,
        }
    }

    fn sum(&self, count: impl Fn(&Shard) -> &AtomicU64) -> u64 {
        self.shards
            .iter()
            .map(|shard| count(shard).load(Ordering::Relaxed))
            .sum()
    }

    #[inline]
    fn shard(&self, home: usize) -> &Shard {
        &self.shards[home & (self.shards.len() - 1)]
    }

    #[inline]
    fn nanos(&self, now: Instant) -> u64 {
        u64::try_from(now.saturating_duration_since(self.origin).as_nanos()).unwrap_or(u64::MAX)
    }

    fn window(&self) -> MutexGuard<'_, Sliding<Sums, STEPS>> {
        self.window.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn recent(now: Sums, then: Sums) -> Sums {
    Sums {
        requests: now.requests.saturating_sub(then.requests),
        accepts: now.accepts.saturating_sub(then.accepts),
    }
}

#[expect(clippy::cast_possible_truncation, reason = "odds are no more exact than that")]
fn pack(sums: Sums) -> u64 {
    let bits = |count: u64| u64::from((real(count) as f32).to_bits());
    bits(sums.requests) << 32 | bits(sums.accepts)
}

#[inline]
#[expect(clippy::cast_possible_truncation, reason = "each half is taken")]
fn unpack(word: u64) -> (f64, f64) {
    let half = |bits: u64| f64::from(f32::from_bits(bits as u32));
    (half(word >> 32), half(word))
}

#[expect(clippy::cast_precision_loss, reason = "counts of requests")]
fn real(count: u64) -> f64 {
    count as f64
}

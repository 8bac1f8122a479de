//! What a circuit remembers: how many calls there were of late, and how many of them spoke against the destination.

use super::{
    law::{Law, Span},
    sliding::Sliding,
};

/// A window moves on by so many steps to its length.
pub(super) const STEPS: usize = 10;

/// Calls, and what was wrong with them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Sums {
    pub(super) calls: u64,
    pub(super) failures: u64,
    pub(super) slow: u64,
}

/// The window. Calls that were fine are counted elsewhere, by whoever ends them; this is told their number. All others are
/// counted here, one at a time.
#[derive(Debug)]
pub(super) struct History {
    window: Sliding<Sums, STEPS>,
    /// Of those that were not fine.
    bad: Sums,
}

impl History {
    pub(super) const fn new() -> Self {
        let nothing = Sums {
            calls: 0,
            failures: 0,
            slow: 0,
        };
        Self {
            window: Sliding::new(0, nothing),
            bad: nothing,
        }
    }

    /// It is now so many nanoseconds after the origin. Says when to be told again: never, where time does not move the window.
    pub(super) fn turn(&mut self, law: &Law, nanos: u64, fine: u64) -> u64 {
        let Span::Time(step) = law.step else { return u64::MAX };
        let totals = self.totals(fine);
        self.window.turn(nanos / step, |_| totals);
        (nanos / step + 1).saturating_mul(step)
    }

    /// Counts a call that was not fine.
    pub(super) fn add(&mut self, law: &Law, failed: bool, slow: bool, fine: u64) {
        self.catch_up(law, self.totals(fine).calls);
        self.bad.calls += 1;
        self.bad.failures += u64::from(failed);
        self.bad.slow += u64::from(slow);
    }

    /// Where calls move the window: to the step in which the call after so many is. All calls since it was last moved were
    /// fine, or they would have moved it, so it is known how each step began.
    fn catch_up(&mut self, law: &Law, calls: u64) {
        if let Span::Calls(step) = law.step {
            let bad = self.bad;
            self.window.turn(calls / step, |begun| Sums {
                calls: begun * step,
                ..bad
            });
        }
    }

    /// What is in the window.
    pub(super) fn recent(&self, fine: u64) -> Sums {
        let (now, then) = (self.totals(fine), self.window.start());
        Sums {
            calls: now.calls.saturating_sub(then.calls),
            failures: now.failures.saturating_sub(then.failures),
            slow: now.slow.saturating_sub(then.slow),
        }
    }

    /// The same, of now.
    pub(super) fn recent_at(&mut self, law: &Law, nanos: u64, fine: u64) -> Sums {
        self.turn(law, nanos, fine);
        self.catch_up(law, self.totals(fine).calls.saturating_sub(1));
        self.recent(fine)
    }

    /// Forgets everything.
    pub(super) fn clear(&mut self, law: &Law, fine: u64) {
        let totals = self.totals(fine);
        self.catch_up(law, totals.calls);
        self.window.clear(totals);
    }

    fn totals(&self, fine: u64) -> Sums {
        Sums {
            calls: fine + self.bad.calls,
            ..self.bad
        }
    }
}

//! A budget that pays for everything, and keeps books of what becomes of what it paid for.

use std::sync::atomic::{AtomicU64, Ordering};

use buttress::budget::{Ended, Law, Why};
use tokio::time::Instant;

#[derive(Debug, Default)]
pub(crate) struct Ledger {
    firsts: AtomicU64,
    firsts_ended: AtomicU64,
    paid: AtomicU64,
    given_back: AtomicU64,
    paid_ended: AtomicU64,
}

fn count(of: &AtomicU64) {
    of.fetch_add(1, Ordering::Relaxed);
}

fn read(of: &AtomicU64) -> u64 {
    of.load(Ordering::Relaxed)
}

impl Ledger {
    /// Every attempt has been told to its end, and every token that was taken is spent or given back. Gives how many there were.
    pub(crate) fn is_balanced(&self) -> u64 {
        assert_eq!(read(&self.firsts), read(&self.firsts_ended), "first attempts");
        let paid = read(&self.paid);
        assert_eq!(
            paid,
            read(&self.given_back) + read(&self.paid_ended),
            "further attempts"
        );
        paid
    }
}

impl Law for Ledger {
    fn first(&self, _: Instant) {
        count(&self.firsts);
    }

    fn again(&self, _: Why, _: Instant) -> bool {
        count(&self.paid);
        true
    }

    fn unsent(&self, _: Why, _: Instant) {
        count(&self.given_back);
    }

    fn ended(&self, ended: Ended, _: Instant) {
        count(match ended.again {
            Some(_) => &self.paid_ended,
            None => &self.firsts_ended,
        });
    }

    fn follows_ends(&self) -> bool {
        true
    }
}

//! What different laws let through, side by side; and what a budget writes.
//!
//! AWS's and Envoy's laws are written here as a user would write them.
#![allow(
    dead_code,
    clippy::disallowed_methods,
    clippy::disallowed_types,
    clippy::unwrap_used,
    reason = "a test may, and it uses a part of the level"
)]

#[path = "support/laws.rs"]
mod laws;
#[path = "../layers/budget/level.rs"]
mod level;
/// The level's word, which counts how often it is written.
mod sync {
    pub(crate) use std::sync::atomic::Ordering;
    use std::{cell::Cell, sync::atomic};

    thread_local! {
        pub(crate) static WRITES: Cell<u32> = const { Cell::new(0) };
    }

    #[derive(Debug)]
    pub(crate) struct AtomicU64(atomic::AtomicU64);

    impl AtomicU64 {
        pub(crate) fn new(word: u64) -> Self {
            Self(atomic::AtomicU64::new(word))
        }

        pub(crate) fn load(&self, order: Ordering) -> u64 {
            self.0.load(order)
        }

        pub(crate) fn store(&self, word: u64, order: Ordering) {
            WRITES.set(WRITES.get() + 1);
            self.0.store(word, order);
        }

        pub(crate) fn compare_exchange_weak(
            &self,
            current: u64,
            new: u64,
            success: Ordering,
            failure: Ordering,
        ) -> Result<u64, u64> {
            WRITES.set(WRITES.get() + 1);
            self.0.compare_exchange(current, new, success, failure)
        }
    }
}

use std::time::Duration;

use buttress::{
    budget::{Budget, Ended, How, Law, Why},
    outcome::Class,
};
use http::StatusCode;
use level::{Level, Terms};
use tokio::time::Instant;

use self::laws::{Aws, Envoy};

const UNAVAILABLE: Why = Why::Failed(Class::Http(StatusCode::SERVICE_UNAVAILABLE));
const TIMEOUT: Why = Why::Failed(Class::Http(StatusCode::GATEWAY_TIMEOUT));

/// Every law, with its name.
fn all() -> [(&'static str, Box<dyn Law>); 4] {
    [
        ("ours", Box::new(Budget::default())),
        ("gRPC", Box::new(Budget::grpc(10.0, 0.1).unwrap())),
        ("AWS", Box::new(Aws::default())),
        ("Envoy", Box::new(Envoy::default())),
    ]
}

/// Requests one after the other, each with up to three attempts of 1 ms, of which `fails` fail; how many attempts were made.
fn attempts(law: &dyn Law, requests: u32, mut fails: impl FnMut() -> bool) -> u32 {
    let (mut now, mut all) = (Instant::now(), 0);
    for _ in 0..requests {
        law.first(now);
        let mut again = None;
        for attempt in 1..=3 {
            all += 1;
            now += Duration::from_millis(1);
            let how = if fails() { How::Failure } else { How::Success };
            law.ended(Ended::new(again, how), now);
            if how == How::Success || attempt == 3 || !law.again(UNAVAILABLE, now) {
                break;
            }
            again = Some(UNAVAILABLE);
        }
    }
    all
}

/// Attempts for each 1,000 requests, over 10,000 of them.
#[test]
fn what_each_law_lets_through() {
    let per_thousand = |fails: fn(u32) -> bool| {
        all().map(|(name, law)| {
            let mut turn = 0;
            let count = attempts(&*law, 10_000, || {
                turn += 1;
                fails(turn)
            });
            (name, count / 10)
        })
    };
    // All fail: ours makes a tenth more and one per second, the floor. Envoy's sees one at a time in flight, and never says no.
    assert_eq!(
        per_thousand(|_| true),
        [("ours", 1_102), ("gRPC", 1_000), ("AWS", 1_010), ("Envoy", 3_000)]
    );
    // Every other one fails, so each retry succeeds: AWS's is refunded each time, and doubles the load for ever.
    assert_eq!(
        per_thousand(|turn| turn % 2 == 1),
        [("ours", 1_102), ("gRPC", 1_000), ("AWS", 2_000), ("Envoy", 2_000)]
    );
    // One in a hundred: all that fail are tried again, whatever the law.
    assert_eq!(
        per_thousand(|turn| turn % 100 == 0),
        [("ours", 1_010), ("gRPC", 1_010), ("AWS", 1_010), ("Envoy", 1_010)]
    );
    // None.
    assert_eq!(
        per_thousand(|_| false),
        [("ours", 1_000), ("gRPC", 1_000), ("AWS", 1_000), ("Envoy", 1_000)]
    );
}

/// Three retries in flight that fail within 1 ms each, all the time: a share of what is in flight bounds no rate.
#[test]
fn three_failures_in_flight_are_three_thousand_retries_a_second_by_a_share_of_what_is_in_flight() {
    let retries = all().map(|(name, law)| {
        let start = Instant::now();
        let mut retries = 0;
        (0..3).for_each(|_| law.first(start));
        let mut in_flight = [None; 3];
        for millis in 1..=10_000 {
            let now = start + Duration::from_millis(millis);
            for again in &mut in_flight {
                law.ended(Ended::new(*again, How::Failure), now);
            }
            for again in &mut in_flight {
                *again = law.again(UNAVAILABLE, now).then_some(UNAVAILABLE);
                retries += u32::from(again.is_some());
                if again.is_none() {
                    law.first(now);
                }
            }
        }
        (name, retries / 10)
    });
    let [(_, ours), (_, grpc), (_, aws), (_, envoy)] = retries;
    // Ours goes by the requests that the callers made instead, three a millisecond.
    assert!((270..=275).contains(&ours), "{ours}");
    assert_eq!((grpc, aws, envoy), (0, 10, 3_000));
}

#[test]
fn aws_charges_a_timeout_twice_and_refunds_what_the_last_retry_cost() {
    let (law, now) = (Aws::default(), Instant::now());
    assert!(law.again(TIMEOUT, now) && law.again(UNAVAILABLE, now));
    assert_eq!(law.tokens(now), Some(485.0));
    law.ended(Ended::new(Some(TIMEOUT), How::Success), now);
    assert_eq!(law.tokens(now), Some(495.0));
    law.ended(Ended::new(None, How::Success), now);
    assert_eq!(law.tokens(now), Some(496.0));
    law.unsent(UNAVAILABLE, now);
    assert_eq!(law.tokens(now), Some(500.0));
}

#[test]
fn envoy_allows_a_fifth_of_what_is_in_flight_and_three_at_least() {
    let (law, now) = (Envoy::default(), Instant::now());
    law.first(now);
    assert_eq!((0..10).filter(|_| law.again(UNAVAILABLE, now)).count(), 3);
    (0..96).for_each(|_| law.first(now));
    // 97 first ones and 3 retries: 20 of 100, and as many more as these make room for.
    assert_eq!((0..100).filter(|_| law.again(UNAVAILABLE, now)).count(), 21);
    law.unsent(UNAVAILABLE, now);
    assert!(law.again(UNAVAILABLE, now) && !law.again(UNAVAILABLE, now));
}

#[test]
fn a_budget_within_a_law_of_ones_own() {
    /// Timeouts are never tried again; all else is the budget's.
    #[derive(Debug)]
    struct Patient(Budget);

    impl Law for Patient {
        fn first(&self, now: Instant) {
            self.0.first(now);
        }

        fn again(&self, why: Why, now: Instant) -> bool {
            why != TIMEOUT && self.0.again(why, now)
        }

        fn unsent(&self, why: Why, now: Instant) {
            self.0.unsent(why, now);
        }
    }

    let (budget, now) = (Budget::with_law(Patient(Budget::default())), Instant::now());
    assert!(!budget.again(TIMEOUT, now) && budget.again(UNAVAILABLE, now));
    let snapshot = budget.snapshot();
    assert_eq!((snapshot.granted, snapshot.rejected, snapshot.tokens), (1, 1, None));
}

fn level(kept: u64) -> Level {
    sync::WRITES.set(0);
    Level::new(
        Terms {
            one: 10,
            cap: 100,
            deposit: 1,
            rate: 0,
            kept,
        },
        0,
    )
}

/// 64 ticks are half of the window.
#[test]
fn requests_write_nothing_to_a_level_that_is_full() {
    let level = level(100);
    (0..10_000).for_each(|tick| level.first(|| tick));
    assert_eq!(sync::WRITES.get(), 0, "it stays full");

    let level = self::level(0);
    (0..100).for_each(|_| level.first(|| 0));
    assert_eq!(sync::WRITES.get(), 100);
    (0..64).for_each(|tick| level.first(|| tick));
    assert_eq!(sync::WRITES.get(), 100, "it is full of what is fresh");
    (0..1_000).for_each(|_| level.first(|| 64));
    assert_eq!(sync::WRITES.get(), 200, "the fresh takes the place of the aged");
}

#[test]
fn a_retry_that_is_rejected_writes_nothing() {
    let level = level(0);
    (0..1_000).for_each(|tick| assert!(!level.again(tick)));
    assert_eq!(sync::WRITES.get(), 0);
}

#[test]
fn a_level_that_stays_full_asks_for_no_time() {
    level(100).first(|| panic!("what for?"));
}

//! A budget for each destination, and what pays for a request.

use std::sync::{
    Arc,
    atomic::{AtomicU32, Ordering},
};

use http::Request;

use super::*;
use crate::context::Head;

fn of(budgets: &Budgets, uri: &str, now: Instant) -> Paying {
    let request = Request::get(uri).body(()).unwrap();
    budgets.of(Some(Head::from(&request)), || now)
}

/// How many of a hundred are granted.
fn grants(paying: &Paying, now: Instant) -> usize {
    (0..100).filter(|_| paying.again(FAILED, now)).count()
}

#[test]
fn one_budget_is_for_all() {
    let (budgets, now) = (Budgets::default(), Instant::now());
    assert_eq!(grants(&of(&budgets, "http://a/", now), now), 10);
    assert_eq!(grants(&of(&budgets, "http://b/", now), now), 0);
    let snapshot = budgets.snapshot();
    let [(None, snapshot)] = &snapshot[..] else {
        panic!("{snapshot:?}")
    };
    assert_eq!((snapshot.granted, snapshot.rejected), (10, 190));
}

#[test]
fn a_destination_that_is_down_spends_nothing_of_the_others() {
    let (budgets, now) = (Budgets::per_destination(Budget::default), Instant::now());
    assert_eq!(grants(&of(&budgets, "http://a/", now), now), 10);
    assert_eq!(grants(&of(&budgets, "http://b/x", now), now), 10);
    assert_eq!(grants(&of(&budgets.clone(), "http://b/y", now), now), 0);
    let names: Vec<_> = budgets.snapshot().into_iter().filter_map(|(name, _)| name).collect();
    assert_eq!(names, ["a", "b"]);
}

#[test]
fn requests_pay_in_for_their_destination() {
    let budgets = Budgets::per_destination(|| budget(1.0, 0.0, 10));
    let now = Instant::now();
    let paying = of(&budgets, "http://a/", now);
    (0..5).for_each(|_| assert!(paying.first(|| now)));
    assert_eq!(grants(&of(&budgets, "http://b/", now), now), 0);
    assert_eq!(grants(&paying, now), 5);
    paying.unsent(FAILED, now);
    assert_eq!(grants(&paying, now), 1);
}

#[test]
fn the_state_of_what_is_made_is_not_shared() {
    let shared = Budget::default();
    let budgets = Budgets::per_destination(move || shared.clone());
    let now = Instant::now();
    assert_eq!(grants(&of(&budgets, "http://a/", now), now), 10);
    assert_eq!(grants(&of(&budgets, "http://b/", now), now), 10);
}

#[test]
fn a_destination_is_what_the_user_says() {
    let budgets = Budgets::per_destination(Budget::default)
        .keys(2)
        .by(|head| head.uri.path().get(1..2));
    let now = Instant::now();
    assert_eq!(grants(&of(&budgets, "http://a/x1", now), now), 10);
    assert_eq!(grants(&of(&budgets, "http://b/x2", now), now), 0);
    assert_eq!(grants(&of(&budgets, "http://a/y1", now), now), 10);
    of(&budgets, "http://a/z1", now);
    assert_eq!((budgets.snapshot().len(), budgets.evicted()), (2, 1));
}

#[test]
fn who_has_given_way_is_granted_nothing_and_brings_nothing() {
    let budgets = Budgets::per_destination(|| budget(1.0, 0.0, 10)).keys(1);
    let now = Instant::now();
    let old = of(&budgets, "http://a/", now);
    old.first(|| now);
    let new = of(&budgets, "http://b/", now);
    old.first(|| now);
    old.unsent(FAILED, now);
    assert_eq!((grants(&old, now), grants(&new, now)), (0, 0));
    new.first(|| now);
    assert_eq!((grants(&old, now), grants(&new, now)), (0, 1));
    assert_eq!(
        budgets.snapshot()[0].1.rejected,
        199,
        "those of the old are counted nowhere"
    );
}

/// It takes what it is told to be its tokens.
#[derive(Debug)]
struct Tokens(AtomicU32);

impl Law for Tokens {
    fn first(&self, _: Instant) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }

    fn again(&self, _: Why, _: Instant) -> bool {
        let take = |tokens: u32| tokens.checked_sub(1);
        self.0.fetch_update(Ordering::Relaxed, Ordering::Relaxed, take).is_ok()
    }

    fn unsent(&self, _: Why, _: Instant) {}

    fn ended(&self, _: Ended, _: Instant) {
        self.0.store(0, Ordering::Relaxed);
    }

    fn follows_ends(&self) -> bool {
        true
    }

    fn tokens(&self, _: Instant) -> Option<f64> {
        Some(self.0.load(Ordering::Relaxed).into())
    }
}

#[test]
fn a_law_of_ones_own_begins_anew_for_another_destination() {
    let budgets = Budgets::per_destination(|| Budget::with_law(Tokens(3.into()))).keys(1);
    let now = Instant::now();
    let old = of(&budgets, "http://a/", now);
    old.first(|| now);
    assert!(old.follows_ends());
    assert_eq!(grants(&old, now), 4);
    let new = of(&budgets, "http://b/", now);
    assert_eq!(budgets.snapshot()[0].1.tokens, Some(3.0));
    old.ended(Ended::new(None, How::Success), now);
    assert!(!old.follows_ends());
    assert_eq!(grants(&new, now), 3);
}

#[test]
fn a_law_can_be_kept_by_who_made_it() {
    let law = Arc::new(Tokens(3.into()));
    let budgets = Budgets::from(Budget::with_law(law.clone()));
    let now = Instant::now();
    let paying = of(&budgets, "http://a/", now);
    paying.first(|| now);
    assert_eq!(law.tokens(now), Some(4.0));
    paying.ended(Ended::new(None, How::Success), now);
    assert_eq!(grants(&paying, now), 0);
}

/// The default's bucket is full most of the time, and a full one loses nothing: it gives way before one that has been spent from.
#[test]
fn who_has_spent_nothing_gives_way_first() {
    let budgets = Budgets::per_destination(Budget::default).keys(2);
    let now = Instant::now();
    grants(&of(&budgets, "http://a/", now), now);
    of(&budgets, "http://b/", now + seconds(1.0)).first(|| now);
    of(&budgets, "http://c/", now + seconds(2.0));
    let names: Vec<_> = budgets.snapshot().into_iter().filter_map(|(name, _)| name).collect();
    assert_eq!(names, ["a", "c"]);
}

#[test]
fn what_a_request_does_allocates_nothing() {
    for budgets in [Budgets::default(), Budgets::per_destination(Budget::default)] {
        let now = Instant::now();
        let request = Request::get("http://a/").body(()).unwrap();
        let head = Some(Head::from(&request));
        budgets.of(head, || now).first(|| now);
        let allocations = allocation_counter::measure(|| {
            let paying = budgets.of(head, || now);
            paying.first(|| now);
            assert!(paying.again(FAILED, now));
        });
        assert_eq!(allocations.count_total, 0);
    }
}

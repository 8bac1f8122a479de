//! What is written is what happens.

use super::*;

#[test]
fn ratios_are_kept_to_the_letter() {
    // tower's budget takes `(1 / ratio) as isize` for a cost: 0.6 is 100 % there, and 0.4 is 50 %.
    for (ratio, percent) in [
        (0.6, 60),
        (0.4, 40),
        (0.1, 10),
        (0.05, 5),
        (0.01, 1),
        (0.999, 99),
        (1.0, 100),
    ] {
        let (budget, mut now) = (budget(ratio, 0.0, 10), Instant::now());
        let mut all = 0;
        for _ in 0..100_000 {
            budget.first(now);
            all += granted(&budget, 3, now);
            now += Duration::from_millis(1);
        }
        // One short at most in a thousand: the terms are rounded down.
        assert!((percent * 999..=percent * 1_000 + 900).contains(&all), "{ratio}: {all}");
    }
}

#[test]
fn a_quiet_client_can_try_its_burst_at_once_and_then_as_time_brings() {
    let (budget, now) = (Budget::default(), Instant::now());
    assert_eq!(budget.snapshot().tokens, Some(10.0));
    assert_eq!(granted(&budget, 100, now), 10);
    assert_eq!(granted(&budget, 100, now + seconds(0.5)), 0);
    assert_eq!(granted(&budget, 100, now + seconds(2.2)), 2);
    assert_eq!(granted(&budget, 100, now + seconds(60.0)), 10);
}

#[test]
fn the_floor_is_there_whatever_the_burst() {
    for (burst, least) in [(1, 91), (10, 99), (1_000, 98)] {
        let (budget, mut now) = (budget(0.0, 1.0, burst), Instant::now());
        granted(&budget, 1_000, now);
        let mut all = 0;
        for _ in 0..5_000 {
            now += Duration::from_millis(20);
            budget.first(now);
            all += granted(&budget, 1, now);
        }
        assert!((least..=101).contains(&all), "burst {burst}: {all} in 100 s");
    }
}

/// A burst of one is not kept from filling by the deposits of steady requests.
#[test]
fn a_steady_client_has_the_floor_too() {
    let (budget, mut now) = (budget(0.001, 1.0, 1), Instant::now());
    assert_eq!(granted(&budget, 2, now), 1);
    for _ in 0..60 {
        now += Duration::from_millis(20);
        budget.first(now);
    }
    assert_eq!(granted(&budget, 2, now), 1);
}

#[test]
fn what_is_not_spent_expires() {
    let (budget, now) = (budget(0.1, 0.0, 1_000), Instant::now());
    first(&budget, 10_100, now);
    let tokens = |after: f64| Law::tokens(&budget, now + seconds(after));
    assert_eq!(tokens(0.0), Some(1_000.0));
    assert_eq!(tokens(9.9), Some(1_000.0));
    assert_eq!(tokens(10.1), Some(0.0));
}

#[test]
fn the_oldest_is_spent_first() {
    let (budget, now) = (budget(1.0, 0.0, 1_000), Instant::now());
    first(&budget, 100, now);
    first(&budget, 100, now + seconds(6.0));
    assert_eq!(granted(&budget, 100, now + seconds(7.0)), 100);
    assert_eq!(
        granted(&budget, 200, now + seconds(10.1)),
        100,
        "what came at 6 s is still there"
    );
}

#[test]
fn what_comes_later_does_not_keep_the_old() {
    let (budget, now) = (budget(1.0, 0.0, 1_000), Instant::now());
    first(&budget, 100, now);
    first(&budget, 1, now + seconds(6.0));
    first(&budget, 1, now + seconds(11.0));
    assert_eq!(Law::tokens(&budget, now + seconds(11.0)), Some(2.0));
}

#[test]
fn the_floor_is_kept_where_halves_end_in_quick_succession() {
    let (budget, now) = (budget(0.0, 3.0, 1_000), Instant::now());
    assert_eq!(granted(&budget, 1, now), 1);
    assert_eq!(granted(&budget, 1, now + seconds(4.9)), 1);
    assert_eq!(granted(&budget, 100, now + seconds(10.1)), 30);
}

#[test]
fn what_expires_leaves_what_the_floor_brings_in_ten_seconds() {
    let (budget, now) = (budget(0.1, 3.0, 1_000), Instant::now());
    assert_eq!(granted(&budget, 1_000, now), 30);
    first(&budget, 10_100, now);
    assert_eq!(granted(&budget, 1_000, now + seconds(3_600.0)), 30);
}

/// tower's budget walks every slot that has gone by since, under a lock: a second, after a year.
#[test]
fn a_year_of_rest_is_like_a_minute() {
    for (days, tokens) in [(1.0, 10.0), (15.0, 10.0), (15.5, 10.0), (365.0, 10.0), (3_650.0, 10.0)] {
        let (budget, now) = (Budget::default(), Instant::now());
        granted(&budget, 10, now);
        let later = now + seconds(days * 86_400.0);
        assert_eq!(Law::tokens(&budget, later), Some(tokens), "{days} days");
        assert_eq!(granted(&budget, 100, later), 10);
        assert_eq!(granted(&budget, 100, later), 0);
    }
}

/// The one corner: the time in the word wraps after 15.17 days, and just before that it looks like a time that is older.
#[test]
fn a_rest_of_fifteen_days_costs_no_more_than_forty_minutes() {
    let (budget, now) = (Budget::default(), Instant::now());
    granted(&budget, 10, now);
    let wraps = now + Duration::from_micros(78_125) * (1 << 24);
    assert_eq!(granted(&budget, 1, wraps - seconds(10.0)), 0);
    assert_eq!(granted(&budget, 1, wraps + seconds(2.0)), 1);
}

#[test]
fn a_retry_that_succeeds_refunds_nothing() {
    let (budget, now) = (budget(0.1, 0.0, 10), Instant::now());
    first(&budget, 200, now);
    assert_eq!(granted(&budget, 1, now), 1);
    let before = budget.snapshot();
    budget.ended(Ended::new(None, How::Success), now);
    budget.ended(Ended::new(Some(FAILED), How::Success), now);
    assert_eq!(budget.snapshot(), before);
    assert!(!budget.follows_ends(), "answers are not even followed");
}

#[test]
fn what_was_never_sent_is_given_back_up_to_the_burst() {
    let (budget, now) = (budget(0.0, 0.5, 5), Instant::now());
    assert_eq!(granted(&budget, 10, now), 5);
    budget.unsent(FAILED, now);
    assert_eq!(granted(&budget, 10, now), 1);
    (0..100).for_each(|_| budget.unsent(Why::Hedge, now));
    assert_eq!(granted(&budget, 100, now), 5);
    let snapshot = budget.snapshot();
    assert_eq!((snapshot.granted, snapshot.returned), (11, 101));
}

#[test]
fn a_burst_of_none_grants_none() {
    let (budget, now) = (budget(1.0, 1_000.0, 0), Instant::now());
    first(&budget, 100, now);
    budget.unsent(FAILED, now);
    assert_eq!(granted(&budget, 10, now + seconds(60.0)), 0);
}

#[test]
fn clones_are_the_same_budget() {
    let (budget, now) = (Budget::default(), Instant::now());
    let other = budget.clone();
    assert_eq!(granted(&budget, 5, now) + granted(&other, 100, now), 10);
    assert_eq!(budget.snapshot(), other.snapshot());
}

#[test]
fn what_cannot_be_is_an_error() {
    let builder = Budget::builder;
    for (builder, error) in [
        (builder().ratio(1.1), InvalidBudget::Ratio),
        (builder().ratio(-0.1), InvalidBudget::Ratio),
        (builder().ratio(f64::NAN), InvalidBudget::Ratio),
        (builder().min_per_second(-1.0), InvalidBudget::MinPerSecond),
        (builder().min_per_second(1_000.1), InvalidBudget::MinPerSecond),
        (builder().min_per_second(f64::NAN), InvalidBudget::MinPerSecond),
        (builder().min_per_second(f64::INFINITY), InvalidBudget::MinPerSecond),
        (builder().burst(1_001), InvalidBudget::Burst),
    ] {
        assert_eq!(builder.build().unwrap_err(), error);
    }
    for (tokens, ratio, error) in [
        (0.9, 0.1, InvalidBudget::MaxTokens),
        (1_000.1, 0.1, InvalidBudget::MaxTokens),
        (f64::NAN, 0.1, InvalidBudget::MaxTokens),
        (10.0, 0.0009, InvalidBudget::TokenRatio),
        (10.0, 0.0, InvalidBudget::TokenRatio),
        (10.0, f64::NAN, InvalidBudget::TokenRatio),
        (10.0, f64::INFINITY, InvalidBudget::TokenRatio),
    ] {
        assert_eq!(Budget::grpc(tokens, ratio).unwrap_err(), error);
    }
}

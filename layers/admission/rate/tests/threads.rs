#![allow(clippy::disallowed_methods, reason = "a test may have threads")]

use std::thread;

use proptest::prelude::*;

use super::super::{
    Quota,
    direct::Direct,
    gcra::{self, Place},
    table::Table,
};

const S: u64 = 1_000_000_000;

/// So many requests at one time, from four threads: how many are let through.
fn storm(direct: &Direct, quotas: &[Quota], now: u64) -> usize {
    thread::scope(|scope| {
        let threads: Vec<_> = (0..4)
            .map(|_| {
                scope.spawn(|| {
                    (0..5_000)
                        .filter(|_| direct.grant(quotas, &mut Place::default(), now, now).is_ok())
                        .count()
                })
            })
            .collect();
        threads.into_iter().map(|thread| thread.join().unwrap()).sum()
    })
}

#[test]
fn a_race_for_one_quota_is_exact() {
    let direct = Direct::default();
    assert_eq!(storm(&direct, &[Quota::per_second(1_000)], S), 1_000);
    assert_eq!(storm(&direct, &[Quota::per_second(1_000)], S + S / 2), 500);
    let tally = direct.tally();
    assert_eq!((tally.allowed, tally.rejected), (1_500, 38_500));
}

#[test]
fn a_race_for_several_leaves_nothing_taken_for_nothing() {
    let quotas = [
        Quota::per_second(3_000),
        Quota::per_minute(1_000),
        Quota::per_hour(2_000),
    ];
    let direct = Direct::default();
    // A race may find one of them short for the moment that another's token is on its way back. Afterwards all is there.
    let mut allowed = storm(&direct, &quotas, S);
    while direct.grant(&quotas, &mut Place::default(), S, S).is_ok() {
        allowed += 1;
    }
    assert_eq!(allowed, 1_000);
    let first = (0..5_000).filter(|_| direct.grant(&quotas[..1], &mut Place::default(), S, S).is_ok());
    assert_eq!(first.count(), 2_000);
}

#[test]
fn a_race_for_many_keys_is_exact() {
    let (table, quotas) = (Table::new(1_000, 2), [Quota::per_second(50), Quota::per_minute(50)]);
    let allowed: usize = thread::scope(|scope| {
        let allows = |key: u64| {
            table
                .grant(key << 40 | key, &quotas, &mut Place::default(), S, S)
                .is_ok()
        };
        let threads: Vec<_> = (0..4)
            .map(|_| scope.spawn(move || (0..10_000).filter(|n| allows(n % 100)).count()))
            .collect();
        threads.into_iter().map(|thread| thread.join().unwrap()).sum()
    });
    assert_eq!(allowed, 100 * 50);
    let tally = table.tally();
    assert_eq!((tally.allowed, tally.rejected, tally.keys), (5_000, 35_000, 100));
}

#[test]
fn those_who_wait_have_places_of_their_own() {
    let quotas = [Quota::per_second(1_000).burst(1), Quota::per_minute(60_000).burst(1)];
    let direct = Direct::default();
    let mut places: Vec<u64> = thread::scope(|scope| {
        let places = || {
            (0..1_000)
                .map(|_| direct.grant(&quotas, &mut Place::default(), S, 10 * S).unwrap())
                .collect::<Vec<_>>()
        };
        let threads: Vec<_> = (0..4).map(|_| scope.spawn(places)).collect();
        threads.into_iter().flat_map(|thread| thread.join().unwrap()).collect()
    });
    places.sort_unstable();
    assert!(
        places.windows(2).all(|pair| pair[1] - pair[0] >= S / 1_000),
        "one each millisecond"
    );
}

#[test]
fn a_place_is_given_back_only_from_the_end() {
    let quotas = [Quota::per_second(1), Quota::per_minute(60).burst(1)];
    let direct = Direct::default();
    let reserve = || {
        let mut place = Place::default();
        (direct.grant(&quotas, &mut place, S, 100 * S).unwrap(), place)
    };
    assert_eq!(reserve().0, S);
    let (second, third) = (reserve(), reserve());
    direct.leave(&second.1);
    assert_eq!((second.0, third.0, reserve().0), (2 * S, 3 * S, 4 * S));
    let last = reserve();
    direct.leave(&last.1);
    assert_eq!(reserve().0, last.0);
}

proptest! {
    #[test]
    fn alone_it_is_the_law(gaps in prop::collection::vec(0..S, 1..100)) {
        let quotas = [Quota::per_second(2), Quota::per_minute(20)];
        let (direct, mut alone, mut now) = (Direct::default(), Place::default(), 0);
        for gap in gaps {
            now += gap;
            let mut place = Place::default();
            let decided = direct.grant(&quotas, &mut place, now, now);
            prop_assert_eq!(place.before, alone.before);
            prop_assert_eq!(decided, gcra::grant(&quotas, &mut alone, now, now));
            if decided.is_ok() {
                alone.before = alone.after;
            }
        }
    }
}

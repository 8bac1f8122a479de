use proptest::prelude::*;
use std::collections::HashMap;

use super::super::{
    Quota,
    gcra::{self, Place},
    table::Table,
};

const S: u64 = 1_000_000_000;

/// Spreads small numbers as a hash would.
fn hash(key: u64) -> u64 {
    let key = (key ^ (key >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let key = (key ^ (key >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    key ^ (key >> 31)
}

fn allows(table: &Table, key: u64, quota: Quota, now: u64) -> bool {
    table
        .grant(hash(key), &[quota], &mut Place::default(), now, now)
        .is_ok()
}

#[test]
fn a_full_table_turns_nobody_away_who_is_within_limits() {
    let quota = Quota::per_minute(1);
    let table = Table::new(10, 1);
    for key in 0..1_000 {
        assert!(allows(&table, key, quota, S), "{key}");
    }
    assert_eq!(table.tally().keys, 10);
    assert_eq!(table.tally().evicted, 990);
}

#[test]
fn a_flood_of_keys_does_not_reset_who_is_over_the_limit() {
    let quota = Quota::per_minute(10);
    let table = Table::new(1_000, 1);
    let mut over = Vec::new();
    for key in 0..20 {
        while allows(&table, key, quota, S) {}
        over.push(key);
    }
    for key in 1_000..1_001_000 {
        assert!(allows(&table, key, quota, S));
        if key % 10_000 == 0 {
            assert!(over.iter().all(|key| !allows(&table, *key, quota, S)), "after {key}");
        }
    }
    assert!(table.tally().keys <= 1_000);
}

#[test]
fn the_idle_are_dropped_as_new_ones_come() {
    let quota = Quota::per_second(1);
    let table = Table::new(10_000, 1);
    for key in 0..200_000 {
        // 100 a second, each busy for a second.
        assert!(allows(&table, key, quota, key * S / 100));
    }
    let tally = table.tally();
    assert!(tally.keys < 1_000, "{} keys, of which 100 are active", tally.keys);
    assert_eq!(tally.evicted, 0);
}

#[test]
fn there_are_never_more_than_were_asked_for() {
    for keys in [0, 1, 2, 63, 64, 100, 130, 1_000, 5_000] {
        let table = Table::new(keys, 1);
        for key in 0..20_000 {
            assert!(allows(&table, key, Quota::per_hour(1), S));
        }
        let held = table.tally().keys;
        assert!(held <= keys.max(1) && held >= keys * 9 / 10, "{held} of {keys}");
    }
}

#[test]
fn a_place_is_given_back_only_from_the_end() {
    let quotas = [Quota::every(std::time::Duration::from_secs(1))];
    let table = Table::new(10, 1);
    let reserve = || {
        let mut place = Place::default();
        (table.grant(7, &quotas, &mut place, S, 100 * S).unwrap(), place)
    };
    assert_eq!(reserve().0, S);
    let (second, third) = (reserve(), reserve());
    assert_eq!((second.0, third.0), (2 * S, 3 * S));
    table.leave(7, &second.1);
    assert_eq!(reserve().0, 4 * S, "behind the third, who keeps his time");
    let last = reserve();
    table.leave(7, &last.1);
    assert_eq!(reserve().0, last.0);
    // A key that was forgotten has nothing to be given back.
    table.leave(8, &last.1);
}

proptest! {
    /// Where nothing is forgotten but the idle, the table is a map that forgets nothing.
    #[test]
    fn it_agrees_with_a_map(steps in prop::collection::vec((0..40u64, 0..S), 1..500), sizes in prop::sample::select(vec![40usize, 64, 500])) {
        let quotas = [Quota::per_second(2), Quota::per_minute(20)];
        let (table, mut map, mut now) = (Table::new(sizes, 2), HashMap::new(), 0);
        for (key, gap) in steps {
            now += gap;
            let alone: &mut Place = map.entry(key).or_default();
            let expected = gcra::grant(&quotas, alone, now, now);
            prop_assert_eq!(table.grant(hash(key), &quotas, &mut Place::default(), now, now), expected);
            if expected.is_ok() {
                alone.before = alone.after;
            }
            prop_assert!(table.tally().keys <= 40);
        }
        prop_assert_eq!(table.tally().evicted, 0);
    }
}

use std::{
    hash::RandomState,
    sync::atomic::{AtomicBool, AtomicU64, Ordering},
    time::Duration,
};

use http::Request;
use tokio::time::Instant;

use super::*;
use crate::context::Head;

/// Counts its calls; idle when it is told so.
#[derive(Debug, Default)]
struct Count {
    calls: AtomicU64,
    idle: AtomicBool,
}

impl Count {
    fn call(&self) -> u64 {
        self.calls.fetch_add(1, Ordering::Relaxed) + 1
    }
}

impl Tenant for Count {
    fn reset(&self, _: Instant) {
        self.calls.store(0, Ordering::Relaxed);
        self.idle.store(false, Ordering::Relaxed);
    }

    fn is_idle(&self, _: Instant) -> bool {
        self.idle.load(Ordering::Relaxed)
    }
}

fn table(most: usize) -> Destinations<Count> {
    Destinations::new(most, Count::default)
}

fn find(table: &Destinations<Count>, uri: &str, now: Instant) -> Seat<Count> {
    let request = Request::get(uri).body(()).unwrap();
    table.find(Some(Head::from(&request)), now)
}

fn names(table: &Destinations<Count>) -> Vec<Option<String>> {
    let mut names = Vec::new();
    table.for_each(|name, _| names.push(name.map(str::to_owned)));
    names
}

#[test]
fn a_destination_is_its_authority_in_whichever_case() {
    let (table, now) = (table(10), Instant::now());
    for (uri, calls) in [
        ("http://a.example:80/x", 1),
        ("http://A.Example:80/y", 2),
        ("http://user:secret@a.example:80/", 3),
        ("http://a.example/", 1),
        ("https://b.example:80/", 1),
    ] {
        assert_eq!(find(&table, uri, now).call(), calls, "{uri}");
    }
}

#[test]
fn without_an_authority_it_is_the_host() {
    let (table, now) = (table(10), Instant::now());
    assert_eq!(find(&table, "http://a.example:80/", now).call(), 1);
    let request = Request::get("/x").header("host", "A.example:80").body(()).unwrap();
    assert_eq!(table.find(Some(Head::from(&request)), now).call(), 2);
}

#[test]
fn all_without_a_name_share_one() {
    let (table, now) = (table(10), Instant::now());
    assert_eq!(find(&table, "/x", now).call(), 1);
    assert_eq!(find(&table, "/y", now).call(), 2);
    assert_eq!(table.find(None, now).call(), 3);
    assert_eq!(names(&table), [None]);
}

#[test]
fn a_name_of_ones_own_is_taken_to_the_letter() {
    let key = KeyOf::by(|head| head.headers.get("x-shard")?.to_str().ok());
    let table = Destinations::keyed(key, 10, Count::default);
    let call = |shard| {
        let request = Request::get("http://same/").header("x-shard", shard).body(()).unwrap();
        table.find(Some(Head::from(&request)), Instant::now()).call()
    };
    assert_eq!([call("a"), call("b"), call("A"), call("a")], [1, 1, 1, 2]);
}

#[test]
fn a_long_name_is_told_apart_by_all_of_it_and_kept_in_part() {
    let (table, now) = (table(10), Instant::now());
    let long = |last| format!("http://{}{last}/", "a".repeat(1_000));
    assert_eq!(find(&table, &long("x"), now).call(), 1);
    assert_eq!(find(&table, &long("y"), now).call(), 1);
    let lengths: Vec<_> = names(&table).into_iter().flatten().map(|name| name.len()).collect();
    assert_eq!(lengths, [260, 260]);
}

#[test]
fn as_many_as_there_are_seats_keep_theirs() {
    let (table, now) = (table(1_000), Instant::now());
    for round in 1..=3 {
        for n in 0..1_000 {
            assert_eq!(find(&table, &format!("http://host-{n}/"), now).call(), round);
        }
    }
    assert_eq!(table.evicted(), 0);
}

#[test]
fn a_million_names_take_no_more_than_the_seats() {
    let (table, now) = (table(100), Instant::now());
    let key = |n: u32| format!("http://host-{n}/");
    for n in 0..1_000_000 {
        assert_eq!(
            find(&table, &key(n), now).call(),
            1,
            "a seat that was given away begins anew"
        );
    }
    assert_eq!(names(&table).len(), 100);
    assert_eq!(table.evicted(), 1_000_000 - 100);
}

#[test]
fn who_is_idle_gives_way_first() {
    let (table, now) = (table(4), Instant::now());
    for n in 0..4 {
        find(&table, &format!("http://host-{n}/"), now + Duration::from_secs(n)).call();
    }
    find(&table, "http://host-2/", now).idle.store(true, Ordering::Relaxed);
    find(&table, "http://new/", now + Duration::from_secs(5)).call();
    let kept: Vec<_> = names(&table).into_iter().flatten().collect();
    assert_eq!(kept, ["host-0", "host-1", "new", "host-3"]);
}

#[test]
fn of_the_idle_the_one_unused_for_longest_gives_way() {
    let (table, now) = (table(4), Instant::now());
    for (second, n) in [1, 2, 3, 0].into_iter().enumerate() {
        let seat = find(
            &table,
            &format!("http://host-{n}/"),
            now + Duration::from_secs(second as u64),
        );
        seat.idle.store(n != 1, Ordering::Relaxed);
    }
    find(&table, "http://new/", now + Duration::from_secs(5));
    let kept: Vec<_> = names(&table).into_iter().flatten().collect();
    assert_eq!(kept, ["host-1", "new", "host-3", "host-0"]);
}

#[test]
fn where_none_is_idle_the_one_unused_for_longest_gives_way() {
    let (table, now) = (table(4), Instant::now());
    for (second, n) in [0, 1, 2, 3, 0, 1, 3].into_iter().enumerate() {
        find(
            &table,
            &format!("http://host-{n}/"),
            now + Duration::from_secs(second as u64),
        )
        .call();
    }
    find(&table, "http://new/", now + Duration::from_secs(9)).call();
    let kept: Vec<_> = names(&table).into_iter().flatten().collect();
    assert_eq!(kept, ["host-0", "host-1", "new", "host-3"]);
}

#[test]
fn who_holds_a_seat_learns_that_another_has_it() {
    let (table, now) = (table(1), Instant::now());
    let first = find(&table, "http://first/", now);
    assert!(first.is_current());
    assert_eq!(first.call(), 1);

    let second = find(&table, "http://second/", now);
    assert!(!first.is_current());
    assert!(second.is_current());
    assert_eq!(second.call(), 1);

    let back = find(&table, "http://first/", now);
    assert!(!first.is_current(), "it is for the same, but has begun anew");
    assert!(back.is_current() && back.clone().is_current());
}

#[test]
fn a_table_without_seats_has_one() {
    let (table, now) = (table(0), Instant::now());
    assert_eq!(find(&table, "http://first/", now).call(), 1);
    assert_eq!(find(&table, "http://first/", now).call(), 2);
}

#[test]
fn a_tenant_that_cannot_be_made_takes_no_seat() {
    let broken = std::sync::Arc::new(AtomicBool::new(true));
    let table = Destinations::new(1, {
        let broken = broken.clone();
        move || {
            assert!(!broken.load(Ordering::Relaxed), "cannot be made");
            Count::default()
        }
    });
    let made = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
        find(&table, "http://first/", Instant::now())
    }));
    assert!(made.is_err());
    broken.store(false, Ordering::Relaxed);
    assert_eq!(find(&table, "http://first/", Instant::now()).call(), 1);
}

#[test]
#[expect(clippy::disallowed_methods, reason = "a test may wait for its threads")]
fn two_threads_find_the_same() {
    let (table, now) = (table(500), Instant::now());
    let work = || {
        for n in 0..500 {
            find(&table, &format!("http://host-{n}/"), now).call();
        }
    };
    std::thread::scope(|scope| {
        scope.spawn(work);
        scope.spawn(work);
    });
    let mut calls = Vec::new();
    table.for_each(|_, count| calls.push(count.calls.load(Ordering::Relaxed)));
    assert_eq!(calls, [2; 500]);
}

/// Two names take one seat from each other, over and over: nobody gets a seat that is current and not theirs.
#[test]
#[expect(clippy::disallowed_methods, reason = "a test may wait for its threads")]
fn nobody_gets_the_seat_of_another() {
    let (key_of, secret) = (KeyOf::default(), RandomState::new());
    let names = ["first", "second"];
    let keys = names.map(|name| key_of.key(&secret, Some(name)));
    let place = crate::context::home::Homes::new(seat::Place::new(Count::default()));
    let done = AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            for turn in 0..200_000 {
                place.here().vacate();
                place.here().tenant.calls.store(turn % 2, Ordering::Relaxed);
                place.here().occupy(keys[usize::from(turn % 2 == 1)], None, turn);
            }
            done.store(true, Ordering::Relaxed);
        });
        while !done.load(Ordering::Relaxed) {
            for (whose, key) in keys.into_iter().enumerate() {
                let Some(seat) = Seat::of(&place, key) else { continue };
                let calls = seat.calls.load(Ordering::Relaxed);
                if seat.is_current() {
                    assert_eq!(calls, whose as u64);
                }
            }
        }
    });
}

#[test]
fn a_destination_that_is_known_allocates_nothing() {
    let (table, now) = (table(10), Instant::now());
    let request = Request::get("http://a.example:80/").body(()).unwrap();
    let call = || table.find(Some(Head::from(&request)), now).call();
    call();
    let allocations = allocation_counter::measure(|| assert_eq!(call(), 2));
    assert_eq!(allocations.count_total, 0);
}

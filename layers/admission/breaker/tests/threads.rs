#![allow(clippy::disallowed_methods, reason = "a test may have threads")]

use std::{thread, time::Duration};

use fastrand::Rng;
use tokio::time::Instant;

use super::super::{
    circuit::{Circuit, Entry, Evidence},
    law::Law,
    word::State,
};

const FAILED: Evidence = Evidence::Bad {
    failed: true,
    slow: false,
    hint: None,
};

fn on_four(work: impl Fn(usize) + Sync) {
    thread::scope(|scope| {
        for home in 0..4 {
            let work = &work;
            scope.spawn(move || work(home));
        }
    });
}

#[test]
fn no_call_is_lost_and_none_counts_twice() {
    let now = Instant::now();
    let circuit = Circuit::new(Law::default(), 4, Rng::with_seed(1), now);
    on_four(|home| {
        for n in 0..10_000_u32 {
            let Entry::Go(ticket) = circuit.admit(|| home, || now) else {
                panic!("{n}")
            };
            let how = if n % 4 == 3 { FAILED } else { Evidence::Fine };
            circuit.settle(home, ticket, how, || now);
        }
    });
    let recent = circuit.standing(now).recent;
    assert_eq!((recent.calls, recent.failures), (40_000, 10_000));
}

#[test]
fn no_more_probes_than_there_may_be() {
    let now = Instant::now();
    let circuit = Circuit::new(Law::default(), 4, Rng::with_seed(1), now);
    for _ in 0..20 {
        let Entry::Go(ticket) = circuit.admit(|| 0, || now) else {
            panic!()
        };
        circuit.settle(0, ticket, FAILED, || now);
    }
    let later = now + Duration::from_secs(2);
    on_four(|home| {
        for _ in 0..10_000 {
            // Never settled: three in all, whoever comes.
            circuit.admit(|| home, || later);
        }
    });
    assert_eq!(circuit.standing(later).probes, 3);
    assert_eq!(circuit.standing(later).rejected, 40_000 - 3);
    assert_eq!(circuit.state(), State::HalfOpen { free: 0, succeeded: 0 });
}

#[test]
fn places_of_probes_come_and_go_and_none_is_lost() {
    let now = Instant::now();
    let circuit = Circuit::new(Law::default(), 4, Rng::with_seed(1), now);
    for _ in 0..20 {
        let Entry::Go(ticket) = circuit.admit(|| 0, || now) else {
            panic!()
        };
        circuit.settle(0, ticket, FAILED, || now);
    }
    let later = now + Duration::from_secs(2);
    on_four(|home| {
        for _ in 0..10_000 {
            if let Entry::Go(ticket) = circuit.admit(|| home, || later) {
                circuit.settle(home, ticket, Evidence::None, || later);
            }
        }
    });
    assert_eq!(circuit.state(), State::HalfOpen { free: 3, succeeded: 0 });
}

//! The state of a circuit breaker, under every order in which two or three threads can take their steps.
//!
//! It is the very source of the library, with a model checker's atomics and locks instead of the standard library's: see
//! `layers/admission/breaker/sync.rs`.
#![allow(
    dead_code,
    clippy::disallowed_methods,
    clippy::unwrap_used,
    reason = "a test may, and the model uses a part of the circuit"
)]

use std::time::Duration;

use fastrand::Rng;
use loom::{sync::Arc, thread};
use tokio::time::Instant;

#[path = "../layers/admission/breaker/cell.rs"]
mod cell;
#[path = "../layers/admission/breaker/circuit.rs"]
mod circuit;
#[path = "../layers/admission/breaker/clock.rs"]
mod clock;
#[path = "../layers/admission/breaker/history.rs"]
mod history;
#[path = "../layers/admission/breaker/law.rs"]
mod law;
#[path = "../layers/admission/sliding.rs"]
mod sliding;
#[path = "../layers/admission/breaker/tally.rs"]
mod tally;
#[path = "../layers/admission/breaker/ticket.rs"]
mod ticket;
#[path = "../layers/admission/breaker/word.rs"]
mod word;
mod sync {
    pub(crate) use loom::sync::{
        Mutex, MutexGuard,
        atomic::{AtomicU64, Ordering},
    };
}

use self::{
    circuit::{Circuit, Entry, Evidence},
    law::Law,
    ticket::Ticket,
    word::State,
};

const FAILED: Evidence = Evidence::Bad {
    failed: true,
    slow: false,
    hint: None,
};

/// It opens at the second failure, and sends two probes. Calls move its window, so that nobody has to turn it.
fn circuit(now: Instant) -> Arc<Circuit> {
    let law = Law {
        minimum: 2,
        step: Law::calls(100),
        probes: 2,
        ..Law::default()
    };
    Arc::new(Circuit::new(law, 2, Rng::with_seed(1), now))
}

fn go(circuit: &Circuit, home: usize, now: Instant) -> Ticket {
    match circuit.admit(|| home, || now) {
        Entry::Go(ticket) => ticket,
        Entry::No(wait) => panic!("not before {wait:?}"),
    }
}

/// Opened, and its time is over.
fn over(now: Instant) -> (Arc<Circuit>, Instant) {
    let circuit = circuit(now);
    for _ in 0..2 {
        let ticket = go(&circuit, 0, now);
        circuit.settle(0, ticket, FAILED, || now);
    }
    assert!(matches!(circuit.state(), State::Open { .. }));
    (circuit, now + Duration::from_secs(2))
}

fn check(preemptions: Option<usize>, model: impl Fn(Instant) + Send + Sync + 'static) {
    let mut builder = loom::model::Builder::new();
    builder.preemption_bound = preemptions;
    builder.check(move || model(Instant::now()));
}

#[test]
fn no_failure_is_lost() {
    check(None, |now| {
        let circuit = circuit(now);
        let fails = |home: usize| {
            let circuit = circuit.clone();
            move || {
                let ticket = go(&circuit, home, now);
                circuit.settle(home, ticket, FAILED, || now);
            }
        };
        let other = thread::spawn(fails(1));
        fails(0)();
        other.join().unwrap();
        assert!(matches!(circuit.state(), State::Open { .. }));
        assert_eq!(circuit.standing(now).opens, 1);
    });
}

#[test]
fn no_more_probes_than_there_may_be() {
    check(Some(3), |now| {
        let (circuit, later) = over(now);
        let comes = |home: usize| {
            let circuit = circuit.clone();
            move || matches!(circuit.admit(|| home, || later), Entry::Go(_))
        };
        let others = [1, 2].map(|home| thread::spawn(comes(home)));
        let mine = comes(0)();
        let probes = others.map(|other| other.join().unwrap()).into_iter().chain([mine]);
        assert_eq!(probes.filter(|probe| *probe).count(), 2);
        assert_eq!(circuit.state(), State::HalfOpen { free: 0, succeeded: 0 });
    });
}

#[test]
fn two_probes_that_succeed_close_it() {
    check(None, |now| {
        let (circuit, later) = over(now);
        let (one, two) = (go(&circuit, 0, later), go(&circuit, 0, later));
        let other = {
            let circuit = circuit.clone();
            thread::spawn(move || circuit.settle(1, one, Evidence::Fine, || later))
        };
        circuit.settle(0, two, Evidence::Fine, || later);
        other.join().unwrap();
        assert_eq!(circuit.state(), State::Closed);
        assert_eq!(circuit.standing(later).recent.calls, 0);
    });
}

#[test]
fn a_failure_wins_over_a_success() {
    check(None, |now| {
        let (circuit, later) = over(now);
        let (one, two) = (go(&circuit, 0, later), go(&circuit, 0, later));
        let other = {
            let circuit = circuit.clone();
            thread::spawn(move || circuit.settle(1, one, FAILED, || later))
        };
        circuit.settle(0, two, Evidence::Fine, || later);
        other.join().unwrap();
        assert!(matches!(circuit.state(), State::Open { .. }));
        assert_eq!(circuit.standing(later).opens, 2);
    });
}

#[test]
fn places_that_come_back_are_all_there() {
    check(Some(3), |now| {
        let (circuit, later) = over(now);
        let (one, two) = (go(&circuit, 0, later), go(&circuit, 0, later));
        let leaves = |home: usize, probe: Ticket| {
            let circuit = circuit.clone();
            move || circuit.settle(home, probe, Evidence::None, || later)
        };
        let others = [thread::spawn(leaves(1, one)), thread::spawn(leaves(2, two))];
        let third = circuit.admit(|| 0, || later);
        for other in others {
            other.join().unwrap();
        }
        let free = if matches!(third, Entry::Go(_)) { 1 } else { 2 };
        assert_eq!(circuit.state(), State::HalfOpen { free, succeeded: 0 });
    });
}

#[test]
fn a_late_success_does_not_disturb_who_opens() {
    check(None, |now| {
        let circuit = circuit(now);
        let (late, one, two) = (go(&circuit, 1, now), go(&circuit, 0, now), go(&circuit, 0, now));
        let other = {
            let circuit = circuit.clone();
            thread::spawn(move || circuit.settle(1, late, Evidence::Fine, || now))
        };
        circuit.settle(0, one, FAILED, || now);
        circuit.settle(0, two, FAILED, || now);
        other.join().unwrap();
        assert!(matches!(circuit.state(), State::Open { .. }));
    });
}

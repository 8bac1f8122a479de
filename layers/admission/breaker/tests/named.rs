//! What goes wrong elsewhere, by name.

use std::time::Duration;

use fastrand::Rng;
use tokio::time::Instant;

use super::super::{
    circuit::{Circuit, Entry, Evidence, Ticket},
    law::Law,
    word::State,
};

const SECOND: Duration = Duration::from_secs(1);
const YEAR: Duration = Duration::from_secs(365 * 24 * 60 * 60);

const FAILED: Evidence = Evidence::Bad {
    failed: true,
    slow: false,
    hint: None,
};

const SLOW: Evidence = Evidence::Bad {
    failed: false,
    slow: true,
    hint: None,
};

fn circuit(law: Law, now: Instant) -> Circuit {
    Circuit::new(law, 2, Rng::with_seed(1), now)
}

fn go(circuit: &Circuit, at: Instant) -> Ticket {
    match circuit.admit(|| 0, || at) {
        Entry::Go(ticket) => ticket,
        Entry::No(wait) => panic!("not before {wait:?}"),
    }
}

fn wait(circuit: &Circuit, at: Instant) -> Duration {
    match circuit.admit(|| 0, || at) {
        Entry::Go(_) => panic!("let in"),
        Entry::No(wait) => wait,
    }
}

/// So many calls that end at once like this, or as many as are let in.
fn calls(circuit: &Circuit, count: usize, how: Evidence, at: Instant) -> usize {
    (0..count)
        .take_while(|_| match circuit.admit(|| 0, || at) {
            Entry::Go(ticket) => {
                circuit.settle(0, ticket, how, || at);
                true
            }
            Entry::No(_) => false,
        })
        .count()
}

/// It opened just now.
fn opened(law: Law) -> (Circuit, Instant) {
    let now = Instant::now();
    let circuit = circuit(law, now);
    assert_eq!(calls(&circuit, 1_000, FAILED, now), 20);
    (circuit, now)
}

#[test]
fn after_ten_thousand_successes_a_hundred_failures_open_it() {
    let now = Instant::now();
    for (law, between) in [
        (Law::default(), 11 * SECOND),
        (
            Law {
                step: Law::calls(100),
                ..Law::default()
            },
            Duration::ZERO,
        ),
    ] {
        let circuit = circuit(law, now);
        assert_eq!(calls(&circuit, 10_000, Evidence::Fine, now), 10_000);
        let opened = calls(&circuit, 10_000, FAILED, now + between);
        assert!(opened <= 100, "{opened}: {law:?}");
        assert!(matches!(circuit.state(), State::Open { .. }));
    }
}

#[test]
fn a_window_of_calls_has_nine_to_ten_tenths_of_them() {
    let now = Instant::now();
    let law = Law {
        step: Law::calls(100),
        failure_rate: 1.0,
        ..Law::default()
    };
    let circuit = circuit(law, now);
    for count in 1..1_000 {
        calls(&circuit, 1, Evidence::Fine, now);
        let recent = circuit.standing(now).recent.calls;
        assert!(recent == count || (91..=100).contains(&recent), "{recent} of {count}");
    }
}

#[test]
fn one_that_fails_half_of_its_calls_opens_and_one_that_fails_fewer_does_not() {
    for (failing, opens) in [(1, false), (2, true)] {
        let now = Instant::now();
        let circuit = circuit(Law::default(), now);
        for _ in 0..1_000 {
            calls(&circuit, 2, Evidence::Fine, now);
            calls(&circuit, failing, FAILED, now);
        }
        assert_eq!(matches!(circuit.state(), State::Open { .. }), opens);
    }
}

#[test]
fn slow_calls_open_it() {
    let now = Instant::now();
    let law = Law {
        slow: Some((SECOND, 0.5)),
        ..Law::default()
    };
    let circuit = circuit(law, now);
    assert_eq!(calls(&circuit, 20, Evidence::Fine, now), 20);
    assert_eq!(calls(&circuit, 100, SLOW, now), 20);
}

#[test]
fn a_cancelled_probe_gives_its_place_back() {
    let (circuit, mut now) = opened(Law::default());
    now += 2 * SECOND;
    for _ in 0..100 {
        let probes = [(); 3].map(|()| go(&circuit, now));
        wait(&circuit, now);
        for probe in probes {
            circuit.settle(0, probe, Evidence::None, || now);
        }
    }
    assert_eq!(calls(&circuit, 3, Evidence::Fine, now), 3);
    assert_eq!(circuit.state(), State::Closed);
}

#[test]
fn probes_that_hang_are_given_up() {
    let (circuit, mut now) = opened(Law::default());
    now += 2 * SECOND;
    let hang = [(); 3].map(|()| go(&circuit, now));
    assert!(wait(&circuit, now + 29 * SECOND) >= SECOND);
    now += 31 * SECOND;
    let fresh = [(); 3].map(|()| go(&circuit, now));
    wait(&circuit, now);
    for probe in hang {
        circuit.settle(0, probe, FAILED, || now);
    }
    assert!(matches!(circuit.state(), State::HalfOpen { free: 0, succeeded: 0 }));
    for probe in fresh {
        circuit.settle(0, probe, Evidence::Fine, || now);
    }
    assert_eq!(circuit.state(), State::Closed);
}

#[test]
fn an_answer_from_before_the_trouble_decides_nothing() {
    let now = Instant::now();
    let circuit = circuit(Law::default(), now);
    let stale: Vec<_> = (0..100).map(|_| go(&circuit, now)).collect();
    calls(&circuit, 1_000, FAILED, now);
    let now = now + 2 * SECOND;
    let probe = go(&circuit, now);
    for ticket in &stale[..50] {
        circuit.settle(0, *ticket, Evidence::Fine, || now);
    }
    assert!(
        matches!(circuit.state(), State::HalfOpen { free: 2, succeeded: 0 }),
        "not closed by them"
    );
    for ticket in &stale[50..] {
        circuit.settle(0, *ticket, FAILED, || now);
    }
    assert!(
        matches!(circuit.state(), State::HalfOpen { free: 2, succeeded: 0 }),
        "not opened by them"
    );
    circuit.settle(0, probe, Evidence::Fine, || now);
    calls(&circuit, 2, Evidence::Fine, now);
    assert_eq!(circuit.state(), State::Closed);
    assert_eq!(circuit.standing(now).recent.calls, 0, "a fresh start");
}

#[test]
fn the_first_probe_that_fails_opens_it_for_longer() {
    let (circuit, mut now) = opened(Law::default());
    let mut least = SECOND;
    for _ in 0..10 {
        let told = wait(&circuit, now);
        assert!(
            (least..=least.mul_f64(1.25) + Duration::from_millis(1)).contains(&told),
            "{told:?} of {least:?}"
        );
        now += told.saturating_sub(Duration::from_millis(1));
        assert_eq!(wait(&circuit, now), Duration::from_millis(1));
        now += Duration::from_millis(1);
        let probe = go(&circuit, now);
        circuit.settle(0, probe, FAILED, || now);
        least = (2 * least).min(30 * SECOND);
    }
    now += wait(&circuit, now);
    calls(&circuit, 3, Evidence::Fine, now);
    calls(&circuit, 1_000, FAILED, now);
    assert!(wait(&circuit, now) < 2 * SECOND, "it begins anew once it was closed");
    assert_eq!(circuit.standing(now).opens, 12);
}

#[test]
fn a_hint_is_followed_up_to_thirty_seconds() {
    for (hint, least, most) in [(0, 1, 2), (10, 10, 11), (3_600, 30, 31)] {
        let now = Instant::now();
        let circuit = circuit(Law::default(), now);
        let hint = Some(hint * SECOND);
        let asks = Evidence::Bad {
            failed: true,
            slow: false,
            hint,
        };
        calls(&circuit, 1_000, asks, now);
        let told = wait(&circuit, now);
        assert!(told >= least * SECOND && told < most * SECOND, "{told:?} for {hint:?}");
    }
}

#[test]
fn a_year_is_one_step() {
    let start = Instant::now();
    let circuit = circuit(Law::default(), start);
    calls(&circuit, 1_000, Evidence::Fine, start);
    calls(&circuit, 19, FAILED, start);
    for year in 1..100 {
        let now = start + year * YEAR / 4;
        calls(&circuit, 19, FAILED, now);
        assert_eq!(circuit.standing(now).recent.failures, 19);
    }
    assert_eq!(circuit.state(), State::Closed);
}

#[test]
fn what_ends_while_nobody_comes_is_judged_with_those_who_came_last() {
    let start = Instant::now();
    let circuit = circuit(Law::default(), start);
    let hanging: Vec<_> = (0..20).map(|_| go(&circuit, start)).collect();
    for ticket in hanging {
        circuit.settle(0, ticket, FAILED, || start + 60 * SECOND);
    }
    assert!(matches!(circuit.state(), State::Open { .. }));
    assert!(wait(&circuit, start + 60 * SECOND) >= SECOND, "from when it opened");
}

#[test]
fn a_reset_leaves_nothing() {
    let (circuit, now) = opened(Law::default());
    assert!(!circuit.is_idle(now));
    circuit.reset(now);
    assert!(circuit.is_idle(now));
    let stale = go(&circuit, now);
    circuit.reset(now);
    circuit.settle(0, stale, FAILED, || now);
    assert_eq!(circuit.standing(now).recent.calls, 0);
    assert_eq!(calls(&circuit, 1_000, FAILED, now), 20);
}

#[test]
fn settings_make_sense() {
    for (share, taken) in [(0.5, 0.5), (0.0, 0.001), (-1.0, 0.001), (7.0, 1.0), (f64::NAN, 1.0)] {
        assert!((Law::share(share) - taken).abs() < f64::EPSILON, "{share}");
    }
    let now = Instant::now();
    for law in [
        Law {
            minimum: 0,
            ..Law::default()
        },
        Law {
            open_for: Duration::MAX,
            ..Law::default()
        },
        Law {
            step: Law::time(Duration::MAX),
            ..Law::default()
        },
        Law {
            step: Law::time(Duration::ZERO),
            ..Law::default()
        },
        Law {
            step: Law::calls(0),
            ..Law::default()
        },
        Law {
            probes: u16::MAX,
            ..Law::default()
        },
    ] {
        let circuit = circuit(law, now);
        calls(&circuit, 100, Evidence::Fine, now);
        calls(&circuit, 200, FAILED, now);
        assert!(matches!(circuit.state(), State::Open { .. }), "{law:?}");
        circuit.standing(now);
        calls(&circuit, 2, Evidence::None, now + 60 * SECOND);
        calls(&circuit, 2, Evidence::Fine, now + 60 * SECOND);
    }
}

//! The circuit under random histories, beside one that keeps every call in a list.

use std::time::Duration;

use fastrand::Rng;
use proptest::prelude::*;
use tokio::time::Instant;

use super::super::{
    circuit::{Circuit, Entry, Evidence, Ticket},
    law::{Law, Span},
    word::State,
};

/// One step of a history.
#[derive(Clone, Debug)]
enum Step {
    Arrive,
    End { which: usize, how: Evidence },
    Pass(u64),
}

fn evidence() -> impl Strategy<Value = Evidence> {
    let bad = |failed, slow, hint: Option<u64>| Evidence::Bad {
        failed,
        slow,
        hint: hint.map(Duration::from_millis),
    };
    prop_oneof![
        6 => Just(Evidence::Fine),
        4 => prop::option::weighted(0.1, 0..60_000_u64).prop_map(move |hint| bad(true, false, hint)),
        1 => Just(bad(true, true, None)),
        2 => Just(bad(false, true, None)),
        1 => Just(Evidence::None),
    ]
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        8 => Just(Step::Arrive),
        8 => (any::<usize>(), evidence()).prop_map(|(which, how)| Step::End { which, how }),
        2 => (0..400_u64).prop_map(Step::Pass),
        1 => (0..40_000_u64).prop_map(Step::Pass),
    ]
}

fn law() -> impl Strategy<Value = Law> {
    let step = prop_oneof![
        (1..400_u64).prop_map(|millis| Span::Time(millis * 1_000_000)),
        (1..4_u64).prop_map(Span::Calls),
    ];
    let slow = prop::option::of(0.2..1.0).prop_map(|share| share.map(|share| (Duration::ZERO, share)));
    (0.1..1.0, slow, 0..12_u64, step, 1..4_u16, 1..2_000_u64).prop_map(
        |(failure_rate, slow, minimum, step, probes, open)| Law {
            failure_rate,
            slow,
            minimum,
            step,
            probes,
            open_for: Duration::from_millis(open),
        },
    )
}

/// What let a call in: the number of the state, and whether as a probe.
type Pass = (usize, bool);

/// A circuit in words.
struct Naive {
    law: Law,
    rng: Rng,
    number: usize,
    state: Naked,
    /// Of each call that counted: its step, whether it failed, whether it was slow.
    calls: Vec<(u64, bool, bool)>,
    counted: u64,
    /// The step of the last arrival at a closed circuit.
    step: u64,
    streak: u32,
}

#[derive(Debug, PartialEq)]
enum Naked {
    Closed,
    Open {
        until: Duration,
    },
    HalfOpen {
        under_way: u16,
        succeeded: u16,
        hangs: Duration,
    },
}

impl Naive {
    fn arrive(&mut self, now: Duration) -> Option<Pass> {
        match &mut self.state {
            Naked::Closed => {
                if let Span::Time(step) = self.law.step {
                    self.step = u64::try_from(now.as_nanos()).unwrap() / step;
                }
                return Some((self.number, false));
            }
            Naked::Open { until } if now < *until => return None,
            Naked::HalfOpen {
                under_way,
                succeeded,
                hangs,
            } => {
                if *under_way + *succeeded < self.law.probes {
                    *under_way += 1;
                    return Some((self.number, true));
                }
                if now < *hangs {
                    return None;
                }
            }
            Naked::Open { .. } => {}
        }
        self.number += 1;
        let patience = self.law.open_for.max(Duration::from_secs(30));
        let hangs = up(now + patience);
        self.state = Naked::HalfOpen {
            under_way: 1,
            succeeded: 0,
            hangs,
        };
        Some((self.number, true))
    }

    fn end(&mut self, (number, probe): Pass, how: Evidence, now: Duration) {
        if number != self.number {
            return;
        }
        match (&mut self.state, how) {
            (Naked::Closed, Evidence::None) => {}
            (Naked::Closed, how) => {
                let (failed, slow, hint) = match how {
                    Evidence::Bad { failed, slow, hint } => (failed, slow, hint),
                    _ => (false, false, None),
                };
                if let Span::Calls(step) = self.law.step {
                    self.step = self.counted / step;
                }
                self.counted += 1;
                self.calls.push((self.step, failed, slow));
                if how != Evidence::Fine && self.is_too_much() {
                    self.open(hint, now);
                }
            }
            (Naked::HalfOpen { under_way, .. }, Evidence::None) => *under_way -= 1,
            (
                Naked::HalfOpen {
                    under_way, succeeded, ..
                },
                Evidence::Fine,
            ) => {
                *under_way -= 1;
                *succeeded += 1;
                if *succeeded == self.law.probes {
                    self.number += 1;
                    self.state = Naked::Closed;
                    self.calls.clear();
                    self.streak = 0;
                }
            }
            (Naked::HalfOpen { .. }, Evidence::Bad { hint, .. }) => self.open(hint, now),
            (Naked::Open { .. }, _) => unreachable!("an open circuit lets nobody in"),
        }
        assert!(!probe || number > 0);
    }

    fn recent(&self) -> [u64; 3] {
        let recent = self.calls.iter().filter(|(step, ..)| step + 10 > self.step);
        recent.fold([0; 3], |[calls, failures, slow], (_, failed, was_slow)| {
            [calls + 1, failures + u64::from(*failed), slow + u64::from(*was_slow)]
        })
    }

    #[allow(clippy::cast_precision_loss, reason = "small numbers")]
    fn is_too_much(&self) -> bool {
        let [calls, failures, slow] = self.recent();
        let minimum = match self.law.step {
            Span::Time(_) => self.law.minimum,
            Span::Calls(step) => self.law.minimum.min(9 * step + 1),
        };
        let share = |count: u64| count as f64 / calls as f64;
        calls >= minimum
            && (failures > 0 && share(failures) >= self.law.failure_rate
                || self.law.slow.is_some_and(|(_, most)| slow > 0 && share(slow) >= most))
    }

    fn open(&mut self, hint: Option<Duration>, now: Duration) {
        let longest = self.law.open_for.max(Duration::from_secs(30));
        let mut stay = self.law.open_for;
        for _ in 0..self.streak {
            stay = (stay * 2).min(longest);
        }
        stay += (stay / 4).mul_f64(self.rng.f64());
        stay = stay.max(hint.unwrap_or_default().min(Duration::from_secs(30)));
        self.number += 1;
        self.streak += 1;
        self.state = Naked::Open { until: up(now + stay) };
    }

    fn kind(&self) -> u8 {
        match self.state {
            Naked::Closed => 0,
            Naked::Open { .. } => 1,
            Naked::HalfOpen { .. } => 2,
        }
    }
}

/// To whole milliseconds.
fn up(time: Duration) -> Duration {
    let millis = time.as_nanos().div_ceil(1_000_000);
    Duration::from_millis(u64::try_from(millis).unwrap())
}

fn kind(state: State) -> u8 {
    match state {
        State::Closed => 0,
        State::Open { .. } => 1,
        State::HalfOpen { .. } => 2,
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_000))]

    #[test]
    fn it_does_as_one_that_keeps_a_list(law in law(), steps in prop::collection::vec(step(), 1..250)) {
        let origin = Instant::now();
        let circuit = Circuit::new(law, 2, Rng::with_seed(7), origin);
        let mut naive = Naive {
            law,
            rng: Rng::with_seed(7),
            number: 0,
            state: Naked::Closed,
            calls: Vec::new(),
            counted: 0,
            step: 0,
            streak: 0,
        };
        let mut under_way: Vec<(Ticket, Pass)> = Vec::new();
        let mut now = Duration::ZERO;
        for (n, step) in steps.into_iter().enumerate() {
            match step {
                Step::Pass(millis) => now += Duration::from_millis(millis),
                Step::Arrive => match (circuit.admit(|| n % 2, || origin + now), naive.arrive(now)) {
                    (Entry::Go(ticket), Some(pass)) => {
                        prop_assert_eq!(ticket.is_probe(), pass.1);
                        under_way.push((ticket, pass));
                    }
                    (Entry::No(wait), None) => {
                        if let Naked::Open { until } = naive.state {
                            prop_assert!(now + wait >= until, "told to come before its time");
                            prop_assert!(now + wait <= until + Duration::from_millis(1));
                        }
                    }
                    (entry, pass) => prop_assert!(false, "{entry:?}, but {pass:?} in {:?}", naive.state),
                },
                Step::End { which, how } if !under_way.is_empty() => {
                    let (ticket, pass) = under_way.swap_remove(which % under_way.len());
                    // Time stands still between the two.
                    circuit.settle(n % 2, ticket, how, || origin + now);
                    naive.end(pass, how, now);
                }
                Step::End { .. } => {}
            }
            if let Span::Calls(_) = law.step && naive.state == Naked::Closed {
                let recent = circuit.standing(origin + now).recent;
                let last = naive.calls.last().map_or(naive.step, |(step, ..)| *step);
                naive.step = last.max(naive.step);
                prop_assert_eq!([recent.calls, recent.failures, recent.slow], naive.recent());
            }
            prop_assert_eq!(kind(circuit.state()), naive.kind());
        }
    }
}

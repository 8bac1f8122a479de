#![allow(clippy::cast_precision_loss, reason = "counts of requests")]

use std::{collections::VecDeque, time::Duration};

use fastrand::Rng;
use proptest::prelude::*;
use tokio::time::Instant;

use super::odds::{Odds, Sums, Verdict};

const MINUTE: Duration = Duration::from_secs(60);
const WINDOW: Duration = Duration::from_secs(120);

/// A law that is asked and told.
trait Law {
    fn reject(&mut self, k: f64, now: Instant, draw: f64) -> bool;
    fn settle(&mut self, verdict: Verdict, now: Instant);
}

impl Law for Odds {
    fn reject(&mut self, k: f64, now: Instant, draw: f64) -> bool {
        Odds::reject(self, 0, k, now, || draw)
    }

    fn settle(&mut self, verdict: Verdict, _: Instant) {
        Odds::settle(self, 0, verdict);
    }
}

/// The same with every request in a list; or the mistake of leaving out those that were rejected here.
struct Listed {
    counts_own: bool,
    all: VecDeque<(Instant, bool)>,
    accepts: usize,
}

impl Listed {
    fn new(counts_own: bool) -> Self {
        Self {
            counts_own,
            all: VecDeque::new(),
            accepts: 0,
        }
    }

    fn add(&mut self, now: Instant, accepted: bool) {
        self.all.push_back((now, accepted));
        self.accepts += usize::from(accepted);
    }
}

impl Law for Listed {
    fn reject(&mut self, k: f64, now: Instant, draw: f64) -> bool {
        while let Some((at, accepted)) = self.all.front()
            && *at + WINDOW <= now
        {
            self.accepts -= usize::from(*accepted);
            self.all.pop_front();
        }
        let (requests, accepts) = (self.all.len() as f64, self.accepts as f64);
        let rejected = draw < (requests - k * accepts) / (requests + 1.0);
        if rejected && self.counts_own {
            self.add(now, false);
        }
        rejected
    }

    fn settle(&mut self, verdict: Verdict, now: Instant) {
        match verdict {
            Verdict::Accepted => self.add(now, true),
            Verdict::Refused => self.add(now, false),
            Verdict::None => {}
        }
    }
}

/// A destination that accepts a hundred requests a second, and refuses the rest at once.
struct Destination {
    tokens: f64,
}

impl Destination {
    const CAPACITY: f64 = 100.0;

    fn pass(&mut self, time: Duration) {
        let most = Self::CAPACITY / 10.0;
        self.tokens = (self.tokens + time.as_secs_f64() * Self::CAPACITY).min(most);
    }

    fn ask(&mut self) -> Verdict {
        if self.tokens < 1.0 {
            return Verdict::Refused;
        }
        self.tokens -= 1.0;
        Verdict::Accepted
    }
}

/// Ten minutes of so many times what a destination can take: how many times its capacity it sees in the last five.
fn seen(law: &mut impl Law, overload: u32, k: f64) -> f64 {
    let (start, mut rng, mut sent) = (Instant::now(), Rng::with_seed(7), 0_u32);
    let mut destination = Destination { tokens: 0.0 };
    let between = Duration::from_secs(1) / (100 * overload);
    for n in 0..10 * 60 * 100 * overload {
        let now = start + between * n;
        destination.pass(between);
        if law.reject(k, now, rng.f64()) {
            continue;
        }
        law.settle(destination.ask(), now);
        sent += u32::from(now >= start + 5 * MINUTE);
    }
    f64::from(sent) / (Destination::CAPACITY * 5.0 * MINUTE.as_secs_f64())
}

fn odds() -> Odds {
    Odds::new(WINDOW, 2, Instant::now())
}

#[test]
fn a_destination_sees_k_times_what_it_accepts() {
    for overload in [1, 2, 5, 10] {
        for k in [1.1_f64, 1.5, 2.0] {
            let expected = k.min(f64::from(overload));
            let seen = seen(&mut odds(), overload, k);
            assert!(
                (0.95..1.05).contains(&(seen / expected)),
                "{seen} for {k}, at {overload} times"
            );
        }
    }
}

#[test]
fn without_the_locally_rejected_three_to_four_and_a_half_times_come_through() {
    for (overload, least) in [(5, 3.0), (10, 4.2)] {
        let wrong = seen(&mut Listed::new(false), overload, 2.0);
        assert!((least..4.6).contains(&wrong), "{wrong}");
        let right = seen(&mut Listed::new(true), overload, 2.0);
        assert!((1.9..2.1).contains(&right), "{right}");
    }
}

#[test]
fn what_is_well_is_left_alone() {
    let (odds, now) = (odds(), Instant::now());
    for n in 0..100_000_u32 {
        assert!(!odds.reject(0, 1.1, now, || 0.0));
        let verdict = if n % 20 == 19 {
            Verdict::Refused
        } else {
            Verdict::Accepted
        };
        odds.settle(0, verdict);
    }
}

#[test]
fn a_first_burst_is_not_rejected_for_being_under_way() {
    let (odds, now) = (odds(), Instant::now());
    assert!((0..1_000).all(|_| !odds.reject(0, 2.0, now, || 0.0)));
    assert_eq!(odds.recent(now), Sums::default());
}

#[test]
fn the_less_critical_go_first() {
    let (odds, now) = (odds(), Instant::now());
    for n in 0..300 {
        odds.settle(
            0,
            if n % 3 == 0 {
                Verdict::Refused
            } else {
                Verdict::Accepted
            },
        );
    }
    assert!(odds.reject(0, 1.1, now, || 0.2), "1 - 1.1 * 2/3");
    assert!(!odds.reject(0, 1.1, now, || 0.3));
    assert!(!odds.reject(0, 2.0, now, || 0.0));
}

/// How long it takes, after an outage of five minutes, until nothing is rejected any more.
fn recovery(window: Duration) -> Duration {
    let start = Instant::now();
    let (odds, mut rng) = (Odds::new(window, 2, start), Rng::with_seed(7));
    let back = start + 5 * MINUTE;
    let mut last_rejected = start;
    for n in 0..30 * 60 * 500 {
        let now = start + Duration::from_millis(2) * n;
        if odds.reject(0, 2.0, now, || rng.f64()) {
            last_rejected = now;
        } else {
            odds.settle(
                0,
                if now < back {
                    Verdict::Refused
                } else {
                    Verdict::Accepted
                },
            );
        }
    }
    last_rejected - back
}

#[test]
fn it_comes_back_after_an_outage() {
    let (long, short) = (recovery(WINDOW), recovery(WINDOW / 12));
    assert!(long < 12 * MINUTE, "{long:?}");
    assert!(short < MINUTE + MINUTE / 2, "{short:?}");
}

#[test]
fn a_year_is_one_step() {
    let (odds, start) = (odds(), Instant::now());
    for _ in 0..1_000 {
        odds.settle(0, Verdict::Refused);
    }
    let later = start + 365 * 24 * 60 * MINUTE;
    assert!(!odds.reject(0, 1.0, later, || 0.0));
    assert_eq!(odds.recent(later), Sums::default());
}

#[test]
fn many_at_once_are_published_in_time() {
    let (odds, now) = (odds(), Instant::now());
    for n in 0..1_000_000 {
        odds.settle(
            n % 2,
            if n % 4 == 0 {
                Verdict::Accepted
            } else {
                Verdict::Refused
            },
        );
        if n > 10 && n % 997 == 0 {
            // A quarter is accepted, so half of what is asked beyond is rejected: to a fiftieth.
            assert!(!odds.reject(0, 2.0, now, || 0.52), "{n}");
        }
    }
    assert!(odds.reject(0, 2.0, now, || 0.48));
}

#[test]
fn a_reset_leaves_nothing() {
    let (odds, now) = (odds(), Instant::now());
    (0..1_000).for_each(|_| odds.settle(0, Verdict::Refused));
    odds.reset();
    assert!(!odds.reject(0, 1.0, now, || 0.0));
    assert_eq!(odds.recent(now), Sums::default());
}

#[derive(Clone, Debug)]
enum Step {
    Ask(f64),
    End(Verdict),
    Pass(u64),
}

proptest! {
    /// Against every request in a list, with the step in which it ended; as long as it is published each time.
    #[test]
    fn it_is_the_law(
        steps in prop::collection::vec(
            prop_oneof![
                4 => (0.0..1.0).prop_map(Step::Ask),
                2 => prop_oneof![Just(Verdict::Accepted), Just(Verdict::Refused), Just(Verdict::None)].prop_map(Step::End),
                1 => (0..30_u64).prop_map(Step::Pass),
            ],
            1..300,
        ),
        k in 1.0..3.0_f64,
    ) {
        let start = Instant::now();
        let odds = Odds::new(WINDOW, 2, start);
        let (mut now, mut all, mut last) = (0, Vec::<(u64, bool)>::new(), 0);
        for (n, step) in steps.into_iter().enumerate() {
            match step {
                Step::Pass(seconds) => now += seconds,
                Step::End(verdict) => {
                    odds.settle(n % 2, verdict);
                    if verdict != Verdict::None {
                        all.push((last, verdict == Verdict::Accepted));
                    }
                }
                Step::Ask(draw) => {
                    // It moves on by steps of ten seconds, as requests arrive.
                    last = now / 10;
                    all.retain(|(step, _)| step + 12 > last);
                    let requests = all.len() as f64;
                    let accepts = all.iter().filter(|(_, accepted)| *accepted).count() as f64;
                    let expected = all.len() >= 10 && draw < (requests - k * accepts) / (requests + 1.0);
                    prop_assert_eq!(odds.reject(n % 2, k, start + Duration::from_secs(now), || draw), expected);
                    if expected {
                        all.push((last, false));
                    }
                }
            }
        }
    }
}

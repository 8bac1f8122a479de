//! The control law, pure: it is given times and levels and says what share of the requests to shed.
//!
//! A proportional-integral controller, as in Uber's Cinnamon ("PID Controller for Cinnamon", 2023), which found it
//! stable where AIMD and CoDel were not. What it steers is the *logarithm* of the share that is let in. DAGOR (Zhou et
//! al., 2018, arXiv 1806.04075) adapts that share by factors, too: a step from 50% to 45% of the load and one from 10%
//! to 9% relieve by the same factor, so one set of gains fits an overload of 1.2 and one of 10.

use std::time::Duration;

use super::signal::SetPoint;

/// Per unit of excess: in full trouble, this much at once.
const PROPORTIONAL: f64 = 0.3;
/// Per unit of excess and second: in full trouble, what is let in falls to a tenth in 2.3 s.
const INTEGRAL: f64 = 1.0;
/// Never is more than this shed: one request in a hundred, the most critical, shows whether the trouble is over, and no
/// signal that is stuck takes a service down altogether.
const MOST: f64 = 0.99;
/// The longest time for which trouble is counted at once: nobody has seen what was between two samples.
const LONGEST: Duration = Duration::from_millis(200);

/// How far a level is from its set point: 1 at the level 1, 0 at the set point, -1 at the level 0.
pub(super) fn excess(level: f64, set_point: SetPoint) -> f64 {
    let (level, set_point) = (level.clamp(0.0, 1.0), set_point.get());
    if level > set_point {
        (level - set_point) / (1.0 - set_point)
    } else {
        (level - set_point) / set_point
    }
}

/// The integral part; in logarithms, as what it steers.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Controller {
    integral: f64,
}

impl Controller {
    /// The share to shed, 0 to [`MOST`], after another `passed` in this excess, -1 to 1.
    ///
    /// The integral never leaves the range of what can be shed (no windup), so recovery begins with the first calm
    /// sample.
    pub(super) fn step(&mut self, passed: Duration, excess: f64) -> f64 {
        let most = -(1.0 - MOST).ln();
        let excess = excess.clamp(-1.0, 1.0);
        let passed = if excess > 0.0 { passed.min(LONGEST) } else { passed };
        self.integral = (self.integral + INTEGRAL * excess * passed.as_secs_f64()).clamp(0.0, most);
        let steered = (self.integral + PROPORTIONAL * excess).clamp(0.0, most);
        (1.0 - (-steered).exp()).clamp(0.0, MOST)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const TICK: Duration = Duration::from_millis(100);

    fn set_point() -> SetPoint {
        SetPoint::default()
    }

    /// Runs the law against a plant, which says its level in answer to the share that is shed: levels and shares.
    fn run(steps: usize, mut plant: impl FnMut(f64) -> f64) -> Vec<(f64, f64)> {
        let (mut controller, mut shed) = (Controller::default(), 0.0);
        let step = |_| {
            let level = plant(shed);
            shed = controller.step(TICK, excess(level, set_point()));
            (level, shed)
        };
        (0..steps).map(step).collect()
    }

    /// A server with a queue, at `load` times its capacity: its level is the queue's delay, of 100 ms. Goodput in
    /// `done`.
    fn queue(load: f64, done: &mut Vec<f64>) -> impl FnMut(f64) -> f64 {
        let mut delay: f64 = 0.0;
        move |shed| {
            let offered = load * (1.0 - shed) * TICK.as_secs_f64();
            let worked = (delay + offered).min(TICK.as_secs_f64());
            delay += offered - worked;
            done.push(worked / TICK.as_secs_f64());
            (delay / 0.1).min(1.0)
        }
    }

    #[test]
    fn the_excess_is_zero_at_the_set_point_and_one_at_the_ends() {
        for (level, expected) in [
            (0.0, -1.0),
            (0.4, -0.5),
            (0.8, 0.0),
            (0.9, 0.5),
            (1.0, 1.0),
            (7.0, 1.0),
            (-7.0, -1.0),
        ] {
            let excess = excess(level, set_point());
            assert!((excess - expected).abs() < 1e-9, "{level}: {excess}");
        }
    }

    #[test]
    fn it_settles_at_what_is_too_much_and_keeps_the_server_busy() {
        for load in [1.2, 2.0, 5.0, 10.0, 50.0] {
            let mut done = Vec::new();
            let ran = run(600, queue(load, &mut done));
            let (too_much, late) = (1.0 - 1.0 / load, &ran[300..]);
            assert!(
                late.iter().all(|(_, shed)| (shed - too_much).abs() < 0.02),
                "{load}: {late:?}"
            );
            assert!(done[300..].iter().all(|done| *done > 0.98), "{load}");
        }
    }

    #[test]
    fn an_overload_of_ten_is_met_in_three_seconds() {
        let ran = run(30, |shed| (10.0 * (1.0 - shed)).min(1.0));
        assert!(ran[29].1 > 0.88, "{ran:?}");
    }

    /// A signal that follows the load by a time constant of its own is the hardest to hold: it swings within a bound.
    #[test]
    fn it_does_not_swing_beyond_a_bound() {
        for (load, time_constant) in [(2.0, 0.1), (2.0, 0.5), (2.0, 2.0), (10.0, 0.5)] {
            let mut level = 0.0;
            let ran = run(1200, |shed| {
                level += (load * (1.0 - shed) - level) * (TICK.as_secs_f64() / time_constant).min(1.0);
                f64::min(level, 1.0)
            });
            let shares = ran[900..].iter().map(|(_, shed)| *shed);
            let (least, most) = shares.fold((1.0_f64, 0.0_f64), |(a, b), s| (a.min(s), b.max(s)));
            assert!(most - least < 0.1, "{load} {time_constant}: {least} to {most}");
        }
    }

    #[test]
    fn a_trouble_of_hours_is_forgotten_as_soon_as_one_of_seconds() {
        let mut controller = Controller::default();
        for _ in 0..100_000 {
            controller.step(TICK, 1.0);
        }
        let calm: Vec<_> = (0..50).map(|_| controller.step(TICK, -1.0)).collect();
        assert!(calm[0] < MOST, "no windup: it begins at once");
        assert!(calm[49].abs() < f64::EPSILON, "{calm:?}");
    }

    #[test]
    fn what_was_not_watched_counts_as_little_trouble_and_as_much_calm() {
        let mut controller = Controller::default();
        let hour = Duration::from_secs(3600);
        assert!(controller.step(hour, 1.0) < 0.5);
        assert!(controller.step(hour, -0.01).abs() < f64::EPSILON);
    }

    proptest! {
        /// From whatever it has been through, the floor is gone within seconds of calm.
        #[test]
        fn it_recovers(history in prop::collection::vec((0_u64..5_000, -1.0..=1.0), 0..200)) {
            let mut controller = Controller::default();
            for (passed, excess) in history {
                controller.step(Duration::from_millis(passed), excess);
            }
            let last = (0..50).map(|_| controller.step(TICK, -1.0)).last().unwrap();
            prop_assert!(last.abs() < f64::EPSILON);
        }

        /// After the same history, more trouble never means that less is shed; and one step changes little.
        #[test]
        fn it_is_monotone_and_steps_are_bounded(
            history in prop::collection::vec(-1.0..=1.0, 0..50), one in -1.0..=1.0, other in -1.0..=1.0,
        ) {
            let (mut controller, mut shed) = (Controller::default(), 0.0);
            for excess in history {
                shed = controller.step(TICK, excess);
            }
            let (calmer, worse) = (f64::min(one, other), f64::max(one, other));
            let mut copy = controller;
            let (calmer, worse) = (copy.step(TICK, calmer), controller.step(TICK, worse));
            prop_assert!(calmer <= worse);
            for next in [calmer, worse] {
                let change = ((1.0 - next).ln() - (1.0 - shed).ln()).abs();
                prop_assert!(change <= 2.0 * PROPORTIONAL + INTEGRAL * 0.1 + 1e-9);
                prop_assert!((0.0..=MOST).contains(&next));
            }
        }
    }
}

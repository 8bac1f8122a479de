//! What is done to a request: decided once from its number and its head, without a clock, and with dice that fall the same way again.

use std::time::Duration;

use fastrand::Rng;

use super::{Rule, abort::Abort, pace::Pace, rule::Kind};
use crate::{context::Head, rejection::Reason};

/// The faults of one request: of each kind one at most.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(super) struct Plan {
    /// First it waits.
    pub(super) delay: Option<Duration>,
    /// Then it ends, or is handed on.
    pub(super) end: Option<End>,
    /// The answer's body, if it was handed on.
    pub(super) break_after: Option<u64>,
    pub(super) pace: Option<Pace>,
}

/// How a request ends that is not handed on.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum End {
    Abort(Abort),
    Reject(Reason),
    Reset,
}

/// The dice of one layer.
#[derive(Clone, Copy, Debug)]
pub(super) struct Dice {
    pub(super) seed: u64,
}

impl Dice {
    /// For the request of that number and the rule of that place: whatever becomes of other requests and other rules.
    fn of(self, request: u64, rule: usize) -> Rng {
        // Odd, and without a pattern: two fractions of the golden ratio's kind (Steele, Lea and Flood, 2014; Vigna, 2015).
        const REQUEST: u64 = 0x9e37_79b9_7f4a_7c15;
        const RULE: u64 = 0xd1b5_4a32_d192_ed03;
        let rule = (rule as u64).wrapping_add(1).wrapping_mul(RULE);
        Rng::with_seed(self.seed.wrapping_add(request.wrapping_mul(REQUEST)).wrapping_add(rule))
    }
}

impl Plan {
    /// What befalls the request of that number: what it asked for itself, and then what the rules say, in their order.
    pub(super) fn make(asked: &[Kind], rules: &[Rule], dice: Dice, request: u64, head: Option<Head<'_>>) -> Self {
        let mut plan = Self::default();
        for kind in asked {
            plan.add(*kind, 0.0);
        }
        for (place, rule) in rules.iter().enumerate() {
            if !rule.is_for(head) {
                continue;
            }
            let mut dice = dice.of(request, place);
            // In `0.0..1.0`: a share of 0 is never, of 1 always.
            if dice.f64() < rule.share {
                plan.add(rule.kind, dice.f64());
            }
        }
        plan
    }

    /// The first of its kind counts.
    fn add(&mut self, kind: Kind, fallen: f64) {
        match kind {
            Kind::Delay(delay) => _ = self.delay.get_or_insert_with(|| delay.at(fallen)),
            Kind::Abort(abort) => _ = self.end.get_or_insert(End::Abort(abort)),
            Kind::Reject(reason) => _ = self.end.get_or_insert(End::Reject(reason)),
            Kind::Reset => _ = self.end.get_or_insert(End::Reset),
            Kind::ResetBody(after) => _ = self.break_after.get_or_insert(after),
            Kind::SlowBody(pace) => _ = self.pace.get_or_insert(pace),
        }
    }

    /// Whether nothing is done.
    pub(super) fn is_none(&self) -> bool {
        *self == Self::default()
    }
}

#[cfg(test)]
mod tests {
    use http::{Request, StatusCode};
    use proptest::{collection::vec, prelude::*};

    use super::*;
    use crate::fault::Delay;

    const MS: Duration = Duration::from_millis(1);

    fn plan(rules: &[Rule], seed: u64, request: u64) -> Plan {
        Plan::make(&[], rules, Dice { seed }, request, None)
    }

    #[test]
    fn of_each_kind_the_first_that_falls() {
        let rules = [
            Rule::delay(MS).share(0.0),
            Rule::delay(2 * MS),
            Rule::delay(3 * MS),
            Rule::abort(StatusCode::BAD_GATEWAY),
            Rule::reset(),
            Rule::reset_body(7),
            Rule::slow_body(0),
            Rule::pause_body(MS),
        ];
        let plan = plan(&rules, 1, 1);
        assert_eq!(plan.delay, Some(2 * MS));
        assert_eq!(plan.end, Some(End::Abort(Abort::Status(StatusCode::BAD_GATEWAY))));
        assert_eq!((plan.break_after, plan.pace), (Some(7), Some(Pace::Rate(1))));
    }

    #[test]
    fn what_a_request_asks_for_goes_before_the_rules() {
        let asked = [Kind::Delay(Delay::fixed(9 * MS))];
        let plan = Plan::make(&asked, &[Rule::delay(MS), Rule::reset()], Dice { seed: 1 }, 1, None);
        assert_eq!((plan.delay, plan.end), (Some(9 * MS), Some(End::Reset)));
    }

    #[test]
    fn a_function_of_the_head_is_asked_where_there_is_a_head() {
        let rules = [Rule::reset().when(|head| head.uri.path() == "/down")];
        let request = |path: &str| Request::get(path).body(()).unwrap();
        let is_down = |head| !Plan::make(&[], &rules, Dice { seed: 1 }, 1, head).is_none();
        let (down, up) = (request("/down"), request("/up"));
        assert!(is_down(Some(Head::from(&down))) && !is_down(Some(Head::from(&up))));
        assert!(!is_down(None));
    }

    /// The first of them: should `fastrand` ever roll otherwise, a seed in somebody's notes is worth nothing any more.
    #[test]
    fn a_seed_is_the_same_sequence_for_ever() {
        let rules = [Rule::reset().share(0.5)];
        let fallen: String = (0..32)
            .map(|request| if plan(&rules, 42, request).is_none() { '.' } else { 'x' })
            .collect();
        assert_eq!(fallen, "......x..xx.xxx..x.x.x.xx.xxxxx.");
    }

    fn shares() -> impl Strategy<Value = Vec<f64>> {
        vec(0.0..=1.0, 0..5)
    }

    fn rules(shares: &[f64]) -> Vec<Rule> {
        shares.iter().map(|share| Rule::reset().share(*share)).collect()
    }

    proptest! {
        #[test]
        fn the_same_seed_gives_the_same_faults_in_any_order(shares in shares(), seed: u64, mut requests in vec(any::<u64>(), 1..20)) {
            let rules = rules(&shares);
            let first: Vec<_> = requests.iter().map(|request| (*request, plan(&rules, seed, *request))).collect();
            requests.reverse();
            for (request, before) in requests.iter().zip(first.iter().rev()) {
                prop_assert_eq!((*request, plan(&rules, seed, *request)), *before);
            }
        }

        #[test]
        fn a_rule_more_changes_nothing_for_those_before_it(shares in shares(), seed: u64, request: u64) {
            let mut rules = rules(&shares);
            let before = plan(&rules, seed, request);
            rules.push(Rule::delay(MS).share(0.5));
            prop_assert_eq!(plan(&rules, seed, request).end, before.end);
        }

        #[test]
        fn none_at_0_and_all_at_1(seed: u64, request: u64) {
            prop_assert!(plan(&[Rule::reset().share(0.0)], seed, request).is_none());
            prop_assert!(plan(&[Rule::reset().share(f64::NAN)], seed, request).is_none());
            prop_assert!(!plan(&[Rule::reset().share(1.0)], seed, request).is_none());
            prop_assert!(!plan(&[Rule::reset().share(7.0)], seed, request).is_none());
        }

        /// Within seven standard deviations of 10,000 throws, and ten for where there are few: never beyond, in practice.
        #[test]
        fn a_share_is_that_share(share in 0.0..1.0, seed: u64) {
            let rules = [Rule::reset().share(share)];
            let fallen = (0..10_000).filter(|request| !plan(&rules, seed, *request).is_none()).count();
            let off = (f64::from(u32::try_from(fallen).unwrap()) - 10_000.0 * share).abs();
            prop_assert!(off <= 7.0 * (10_000.0 * share * (1.0 - share)).sqrt() + 10.0, "{fallen} of 10000, {share} wanted");
        }

        #[test]
        fn two_rules_of_one_share_do_not_fall_together(seed: u64) {
            let rules = [Rule::reset().share(0.5), Rule::delay(MS).share(0.5)];
            let both = (0..10_000).filter(|request| {
                let plan = plan(&rules, seed, *request);
                plan.end.is_some() && plan.delay.is_some()
            });
            let both = both.count();
            prop_assert!((2_200..2_800).contains(&both), "{both}");
        }

        #[test]
        fn a_delay_is_never_longer_than_it_may_be(one: u32, other: u32, seed: u64, request: u64) {
            let [one, other] = [one, other].map(|nanos| Duration::from_nanos(nanos.into()));
            for delay in [Delay::fixed(one), Delay::from(one..=other), Delay::exponential(one)] {
                let delayed = plan(&[Rule::delay(delay)], seed, request).delay.unwrap();
                prop_assert!(delayed <= delay.most());
            }
            let between = plan(&[Rule::delay(one..=other)], seed, request).delay.unwrap();
            prop_assert!(between >= one.min(other));
        }

        #[test]
        fn no_delay_is_too_long_to_reckon_with(mean: Duration, place in 0.0..1.0) {
            Delay::exponential(mean).at(place);
            Delay::between(mean, Duration::MAX).at(place);
        }
    }
}

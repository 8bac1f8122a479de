//! The bound, over every interval of random histories.

use proptest::prelude::*;

use super::*;

#[derive(Clone, Debug)]
enum Step {
    Wait(Duration),
    First(u32),
    Again(u32),
    Unsent,
}

/// What has happened up to some moment.
#[derive(Clone, Copy, Default)]
struct Sum {
    requests: f64,
    granted: f64,
    returned: f64,
}

fn waits() -> impl Strategy<Value = Duration> {
    let day = 86_400_000;
    prop_oneof![
        4 => 0_u64..100,
        2 => Just(78),
        2 => 900_u64..1_100,
        2 => 4_900_u64..11_000,
        1 => 0_u64..day,
        // Around where the time wraps: after 15.17 days.
        1 => 15 * day..16 * day,
        1 => 365 * day..800 * day,
    ]
    .prop_map(Duration::from_millis)
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let step = prop_oneof![
        3 => waits().prop_map(Step::Wait),
        2 => (1_u32..60).prop_map(Step::First),
        3 => (1_u32..30).prop_map(Step::Again),
        1 => Just(Step::Unsent),
    ];
    proptest::collection::vec(step, 1..80)
}

fn terms() -> impl Strategy<Value = (f64, f64, u32)> {
    let ratio = prop_oneof![Just(0.0), Just(0.1), Just(0.6), Just(1.0), 0.0..=1.0];
    let floor = prop_oneof![Just(0.0), Just(1.0), Just(13.0), Just(1_000.0), 0.0..=20.0];
    (
        ratio,
        floor,
        prop_oneof![Just(0_u32), Just(1), Just(10), Just(1_000), 0_u32..=40],
    )
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1_000))]

    #[test]
    fn no_interval_has_more_retries_than_it_may((ratio, floor, burst) in terms(), steps in steps()) {
        let budget = budget(ratio, floor, burst);
        let start = Instant::now();
        let (mut now, mut sum, mut out) = (start, Sum::default(), 0_u32);
        // Each moment, with what happened before it and up to its end.
        let mut moments = vec![(0.0, sum, sum)];
        for step in steps {
            match step {
                Step::Wait(wait) => {
                    now += wait;
                    moments.push(((now - start).as_secs_f64(), sum, sum));
                }
                Step::First(count) => {
                    first(&budget, count, now);
                    sum.requests += f64::from(count);
                }
                Step::Again(count) => {
                    let granted = granted(&budget, count, now);
                    sum.granted += f64::from(granted);
                    out += granted;
                }
                Step::Unsent => if out > 0 {
                    out -= 1;
                    budget.unsent(FAILED, now);
                    sum.returned += 1.0;
                }
            }
            if let Some(moment) = moments.last_mut() {
                moment.2 = sum;
            }
        }
        for (from, (begins, before, _)) in moments.iter().enumerate() {
            for (ends, _, after) in &moments[from..] {
                let granted = after.granted - before.granted - (after.returned - before.returned);
                let may = ratio * (after.requests - before.requests) + f64::from(burst) + floor * (ends - begins);
                prop_assert!(granted <= may + 1e-6, "{granted} granted, {may} allowed, from {begins} to {ends}");
            }
        }
    }

    /// Threads that race bring times that are out of order: no time is credited twice.
    #[test]
    fn older_times_bring_nothing(skews in proptest::collection::vec(0_u64..2_000, 1..200)) {
        let budget = budget(0.0, 5.0, 10);
        let start = Instant::now();
        let (mut all, mut latest) = (granted(&budget, 10, start), start);
        for (turn, skew) in (0_u64..).zip(skews) {
            let now = start + Duration::from_millis(2_000 + 10 * turn - skew);
            all += granted(&budget, 10, now);
            latest = latest.max(now);
        }
        let time = (latest - start).as_secs_f64();
        prop_assert!(f64::from(all) <= 10.0 + 5.0 * time, "{all} in {time} s");
    }
}

#[test]
#[expect(clippy::disallowed_methods, reason = "a test may wait for its threads")]
fn threads_together_get_what_one_would_get() {
    let (budget, now) = (budget(0.1, 0.0, 100), Instant::now());
    let work = || {
        let mut all = 0;
        for _ in 0..20_000 {
            budget.first(now);
            all += granted(&budget, 1, now);
        }
        all
    };
    let all: u32 = std::thread::scope(|scope| {
        let threads = [scope.spawn(work), scope.spawn(work), scope.spawn(work)];
        threads.map(|thread| thread.join().unwrap()).into_iter().sum()
    });
    // 0.1 is 819 of 8192 here.
    assert_eq!(u64::from(all), 60_000 * 819 / 8_192);
    assert_eq!(budget.snapshot().granted + budget.snapshot().rejected, 60_000);
}

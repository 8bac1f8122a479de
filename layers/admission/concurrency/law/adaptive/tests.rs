use proptest::prelude::*;

use super::{
    super::{
        Limit, real, real_u64,
        tests::{Measured, any_windows, window},
        whole,
    },
    Adaptive,
};

/// A service, without chance in it: the same each time.
#[derive(Clone, Copy)]
struct Service {
    workers: f64,
    /// What a call takes, in seconds.
    takes: f64,
    /// How many times more is asked for than it can do.
    load: f64,
}

impl Service {
    fn new(workers: usize) -> Self {
        Self {
            workers: real(workers),
            takes: 0.01,
            load: 5.0,
        }
    }

    /// The window that ends next, at the limit that the law has now.
    fn next(self, law: &Adaptive) -> Measured {
        let span = law.span();
        let limit = real(law.limit());
        let asked = self.load * self.workers / self.takes;
        let most = limit.min(self.workers) / self.takes;
        let in_flight = if asked > most { limit } else { asked * self.takes };
        let rate = most.min(asked);
        let successes = (rate * span.duration.as_secs_f64())
            .max(real_u64(span.successes))
            .ceil();
        let seconds = successes / rate;
        window(successes, in_flight / rate)
            .lasting(seconds)
            .rejecting((asked - rate) * seconds)
            .peak(whole(in_flight))
    }

    /// So many seconds under this law.
    fn run(self, law: &mut Adaptive, seconds: f64) {
        let mut left = seconds;
        while left > 0.0 {
            let next = self.next(law);
            left -= next.window().duration.as_secs_f64();
            law.update(&next.window());
        }
    }
}

fn law() -> Adaptive {
    Adaptive::new().seed(1)
}

#[test]
fn it_grows_until_all_workers_are_busy() {
    let mut law = law();
    Service::new(300).run(&mut law, 5.0);
    assert!((300..=400).contains(&law.limit()), "{}", law.limit());
}

#[test]
fn it_shrinks_until_next_to_none_waits() {
    let mut law = law().initial(500);
    let service = Service::new(8);
    Service { load: 0.1, ..service }.run(&mut law, 2.0);
    service.run(&mut law, 2.0);
    assert!((8..=12).contains(&law.limit()), "{}", law.limit());
}

#[test]
fn it_finds_the_workers_though_it_never_saw_them_idle() {
    let mut law = law().initial(500);
    Service::new(8).run(&mut law, 60.0);
    assert!((8..=14).contains(&law.limit()), "{}", law.limit());
}

#[test]
fn an_unused_limit_stays() {
    let mut law = law();
    Service {
        load: 0.1,
        ..Service::new(8)
    }
    .run(&mut law, 60.0);
    assert_eq!(law.limit(), 20);
}

#[test]
fn slower_work_is_not_taken_for_a_queue() {
    let mut law = law();
    let service = Service::new(64);
    service.run(&mut law, 10.0);
    Service {
        takes: 5.0 * service.takes,
        ..service
    }
    .run(&mut law, 20.0);
    assert!((60..=100).contains(&law.limit()), "{}", law.limit());
}

#[test]
fn quicker_work_is_believed_at_once() {
    let mut law = law();
    let service = Service::new(64);
    service.run(&mut law, 10.0);
    Service {
        takes: service.takes / 5.0,
        ..service
    }
    .run(&mut law, 2.0);
    assert!((64..=100).contains(&law.limit()), "{}", law.limit());
}

#[test]
fn fewer_workers_are_followed() {
    let mut law = law();
    Service::new(64).run(&mut law, 10.0);
    Service::new(16).run(&mut law, 10.0);
    assert!((16..=26).contains(&law.limit()), "{}", law.limit());
}

#[test]
fn it_does_not_drift_in_an_hour() {
    let mut law = law();
    let service = Service::new(64);
    service.run(&mut law, 60.0);
    let limit = law.limit();
    for _ in 0..60 {
        service.run(&mut law, 60.0);
        assert!(
            law.limit().abs_diff(limit) <= limit / 10,
            "{limit}, then {}",
            law.limit()
        );
    }
}

#[test]
fn a_change_of_the_mix_is_not_load() {
    let mut law = law();
    let mixed = |quick: f64, slow: f64| window(quick, 0.001).peak(10).and_route(1, slow, 0.1);
    for _ in 0..100 {
        law.update(&mixed(90.0, 10.0).window());
    }
    // All are slow now, and some were turned away: the limit goes up for them, not down.
    for _ in 0..10 {
        law.update(&mixed(1.0, 49.0).rejecting(10.0).peak(20).window());
        assert!(law.limit() >= 20, "{}", law.limit());
    }
}

#[test]
fn bursts_that_are_turned_away_get_more_room_up_to_a_bound() {
    let mut law = law();
    Service::new(64).run(&mut law, 10.0);
    let limit = law.limit();
    // Less than half of it is used on average, and bursts fill it all the same.
    let bursts = window(800.0, 0.01).rejecting(50.0).peak(limit);
    for _ in 0..100 {
        law.update(&bursts.window());
    }
    assert!(
        (5 * limit..=900).contains(&law.limit()),
        "{limit}, then {}",
        law.limit()
    );
}

#[test]
fn nothing_is_learnt_from_a_window_without_samples() {
    let mut law = law();
    Service::new(8).run(&mut law, 5.0);
    let limit = law.limit();
    for _ in 0..100 {
        law.update(&window(0.0, 0.0).rejecting(1_000.0).window());
    }
    assert_eq!(law.limit(), limit);
}

#[test]
fn settings_that_make_no_sense_are_put_right() {
    let law = law().bounds(0, 0).initial(0).headroom(f64::NAN);
    assert_eq!(law.limit(), 1);
    assert!((law.headroom - 1.15).abs() < f64::EPSILON);
    let law = Adaptive::new().headroom(0.0).bounds(30, 20);
    assert!((law.headroom - 1.0).abs() < f64::EPSILON);
    assert_eq!(law.limit(), 30);
}

proptest! {
    #[test]
    fn it_stays_within_its_bounds(windows in any_windows(), min in 0_usize..50, max in 0_usize..2_000) {
        let mut law = law().bounds(min, max);
        for window in &windows {
            law.update(&window.window());
            prop_assert!((min.max(1)..=max.max(min).max(1)).contains(&law.limit()));
            prop_assert!(law.limit.is_finite());
            prop_assert!(law.span().successes <= 10 && law.span().duration.as_secs() <= 10);
        }
    }

    #[test]
    fn the_same_seed_gives_the_same_limits(windows in any_windows(), seed: u64) {
        let [mut one, mut other] = [seed; 2].map(|seed| Adaptive::new().seed(seed));
        for window in &windows {
            one.update(&window.window());
            other.update(&window.window());
            prop_assert_eq!(one.limit(), other.limit());
        }
    }

    #[test]
    fn any_service_that_is_asked_for_too_much_gets_what_it_can_do(workers in 1_usize..500, initial in 1_usize..500) {
        let mut law = law().initial(initial);
        Service::new(workers).run(&mut law, 59.0);
        // Now and then it tries another limit for a moment, so a moment says nothing: of several, that in the middle does.
        let mut limits = [(); 5].map(|()| {
            Service::new(workers).run(&mut law, 0.9);
            law.limit()
        });
        limits.sort_unstable();
        let limit = limits[2];
        prop_assert!(limit >= workers, "{limit} of {workers}");
        prop_assert!(limit <= 2 * workers + 3, "{limit} of {workers}");
    }
}

//! Windows for the tests of the laws.

use std::time::Duration;

use proptest::prelude::*;
use tokio::time::Instant;

use super::{Limit, RouteWindow, Window, whole};

/// A window that owns its routes.
#[derive(Clone, Debug)]
pub(super) struct Measured {
    end: Instant,
    duration: Duration,
    rejected: u64,
    queued: u64,
    peak: usize,
    routes: Vec<RouteWindow>,
}

/// A window of 250 ms with so many successes, of so many seconds each.
pub(super) fn window(successes: f64, seconds: f64) -> Measured {
    let window = Measured {
        end: Instant::now(),
        duration: Duration::from_millis(250),
        rejected: 0,
        queued: 0,
        peak: 1,
        routes: Vec::new(),
    };
    window.and_route(0, successes, seconds)
}

impl Measured {
    pub(super) fn and_route(mut self, route: usize, samples: f64, seconds: f64) -> Self {
        self.routes.push(RouteWindow {
            route,
            samples: whole(samples) as u64,
            total: Duration::from_secs_f64(samples * seconds),
        });
        self
    }

    pub(super) fn rejecting(mut self, rejected: f64) -> Self {
        self.rejected = whole(rejected) as u64;
        self
    }

    pub(super) fn peak(mut self, peak: usize) -> Self {
        self.peak = peak;
        self
    }

    pub(super) fn lasting(mut self, seconds: f64) -> Self {
        self.duration = Duration::from_secs_f64(seconds);
        self
    }

    pub(super) fn window(&self) -> Window<'_> {
        Window {
            end: self.end,
            duration: self.duration,
            successes: self.routes.iter().map(|route| route.samples).sum(),
            rejected: self.rejected,
            queued: self.queued,
            peak: self.peak,
            routes: &self.routes,
        }
    }
}

/// Anything that could be measured, and some of what could not.
pub(super) fn any_windows() -> impl Strategy<Value = Vec<Measured>> {
    let route = (0_usize..3, 0_u64..100_000, 0_u64..u64::MAX / 4).prop_map(|(route, samples, nanos)| RouteWindow {
        route: if route == 2 { usize::MAX } else { route },
        samples,
        total: Duration::from_nanos(nanos),
    });
    let routes = prop::collection::vec(route, 0..4);
    let amount = prop_oneof![Just(0), 0_u64..100, any::<u64>().prop_map(|amount| amount / 8)];
    let millis = prop_oneof![Just(0), 1_u64..2_000, any::<u64>().prop_map(|millis| millis / 1_000)];
    let window = (routes, amount.clone(), amount, 0_usize..100_000, millis).prop_map(
        |(routes, rejected, queued, peak, millis)| Measured {
            end: Instant::now(),
            duration: Duration::from_millis(millis),
            rejected,
            queued,
            peak,
            routes,
        },
    );
    prop::collection::vec(window, 1..60)
}

#[test]
fn a_law_of_ones_own_takes_two_methods() {
    #[derive(Debug)]
    struct Eager(usize);

    impl Limit for Eager {
        fn limit(&self) -> usize {
            self.0
        }

        fn update(&mut self, _: &Window<'_>) {
            self.0 += 1;
        }
    }

    let mut law: Box<dyn Limit> = Box::new(Eager(1));
    law.update(&window(100.0, 0.001).window());
    assert_eq!(law.limit(), 2);
    assert_eq!(law.span().successes, 100);
}

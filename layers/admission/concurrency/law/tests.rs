//! Windows for the tests of the laws.

use std::time::Duration;

use proptest::prelude::*;
use tokio::time::Instant;

use super::{Limit, RouteWindow, Window};

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

/// A window of 250 ms with so many successes, of so many microseconds each.
pub(super) fn window(successes: u64, micros: u64) -> Measured {
    Measured {
        end: Instant::now(),
        duration: Duration::from_millis(250),
        rejected: 0,
        queued: 0,
        peak: 1,
        routes: vec![RouteWindow {
            route: 0,
            samples: successes,
            total: Duration::from_micros(micros) * u32::try_from(successes).unwrap_or(u32::MAX),
        }],
    }
}

impl Measured {
    pub(super) fn rejecting(mut self, rejected: u64) -> Self {
        self.rejected = rejected;
        self
    }

    pub(super) fn peak(mut self, peak: usize) -> Self {
        self.peak = peak;
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
    law.update(&window(100, 1_000).window());
    assert_eq!(law.limit(), 2);
    assert_eq!(law.span().successes, 100);
}

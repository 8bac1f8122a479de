//! Who is sent into the storms.

use std::time::Duration;

use buttress::{
    ConcurrencyLimitLayer,
    admission::concurrency::{Adaptive, Aimd},
};

use super::{
    peers::{Failsafe, Gradient2, Vegas},
    plain::Plain,
    report::Report,
    scenario::Scenario,
    world::run,
};

/// Somebody with defaults, and no idea of the service.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Contender {
    /// `ConcurrencyLimitLayer::adaptive()`.
    Ours,
    /// The same, with the law that is told a latency: three times what a call takes in the mean.
    Aimd,
    Vegas,
    Gradient2,
    Failsafe,
}

impl Contender {
    pub(crate) const ALL: [Self; 5] = [Self::Ours, Self::Aimd, Self::Vegas, Self::Gradient2, Self::Failsafe];

    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Ours => "ours",
            Self::Aimd => "aimd",
            Self::Vegas => "Vegas",
            Self::Gradient2 => "Gradient2",
            Self::Failsafe => "failsafe-go",
        }
    }

    pub(crate) fn run(self, scenario: &Scenario, seed: u64) -> Report {
        match self {
            Self::Ours => run(scenario, seed, || {
                ConcurrencyLimitLayer::with_law(Adaptive::new().seed(seed)).limit()
            }),
            Self::Aimd => {
                let slow = Duration::from_secs_f64(3.0 * scenario.callers[0].work.mean());
                run(scenario, seed, || {
                    ConcurrencyLimitLayer::with_law(Aimd::new(slow)).limit()
                })
            }
            Self::Vegas => run(scenario, seed, || Plain::new(Box::new(Vegas::new(seed)))),
            Self::Gradient2 => run(scenario, seed, || Plain::new(Box::new(Gradient2::new()))),
            Self::Failsafe => run(scenario, seed, || Plain::new(Box::new(Failsafe::new())).with_failures()),
        }
    }
}

use super::{Throttle, odds::Sums};
use crate::{
    context::Criticality,
    telemetry::{ByDestination, Measured, Report, instruments},
};

/// How a [`Throttle`](super::Throttle), or that of one destination, stands.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct ThrottleSnapshot {
    /// Requests that ended in the window, those included that were rejected here.
    pub requests: u64,
    /// Those of them that the destination accepted.
    pub accepts: u64,
    /// How many were rejected here since the throttle was made.
    pub rejected: u64,
    /// How many destinations gave their place to another, for want of room. See [`keys`](super::ThrottleLayer::keys).
    pub evicted: u64,
    ks: [f64; Criticality::ALL.len()],
}

/// A destination, and how its throttle stands.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct DestinationSnapshot {
    /// Its name; `None` is for all that have none.
    pub name: Option<Box<str>>,
    /// How it stands.
    pub throttle: ThrottleSnapshot,
}

impl ThrottleSnapshot {
    pub(super) fn new(ks: [f64; Criticality::ALL.len()]) -> Self {
        Self {
            requests: 0,
            accepts: 0,
            rejected: 0,
            evicted: 0,
            ks,
        }
    }

    /// How likely the next request of this criticality is rejected, 0 to 1.
    pub fn probability(&self, band: Criticality) -> f64 {
        let sums = Sums {
            requests: self.requests,
            accepts: self.accepts,
        };
        sums.probability(self.ks[band as usize])
    }
}

impl ThrottleSnapshot {
    fn measure(&self, target: &str, report: &mut dyn Report) {
        for band in Criticality::ALL {
            let banded = [("target", target), ("band", band.as_str())];
            instruments::THROTTLE_PROBABILITY.value(self.probability(band), &banded, report);
        }
        instruments::THROTTLE_REJECTED.count(self.rejected, &[("target", target)], report);
    }
}

impl Measured for Throttle {
    fn measure(&self, name: &str, report: &mut dyn Report) {
        self.snapshot().measure(name, report);
    }
}

impl Measured for ByDestination<&Throttle> {
    fn measure(&self, name: &str, report: &mut dyn Report) {
        if !self.0.is_per_destination() {
            return self.0.measure(name, report);
        }
        for each in self.0.destinations() {
            each.throttle.measure(each.name.as_deref().unwrap_or(name), report);
        }
    }
}

impl Measured for ByDestination<Throttle> {
    fn measure(&self, name: &str, report: &mut dyn Report) {
        ByDestination(&self.0).measure(name, report);
    }
}

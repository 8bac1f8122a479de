use std::fmt;

use super::{Floor, LoadShed, SetPoint};
use crate::{
    context::Criticality,
    telemetry::{Measured, Report, instruments},
};

/// What a [`LoadShed`](super::LoadShed) does, and why.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct ShedSnapshot {
    /// Who is below it is rejected.
    pub floor: Floor,
    /// Whether an operator [holds](super::LoadShed::hold) it there.
    pub held: bool,
    /// The share of the requests that was rejected between the last two samples, 0 to 1.
    pub rejected_share: f64,
    pub(super) rejected: [u64; 4],
    /// The signals, as they were when they were last asked.
    pub signals: Vec<SignalSnapshot>,
    /// Whether a [`Monitor`](super::Monitor) runs. Without one, a process to which nobody comes takes no samples.
    pub monitored: bool,
    /// Whether none runs, and there is a signal that [sees less](super::Signal::wants_monitor) without.
    pub lacks_monitor: bool,
}

/// A signal at the last sample.
#[derive(Clone, Copy, Debug, PartialEq)]
#[non_exhaustive]
pub struct SignalSnapshot {
    /// Its name.
    pub name: &'static str,
    /// Its level, 0 to 1. `None`: it is absent here, or nothing is measured yet.
    pub level: Option<f64>,
    /// The level at which it is held.
    pub set_point: SetPoint,
}

impl ShedSnapshot {
    /// How many requests of this criticality were rejected, since the layer was made.
    pub fn rejected(&self, criticality: Criticality) -> u64 {
        self.rejected[criticality as usize]
    }

    pub(super) fn fields<'a, 'b, 'c>(
        &self,
        debug: &'c mut fmt::DebugStruct<'a, 'b>,
    ) -> &'c mut fmt::DebugStruct<'a, 'b> {
        debug
            .field("floor", &self.floor)
            .field("held", &self.held)
            .field("rejected_share", &self.rejected_share)
            .field("signals", &self.signals)
            .field("monitored", &self.monitored)
            .field("lacks_monitor", &self.lacks_monitor)
    }
}

impl Measured for LoadShed {
    fn measure(&self, name: &str, report: &mut dyn Report) {
        let now = self.snapshot();
        instruments::SHED_FLOOR.value(now.rejected_share, &[("name", name)], report);
        for band in Criticality::ALL {
            let banded = [("name", name), ("band", band.as_str())];
            instruments::SHED_REJECTED.count(now.rejected(band), &banded, report);
        }
        for signal in &now.signals {
            if let Some(level) = signal.level {
                instruments::SHED_LEVEL.value(level, &[("name", name), ("signal", signal.name)], report);
            }
        }
    }
}

use tokio::time::Instant;

use super::{Breaker, Forced, circuit::Standing, settings::Mode, word::State};
use crate::telemetry::{ByDestination, Measured, Report, instruments};

/// Where a circuit stands.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum CircuitState {
    /// Calls are let in, and judged.
    #[default]
    Closed,
    /// Some calls are let in, to find out whether the destination is back.
    HalfOpen,
    /// Calls are rejected. When its time is over, the next call finds out; until one comes, it is open.
    Open,
}

impl CircuitState {
    /// The name in metrics: `closed`, `half_open`, `open`.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Closed => "closed",
            Self::HalfOpen => "half_open",
            Self::Open => "open",
        }
    }
}

/// How a [`Breaker`](super::Breaker), or one circuit of it, stands.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct BreakerSnapshot {
    /// The state; of several circuits, that of the worst. An operator may have [overruled](Self::forced) it.
    pub state: CircuitState,
    /// Since when it is in this state; of several circuits, when one changed last.
    pub since: Instant,
    /// Calls in the window that said something of the destination.
    pub calls: u64,
    /// Those of them that failed.
    pub failures: u64,
    /// Those of them that were slow.
    pub slow: u64,
    /// How many were rejected since the breaker was made; observing only, how many would have been.
    pub rejected: u64,
    /// How many probes were sent since it was made.
    pub probes: u64,
    /// How often it opened since it was made.
    pub opens: u64,
    /// How many destinations gave their place to another, for want of room. See [`keys`](super::BreakerLayer::keys).
    pub evicted: u64,
    /// What an operator holds it to.
    pub forced: Option<Forced>,
    /// Whether it only tells what it would do.
    pub observe_only: bool,
}

/// A destination, and how its circuit stands.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct DestinationSnapshot {
    /// Its name; `None` is for all that have none.
    pub name: Option<Box<str>>,
    /// How it stands.
    pub circuit: BreakerSnapshot,
}

impl BreakerSnapshot {
    pub(super) fn new(mode: Mode, since: Instant) -> Self {
        Self {
            state: CircuitState::Closed,
            since,
            calls: 0,
            failures: 0,
            slow: 0,
            rejected: 0,
            probes: 0,
            opens: 0,
            evicted: 0,
            forced: mode.forced,
            observe_only: mode.observe_only,
        }
    }

    /// Of this circuit alone.
    pub(super) fn set(&mut self, standing: &Standing) {
        self.since = standing.since;
        self.add(standing);
    }

    /// And of this one.
    pub(super) fn add(&mut self, standing: &Standing) {
        let state = match standing.state {
            State::Closed => CircuitState::Closed,
            State::Open { .. } => CircuitState::Open,
            State::HalfOpen { .. } => CircuitState::HalfOpen,
        };
        self.state = self.state.max(state);
        self.calls += standing.recent.calls;
        self.failures += standing.recent.failures;
        self.slow += standing.recent.slow;
        self.rejected += standing.rejected;
        self.probes += standing.probes;
        self.opens += standing.opens;
    }
}

/// All there are; the one for all has no name.
fn circuits(breaker: &Breaker) -> Vec<DestinationSnapshot> {
    if breaker.is_per_destination() {
        return breaker.destinations();
    }
    let circuit = breaker.snapshot();
    vec![DestinationSnapshot { name: None, circuit }]
}

/// What it does: as it found, unless an operator has overruled that.
const fn acts(circuit: &BreakerSnapshot) -> CircuitState {
    match circuit.forced {
        Some(Forced::Open) => CircuitState::Open,
        Some(Forced::Closed) => CircuitState::Closed,
        None => circuit.state,
    }
}

/// How many circuits stand so, as a metric has it.
fn measure(circuits: &[DestinationSnapshot], target: &str, report: &mut dyn Report) {
    for state in [CircuitState::Closed, CircuitState::HalfOpen, CircuitState::Open] {
        let count = circuits.iter().filter(|each| acts(&each.circuit) == state).count();
        let attributes = [("target", target), ("state", state.as_str())];
        instruments::BREAKER_STATE.count(count as u64, &attributes, report);
    }
    let sum = |count: fn(&BreakerSnapshot) -> u64| circuits.iter().map(|each| count(&each.circuit)).sum();
    instruments::BREAKER_REJECTED.count(sum(|circuit| circuit.rejected), &[("target", target)], report);
    instruments::BREAKER_OPENED.count(sum(|circuit| circuit.opens), &[("target", target)], report);
}

impl Measured for Breaker {
    fn measure(&self, name: &str, report: &mut dyn Report) {
        measure(&circuits(self), name, report);
    }
}

impl Measured for ByDestination<&Breaker> {
    fn measure(&self, name: &str, report: &mut dyn Report) {
        for circuit in circuits(self.0) {
            let target = circuit.name.as_deref().unwrap_or(name).to_owned();
            measure(&[circuit], &target, report);
        }
    }
}

impl Measured for ByDestination<Breaker> {
    fn measure(&self, name: &str, report: &mut dyn Report) {
        ByDestination(&self.0).measure(name, report);
    }
}

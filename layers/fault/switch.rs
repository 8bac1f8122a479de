use std::{
    fmt,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
};

use super::Injected;
use crate::telemetry::{Measured, Report, instruments};

/// Switches the faults of a [`FaultLayer`](super::FaultLayer) on and off while it runs.
///
/// A clone is the same switch, and so is every other one of the same layer. A request is asked once, when it comes: one that is
/// being delayed when the faults are switched off has its delay to the end, and a slow body stays slow.
#[derive(Clone)]
pub struct FaultSwitch(pub(super) Arc<State>);

/// What all services of a layer and its clones share.
#[derive(Debug, Default)]
pub(super) struct State {
    on: AtomicBool,
    /// The number of the next request.
    next: AtomicU64,
    unreadable: AtomicU64,
    injected: [AtomicU64; Injected::ALL.len()],
}

/// What a [`FaultLayer`](super::FaultLayer) has done since it was made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct FaultSnapshot {
    /// Whether faults are on now.
    pub enabled: bool,
    /// Requests that came while they were.
    pub requests: u64,
    /// Requests that asked for faults in words that say nothing.
    pub unreadable: u64,
    injected: [u64; Injected::ALL.len()],
}

impl FaultSwitch {
    /// Switches them on, or off.
    pub fn set(&self, enabled: bool) {
        self.0.on.store(enabled, Ordering::Relaxed);
    }

    /// Whether they are on.
    pub fn is_enabled(&self) -> bool {
        self.0.is_on()
    }
}

impl FaultSnapshot {
    /// How many faults of this kind there were.
    pub const fn injected(&self, kind: Injected) -> u64 {
        self.injected[kind as usize]
    }
}

impl State {
    #[inline]
    pub(super) fn is_on(&self) -> bool {
        self.on.load(Ordering::Relaxed)
    }

    /// The number of a request.
    pub(super) fn number(&self) -> u64 {
        self.next.fetch_add(1, Ordering::Relaxed)
    }

    pub(super) fn unreadable(&self) {
        self.unreadable.fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn injected(&self, kind: Injected) {
        self.injected[kind as usize].fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn snapshot(&self) -> FaultSnapshot {
        let read = |count: &AtomicU64| count.load(Ordering::Relaxed);
        FaultSnapshot {
            enabled: self.is_on(),
            requests: read(&self.next),
            unreadable: read(&self.unreadable),
            injected: self.injected.each_ref().map(read),
        }
    }
}

impl fmt::Debug for FaultSwitch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("FaultSwitch").field(&self.is_enabled()).finish()
    }
}

impl Measured for FaultSwitch {
    fn measure(&self, name: &str, report: &mut dyn Report) {
        let now = self.0.snapshot();
        instruments::FAULT_ENABLED.count(u64::from(now.enabled), &[("name", name)], report);
        for kind in Injected::ALL {
            let attributes = [("name", name), ("fault", kind.as_str())];
            instruments::FAULT_INJECTED.count(now.injected(kind), &attributes, report);
        }
    }
}

use std::{
    fmt,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError, TryLockError,
        atomic::{AtomicU32, AtomicU64, AtomicUsize, Ordering},
    },
    time::Duration,
};

use tokio::time::Instant;

use super::{
    Floor, Monitor, SetPoint, ShedSnapshot, Signal, SignalSnapshot,
    control::{Controller, excess},
    floor::Mix,
    key::{Key, place},
    tally::{Tally, Window},
};
use crate::{
    admission::{Admit, Arrival, Decision, Never},
    rejection::{Reason, Rejection},
};

const NAME: &str = "shed";

/// How often the signals are asked, and the floor is moved.
pub(super) const PERIOD: Duration = Duration::from_millis(100);

/// Rejects what is below its floor. The policy of [`LoadShedLayer`](super::LoadShedLayer), which makes it.
///
/// All services of the layer share it, and [`LoadShedLayer::policy`](super::LoadShedLayer::policy) hands it out: to be
/// watched, to be held at a floor by hand, or for an [`AdmissionLayer`](crate::AdmissionLayer) elsewhere in the
/// process.
pub struct LoadShed {
    config: Config,
    /// Times are in nanoseconds from here.
    origin: Instant,
    /// When an arrival is to take the next sample.
    next: AtomicU64,
    floor: AtomicU32,
    monitors: AtomicUsize,
    /// Counted only while there is a floor.
    tally: Tally,
    core: Mutex<Core>,
}

#[derive(Clone)]
pub(super) struct Config {
    pub(super) signals: Vec<(SetPoint, Arc<dyn Signal>)>,
    pub(super) key: Option<Arc<Key>>,
    pub(super) retry_after: Duration,
}

impl Config {
    fn wants_monitor(&self) -> bool {
        self.signals.iter().any(|(_, signal)| signal.wants_monitor())
    }
}

/// What a sample changes, one at a time.
#[derive(Default)]
struct Core {
    controller: Controller,
    mix: Mix,
    sampled: Option<Instant>,
    /// Samples taken without a monitor, where one is wanted.
    #[cfg(feature = "tracing")]
    unmonitored: u8,
    levels: Vec<Option<f64>>,
    held: bool,
    window: Window,
}

impl LoadShed {
    pub(super) fn new(config: Config) -> Self {
        Self {
            config,
            origin: Instant::now(),
            next: AtomicU64::new(0),
            floor: AtomicU32::new(0),
            monitors: AtomicUsize::new(0),
            tally: Tally::default(),
            core: Mutex::default(),
        }
    }

    pub(super) fn config(&self) -> &Config {
        &self.config
    }

    /// The floor, now.
    pub fn floor(&self) -> Floor {
        Floor::from_bits(self.floor.load(Ordering::Relaxed))
    }

    /// Holds the floor where an operator wants it, whatever the signals say, until it is [released](Self::release).
    /// [`Floor::NONE`] switches shedding off.
    pub fn hold(&self, floor: Floor) {
        let mut core = self.lock();
        core.held = true;
        core.controller = Controller::default();
        self.floor.store(floor.bits(), Ordering::Relaxed);
    }

    /// Lets the controller steer again, from no floor at all.
    pub fn release(&self) {
        let mut core = self.lock();
        if core.held {
            core.held = false;
            self.floor.store(0, Ordering::Relaxed);
        }
    }

    /// What it does, and why. Takes a sample where one is due, so that it is true of a process to which nobody comes.
    pub fn snapshot(&self) -> ShedSnapshot {
        let now = Instant::now();
        if self.is_due(now) {
            self.sample(now);
        }
        self.read(&self.lock())
    }

    fn read(&self, core: &Core) -> ShedSnapshot {
        let level = |index: usize| core.levels.get(index).copied().flatten();
        let signal = |(index, (set_point, signal)): (usize, &(SetPoint, Arc<dyn Signal>))| SignalSnapshot {
            name: signal.name(),
            level: level(index),
            set_point: *set_point,
        };
        let monitored = self.is_monitored();
        ShedSnapshot {
            floor: self.floor(),
            held: core.held,
            rejected_share: core.window.rejected_share,
            rejected: self.tally.rejected(),
            signals: self.config.signals.iter().enumerate().map(signal).collect(),
            monitored,
            lacks_monitor: !monitored && self.config.wants_monitor(),
        }
    }

    /// Takes the samples off the path of requests, and makes them more exact. See [`Monitor`].
    pub fn monitor(self: &Arc<Self>) -> Monitor {
        Monitor::new(Arc::downgrade(self))
    }

    fn is_monitored(&self) -> bool {
        self.monitors.load(Ordering::Relaxed) > 0
    }

    pub(super) fn monitored(&self) {
        self.monitors.fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn unmonitored(&self) {
        self.monitors.fetch_sub(1, Ordering::Relaxed);
        // Arrivals take over at once.
        self.next.store(0, Ordering::Relaxed);
    }

    /// A monitor was woken, so much too late.
    pub(super) fn woken(&self, now: Instant, late: Duration) {
        for (_, signal) in &self.config.signals {
            signal.woken(now, late);
        }
        self.sample(now);
    }

    fn nanos(&self, now: Instant) -> u64 {
        u64::try_from(now.saturating_duration_since(self.origin).as_nanos()).unwrap_or(u64::MAX)
    }

    #[inline]
    fn is_due(&self, now: Instant) -> bool {
        self.nanos(now) >= self.next.load(Ordering::Relaxed)
    }

    /// Asks the signals and moves the floor, unless somebody else is about it.
    #[cold]
    fn sample(&self, now: Instant) {
        let mut core = match self.core.try_lock() {
            Ok(core) => core,
            Err(TryLockError::Poisoned(core)) => core.into_inner(),
            Err(TryLockError::WouldBlock) => return,
        };
        // A monitor comes every period; arrivals take its place when it is a period late. Stored before the signals are
        // asked: one that panics does so once in a period.
        let next = if self.is_monitored() { PERIOD * 2 } else { PERIOD };
        self.next.store(self.nanos(now + next), Ordering::Relaxed);
        #[cfg(feature = "tracing")]
        self.tell_if_unmonitored(&mut core);

        let passed = core
            .sampled
            .map_or(Duration::ZERO, |before| now.saturating_duration_since(before));
        core.sampled = Some(now);
        let mut worst: f64 = -1.0;
        core.levels.clear();
        for (set_point, signal) in &self.config.signals {
            let level = signal
                .level(now)
                .filter(|level| !level.is_nan())
                .map(|level| level.clamp(0.0, 1.0));
            worst = level.map_or(worst, |level| worst.max(excess(level, *set_point)));
            core.levels.push(level);
        }
        let arrived = core.window.turn(&self.tally);
        core.mix.absorb(arrived);
        if !core.held {
            let shed = core.controller.step(passed, worst);
            self.floor.store(core.mix.floor(shed).bits(), Ordering::Relaxed);
        }
    }

    /// Says so once, when a process that could run a monitor had time enough to start one.
    #[cfg(feature = "tracing")]
    fn tell_if_unmonitored(&self, core: &mut Core) {
        const ENOUGH: u8 = 50;
        if core.unmonitored < ENOUGH && !self.is_monitored() && self.config.wants_monitor() {
            core.unmonitored += 1;
            if core.unmonitored == ENOUGH {
                tracing::warn!("load shedding without a monitor cannot see how long requests wait for their turn");
            }
        }
    }

    /// Whether this arrival is below the floor.
    fn rejects(&self, floor: Floor, arrival: &Arrival<'_>) -> bool {
        let criticality = arrival.criticality();
        self.tally.count_arrival(criticality);
        let rejected = floor.rejects(criticality, || {
            let key = self.config.key.as_ref().zip(arrival.head());
            match key.and_then(|(key, head)| key(head)) {
                Some(key) => place(key, arrival.now().saturating_duration_since(self.origin)),
                None => fastrand::u64(..),
            }
        });
        if rejected {
            self.tally.count_rejection(criticality);
        }
        rejected
    }

    fn lock(&self) -> MutexGuard<'_, Core> {
        self.core.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Admit for LoadShed {
    type Permit = ();
    type Wait = Never<()>;

    #[inline]
    fn admit(&self, arrival: &Arrival<'_>) -> Decision<(), Never<()>> {
        let now = arrival.now();
        if self.is_due(now) {
            self.sample(now);
        }
        let floor = self.floor();
        if floor.is_none() || !self.rejects(floor, arrival) {
            return Decision::Now(());
        }
        Decision::No(Rejection::new(Reason::Shed, NAME).retry_after(self.config.retry_after))
    }
}

impl fmt::Debug for LoadShed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Not while it is sampled, by whom ever: a signal may be the one that asks.
        match self.core.try_lock() {
            Ok(core) => self.read(&core).fields(&mut f.debug_struct("LoadShed")).finish(),
            Err(_) => f
                .debug_struct("LoadShed")
                .field("floor", &self.floor())
                .finish_non_exhaustive(),
        }
    }
}

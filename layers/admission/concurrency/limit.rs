use std::{fmt, sync::Arc, time::Duration};

use tokio::time::Instant;

use super::{
    HoldUntil, NotAdmitted, Permit, Waiting,
    counts::{Counts, Totals},
    gate::{Entry, Gate},
    meter::{Meter, Reading},
    permits::Taken,
    queue::Bounds,
    routes::RouteKey,
    settings::Settings,
    snapshot::ConcurrencySnapshot,
    stalled::Stalled,
};
use crate::{
    admission::{Admit, Arrival, Decision, Queued},
    context::home::{Home, Homes, homes},
    rejection::Protocol,
};

/// One of so many whose deadline cannot be met is let in all the same: work that has become quick again is noticed by doing it.
const TRIED: u64 = 16;

/// A concurrency limit: the policy, and a handle to it. Clones are the same limit. See the [module](super).
///
/// ```
/// use buttress::ConcurrencyLimitLayer;
///
/// let layer = ConcurrencyLimitLayer::adaptive();
/// let limit = layer.limit(); // for a switch, a metric, a test
///
/// limit.set(Some(20)); // no more than these during the migration
/// assert_eq!(limit.snapshot().limit, 20);
/// limit.set(None); // as its law says again
/// ```
#[derive(Clone)]
pub struct ConcurrencyLimit {
    homes: Homes<Shared>,
}

/// What a permit holds of its limit.
pub(super) type Handle = Home<Shared>;

pub(super) struct Shared {
    pub(super) gate: Gate,
    pub(super) meter: Meter,
    pub(super) hold: HoldUntil,
    settings: Settings,
    shards: Box<[Shard]>,
}

/// What each shard has of its own.
struct Shard {
    counts: Counts,
    stalled: Stalled,
}

impl ConcurrencyLimit {
    pub(super) fn new(settings: &Settings) -> Self {
        let now = Instant::now();
        let law = settings.make_law();
        let bounds = Bounds {
            length: settings.queue_length(law.limit()),
            wait: settings.wait,
        };
        let shards = homes();
        let homes = Homes::new(Shared {
            gate: Gate::new(law.limit(), bounds, shards),
            meter: Meter::new(law, now),
            hold: settings.hold,
            settings: settings.clone(),
            shards: (0..shards).map(|_| Shard::new(now)).collect(),
        });
        Self { homes }
    }

    /// Sets the limit, whatever its law says; with `None`, leaves it to its law again.
    ///
    /// What is in flight beyond a lower limit goes on, and nothing new is let in until there is room. With 0 whoever
    /// comes is rejected at once, and who waits already goes on waiting.
    pub fn set(&self, limit: Option<usize>) {
        let Handle { shared, number: home } = &**self.homes.here();
        shared.meter.overrule(limit);
        shared.resize(*home, Instant::now());
    }

    /// How it stands.
    pub fn snapshot(&self) -> ConcurrencySnapshot {
        let Handle { shared, .. } = &**self.homes.here();
        let standing = shared.gate.standing();
        ConcurrencySnapshot::new(standing, shared.totals(), Instant::now())
    }
}

impl Admit for ConcurrencyLimit {
    type Permit = Permit;
    type Wait = Queued<Waiting>;

    #[inline]
    fn admit(&self, arrival: &Arrival<'_>) -> Decision<Permit, Queued<Waiting>> {
        let handle = self.homes.here();
        let Handle { shared, number: home } = &**handle;
        if let Some(deadline) = arrival.deadline()
            && deadline.saturating_duration_since(arrival.now()) < shared.meter.routes.slowest()
            && !shared.can_meet(deadline, arrival, *home)
        {
            return shared.reject(handle, arrival, NotAdmitted::Unmeetable);
        }
        match shared.gate.enter(*home) {
            Taken::Held(count) if !shared.meter.times(count) => {
                Decision::Now(Permit::new(handle.clone(), RouteKey::OTHER, None))
            }
            Taken::Held(_) => shared.timed(handle, arrival),
            Taken::None if !shared.gate.has_queue() || shared.gate.limit() == 0 => shared.full(handle, arrival),
            Taken::None | Taken::Awaited => shared.line_up(handle, arrival),
        }
    }
}

impl Shared {
    fn timed(&self, handle: &Arc<Handle>, arrival: &Arrival<'_>) -> Decision<Permit, Queued<Waiting>> {
        let standing = self.gate.in_flight();
        self.meter.saw(standing);
        let permit = Permit::new(handle.clone(), self.route(arrival), Some(arrival.now()));
        Decision::Now(permit)
    }

    /// There is no permit, and no queue: unless somebody stalls.
    #[cold]
    fn full(&self, handle: &Arc<Handle>, arrival: &Arrival<'_>) -> Decision<Permit, Queued<Waiting>> {
        if self.settle_stalled(handle.number, || arrival.now())
            && let Taken::Held(_) = self.gate.enter(handle.number)
        {
            return self.timed(handle, arrival);
        }
        self.meter.saw(self.gate.limit());
        self.reject(handle, arrival, NotAdmitted::Full)
    }

    #[cold]
    fn line_up(&self, handle: &Arc<Handle>, arrival: &Arrival<'_>) -> Decision<Permit, Queued<Waiting>> {
        let (home, band, now) = (handle.number, arrival.criticality(), arrival.now());
        self.settle_stalled(home, || now);
        self.meter.saw(self.gate.limit());
        let route = self.route(arrival);
        let slow = self.meter.routes.route(self.meter.routes.find(route)).slow();
        let latest = arrival
            .deadline()
            .map(|deadline| deadline.checked_sub(slow).unwrap_or(now));
        match self.gate.arrive(home, band as usize, now, latest) {
            Entry::Now => Decision::Now(Permit::new(handle.clone(), route, Some(now))),
            Entry::Waits(place) => {
                self.counts(home).queued();
                let wait = Waiting::new(handle.clone(), place, (band, route), now, latest);
                Decision::Wait(Queued::new(wait))
            }
            Entry::Full => self.reject(handle, arrival, NotAdmitted::Full),
        }
    }

    fn reject(&self, handle: &Handle, arrival: &Arrival<'_>, why: NotAdmitted) -> Decision<Permit, Queued<Waiting>> {
        self.counts(handle.number).rejected(arrival.criticality(), why);
        Decision::No(why.rejection())
    }

    /// Whether this deadline leaves the time that work of this route takes; or whether it is worth a try all the same.
    #[cold]
    fn can_meet(&self, deadline: Instant, arrival: &Arrival<'_>, home: usize) -> bool {
        let number = self.meter.routes.find(self.route(arrival));
        let slow = self.meter.routes.route(number).slow();
        let left = deadline.saturating_duration_since(arrival.now());
        left >= slow || self.counts(home).tight() % TRIED == TRIED - 1
    }

    fn route(&self, arrival: &Arrival<'_>) -> RouteKey {
        let is_grpc = || arrival.head().is_some_and(|head| Protocol::of_head(head).is_grpc());
        self.meter
            .routes
            .key(arrival.head(), self.settings.route.as_deref(), is_grpc)
    }

    /// Takes the permits of readers who stalled beyond their deadline. Says whether there were any.
    pub(super) fn settle_stalled(&self, home: usize, now: impl Fn() -> Instant) -> bool {
        if self.shards.iter().all(|shard| shard.stalled.is_empty()) {
            return false;
        }
        let now = now();
        let settled: usize = self.shards.iter().map(|shard| shard.stalled.settle(now)).sum();
        (0..settled).for_each(|_| self.gate.exit(home, false, || now));
        settled > 0
    }

    /// Ends the window, if it is time.
    #[cold]
    pub(super) fn end_window(&self, home: usize) {
        let now = Instant::now();
        let read = || Reading {
            successes: self.gate.permits().successes(),
            totals: self.totals(),
        };
        if let Some(limit) = self.meter.end_window(now, read)
            && limit != self.gate.limit()
        {
            self.resize(home, now);
        }
    }

    /// Sets the gate to the limit as it is by now: a law and a user may both be about it, and the word of either may be over.
    fn resize(&self, home: usize, now: Instant) {
        loop {
            let limit = self.meter.limit();
            self.gate.resize(limit, home, now);
            if self.meter.limit() == limit {
                return;
            }
        }
    }

    fn totals(&self) -> Totals {
        Totals::of(self.shards.iter().map(|shard| &shard.counts))
    }

    /// How long one may wait.
    pub(super) fn wait(&self) -> Duration {
        self.settings.wait
    }

    pub(super) fn name(&self) -> &'static str {
        self.settings.name
    }

    pub(super) fn counts(&self, home: usize) -> &Counts {
        &self.shards[home].counts
    }

    pub(super) fn stalled(&self, home: usize) -> &Stalled {
        &self.shards[home].stalled
    }
}

impl Shard {
    fn new(now: Instant) -> Self {
        Self {
            counts: Counts::default(),
            stalled: Stalled::new(now),
        }
    }
}

impl fmt::Debug for ConcurrencyLimit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Handle { shared, .. } = &**self.homes.here();
        f.debug_struct("ConcurrencyLimit")
            .field("settings", &shared.settings)
            .field("now", &self.snapshot())
            .finish()
    }
}

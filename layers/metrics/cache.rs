//! The handles of what was recorded before, for each home its own.

use std::{
    collections::{BTreeMap, HashMap},
    sync::{Mutex, MutexGuard, OnceLock, PoisonError},
};

use metrics::{Gauge, Histogram};

use super::{
    names::{Met, NameId, Names},
    series::{Kind, METHODS, Packed},
    sink::{Sink, key},
    told::{Count, Timed},
};
use crate::{
    context::home::{Homes, homes},
    observe::Ended,
    telemetry::instruments,
};

/// What all calls share. Clones are the same.
#[derive(Clone)]
pub(super) struct Caches(Homes<Shared>);

struct Shared {
    sink: Sink,
    routes: Names,
    workers: Names,
    /// One for each of the methods: it goes up on one thread and down on another.
    active: [OnceLock<Gauge>; METHODS.len()],
    handles: Box<[Handles]>,
}

/// Of one home: only its threads take the lock.
#[derive(Default)]
#[repr(align(128))]
struct Handles(Mutex<Cache>);

#[derive(Default)]
struct Cache {
    /// By a word, and in order: they are few, and most calls are of the first page.
    calls: BTreeMap<Packed, Histogram>,
    timed: HashMap<Timed, Histogram>,
    counts: HashMap<Count, metrics::Counter>,
    routes: Met,
    workers: Met,
}

impl Caches {
    pub(super) fn new(sink: Sink) -> Self {
        sink.describe();
        Self(Homes::new(Shared {
            sink,
            routes: Names::default(),
            workers: Names::default(),
            active: Default::default(),
            handles: (0..homes()).map(|_| Handles::default()).collect(),
        }))
    }

    pub(super) fn route(&self, name: &str) -> NameId {
        let (shared, mut cache) = self.here();
        cache.routes.id(name, &shared.routes)
    }

    /// How many requests of this method, a number of [`METHODS`], are in flight.
    #[inline]
    pub(super) fn active(&self, method: u8) -> &Gauge {
        let shared: &Shared = self.0.here();
        let method = usize::from(method).min(METHODS.len() - 1);
        shared.active[method].get_or_init(|| {
            let label = metrics::Label::from_static_parts("http.request.method", METHODS[method]);
            shared.sink.gauge(&key(&instruments::HTTP_SERVER_ACTIVE, vec![label]))
        })
    }

    /// A call of this kind ended.
    #[inline]
    pub(super) fn ended(&self, kind: Kind, ended: &Ended) {
        let (shared, mut cache) = self.here();
        let took = ended.took.as_secs_f64();
        let series = kind.packed(ended);
        if let Some(histogram) = cache.calls.get(&series) {
            histogram.record(took);
            return;
        }
        let labels = kind.labels(ended, &shared.routes);
        let histogram = shared.sink.histogram(kind.duration(), labels);
        histogram.record(took);
        cache.calls.insert(series, histogram);
    }

    pub(super) fn count(&self, what: Count) {
        let (shared, mut cache) = self.here();
        let register = || shared.sink.counter(&key(what.instrument(), what.labels()));
        cache.counts.entry(what).or_insert_with(register).increment(1);
    }

    pub(super) fn time(&self, what: Timed, seconds: f64) {
        let (shared, mut cache) = self.here();
        Self::timed(&mut cache, shared, what, seconds);
    }

    pub(super) fn job(&self, worker: &str, outcome: &'static str, seconds: f64) {
        let (shared, mut cache) = self.here();
        let worker = cache.workers.id(worker, &shared.workers);
        Self::timed(&mut cache, shared, Timed::Job(worker, outcome), seconds);
    }

    fn timed(cache: &mut Cache, shared: &Shared, what: Timed, seconds: f64) {
        let register = || shared.sink.histogram(what.instrument(), what.labels(&shared.workers));
        cache.timed.entry(what).or_insert_with(register).record(seconds);
    }

    fn here(&self) -> (&Shared, MutexGuard<'_, Cache>) {
        let home = self.0.here();
        // A recorder that panicked left a map that is whole.
        let cache = home.handles[home.number].0.lock();
        (home, cache.unwrap_or_else(PoisonError::into_inner))
    }
}

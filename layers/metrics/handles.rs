//! The handles of all that was recorded before.

use std::{
    hash::{BuildHasher, Hash, RandomState},
    sync::OnceLock,
};

use metrics::{Counter, Gauge, Histogram, Label};

use super::{
    names::{NameId, Names},
    series::{Kind, Packed},
    sink::{Sink, key},
    table::Table,
    told::{Count, Timed},
};
use crate::{
    observe::{Ended, method::METHODS},
    telemetry::{Stage, instruments},
};

/// What all calls share, and none of them writes to once there was one like it.
pub(super) struct Handles {
    sink: Sink,
    /// By method, a number of [`METHODS`].
    active: [OnceLock<Gauge>; METHODS.len()],
    calls: Table<Packed, Histogram>,
    routes: Names,
    remaining: [OnceLock<Histogram>; 2],
    timed: Table<Timed, Histogram>,
    counts: Table<Count, Counter>,
    workers: Names,
    hasher: RandomState,
}

impl Handles {
    pub(super) fn new(sink: Sink) -> Self {
        sink.describe();
        Self {
            sink,
            active: Default::default(),
            calls: Table::new(10),
            routes: Names::new(),
            remaining: Default::default(),
            timed: Table::new(6),
            counts: Table::new(6),
            workers: Names::new(),
            hasher: RandomState::new(),
        }
    }

    pub(super) fn route(&self, name: &str) -> NameId {
        self.routes.id(name)
    }

    /// How many requests of this method are in flight.
    #[inline]
    pub(super) fn active(&self, method: u8) -> &Gauge {
        let method = usize::from(method).min(METHODS.len() - 1);
        self.active[method].get_or_init(|| {
            let label = Label::from_static_parts("http.request.method", METHODS[method]);
            self.sink.gauge(&key(&instruments::HTTP_SERVER_ACTIVE, vec![label]))
        })
    }

    /// A call of this kind ended.
    #[inline]
    pub(super) fn ended(&self, kind: Kind, ended: &Ended) {
        let series = kind.packed(ended);
        // A multiplication by the golden ratio leaves its best bits on top. Nobody chooses a series to meet another.
        let hash = series.wrapping_mul(0x9E37_79B9_7F4A_7C15) >> 32;
        let register = || {
            let labels = kind.labels(ended, &self.routes);
            self.sink.histogram(kind.duration(), labels)
        };
        let histogram = self.calls.get(hash, |known| *known == series);
        if let Some(histogram) = histogram.or_else(|| self.calls.insert(hash, &series, register)) {
            histogram.record(ended.took.as_secs_f64());
        }
    }

    /// So much of a deadline was left: what most calls tell of.
    pub(super) fn remaining(&self, stage: Stage, seconds: f64) {
        let histogram = &self.remaining[usize::from(stage == Stage::Call)];
        let register = || {
            let label = Label::from_static_parts("stage", stage.as_str());
            self.sink.histogram(&instruments::DEADLINE_REMAINING, vec![label])
        };
        histogram.get_or_init(register).record(seconds);
    }

    pub(super) fn count(&self, what: Count) {
        let register = || self.sink.counter(&key(what.instrument(), what.labels()));
        if let Some(counter) = self.look_up(&self.counts, what, register) {
            counter.increment(1);
        }
    }

    pub(super) fn time(&self, what: Timed, seconds: f64) {
        let register = || self.sink.histogram(what.instrument(), what.labels(&self.workers));
        if let Some(histogram) = self.look_up(&self.timed, what, register) {
            histogram.record(seconds);
        }
    }

    pub(super) fn job(&self, worker: &str, outcome: &'static str, seconds: f64) {
        self.time(Timed::Job(self.workers.id(worker), outcome), seconds);
    }

    fn look_up<'a, K: Copy + Hash + Eq, V>(
        &self,
        table: &'a Table<K, V>,
        key: K,
        make: impl Fn() -> V,
    ) -> Option<&'a V> {
        let hash = self.hasher.hash_one(key);
        let value = table.get(hash, |known| *known == key);
        value.or_else(|| table.insert(hash, &key, make))
    }
}

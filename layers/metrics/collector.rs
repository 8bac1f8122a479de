use std::{
    collections::HashMap,
    fmt,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use metrics::{Gauge, Key, Label, Recorder};
use tokio::time::{MissedTickBehavior, interval};

use super::sink::{Sink, is_counter, key};
use crate::{
    body::BoxError,
    telemetry::{Measure, Measured},
};

/// Asks what it watches how it stands, and records the answers. See the [module](super).
///
/// Gauges are set, counters are set to at least their sum: collecting twice counts nothing twice. What it collected
/// the last time and no longer finds is set to 0.
///
/// It asks in [`collect`](Self::collect) and at no other time. Asking takes no lock that all requests take.
pub struct Collector {
    sink: Sink,
    watched: Vec<Watched>,
    gauges: Mutex<Gauges>,
}

struct Watched {
    name: Box<str>,
    measured: Box<dyn Measured + Send + Sync>,
}

/// Those of the last collection.
#[derive(Default)]
struct Gauges {
    all: HashMap<Key, Known>,
    collection: u64,
}

struct Known {
    gauge: Gauge,
    seen: u64,
}

impl Collector {
    /// Records with the recorder that is installed when it collects, and describes to it what it is to see. Install it first.
    #[expect(
        clippy::new_without_default,
        reason = "it has an effect: it describes its instruments"
    )]
    pub fn new() -> Self {
        Self::of(Sink::Installed)
    }

    /// Records with this recorder, whatever is installed.
    pub fn with_recorder(recorder: impl Recorder + Send + Sync + 'static) -> Self {
        Self::of(Sink::Given(Arc::new(recorder)))
    }

    fn of(sink: Sink) -> Self {
        sink.describe();
        Self {
            sink,
            watched: Vec::new(),
            gauges: Mutex::default(),
        }
    }

    /// Asks this too, from now on. `name` is which of its kind it is: two of one kind want two names.
    #[must_use]
    pub fn watch(mut self, name: impl Into<Box<str>>, measured: impl Measured + Send + Sync + 'static) -> Self {
        self.watched.push(Watched {
            name: name.into(),
            measured: Box::new(measured),
        });
        self
    }

    /// Asks all of them, now. Once a second is not too often.
    pub fn collect(&self) {
        // One at a time: the later is the newer.
        let mut gauges = self.gauges.lock().unwrap_or_else(PoisonError::into_inner);
        gauges.collection += 1;
        for Watched { name, measured } in &self.watched {
            measured.measure(name, &mut |measure: &Measure<'_>| gauges.record(&self.sink, measure));
        }
        gauges.forget();
    }

    /// Collects at once and then each `every`, at least a millisecond, until it is dropped. It never returns: its type is what
    /// [`Lifecycle::critical`](crate::Lifecycle::critical) takes.
    ///
    /// # Errors
    ///
    /// None.
    pub async fn run(&self, every: Duration) -> Result<(), BoxError> {
        let mut ticks = interval(every.max(Duration::from_millis(1)));
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            ticks.tick().await;
            self.collect();
        }
    }
}

impl Gauges {
    fn record(&mut self, sink: &Sink, measure: &Measure<'_>) {
        let label = |(key, value): &(&'static str, &str)| Label::new(*key, (*value).to_owned());
        let key = key(measure.instrument, measure.attributes.iter().map(label).collect());
        if is_counter(measure.instrument) {
            #[expect(
                clippy::cast_possible_truncation,
                clippy::cast_sign_loss,
                reason = "a count, and it saturates"
            )]
            sink.counter(&key).absolute(measure.value as u64);
            return;
        }
        let known = self.all.entry(key).or_insert_with_key(|key| Known {
            gauge: sink.gauge(key),
            seen: 0,
        });
        known.gauge.set(measure.value);
        known.seen = self.collection;
    }

    /// What is there no longer: it would stand at its last value for ever.
    fn forget(&mut self) {
        let now = self.collection;
        self.all.retain(|_, known| {
            let is_there = known.seen == now;
            if !is_there {
                known.gauge.set(0.0);
            }
            is_there
        });
    }
}

impl fmt::Debug for Collector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names = self.watched.iter().map(|watched| &watched.name);
        f.debug_struct("Collector")
            .field("sink", &self.sink)
            .field("watched", &names.collect::<Vec<_>>())
            .finish_non_exhaustive()
    }
}

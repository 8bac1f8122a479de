use std::{fmt, sync::Arc};

use metrics::{Counter, Gauge, Histogram, Key, KeyName, Label, Level, Metadata, Recorder, Unit};

use crate::telemetry::{INSTRUMENTS, Instrument, InstrumentKind};

static METADATA: Metadata<'static> = Metadata::new("buttress", Level::INFO, Some(module_path!()));

/// Where values go.
#[derive(Clone)]
pub(super) enum Sink {
    /// The recorder of this thread, else of the process.
    Installed,
    Given(Arc<dyn Recorder + Send + Sync>),
}

impl Sink {
    /// Tells it what all instruments mean.
    pub(super) fn describe(&self) {
        self.with(|recorder| {
            for instrument in INSTRUMENTS {
                let (name, unit) = (KeyName::from_const_str(instrument.name), unit(instrument));
                let description = instrument.description.into();
                if is_counter(instrument) {
                    recorder.describe_counter(name, Some(unit), description);
                } else if instrument.kind == InstrumentKind::Histogram {
                    recorder.describe_histogram(name, Some(unit), description);
                } else {
                    recorder.describe_gauge(name, Some(unit), description);
                }
            }
        });
    }

    pub(super) fn histogram(&self, instrument: &'static Instrument, labels: Vec<Label>) -> Histogram {
        let key = key(instrument, labels);
        self.with(|recorder| recorder.register_histogram(&key, &METADATA))
    }

    pub(super) fn counter(&self, key: &Key) -> Counter {
        self.with(|recorder| recorder.register_counter(key, &METADATA))
    }

    pub(super) fn gauge(&self, key: &Key) -> Gauge {
        self.with(|recorder| recorder.register_gauge(key, &METADATA))
    }

    fn with<R>(&self, record: impl FnOnce(&dyn Recorder) -> R) -> R {
        match self {
            Self::Installed => metrics::with_recorder(record),
            Self::Given(recorder) => record(recorder),
        }
    }
}

pub(super) fn key(instrument: &'static Instrument, labels: Vec<Label>) -> Key {
    Key::from_parts(KeyName::from_const_str(instrument.name), labels)
}

/// Whether it is a counter to the facade, whose counters are whole numbers.
pub(super) fn is_counter(instrument: &Instrument) -> bool {
    instrument.kind == InstrumentKind::Counter && unit(instrument) == Unit::Count
}

fn unit(instrument: &Instrument) -> Unit {
    match instrument.unit {
        "s" => Unit::Seconds,
        // Of something, `{request}`, or of nothing, `1`.
        _ => Unit::Count,
    }
}

impl fmt::Debug for Sink {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Installed => "Installed",
            Self::Given(_) => "Given",
        })
    }
}

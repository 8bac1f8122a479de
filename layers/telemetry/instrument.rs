use std::{fmt, hash};

/// What is measured: a name, a unit and what it means. Two are the same if their names are.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct Instrument {
    /// The name, with dots, as OpenTelemetry has it.
    pub name: &'static str,
    /// How its values add up.
    pub kind: InstrumentKind,
    /// The unit, as UCUM and OpenTelemetry write it: `s`, `{request}`.
    pub unit: &'static str,
    /// What it says, in a sentence.
    pub description: &'static str,
    /// The keys of its attributes, all of bounded values.
    pub attributes: &'static [&'static str],
}

/// How the values of an [`Instrument`] add up.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum InstrumentKind {
    /// A sum that only grows.
    Counter,
    /// A sum that grows and shrinks.
    UpDownCounter,
    /// A value of now.
    Gauge,
    /// How often which values were.
    Histogram,
}

impl PartialEq for Instrument {
    fn eq(&self, other: &Self) -> bool {
        self.name == other.name
    }
}

impl Eq for Instrument {}

impl hash::Hash for Instrument {
    fn hash<H: hash::Hasher>(&self, state: &mut H) {
        self.name.hash(state);
    }
}

impl fmt::Display for Instrument {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name)
    }
}

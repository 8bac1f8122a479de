//! What is told upwards: [events](Event) as they happen, and [measures](Measured) when somebody asks.
//!
//! An operator asks two kinds of question. *What happened to this call?* It waited, it was tried again, a layer rejected it: that
//! is an [`Event`], and belongs to the call in which it happened. *How does it stand?* So many are in flight, so much is left of
//! the budget: that is a measure, and is read from the counters that every layer keeps anyway.
//!
//! # Events
//!
//! A layer tells of an event while it is called or polled, and whoever observes that call is the one who hears it: the innermost
//! [`ObserveLayer`](crate::ObserveLayer) around. Nothing has to be handed to the layers for it, and their types do not change. Where
//! nobody observes, an event is not even made: it costs the look at one thread-local word, on the slow path where it happens.
//!
//! # Measures
//!
//! What can be measured is [`Measured`]: limits, budgets, breakers, queues, the process. (A timeout, a shield or a cancellation has no
//! state to be asked for: what they do is told of the call.) It reports its values to a [`Report`], under the
//! names of its [`Instrument`]s, which carry their unit and what they mean.
//!
//! ```
//! use buttress::{ConcurrencyLimitLayer, telemetry::{Measure, Measured}};
//!
//! let layer = ConcurrencyLimitLayer::new(100);
//! let mut page = String::new();
//! layer.limit().measure("checkout", &mut |measure: &Measure<'_>| {
//!     page += &format!("{}{:?} {}\n", measure.instrument.name, measure.attributes, measure.value);
//! });
//! assert!(page.contains(r#"buttress.limit.concurrency[("name", "checkout")] 100"#));
//! ```
//!
//! The names and units are those of OpenTelemetry's conventions, as far as they go: seconds, no `total`. No attribute ever has a value
//! that a stranger chose: a path, a key, an address.

mod event;
mod instrument;
pub(crate) mod instruments;
mod listen;
mod measure;
mod process;

pub(crate) use self::listen::{Listening, emit};
pub use self::{
    event::{Event, Leave, Stage, rejected},
    instrument::{Instrument, InstrumentKind},
    instruments::ALL as INSTRUMENTS,
    measure::{Attributes, ByDestination, Measure, Measured, Report},
    process::ProcessEvent,
};

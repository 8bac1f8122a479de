use std::sync::Arc;

use super::Instrument;

/// Keys and values of a [`Measure`].
pub type Attributes<'a> = [(&'static str, &'a str)];

/// A value, read at this moment.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct Measure<'a> {
    /// What was measured.
    pub instrument: &'static Instrument,
    /// The value: of a counter, the sum since its layer was made.
    pub value: f64,
    /// By which the values of one instrument differ. Of bounded values, all of them.
    pub attributes: &'a Attributes<'a>,
}

/// Where measures are reported to. A function of the [`Measure`] is one.
pub trait Report {
    /// Takes a measure.
    fn report(&mut self, measure: &Measure<'_>);
}

/// What can be asked how it stands: a limit, a budget, a breaker, a queue, the process.
///
/// `name` is which of its kind it is, for the attribute that tells them apart (`name`, `target`, `worker`): the caller's choice, and
/// constant. Asking costs some loads, and takes no lock that all requests take; that of a queue or of a key, for a moment. Once a second is
/// not too often.
pub trait Measured {
    /// Reports all of its values.
    fn measure(&self, name: &str, report: &mut dyn Report);
}

/// What stands differently with each destination, measured for each: the destination's name is the attribute `target`.
///
/// Without it, all destinations of a breaker and of a throttle are measured together. Use it where the names are your own, a list of upstreams say: for a client that
/// calls whatever it is told to, every authority would become a value.
#[derive(Clone, Copy, Debug)]
pub struct ByDestination<T>(pub T);

impl<F: FnMut(&Measure<'_>)> Report for F {
    fn report(&mut self, measure: &Measure<'_>) {
        self(measure);
    }
}

impl<M: Measured + ?Sized> Measured for &M {
    fn measure(&self, name: &str, report: &mut dyn Report) {
        (**self).measure(name, report);
    }
}

impl<M: Measured + ?Sized> Measured for Arc<M> {
    fn measure(&self, name: &str, report: &mut dyn Report) {
        (**self).measure(name, report);
    }
}

/// What is not there is not measured.
impl<M: Measured> Measured for Option<M> {
    fn measure(&self, name: &str, report: &mut dyn Report) {
        if let Some(measured) = self {
            measured.measure(name, report);
        }
    }
}

impl Instrument {
    /// Reports a value of it.
    #[expect(clippy::cast_precision_loss, reason = "a count of 2^53 is far away")]
    pub(crate) fn count(&'static self, value: u64, attributes: &Attributes<'_>, report: &mut dyn Report) {
        self.value(value as f64, attributes, report);
    }

    /// Reports a value of it.
    pub(crate) fn value(&'static self, value: f64, attributes: &Attributes<'_>, report: &mut dyn Report) {
        debug_assert!(
            attributes.iter().all(|(key, _)| self.attributes.contains(key)),
            "{self} has no such attribute: {attributes:?}"
        );
        report.report(&Measure {
            instrument: self,
            value,
            attributes,
        });
    }
}

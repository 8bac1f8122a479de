//! Prometheus' text format.

use std::fmt::{Display, Write};

/// A page of metrics, written family by family.
#[derive(Default)]
pub(super) struct Page {
    pub(super) text: String,
    family: &'static str,
}

impl Page {
    /// Begins a family of samples.
    pub(super) fn family(&mut self, name: &'static str, kind: &str, help: &str) {
        self.family = name;
        // Writing to a string does not fail.
        let _ = write!(self.text, "# HELP {name} {help}\n# TYPE {name} {kind}\n");
    }

    pub(super) fn sample(&mut self, labels: impl Display, value: impl Display) {
        let _ = writeln!(self.text, "{}{labels} {value}", self.family);
    }
}

//! What is measured of a storm, and what it should be.

use super::report::Report;

/// Something that was measured.
pub(crate) struct Figure<R = Report> {
    pub(crate) what: &'static str,
    pub(crate) aim: Aim,
    of: Box<dyn Fn(&R) -> f64 + Send + Sync>,
}

/// What it should be.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Aim {
    Least(f64),
    Most(f64),
    Within(f64, f64),
    /// It is only looked at.
    Any,
}

impl Aim {
    pub(crate) fn is_met_by(self, value: f64) -> bool {
        match self {
            Self::Least(least) => value >= least,
            Self::Most(most) => value <= most,
            Self::Within(least, most) => (least..=most).contains(&value),
            Self::Any => true,
        }
    }

    /// The worse of two.
    pub(crate) fn worse(self, one: f64, other: f64) -> f64 {
        match self {
            Self::Least(_) => one.min(other),
            Self::Most(_) | Self::Any => one.max(other),
            Self::Within(least, most) => {
                let off = |value: f64| (value - f64::midpoint(least, most)).abs();
                if off(one) > off(other) { one } else { other }
            }
        }
    }
}

impl<R> Figure<R> {
    pub(crate) fn new(what: &'static str, aim: Aim, of: impl Fn(&R) -> f64 + Send + Sync + 'static) -> Self {
        Self {
            what,
            aim,
            of: Box::new(of),
        }
    }

    pub(crate) fn of(&self, report: &R) -> f64 {
        (self.of)(report)
    }
}

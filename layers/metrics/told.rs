//! What is counted and timed in calls and in the process, and what it is told apart by.

use metrics::Label;

use super::names::{NameId, Names};
use crate::{
    context::{Cancelled, Criticality},
    observe::At,
    rejection::Reason,
    telemetry::{Instrument, Leave, instruments},
};

/// What is counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Count {
    Cancelled(Cancelled, At),
    Rejected(&'static str, Reason, Criticality),
    /// By kind.
    Aborted(&'static str),
}

/// What is timed, now and then.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Timed {
    /// In a limit's queue.
    Queued(&'static str, Criticality, Leave),
    /// By worker and outcome.
    Job(NameId, &'static str),
    Phase(&'static str),
}

impl Count {
    pub(super) fn instrument(self) -> &'static Instrument {
        match self {
            Self::Cancelled(..) => &instruments::CANCELLED,
            Self::Rejected(..) => &instruments::REJECTED,
            Self::Aborted(_) => &instruments::SHUTDOWN_ABORTED,
        }
    }

    pub(super) fn labels(self) -> Vec<Label> {
        match self {
            Self::Cancelled(why, at) => labels([("reason", why.as_str()), ("at", at.as_str())]),
            Self::Rejected(layer, reason, criticality) => labels([
                ("layer", layer),
                ("reason", reason.as_str()),
                ("criticality", criticality.as_str()),
            ]),
            Self::Aborted(kind) => labels([("kind", kind)]),
        }
    }
}

impl Timed {
    pub(super) fn instrument(self) -> &'static Instrument {
        match self {
            Self::Queued(..) => &instruments::QUEUE_WAIT,
            Self::Job(..) => &instruments::JOB_DURATION,
            Self::Phase(_) => &instruments::SHUTDOWN_DURATION,
        }
    }

    pub(super) fn labels(self, workers: &Names) -> Vec<Label> {
        match self {
            Self::Queued(limit, band, leave) => {
                labels([("name", limit), ("band", band.as_str()), ("leave", leave.as_str())])
            }
            Self::Job(worker, outcome) => {
                vec![
                    Label::new("worker", workers.name(worker)),
                    Label::from_static_parts("outcome", outcome),
                ]
            }
            Self::Phase(phase) => labels([("phase", phase)]),
        }
    }
}

fn labels<const N: usize>(pairs: [(&'static str, &'static str); N]) -> Vec<Label> {
    pairs.map(|(key, value)| Label::from_static_parts(key, value)).to_vec()
}

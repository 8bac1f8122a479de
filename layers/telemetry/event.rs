use std::time::Duration;

use super::emit;
use crate::{
    context::{Criticality, Frame},
    outcome::Class,
    rejection::{Reason, Rejection},
};

/// What happened in the course of a call. See the [module](super).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Event {
    /// A deadline was met with, and so much was left of it.
    #[non_exhaustive]
    Deadline {
        /// Where.
        stage: Stage,
        /// What was left; 0 if it had passed.
        remaining: Duration,
    },
    /// The call was in the queue of a limit, and left it.
    #[non_exhaustive]
    Queued {
        /// The limit's name.
        limit: &'static str,
        /// The band of the queue in which it waited.
        band: Criticality,
        /// How long it waited.
        wait: Duration,
        /// How it left.
        leave: Leave,
    },
    /// A layer of ours rejected the call, or an attempt at it.
    #[non_exhaustive]
    Rejected {
        /// The layer, as [`Rejection::layer`] has it.
        layer: &'static str,
        /// Why.
        reason: Reason,
        /// How much the call mattered.
        criticality: Criticality,
    },
    /// An attempt failed, and another is started.
    #[non_exhaustive]
    Retried {
        /// The number of the attempt that is started; the first retry is the second attempt.
        attempt: u32,
        /// How the one before failed.
        class: Class,
    },
    /// An attempt failed that could have been made again, and was passed up.
    #[non_exhaustive]
    GaveUp {
        /// The number of the attempt that was the last.
        attempts: u32,
        /// Why there was no other, as [`Kept::as_str`](crate::retry::Kept::as_str) has it.
        reason: &'static str,
    },
    /// An attempt is started beside another that has not answered.
    #[non_exhaustive]
    Hedged {
        /// The number of the attempt that is started.
        attempt: u32,
    },
}

/// Where a deadline was met with.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Stage {
    /// When a request arrived at a [`DeadlineLayer`](crate::DeadlineLayer).
    Arrival,
    /// When a call was sent by a [`PropagateDeadlineLayer`](crate::PropagateDeadlineLayer).
    Call,
}

/// How a call left a queue.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Leave {
    /// It was let in.
    Admitted,
    /// It was turned away.
    Rejected,
}

impl Stage {
    /// The stage as a metric's attribute has it: `arrival`, `call`.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Arrival => "arrival",
            Self::Call => "call",
        }
    }
}

impl Leave {
    /// As an attribute has it: `admitted`, `rejected`.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Admitted => "admitted",
            Self::Rejected => "rejected",
        }
    }
}

/// Tells of a rejection, where it is made: once, however many layers it passes on its way up.
///
/// The layers of this crate tell of theirs, and so does a policy's of one's own. This is for a service that rejects by itself: a
/// proxy that cannot reach its upstream. Call it in the course of the call that is rejected.
pub fn rejected(rejection: &Rejection) {
    emit(|| Event::Rejected {
        layer: rejection.layer(),
        reason: rejection.reason(),
        criticality: Frame::facts().criticality,
    });
}

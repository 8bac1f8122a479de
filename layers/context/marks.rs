//! What of a frame fits in one word, packed by hand: only then is it moved as one.
//!
//! A frame is moved some ten times per request, and its small parts were a third of that in instructions.

use std::sync::Arc;

use super::{Cancelled, Criticality, cancellation::Node};

/// What a frame's node is to it. Apart from the node, and not around it, so that both are moved in registers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Cancellation {
    /// Nothing but the deadline ends it. No node.
    Never,
    /// Its owner can end it, and nobody has asked yet. It will be a child of the node, if there is one.
    Unasked,
    /// The node is its own.
    Asked,
    /// It ended. The node is its own, if somebody had asked.
    Ended(Cancelled),
}

impl Cancellation {
    /// Of a frame of what was asked for already.
    #[inline]
    pub(super) fn of(node: Option<&Arc<Node>>) -> Self {
        if node.is_some() { Self::Asked } else { Self::Never }
    }

    #[inline]
    const fn code(self) -> u8 {
        match self {
            Self::Never => 0,
            Self::Unasked => 1,
            Self::Asked => 2,
            Self::Ended(why) => 3 + why as u8,
        }
    }

    #[inline]
    const fn from_code(code: u8) -> Self {
        match code {
            0 => Self::Never,
            1 => Self::Unasked,
            2 => Self::Asked,
            3 => Self::Ended(Cancelled::Disconnected),
            4 => Self::Ended(Cancelled::DeadlineExceeded),
            5 => Self::Ended(Cancelled::ShuttingDown),
            6 => Self::Ended(Cancelled::Superseded),
            _ => Self::Ended(Cancelled::Finished),
        }
    }
}

/// The attempt in the lower half, then a byte for the criticality, then one for the cancellation.
#[derive(Clone, Copy, Debug)]
pub(super) struct Marks(u64);

const CRITICALITY: u32 = 32;
const CANCELLATION: u32 = 40;

impl Marks {
    #[inline]
    pub(super) const fn new(attempt: u32, criticality: Criticality, cancellation: Cancellation) -> Self {
        Self(attempt as u64 | (criticality as u64) << CRITICALITY).with(cancellation)
    }

    #[inline]
    pub(super) const fn with(self, cancellation: Cancellation) -> Self {
        let others = (1 << CANCELLATION) - 1;
        Self(self.0 & others | (cancellation.code() as u64) << CANCELLATION)
    }

    /// The same at another criticality.
    #[inline]
    pub(super) const fn at(self, criticality: Criticality) -> Self {
        let others = !(0xff << CRITICALITY);
        Self(self.0 & others | (criticality as u64) << CRITICALITY)
    }

    /// The same as another attempt.
    #[inline]
    pub(super) const fn attempted(self, attempt: u32) -> Self {
        let others = !(u32::MAX as u64);
        Self(self.0 & others | attempt as u64)
    }

    #[inline]
    #[expect(clippy::cast_possible_truncation, reason = "its half of the word")]
    pub(super) const fn attempt(self) -> u32 {
        self.0 as u32
    }

    #[inline]
    pub(super) const fn criticality(self) -> Criticality {
        Criticality::ALL[(self.0 >> CRITICALITY) as usize & 3]
    }

    #[inline]
    #[expect(clippy::cast_possible_truncation, reason = "its byte of the word")]
    pub(super) const fn cancellation(self) -> Cancellation {
        Cancellation::from_code((self.0 >> CANCELLATION) as u8)
    }
}

//! What let a call in, as the call remembers it.

use super::word::{Epoch, Word};

/// To be [settled](super::circuit::Circuit::settle) once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Ticket {
    /// A closed circuit.
    Judged(Epoch),
    /// A half-open one, to find out whether the destination is back.
    Probe(Epoch),
    /// An operator. How it ends is nobody's business.
    Unjudged,
}

impl Ticket {
    #[inline]
    pub(super) const fn judged(word: Word) -> Self {
        Self::Judged(word.epoch())
    }

    pub(super) const fn probe(word: Word) -> Self {
        Self::Probe(word.epoch())
    }

    #[inline]
    pub(super) const fn is_probe(self) -> bool {
        matches!(self, Self::Probe(_))
    }

    /// Whether this state let it in.
    #[inline]
    pub(super) fn is_of(self, word: Word) -> bool {
        match self {
            Self::Judged(epoch) | Self::Probe(epoch) => word.epoch() == epoch,
            Self::Unjudged => false,
        }
    }
}

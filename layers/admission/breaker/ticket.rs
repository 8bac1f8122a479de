//! What let a call in, as the call remembers it.

use std::fmt;

use super::word::{Epoch, Word};

/// To be [settled](super::circuit::Circuit::settle) once.
///
/// One word, not an enum of two halves: it is carried through every layer above, and a word that was written in halves is slow to
/// read.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) struct Ticket(u64);

const KIND: u64 = 0b11;
const JUDGED: u64 = 1;
const PROBE: u64 = 2;
const EPOCH_AT: u32 = 2;

impl Ticket {
    /// An operator let it in. How it ends is nobody's business.
    pub(super) const UNJUDGED: Self = Self(0);

    /// A closed circuit let it in.
    #[inline]
    pub(super) const fn judged(word: Word) -> Self {
        Self::of(word.epoch(), JUDGED)
    }

    /// A half-open one did, to find out whether the destination is back.
    pub(super) const fn probe(word: Word) -> Self {
        Self::of(word.epoch(), PROBE)
    }

    #[inline]
    const fn of(epoch: Epoch, kind: u64) -> Self {
        Self(epoch.number() << EPOCH_AT | kind)
    }

    #[inline]
    pub(super) const fn is_probe(self) -> bool {
        self.0 & KIND == PROBE
    }

    /// Whether this state let it in.
    #[inline]
    pub(super) const fn is_of(self, word: Word) -> bool {
        self.0 & KIND != 0 && self.0 >> EPOCH_AT == word.epoch().number()
    }
}

impl fmt::Debug for Ticket {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let kind = match self.0 & KIND {
            JUDGED => "judged",
            PROBE => "probe",
            _ => "unjudged",
        };
        f.debug_struct("Ticket")
            .field("kind", &kind)
            .field("epoch", &(self.0 >> EPOCH_AT))
            .finish()
    }
}

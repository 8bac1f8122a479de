//! The state, where many change it at once: each change is one step, from a state that is known.

use super::{
    sync::{AtomicU64, Ordering},
    ticket::Ticket,
    word::{State, Word},
};

#[derive(Debug)]
pub(super) struct Cell(AtomicU64);

impl Cell {
    /// Closed, for the first time.
    pub(super) fn new() -> Self {
        Self(AtomicU64::new(Word::FIRST.bits()))
    }

    #[inline]
    pub(super) fn word(&self) -> Word {
        Word::from_bits(self.0.load(Ordering::Acquire))
    }

    /// Or says what it is by now.
    pub(super) fn change(&self, from: Word, to: Word) -> Result<(), Word> {
        self.0
            .compare_exchange(from.bits(), to.bits(), Ordering::AcqRel, Ordering::Acquire)
            .map(drop)
            .map_err(Word::from_bits)
    }

    /// From the state that let this call in to another. Says whether it did.
    pub(super) fn leave(&self, ticket: Ticket, to: State) -> bool {
        self.step(ticket, |word| Some(word.next(to)))
    }

    /// From whatever state to another.
    pub(super) fn leave_any(&self, to: State) {
        let mut word = self.word();
        while let Err(other) = self.change(word, word.next(to)) {
            word = other;
        }
    }

    /// Changes how many probes are free and how many succeeded, in the half-open state that sent this one. Says whether it did.
    pub(super) fn count(&self, ticket: Ticket, change: impl Fn(u16, u16) -> Option<(u16, u16)>) -> bool {
        self.step(ticket, |word| match word.state() {
            State::HalfOpen { free, succeeded } => {
                let (free, succeeded) = change(free, succeeded)?;
                Some(word.with(State::HalfOpen { free, succeeded }))
            }
            _ => None,
        })
    }

    fn step(&self, ticket: Ticket, to: impl Fn(Word) -> Option<Word>) -> bool {
        let mut word = self.word();
        loop {
            if !ticket.is_of(word) {
                return false;
            }
            let Some(next) = to(word) else { return false };
            match self.change(word, next) {
                Ok(()) => return true,
                Err(other) => word = other,
            }
        }
    }
}

//! The state of a circuit in one word, so that an arrival knows it by one load and changes it in one step.
//!
//! Each state has an epoch of its own. A call remembers the epoch that let it in; when it ends in another, it is no evidence any
//! more.

/// Where a circuit stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum State {
    /// All are let in, and judged.
    Closed,
    /// Nobody is, until so many milliseconds after the circuit's origin.
    Open { until: u64 },
    /// So many more probes may be sent, and so many have succeeded. What is missing of all is under way.
    HalfOpen { free: u16, succeeded: u16 },
}

/// Which state it was that let a call in. It counts around.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Epoch(u64);

impl Epoch {
    #[inline]
    pub(super) const fn number(self) -> u64 {
        self.0
    }
}

/// Two bits of the state's kind, 22 of its epoch, 40 of what it has: milliseconds for 34 years, or two numbers of probes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Word(u64);

const KIND: u64 = 0b11;
const CLOSED: u64 = 0;
const OPEN: u64 = 1;
const HALF_OPEN: u64 = 2;

const EPOCH_AT: u32 = 2;
const EPOCHS: u64 = (1 << 22) - 1;
const REST_AT: u32 = 24;
const LATEST: u64 = (1 << 40) - 1;
const SUCCEEDED_AT: u32 = 16;
const PROBES: u64 = (1 << SUCCEEDED_AT) - 1;

impl Word {
    pub(super) const FIRST: Self = Self(CLOSED);

    pub(super) const fn from_bits(bits: u64) -> Self {
        Self(bits)
    }

    pub(super) const fn bits(self) -> u64 {
        self.0
    }

    #[inline]
    pub(super) const fn is_closed(self) -> bool {
        self.0 & KIND == CLOSED
    }

    #[inline]
    pub(super) const fn epoch(self) -> Epoch {
        Epoch(self.0 >> EPOCH_AT & EPOCHS)
    }

    pub(super) const fn state(self) -> State {
        let rest = self.0 >> REST_AT;
        match self.0 & KIND {
            OPEN => State::Open { until: rest },
            HALF_OPEN => State::HalfOpen {
                free: (rest & PROBES) as u16,
                succeeded: (rest >> SUCCEEDED_AT & PROBES) as u16,
            },
            _ => State::Closed,
        }
    }

    /// Another state, in the next epoch.
    pub(super) const fn next(self, state: State) -> Self {
        let Epoch(epoch) = self.epoch();
        Self::new((epoch + 1) & EPOCHS, state)
    }

    /// The same state, with other numbers of probes.
    pub(super) const fn with(self, state: State) -> Self {
        let Epoch(epoch) = self.epoch();
        Self::new(epoch, state)
    }

    const fn new(epoch: u64, state: State) -> Self {
        let (kind, rest) = match state {
            State::Closed => (CLOSED, 0),
            State::Open { until } => (OPEN, if until > LATEST { LATEST } else { until }),
            State::HalfOpen { free, succeeded } => (HALF_OPEN, free as u64 | (succeeded as u64) << SUCCEEDED_AT),
        };
        Self(kind | epoch << EPOCH_AT | rest << REST_AT)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn state() -> impl Strategy<Value = State> {
        prop_oneof![
            Just(State::Closed),
            (0..=LATEST).prop_map(|until| State::Open { until }),
            (any::<u16>(), any::<u16>()).prop_map(|(free, succeeded)| State::HalfOpen { free, succeeded }),
        ]
    }

    proptest! {
        #[test]
        fn what_is_put_in_comes_out(states in prop::collection::vec((state(), state()), 1..20)) {
            let mut word = Word::FIRST;
            for (next, changed) in states {
                let before = word;
                word = word.next(next);
                prop_assert_eq!(word.state(), next);
                prop_assert_ne!(word.epoch(), before.epoch());
                prop_assert_eq!(word.with(changed).state(), changed);
                prop_assert_eq!(word.with(changed).epoch(), word.epoch());
                prop_assert_eq!(word.is_closed(), next == State::Closed);
            }
        }
    }

    #[test]
    fn epochs_count_around() {
        let last = Word::new(EPOCHS, State::Closed);
        assert_eq!(last.next(State::Closed), Word::FIRST);
    }
}

//! Where the seat of a key is: open addressing, read without a lock.
//!
//! A place is one word: the upper bits of a key, and the number of its seat. Only who holds the table's lock writes. While it
//! moves places together after a removal, a reader may miss a key that is there, and then asks again under the lock; it never
//! takes a wrong seat, as the seat itself has the whole key.

use std::sync::atomic::{AtomicU64, Ordering};

use super::key::Key;

/// Bits for the number of a seat, plus one: a place that is 0 is free.
const NUMBER_BITS: u32 = 20;
const NUMBER: u64 = (1 << NUMBER_BITS) - 1;

/// Above it are the bits that say where a search begins: more than there can be places.
const POSITION: u32 = 64 - 22;

/// So many seats can be told apart.
pub(super) const SEATS: usize = (1 << NUMBER_BITS) - 1;

#[derive(Debug)]
pub(super) struct Index {
    /// A power of two of them, twice as many as there are seats or more, so that a search is short.
    places: Box<[AtomicU64]>,
}

impl Index {
    pub(super) fn new(seats: usize) -> Self {
        let places = (2 * seats.clamp(1, SEATS)).next_power_of_two();
        Self {
            places: (0..places).map(|_| AtomicU64::new(0)).collect(),
        }
    }

    /// The seats where this key may be: nearly always one, or none.
    #[inline]
    pub(super) fn find(&self, key: Key) -> impl Iterator<Item = usize> {
        self.places_of(key)
            .map(|place| place.load(Ordering::Acquire))
            .take_while(|word| *word != 0)
            .filter(move |word| (word ^ key.bits()) & !NUMBER == 0)
            .map(number_of)
    }

    /// The caller holds the table's lock, and the key is not here.
    pub(super) fn insert(&self, key: Key, seat: usize) {
        let word = key.bits() & !NUMBER | (seat as u64 + 1) & NUMBER;
        if let Some(place) = self.places_of(key).find(|place| place.load(Ordering::Relaxed) == 0) {
            place.store(word, Ordering::Release);
        }
    }

    /// The caller holds the table's lock. Those behind move up, so that no search ends too soon.
    pub(super) fn remove(&self, key: Key, seat: usize) {
        let mask = self.places.len() - 1;
        let word_at = |place: usize| self.places[place & mask].load(Ordering::Relaxed);
        let first = self.first(key.bits());
        let here = (first..=first + mask).find(|place| word_at(*place) != 0 && number_of(word_at(*place)) == seat);
        let Some(mut free) = here else { return };
        for place in free + 1..=free + mask {
            let word = word_at(place);
            if word == 0 {
                break;
            }
            // It may move up if its search begins at the free place or before it.
            let searched = place.wrapping_sub(self.first(word)) & mask;
            if searched >= place - free {
                self.places[free & mask].store(word, Ordering::Release);
                free = place;
            }
        }
        self.places[free & mask].store(0, Ordering::Release);
    }

    #[inline]
    fn places_of(&self, key: Key) -> impl Iterator<Item = &AtomicU64> {
        let (before, after) = self.places.split_at(self.first(key.bits()));
        after.iter().chain(before)
    }

    /// Where the search for this key begins: by the upper bits, which its word has too.
    #[inline]
    fn first(&self, bits: u64) -> usize {
        usize::try_from(bits >> POSITION).unwrap_or_default() & (self.places.len() - 1)
    }
}

#[inline]
fn number_of(word: u64) -> usize {
    usize::try_from((word & NUMBER).saturating_sub(1)).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use std::{collections::HashMap, hash::RandomState};

    use proptest::prelude::*;

    use super::*;
    use crate::destination::KeyOf;

    proptest! {
        /// Whatever comes and goes, what is in is found, and what is out is not. A small table has many searches that meet.
        #[test]
        fn it_finds_what_was_inserted_and_not_removed(
            steps in proptest::collection::vec((any::<bool>(), 0_usize..8), 0..200),
        ) {
            let (secret, index) = (RandomState::new(), Index::new(8));
            let key = |seat: usize| KeyOf::Authority.key(&secret, Some(&format!("host-{seat}")));
            let mut model = HashMap::new();
            for (insert, seat) in steps {
                if insert && !model.contains_key(&seat) {
                    index.insert(key(seat), seat);
                    model.insert(seat, key(seat));
                } else if !insert && model.remove(&seat).is_some() {
                    index.remove(key(seat), seat);
                }
                for seat in 0..8 {
                    prop_assert_eq!(index.find(key(seat)).any(|found| found == seat), model.contains_key(&seat));
                }
            }
        }
    }
}

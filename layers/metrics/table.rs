//! A map that only grows, and is read without a lock.

use std::sync::OnceLock;

/// Values by key. What is in it stays, so that to look it up touches nothing that another thread writes to.
///
/// Whoever asks brings the hash along. Each of the chains is a list, at whose end entries are added.
#[derive(Debug)]
pub(super) struct Table<K, V>(Box<[Link<K, V>]>);

type Link<K, V> = OnceLock<Box<Entry<K, V>>>;

#[derive(Debug)]
struct Entry<K, V> {
    key: K,
    value: V,
    next: Link<K, V>,
}

impl<K: Clone + PartialEq, V> Table<K, V> {
    /// Of two to the power of `bits` chains.
    pub(super) fn new(bits: u32) -> Self {
        Self((0..1 << bits).map(|_| Link::new()).collect())
    }

    #[inline]
    pub(super) fn get(&self, hash: u64, is: impl Fn(&K) -> bool) -> Option<&V> {
        let mut link = self.chain(hash)?;
        while let Some(entry) = link.get() {
            if is(&entry.key) {
                return Some(&entry.value);
            }
            link = &entry.next;
        }
        None
    }

    /// The value of a key, made where it is not there. Of two that come at once, one makes it, and the other waits.
    #[cold]
    pub(super) fn insert(&self, hash: u64, key: &K, make: impl Fn() -> V) -> Option<&V> {
        let mut link = self.chain(hash)?;
        loop {
            let entry = link.get_or_init(|| {
                let (key, value, next) = (key.clone(), make(), Link::new());
                Box::new(Entry { key, value, next })
            });
            if entry.key == *key {
                return Some(&entry.value);
            }
            link = &entry.next;
        }
    }

    /// There is one for each hash.
    #[inline]
    fn chain(&self, hash: u64) -> Option<&Link<K, V>> {
        self.0
            .get(usize::try_from(hash).unwrap_or_default() & (self.0.len() - 1))
    }
}

#[cfg(test)]
mod tests {
    use std::{
        sync::atomic::{AtomicUsize, Ordering},
        thread,
    };

    use super::*;

    fn get_or_insert(table: &Table<u64, u64>, key: u64, make: impl Fn() -> u64) -> u64 {
        let (hash, is) = (key / 4, |other: &u64| *other == key);
        let value = table.get(hash, is).or_else(|| table.insert(hash, &key, make));
        *value.expect("a value")
    }

    #[test]
    fn keys_of_one_chain_are_told_apart() {
        let table = Table::new(3);
        assert_eq!(table.get(7, |_| true), None);
        for key in 0..100 {
            assert_eq!(get_or_insert(&table, key, || key * key), key * key);
        }
        for key in 0..100 {
            assert_eq!(get_or_insert(&table, key, || unreachable!("it is there")), key * key);
        }
    }

    #[test]
    #[expect(clippy::disallowed_methods, reason = "a test may wait for its threads")]
    fn a_value_is_made_once_whoever_asks() {
        let (table, inserts) = (Table::new(2), AtomicUsize::new(0));
        thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| {
                    for key in 0..1_000 {
                        let make = || {
                            inserts.fetch_add(1, Ordering::Relaxed);
                            key + 1
                        };
                        assert_eq!(get_or_insert(&table, key, make), key + 1);
                    }
                });
            }
        });
        assert_eq!(inserts.into_inner(), 1_000);
    }

    #[test]
    fn a_panic_leaves_it_whole() {
        let table = Table::new(0);
        let insert = |key, make: fn() -> u64| get_or_insert(&table, key, make);
        insert(1, || 1);
        let panicked = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| insert(2, || panic!("a recorder"))));
        assert!(panicked.is_err());
        assert_eq!((insert(1, || 0), insert(2, || 2)), (1, 2));
    }
}

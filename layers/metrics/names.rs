//! Names that were chosen elsewhere, by number: few, whoever chose them.

use std::{
    hash::{BuildHasher, RandomState},
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
};

use super::table::Table;

/// What everything is called that has no name of its own here: OpenTelemetry's word for it.
pub(super) const OTHER: &str = "_OTHER";

/// The number of a name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct NameId(u16);

impl NameId {
    const OTHER: Self = Self(u16::MAX);

    pub(super) fn number(self) -> u16 {
        self.0
    }
}

/// All names of a kind, the first `MOST` of them. One that is known takes no lock, nor does one that there is no room for.
#[derive(Debug)]
pub(super) struct Names {
    ids: Table<Arc<str>, NameId>,
    hasher: RandomState,
    all: Mutex<Vec<Arc<str>>>,
    is_full: AtomicBool,
}

impl Names {
    const MOST: usize = 1_000;

    pub(super) fn new() -> Self {
        Self {
            ids: Table::new(8),
            hasher: RandomState::new(),
            all: Mutex::default(),
            is_full: AtomicBool::new(false),
        }
    }

    pub(super) fn id(&self, name: &str) -> NameId {
        let hash = self.hasher.hash_one(name);
        match self.ids.get(hash, |known| **known == *name) {
            Some(id) => *id,
            None if self.is_full.load(Ordering::Relaxed) => NameId::OTHER,
            None => self.add(hash, name),
        }
    }

    #[cold]
    fn add(&self, hash: u64, name: &str) -> NameId {
        let mut all = self.all.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(id) = self.ids.get(hash, |known| **known == *name) {
            return *id;
        }
        let id = match u16::try_from(all.len()) {
            Ok(number) if all.len() < Self::MOST => NameId(number),
            _ => return NameId::OTHER,
        };
        let name: Arc<str> = name.into();
        self.ids.insert(hash, &name, || id);
        all.push(name);
        self.is_full.store(all.len() == Self::MOST, Ordering::Relaxed);
        id
    }

    pub(super) fn name(&self, id: NameId) -> Arc<str> {
        let all = self.all.lock().unwrap_or_else(PoisonError::into_inner);
        all.get(usize::from(id.0)).cloned().unwrap_or_else(|| OTHER.into())
    }
}

#[cfg(test)]
mod tests {
    use std::thread;

    use super::*;

    #[test]
    #[expect(clippy::disallowed_methods, reason = "a test may wait for its threads")]
    fn a_name_has_one_number_on_all_threads() {
        let names = Names::new();
        let ids = || -> Vec<_> { (0..500).map(|name| names.id(&name.to_string())).collect() };
        let (one, two) = thread::scope(|scope| {
            let one = scope.spawn(ids);
            (ids(), one.join().expect("its ids"))
        });
        assert_eq!(one, two);
        assert_eq!(&*names.name(one[7]), "7");
    }

    #[test]
    fn beyond_the_last_all_are_other() {
        let names = Names::new();
        let all: Vec<String> = (0..2 * Names::MOST).map(|name| name.to_string()).collect();
        let ids = || -> Vec<_> { all.iter().map(|name| names.id(name)).collect() };
        let first = ids();
        assert!(first[..Names::MOST].iter().all(|id| *id != NameId::OTHER));
        assert!(first[Names::MOST..].iter().all(|id| *id == NameId::OTHER));
        assert_eq!(first, ids());
        assert_eq!(&*names.name(NameId::OTHER), OTHER);
    }
}

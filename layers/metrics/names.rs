//! Names that were chosen elsewhere, by number: few, whoever chose them.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
};

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

/// All names of a kind, the first `MOST` of them.
#[derive(Debug, Default)]
pub(super) struct Names(Mutex<All>);

#[derive(Debug, Default)]
struct All {
    names: Vec<Arc<str>>,
    ids: HashMap<Arc<str>, NameId>,
}

/// Those of them that one [home](crate::context::home) has met, so that it need not ask again.
#[derive(Debug, Default)]
pub(super) struct Met {
    ids: HashMap<Arc<str>, NameId>,
    /// There are no others, and never will be.
    is_all: bool,
}

impl Names {
    const MOST: usize = 1_000;

    pub(super) fn name(&self, id: NameId) -> Arc<str> {
        let name = self.with(|all| all.names.get(usize::from(id.0)).cloned());
        name.unwrap_or_else(|| OTHER.into())
    }

    fn with<R>(&self, read: impl FnOnce(&mut All) -> R) -> R {
        read(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl All {
    /// `None`: there are too many already.
    fn id(&mut self, name: &str) -> Option<NameId> {
        if let Some(id) = self.ids.get(name) {
            return Some(*id);
        }
        if self.names.len() == Names::MOST {
            return None;
        }
        let id = NameId(u16::try_from(self.names.len()).ok()?);
        let name: Arc<str> = name.into();
        self.names.push(name.clone());
        self.ids.insert(name, id);
        Some(id)
    }
}

impl Met {
    /// The number of a name, the same in all homes.
    pub(super) fn id(&mut self, name: &str, names: &Names) -> NameId {
        if let Some(id) = self.ids.get(name) {
            return *id;
        }
        if self.is_all {
            return NameId::OTHER;
        }
        names.with(|all| {
            if let Some(id) = all.id(name) {
                self.ids.insert(all.names[usize::from(id.0)].clone(), id);
                return id;
            }
            // Whoever sends many names asks once for all of them.
            self.ids.clone_from(&all.ids);
            self.is_all = true;
            NameId::OTHER
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_has_one_number_in_all_homes() {
        let (names, mut one, mut two) = (Names::default(), Met::default(), Met::default());
        let a = one.id("a", &names);
        assert_ne!(two.id("b", &names), a);
        assert_eq!(two.id("a", &names), a);
        assert_eq!(one.id("a", &names), a);
        assert_eq!(&*names.name(a), "a");
    }

    #[test]
    fn beyond_the_last_all_are_other() {
        let (names, mut one, mut two) = (Names::default(), Met::default(), Met::default());
        let all: Vec<String> = (0..2 * Names::MOST).map(|name| name.to_string()).collect();
        let ids: Vec<_> = all.iter().map(|name| one.id(name, &names)).collect();
        assert!(ids[..Names::MOST].iter().all(|id| *id != NameId::OTHER));
        assert!(ids[Names::MOST..].iter().all(|id| *id == NameId::OTHER));
        assert_eq!(&*names.name(NameId::OTHER), OTHER);
        assert_eq!(two.id("one more", &names), NameId::OTHER);
        assert_eq!(two.id("7", &names), ids[7]);
        assert_eq!((one.ids.len(), two.ids.len()), (Names::MOST, Names::MOST));
    }
}

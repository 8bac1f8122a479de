use std::{
    ops::Deref,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
};

use super::key::Key;
use crate::context::home::{Home, Homes};

/// A name is kept up to here: as long as a host with its port can be.
const NAME: usize = 260;

/// A tenant, for whom it is there, and since when.
#[derive(Debug)]
pub(super) struct Place<T> {
    key: AtomicU64,
    /// How often it was given away.
    generation: AtomicU64,
    /// When it was last found, in the table's ticks.
    used: AtomicU64,
    name: Mutex<Option<Box<str>>>,
    pub(super) tenant: T,
}

/// The tenant of a destination, held for as long as somebody needs it.
#[derive(Debug)]
pub(crate) struct Seat<T> {
    home: Arc<Home<Place<T>>>,
    generation: u64,
}

impl<T> Place<T> {
    pub(super) fn new(tenant: T) -> Self {
        Self {
            key: AtomicU64::new(Key::NOBODY.bits()),
            generation: AtomicU64::new(0),
            used: AtomicU64::new(0),
            name: Mutex::new(None),
            tenant,
        }
    }

    /// Takes it from whom it was. From here on their seats are not current.
    pub(super) fn vacate(&self) {
        // In this order, so that nobody who still sees the old key sees the new generation.
        self.key.store(Key::NOBODY.bits(), Ordering::Release);
        self.generation.fetch_add(1, Ordering::AcqRel);
    }

    pub(super) fn occupy(&self, key: Key, name: Option<&str>, tick: u64) {
        *self.name.lock().unwrap_or_else(PoisonError::into_inner) = name.map(|name| shorten(name).into());
        self.used.store(tick, Ordering::Relaxed);
        self.key.store(key.bits(), Ordering::Release);
    }

    /// Whose it is.
    #[inline]
    pub(super) fn key(&self) -> Key {
        Key::from_bits(self.key.load(Ordering::Acquire))
    }

    #[inline]
    fn generation(&self) -> u64 {
        self.generation.load(Ordering::Acquire)
    }

    /// It was found: never a write where nothing changes, as all who call one destination come by here.
    #[inline]
    pub(super) fn touch(&self, tick: u64) {
        if self.used.load(Ordering::Relaxed) < tick {
            self.used.store(tick, Ordering::Relaxed);
        }
    }

    pub(super) fn used(&self) -> u64 {
        self.used.load(Ordering::Relaxed)
    }

    pub(super) fn name(&self) -> Option<Box<str>> {
        self.name.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

impl<T> Seat<T> {
    /// The seat of that place, if it is this key's.
    #[inline]
    pub(super) fn of(place: &Homes<Place<T>>, key: Key) -> Option<Self> {
        let home = place.here();
        // The generation first: should the place be given away in between, this seat is not current.
        let generation = home.generation();
        (home.key() == key).then(|| Self {
            home: home.clone(),
            generation,
        })
    }

    /// The seat of that place, whosever it is.
    pub(super) fn here(place: &Homes<Place<T>>) -> Self {
        let home = place.here().clone();
        Self {
            generation: home.generation(),
            home,
        }
    }

    #[inline]
    pub(super) fn touch(&self, tick: u64) {
        self.home.touch(tick);
    }

    /// Whether it is still for the destination that it was found for. What settles late must ask.
    #[inline]
    pub(crate) fn is_current(&self) -> bool {
        self.home.generation() == self.generation
    }
}

impl<T> Clone for Seat<T> {
    fn clone(&self) -> Self {
        Self {
            home: self.home.clone(),
            generation: self.generation,
        }
    }
}

impl<T> Deref for Seat<T> {
    type Target = T;

    #[inline]
    fn deref(&self) -> &T {
        &self.home.tenant
    }
}

fn shorten(name: &str) -> &str {
    let end = (0..=NAME.min(name.len())).rev().find(|end| name.is_char_boundary(*end));
    name.get(..end.unwrap_or_default()).unwrap_or_default()
}

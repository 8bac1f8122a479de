use std::{
    fmt,
    sync::{
        Arc,
        atomic::{AtomicU8, Ordering},
    },
    time::Duration,
};

use super::{Forced, circuit::Evidence, evidence, law::Law};
use crate::{context::home::Homes, destination::KeyOf, outcome::Outcome};

/// What the user takes for a failure.
pub(super) type Failing = dyn Fn(&Outcome) -> bool + Send + Sync;

/// What the user chose.
#[derive(Clone, Default)]
pub(super) struct Settings {
    pub(super) law: Law,
    pub(super) failing: Option<Arc<Failing>>,
    /// One circuit for each destination, and for so many.
    pub(super) each: Option<Each>,
    pub(super) observe_only: bool,
}

#[derive(Clone)]
pub(super) struct Each {
    pub(super) key_of: KeyOf,
    pub(super) most: usize,
}

/// What all circuits of a breaker share.
pub(super) struct Rules {
    pub(super) law: Law,
    failing: Option<Arc<Failing>>,
    mode: AtomicU8,
    /// Which of its homes a thread is at.
    homes: Homes<()>,
}

/// What an operator wants, whatever the circuits find.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Mode {
    pub(super) forced: Option<Forced>,
    pub(super) observe_only: bool,
}

const OBSERVE_ONLY: u8 = 1;
const FORCED_OPEN: u8 = 2;
const FORCED_CLOSED: u8 = 4;

impl Rules {
    pub(super) fn new(settings: &Settings) -> Self {
        Self {
            law: settings.law,
            failing: settings.failing.clone(),
            mode: AtomicU8::new(if settings.observe_only { OBSERVE_ONLY } else { 0 }),
            homes: Homes::new(()),
        }
    }

    /// The home of this thread.
    #[inline]
    pub(super) fn home(&self) -> usize {
        self.homes.here().number
    }

    /// Whether the circuits have their way.
    #[inline]
    pub(super) fn is_plain(&self) -> bool {
        self.mode.load(Ordering::Relaxed) == 0
    }

    pub(super) fn mode(&self) -> Mode {
        let bits = self.mode.load(Ordering::Relaxed);
        Mode {
            forced: match bits & !OBSERVE_ONLY {
                FORCED_OPEN => Some(Forced::Open),
                FORCED_CLOSED => Some(Forced::Closed),
                _ => None,
            },
            observe_only: bits & OBSERVE_ONLY != 0,
        }
    }

    pub(super) fn force(&self, forced: Option<Forced>) {
        let forced = match forced {
            Some(Forced::Open) => FORCED_OPEN,
            Some(Forced::Closed) => FORCED_CLOSED,
            None => 0,
        };
        self.set(!OBSERVE_ONLY, forced);
    }

    pub(super) fn observe_only(&self, only: bool) {
        self.set(OBSERVE_ONLY, if only { OBSERVE_ONLY } else { 0 });
    }

    fn set(&self, mask: u8, bits: u8) {
        let change = |mode: u8| Some(mode & !mask | bits);
        // Never refused: there is always something to change it to.
        let _ = self.mode.fetch_update(Ordering::Relaxed, Ordering::Relaxed, change);
    }

    /// What a call says that ended like this, its head after so long, if that is known.
    #[inline]
    pub(super) fn evidence(&self, outcome: &Outcome, took: Option<Duration>) -> Evidence {
        if matches!(outcome, Outcome::Success) && self.failing.is_none() && took.is_none() {
            return Evidence::Fine;
        }
        self.weigh(outcome, took)
    }

    fn weigh(&self, outcome: &Outcome, took: Option<Duration>) -> Evidence {
        let slow = self.law.slow.zip(took).is_some_and(|((slow, _), took)| took >= slow);
        let failing = self
            .failing
            .as_deref()
            .map(|failing| failing as &dyn Fn(&Outcome) -> bool);
        evidence::of(outcome, slow, failing)
    }
}

impl Default for Each {
    fn default() -> Self {
        Self {
            key_of: KeyOf::default(),
            most: crate::destination::MOST,
        }
    }
}

impl fmt::Debug for Settings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Settings")
            .field("law", &self.law)
            .field("destinations", &self.each.as_ref().map(|each| each.most))
            .finish_non_exhaustive()
    }
}

//! The queue in front of a limit: bounded in length and in time, in bands of criticality.
//!
//! A queue is there for bursts. One that never empties serves nobody better: it only makes all of them wait. So a band that has
//! been standing for a while is served from its other end until it is empty, for who came last can still be in time ("Fail at Scale",
//! ACM Queue 13/8, 2015: controlled delay and adaptive last-in-first-out). It is not emptied sooner by a stricter bound on the wait: then
//! it would stand no longer, and the next would wait behind one another again. Each band has its own clock: with one for all, the
//! critical suffer for the sheddable.
//!
//! A pure core: it is given the time.

use std::time::Duration;

use slab::Slab;
use tokio::time::Instant;

/// How long a band has been standing when it is served from its other end.
const STANDING: Duration = Duration::from_millis(100);
/// A band stands whose oldest has waited for more than the longest wait over this: 5 ms of 100 ms.
const SHORT: u32 = 20;

const BANDS: usize = 4;
const NONE: usize = usize::MAX;

/// How much is let in, and for how long.
#[derive(Clone, Copy, Debug)]
pub(super) struct Bounds {
    /// How many may wait.
    pub(super) length: usize,
    /// How long each may.
    pub(super) wait: Duration,
}

/// What became of one who waited.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fate {
    /// It still does.
    Waiting,
    /// It holds a permit.
    Granted,
    /// It gave way to somebody more critical, or later in a standing band.
    Evicted,
    /// It waited too long.
    Overdue,
    /// Its deadline can no longer be met.
    TooLate,
}

#[derive(Debug)]
struct Waiter<T> {
    waker: T,
    fate: Fate,
    band: usize,
    since: Instant,
    latest: Option<Instant>,
    older: usize,
    newer: usize,
}

#[derive(Clone, Copy, Debug)]
struct Band {
    oldest: usize,
    newest: usize,
    length: usize,
    /// Since when it has been seen to stand.
    since: Option<Instant>,
}

/// The queue. `T` is what wakes one who waits.
#[derive(Debug)]
pub(super) struct Queue<T> {
    bounds: Bounds,
    waiters: Slab<Waiter<T>>,
    /// From the least to the most critical.
    bands: [Band; BANDS],
}

/// Those to be woken, once no lock is held. Nearly always one.
#[derive(Debug)]
pub(super) struct Woken<T> {
    first: Option<T>,
    others: Vec<T>,
}

impl<T: Default> Queue<T> {
    pub(super) fn new(bounds: Bounds) -> Self {
        let band = Band {
            oldest: NONE,
            newest: NONE,
            length: 0,
            since: None,
        };
        Self {
            bounds,
            waiters: Slab::new(),
            bands: [band; BANDS],
        }
    }

    /// How many wait in each band.
    pub(super) fn lengths(&self) -> [usize; BANDS] {
        self.bands.map(|band| band.length)
    }

    pub(super) fn is_empty(&self) -> bool {
        self.bands.iter().all(|band| band.length == 0)
    }

    /// Since when the one waits who has waited the longest.
    pub(super) fn oldest(&self) -> Option<Instant> {
        let oldest = self.bands.iter().filter_map(|band| self.waiters.get(band.oldest));
        oldest.map(|waiter| waiter.since).min()
    }

    /// Joins it, to be served at the `latest` then, if there is a latest. `None`: it is full, and nobody gives way.
    pub(super) fn join(
        &mut self,
        band: usize,
        now: Instant,
        latest: Option<Instant>,
        woken: &mut Woken<T>,
    ) -> Option<usize> {
        let length: usize = self.lengths().iter().sum();
        if length >= self.bounds.length {
            let oldest = self.gives_way_to(band, now)?;
            self.end(oldest, Fate::Evicted, woken);
        }
        let older = self.bands[band].newest;
        let key = self.waiters.insert(Waiter {
            waker: T::default(),
            fate: Fate::Waiting,
            band,
            since: now,
            latest,
            older,
            newer: NONE,
        });
        match self.waiters.get_mut(older) {
            Some(older) => older.newer = key,
            None => self.bands[band].oldest = key,
        }
        let band = &mut self.bands[band];
        band.newest = key;
        band.length += 1;
        Some(key)
    }

    /// The oldest of the lowest band below this one; or of this one, where that is served from its other end.
    fn gives_way_to(&mut self, band: usize, now: Instant) -> Option<usize> {
        let below = (0..band).find(|band| self.bands[*band].length > 0);
        let own = || self.is_standing(band, now).then_some(band);
        below.or_else(own).map(|band| self.bands[band].oldest)
    }

    /// Whether it has stood for a while. From then on it does until it is empty.
    fn is_standing(&mut self, band: usize, now: Instant) -> bool {
        let waited = |since: &Instant| now.saturating_duration_since(*since);
        let oldest = self.waiters.get(self.bands[band].oldest);
        let slow = oldest.is_some_and(|oldest| waited(&oldest.since) > self.bounds.wait / SHORT);
        let stood = |since: &Instant| waited(since) >= STANDING;
        let since = &mut self.bands[band].since;
        *since = since.filter(stood).or(slow.then(|| since.unwrap_or(now)));
        since.as_ref().is_some_and(stood)
    }

    /// Serves the next, and sends those away who need not wait any longer. Says whether there was a next.
    pub(super) fn serve(&mut self, now: Instant, woken: &mut Woken<T>) -> bool {
        (0..BANDS).rev().any(|band| {
            if self.is_standing(band, now) {
                self.serve_newest(band, now, woken)
            } else {
                self.serve_oldest(band, now, woken)
            }
        })
    }

    fn serve_oldest(&mut self, band: usize, now: Instant, woken: &mut Woken<T>) -> bool {
        while let Some(oldest) = self.waiters.get(self.bands[band].oldest) {
            let fate = oldest.fate(now, self.bounds.wait);
            self.end(self.bands[band].oldest, fate, woken);
            if fate == Fate::Granted {
                return true;
            }
        }
        false
    }

    /// However long it has waited: somebody is to be served, and nobody else will wait less.
    fn serve_newest(&mut self, band: usize, now: Instant, woken: &mut Woken<T>) -> bool {
        let mut served = false;
        while let Some(newest) = self.waiters.get(self.bands[band].newest) {
            let fate = newest.fate(now, Duration::MAX);
            self.end(self.bands[band].newest, fate, woken);
            if fate == Fate::Granted {
                served = true;
                break;
            }
        }
        while let Some(oldest) = self.waiters.get(self.bands[band].oldest) {
            match oldest.fate(now, self.bounds.wait) {
                Fate::Granted => break,
                fate => self.end(self.bands[band].oldest, fate, woken),
            }
        }
        served
    }

    /// What became of this one. While it waits, `waker` is who it is.
    pub(super) fn look(&mut self, key: usize, waker: impl FnOnce(&mut T)) -> Fate {
        match self.waiters.get_mut(key) {
            Some(waiter) => {
                if waiter.fate == Fate::Waiting {
                    waker(&mut waiter.waker);
                }
                waiter.fate
            }
            None => Fate::Overdue,
        }
    }

    /// Leaves, whatever became of it: nothing of it remains.
    pub(super) fn leave(&mut self, key: usize) -> Fate {
        let fate = self.look(key, |_| {});
        if fate == Fate::Waiting {
            self.unlink(key);
        }
        self.waiters.try_remove(key);
        fate
    }

    fn end(&mut self, key: usize, fate: Fate, woken: &mut Woken<T>) {
        self.unlink(key);
        if let Some(waiter) = self.waiters.get_mut(key) {
            waiter.fate = fate;
            woken.push(std::mem::take(&mut waiter.waker));
        }
    }

    fn unlink(&mut self, key: usize) {
        let Some(&Waiter { band, older, newer, .. }) = self.waiters.get(key) else {
            return;
        };
        match self.waiters.get_mut(older) {
            Some(older) => older.newer = newer,
            None => self.bands[band].oldest = newer,
        }
        match self.waiters.get_mut(newer) {
            Some(newer) => newer.older = older,
            None => self.bands[band].newest = older,
        }
        let band = &mut self.bands[band];
        band.length -= 1;
        if band.length == 0 {
            band.since = None;
        }
    }
}

impl<T> Waiter<T> {
    /// What becomes of it, if it is its turn now.
    fn fate(&self, now: Instant, patience: Duration) -> Fate {
        if self.latest.is_some_and(|latest| latest < now) {
            Fate::TooLate
        } else if now.saturating_duration_since(self.since) > patience {
            Fate::Overdue
        } else {
            Fate::Granted
        }
    }
}

impl<T> Woken<T> {
    pub(super) const fn nobody() -> Self {
        Self {
            first: None,
            others: Vec::new(),
        }
    }

    fn push(&mut self, waker: T) {
        match &self.first {
            None => self.first = Some(waker),
            Some(_) => self.others.push(waker),
        }
    }
}

impl<T> IntoIterator for Woken<T> {
    type Item = T;
    type IntoIter = std::iter::Chain<std::option::IntoIter<T>, std::vec::IntoIter<T>>;

    fn into_iter(self) -> Self::IntoIter {
        self.first.into_iter().chain(self.others)
    }
}

//! Routes: what takes about the same time.
//!
//! A route has a number, which it is given when a call of it first succeeds; so whoever sends paths that nobody serves makes none.
//! There are at most a thousand, for a key can come from outside; whatever comes after shares one.

use std::{
    collections::hash_map::RandomState,
    fmt,
    hash::BuildHasher,
    sync::{
        OnceLock,
        atomic::{AtomicU16, AtomicU64, AtomicUsize, Ordering},
    },
    time::Duration,
};

use crate::{context::Head, outcome::latency::Counted};

/// So many, the first of them for all that have none of their own.
pub(super) const ROUTES: usize = 1_000;
/// Twice as many places and some, so that a search is short.
const PLACES: usize = 2_048;

/// Which route a request is of: a number made of its name, under a secret of this process.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct RouteKey(u64);

type NameOf = dyn for<'a> Fn(Head<'a>) -> Option<&'a str> + Send + Sync;

pub(super) struct Routes {
    secret: RandomState,
    places: Box<[Place]>,
    known: AtomicUsize,
    all: Box<[OnceLock<Box<Route>>]>,
    /// The longest of all [`slow`](Route::slow), in nanoseconds.
    slowest: AtomicU64,
}

#[derive(Default)]
struct Place {
    key: AtomicU64,
    /// 0 until it is given.
    number: AtomicU16,
}

#[derive(Debug)]
pub(super) struct Route {
    pub(super) latencies: Counted,
    /// What 95 of 100 take at most, in nanoseconds. 0 where that is not known.
    slow: AtomicU64,
}

impl RouteKey {
    /// All that have no name.
    pub(super) const OTHER: Self = Self(0);
}

impl Routes {
    pub(super) fn new() -> Self {
        let this = Self {
            secret: RandomState::new(),
            places: (0..PLACES).map(|_| Place::default()).collect(),
            known: AtomicUsize::new(1),
            all: (0..ROUTES).map(|_| OnceLock::new()).collect(),
            slowest: AtomicU64::new(0),
        };
        this.route(0);
        this
    }

    /// The key of this request: by what the user says its name is, else by the method where it is gRPC.
    pub(super) fn key(
        &self,
        head: Option<Head<'_>>,
        name_of: Option<&NameOf>,
        is_grpc: impl FnOnce() -> bool,
    ) -> RouteKey {
        let name = head.and_then(|head| match name_of {
            Some(name_of) => name_of(head),
            None => is_grpc().then(|| head.uri.path()),
        });
        match name {
            Some(name) => RouteKey(self.secret.hash_one(name).max(1)),
            None => RouteKey::OTHER,
        }
    }

    /// The number of this route. 0 where it has none.
    pub(super) fn find(&self, key: RouteKey) -> usize {
        self.places_of(key)
            .map(|place| (place, place.key.load(Ordering::Acquire)))
            .take_while(|(_, known)| *known != 0)
            .find(|(_, known)| *known == key.0)
            .map_or(0, |(place, _)| place.number.load(Ordering::Acquire).into())
    }

    /// The number of this route, which it is given if it has none and there are any left.
    pub(super) fn learn(&self, key: RouteKey) -> usize {
        if key == RouteKey::OTHER {
            return 0;
        }
        match self.find(key) {
            0 if self.known.load(Ordering::Relaxed) < ROUTES => self.give(key),
            number => number,
        }
    }

    fn give(&self, key: RouteKey) -> usize {
        for place in self.places_of(key) {
            match place
                .key
                .compare_exchange(0, key.0, Ordering::AcqRel, Ordering::Acquire)
            {
                Ok(_) => {
                    let number = self.known.fetch_add(1, Ordering::AcqRel);
                    if number >= ROUTES {
                        return 0;
                    }
                    self.route(number);
                    place
                        .number
                        .store(u16::try_from(number).unwrap_or_default(), Ordering::Release);
                    return number;
                }
                Err(known) if known == key.0 => return place.number.load(Ordering::Acquire).into(),
                Err(_) => {}
            }
        }
        0
    }

    fn places_of(&self, key: RouteKey) -> impl Iterator<Item = &Place> {
        let first = usize::try_from(key.0 % PLACES as u64).unwrap_or_default();
        let (before, after) = self.places.split_at(first);
        after.iter().chain(before)
    }

    /// The route of that number, which was [given](Self::learn).
    pub(super) fn route(&self, number: usize) -> &Route {
        self.all[number % ROUTES].get_or_init(|| {
            Box::new(Route {
                latencies: Counted::new(),
                slow: AtomicU64::new(0),
            })
        })
    }

    /// All that there are, with their numbers.
    pub(super) fn known(&self) -> impl Iterator<Item = (usize, &Route)> {
        let known = self.known.load(Ordering::Acquire).min(ROUTES);
        let routes = self.all[..known].iter().enumerate();
        routes.filter_map(|(number, route)| Some((number, &**route.get()?)))
    }

    /// What 95 of 100 of some route take, at most. Zero where none is known.
    #[inline]
    pub(super) fn slowest(&self) -> Duration {
        Duration::from_nanos(self.slowest.load(Ordering::Relaxed))
    }

    pub(super) fn set_slowest(&self, slowest: Duration) {
        self.slowest.store(nanos(slowest), Ordering::Relaxed);
    }
}

impl Route {
    /// What 95 of 100 take at most. Zero where that is not known.
    pub(super) fn slow(&self) -> Duration {
        Duration::from_nanos(self.slow.load(Ordering::Relaxed))
    }

    pub(super) fn set_slow(&self, slow: Duration) {
        self.slow.store(nanos(slow), Ordering::Relaxed);
    }
}

fn nanos(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}

impl fmt::Debug for Routes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Routes")
            .field("known", &self.known)
            .field("slowest", &self.slowest())
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(routes: &Routes, path: &str) -> RouteKey {
        let request = http::Request::get(path).body(()).unwrap();
        routes.key(Some(Head::from(&request)), None, || true)
    }

    #[test]
    fn a_route_is_known_once_it_is_learnt() {
        let routes = Routes::new();
        let (a, b) = (key(&routes, "/a"), key(&routes, "/b"));
        assert_eq!(routes.find(a), 0);
        assert_eq!((routes.learn(a), routes.learn(b), routes.learn(a)), (1, 2, 1));
        assert_eq!((routes.find(a), routes.find(b)), (1, 2));
        assert_eq!(routes.learn(RouteKey::OTHER), 0);
    }

    #[test]
    fn past_a_thousand_the_rest_share_one() {
        let routes = Routes::new();
        let numbers: Vec<_> = (0..3_000)
            .map(|n| routes.learn(key(&routes, &format!("/{n}"))))
            .collect();
        assert_eq!(numbers[..999], (1..1_000).collect::<Vec<_>>());
        assert!(numbers[999..].iter().all(|number| *number == 0));
        assert_eq!(routes.known().count(), 1_000);
        assert_eq!(routes.learn(key(&routes, "/500")), 501);
    }

    #[test]
    #[expect(clippy::disallowed_methods, reason = "a test may wait for its threads")]
    fn two_threads_learn_the_same() {
        let routes = Routes::new();
        let learn = || {
            for n in 0..500 {
                routes.learn(key(&routes, &format!("/{n}")));
            }
        };
        std::thread::scope(|scope| {
            scope.spawn(learn);
            scope.spawn(learn);
        });
        assert_eq!(routes.known().count(), 501);
        let mut numbers: Vec<_> = (0..500).map(|n| routes.find(key(&routes, &format!("/{n}")))).collect();
        numbers.sort_unstable();
        numbers.dedup();
        assert_eq!(numbers.len(), 500);
    }
}

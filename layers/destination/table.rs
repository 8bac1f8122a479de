use std::{
    fmt,
    hash::RandomState,
    sync::{
        Arc, Mutex, OnceLock, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
};

use tokio::time::Instant;

use super::{
    KeyOf, Seat, Tenant,
    index::{Index, SEATS},
    key::Key,
    seat::Place,
};
use crate::context::{Head, home::Homes};

/// How many seats a newcomer looks at where all are taken.
const LOOKED_AT: usize = 8;

/// A bounded number of destinations, each with a tenant of its own. Clones are of the same table. See the [module](super).
pub(crate) struct Destinations<T>(Arc<Table<T>>);

struct Table<T> {
    key_of: KeyOf,
    secret: RandomState,
    make: Box<dyn Fn() -> T + Send + Sync>,
    index: Index,
    seats: Box<[OnceLock<Homes<Place<T>>>]>,
    newcomers: Mutex<Newcomers>,
    evicted: AtomicU64,
    /// When it was first asked. All times are counted from it.
    epoch: OnceLock<Instant>,
}

/// What those need who are not known.
#[derive(Default)]
struct Newcomers {
    /// How many seats were ever taken.
    taken: usize,
    /// The seat that is looked at next, where all are taken.
    hand: usize,
}

impl<T: Tenant> Destinations<T> {
    /// So many seats, and one at least, for destinations that are named by their authority.
    pub(crate) fn new(most: usize, make: impl Fn() -> T + Send + Sync + 'static) -> Self {
        Self::keyed(KeyOf::default(), most, make)
    }

    /// The same, named otherwise.
    pub(crate) fn keyed(key_of: KeyOf, most: usize, make: impl Fn() -> T + Send + Sync + 'static) -> Self {
        let most = most.clamp(1, SEATS);
        Self(Arc::new(Table {
            key_of,
            secret: RandomState::new(),
            make: Box::new(make),
            index: Index::new(most),
            seats: (0..most).map(|_| OnceLock::new()).collect(),
            newcomers: Mutex::default(),
            evicted: AtomicU64::new(0),
            epoch: OnceLock::new(),
        }))
    }

    /// The seat of this request's destination, which it is given if it has none.
    #[inline]
    pub(crate) fn find(&self, head: Option<Head<'_>>, now: Instant) -> Seat<T> {
        let table = &*self.0;
        let name = table.key_of.name(head);
        let key = table.key_of.key(&table.secret, name);
        match table.known(key) {
            Some(seat) => {
                seat.touch(table.tick(now));
                seat
            }
            None => table.give(key, name, now),
        }
    }

    /// Each destination that has a seat, with its name: `None` is for all that have no name.
    pub(crate) fn for_each(&self, mut each: impl FnMut(Option<&str>, &T)) {
        for seat in &self.0.seats {
            let Some(homes) = seat.get() else { break };
            let place = homes.here();
            if place.key() != Key::NOBODY {
                each(place.name().as_deref(), &place.tenant);
            }
        }
    }

    /// How many seats were taken from one destination for another.
    pub(crate) fn evicted(&self) -> u64 {
        self.0.evicted.load(Ordering::Relaxed)
    }
}

impl<T: Tenant> Table<T> {
    #[inline]
    fn known(&self, key: Key) -> Option<Seat<T>> {
        self.index
            .find(key)
            .find_map(|seat| Seat::of(self.seats.get(seat)?.get()?, key))
    }

    #[cold]
    fn give(&self, key: Key, name: Option<&str>, now: Instant) -> Seat<T> {
        // Poisoned by a user's function that panicked between two consistent states.
        let mut newcomers = self.newcomers.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(seat) = self.known(key) {
            return seat;
        }
        let number = self.seat_for_newcomer(&mut newcomers, now);
        let place = self.place(number);
        place.here().occupy(key, name, self.tick(now));
        self.index.insert(key, number);
        // Nobody else takes a seat while the lock is held.
        Seat::here(place)
    }

    fn place(&self, number: usize) -> &Homes<Place<T>> {
        self.seats[number].get_or_init(|| Homes::new(Place::new((self.make)())))
    }

    /// The number of a seat that nobody has any more.
    fn seat_for_newcomer(&self, newcomers: &mut Newcomers, now: Instant) -> usize {
        if newcomers.taken < self.seats.len() {
            let number = newcomers.taken;
            // Before it counts as taken: making the tenant is a user's function, which may panic.
            self.place(number);
            newcomers.taken += 1;
            return number;
        }
        let number = self.who_gives_way(newcomers, now);
        let place = self.place(number).here();
        self.index.remove(place.key(), number);
        place.vacate();
        place.tenant.reset(now);
        self.evicted.fetch_add(1, Ordering::Relaxed);
        number
    }

    /// Of the next few the idle ones first, and of those whoever was unused for longest.
    fn who_gives_way(&self, newcomers: &mut Newcomers, now: Instant) -> usize {
        let (mut way, mut least) = (newcomers.hand, (true, u64::MAX));
        for _ in 0..LOOKED_AT.min(self.seats.len()) {
            let number = newcomers.hand;
            newcomers.hand = if number + 1 < self.seats.len() { number + 1 } else { 0 };
            let place = self.place(number).here();
            let needed = (!place.tenant.is_idle(now), place.used());
            if needed < least {
                (way, least) = (number, needed);
            }
        }
        way
    }

    /// That time, in units of 17 ms: fine enough to say who was unused for longest, and seldom written.
    #[inline]
    fn tick(&self, now: Instant) -> u64 {
        let since = now.saturating_duration_since(*self.epoch.get_or_init(|| now));
        since.as_secs() << 6 | u64::from(since.subsec_nanos() >> 24)
    }
}

impl<T> Clone for Destinations<T> {
    fn clone(&self) -> Self {
        Self(self.0.clone())
    }
}

impl<T> fmt::Debug for Destinations<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Destinations")
            .field("by", &self.0.key_of)
            .field("seats", &self.0.seats.len())
            .finish_non_exhaustive()
    }
}

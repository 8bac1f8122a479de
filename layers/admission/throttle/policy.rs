use std::{fmt, ops::Deref, sync::Arc};

use tokio::time::Instant;

use super::{
    DestinationSnapshot, NAME, ThrottleSnapshot,
    odds::{Odds, Verdict},
    settings::Settings,
};
use crate::{
    admission::{Admit, Arrival, Decision, Never},
    context::home::{Home, Homes, homes},
    destination::{Destinations, Seat, Tenant},
    outcome::{Answer, Outcome, Settle},
    rejection::{Reason, Rejection},
};

/// A client throttle: the policy, and a handle to it. Clones are the same throttle. See the [module](super).
#[derive(Clone)]
pub struct Throttle {
    settings: Arc<Settings>,
    throttles: Throttles,
}

#[derive(Clone)]
enum Throttles {
    One(Homes<Node>),
    Each {
        seats: Destinations<Node>,
        /// Which of its homes a thread is at.
        homes: Homes<()>,
    },
}

/// The odds of one destination, and what they go by.
struct Node {
    odds: Odds,
    settings: Arc<Settings>,
}

/// Whose odds a call changes when it ends.
enum Held {
    One(Arc<Home<Node>>),
    Of(Seat<Node>),
}

/// What a call that a [`Throttle`] let through carries to its end, where it is counted. Dropped before, it never was.
#[must_use = "a permit that is dropped is not counted"]
pub struct ThrottlePermit {
    held: Held,
    /// Together a word, as a permit is carried through every layer above.
    home: u32,
    was_good: bool,
}

impl Throttle {
    pub(super) fn new(settings: Settings) -> Self {
        let settings = Arc::new(settings);
        let throttles = match &settings.each {
            None => Throttles::One(Homes::new(Node::new(settings.clone()))),
            Some(each) => {
                let (key_of, most, settings) = (each.key_of.clone(), each.most, settings.clone());
                Throttles::Each {
                    seats: Destinations::keyed(key_of, most, move || Node::new(settings.clone())),
                    homes: Homes::new(()),
                }
            }
        };
        Self { settings, throttles }
    }

    pub(super) fn settings(&self) -> &Settings {
        &self.settings
    }

    /// How it stands. Of a throttle for each destination: the sums of all, and the odds that would follow from them.
    pub fn snapshot(&self) -> ThrottleSnapshot {
        let now = Instant::now();
        let mut all = ThrottleSnapshot::new(self.settings.ks);
        match &self.throttles {
            Throttles::One(node) => node.here().add_to(&mut all, now),
            Throttles::Each { seats, .. } => {
                seats.for_each(|_, node| node.add_to(&mut all, now));
                all.evicted = seats.evicted();
            }
        }
        all
    }

    pub(super) fn is_per_destination(&self) -> bool {
        matches!(self.throttles, Throttles::Each { .. })
    }

    /// Each destination that is remembered, by name, and how it stands. Empty where there is one throttle for all.
    pub fn destinations(&self) -> Vec<DestinationSnapshot> {
        let (now, mut all) = (Instant::now(), Vec::new());
        if let Throttles::Each { seats, .. } = &self.throttles {
            seats.for_each(|name, node| {
                let mut throttle = ThrottleSnapshot::new(self.settings.ks);
                node.add_to(&mut throttle, now);
                let name = name.map(Into::into);
                all.push(DestinationSnapshot { name, throttle });
            });
        }
        all
    }
}

impl Admit for Throttle {
    type Permit = ThrottlePermit;
    type Wait = Never<ThrottlePermit>;

    #[inline]
    fn admit(&self, arrival: &Arrival<'_>) -> Decision<ThrottlePermit, Never<ThrottlePermit>> {
        match &self.throttles {
            Throttles::One(node) => {
                let node = node.here();
                if node.rejects(node.number, arrival) {
                    return rejected();
                }
                Decision::Now(ThrottlePermit::new(Held::One(node.clone()), node.number))
            }
            Throttles::Each { seats, homes } => {
                let (seat, home) = (seats.find(arrival.head(), arrival.now()), homes.here().number);
                if seat.rejects(home, arrival) {
                    return rejected();
                }
                Decision::Now(ThrottlePermit::new(Held::Of(seat), home))
            }
        }
    }
}

#[cold]
fn rejected() -> Decision<ThrottlePermit, Never<ThrottlePermit>> {
    let rejection = Rejection::new(Reason::Overloaded, NAME);
    Decision::No(rejection.with_message("throttled: the destination refuses too much"))
}

impl Node {
    fn new(settings: Arc<Settings>) -> Self {
        Self {
            odds: Odds::new(settings.window, homes(), Instant::now()),
            settings,
        }
    }

    #[inline]
    fn rejects(&self, home: usize, arrival: &Arrival<'_>) -> bool {
        let k = self.settings.k(arrival.criticality());
        self.odds.reject(home, k, arrival.now(), fastrand::f64)
    }

    fn add_to(&self, all: &mut ThrottleSnapshot, now: Instant) {
        let recent = self.odds.recent(now);
        all.requests += recent.requests;
        all.accepts += recent.accepts;
        all.rejected += self.odds.rejected();
    }
}

impl Tenant for Node {
    fn reset(&self, _: Instant) {
        self.odds.reset();
    }

    fn is_idle(&self, now: Instant) -> bool {
        self.odds.recent(now).requests == 0
    }
}

impl Held {
    /// Whether the odds are still those of the destination that was called.
    #[inline]
    fn is_current(&self) -> bool {
        match self {
            Self::One(_) => true,
            Self::Of(seat) => seat.is_current(),
        }
    }
}

impl Deref for Held {
    type Target = Node;

    #[inline]
    fn deref(&self) -> &Node {
        match self {
            Self::One(node) => node,
            Self::Of(seat) => seat,
        }
    }
}

impl ThrottlePermit {
    #[inline]
    fn new(held: Held, home: usize) -> Self {
        Self {
            held,
            // Homes are as many as there are threads, about.
            home: u32::try_from(home).unwrap_or(0),
            was_good: false,
        }
    }
}

impl Settle for ThrottlePermit {
    #[inline]
    fn answered(&mut self, answer: &mut Answer<'_>) {
        self.was_good = answer.is_success;
    }

    #[inline]
    fn settle(self, outcome: Outcome) {
        let verdict = self.held.settings.verdict(&outcome.of_unread(self.was_good));
        if verdict != Verdict::None && self.held.is_current() {
            self.held.odds.settle(self.home as usize, verdict);
        }
    }
}

impl fmt::Debug for Throttle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Throttle")
            .field("settings", &self.settings)
            .field("now", &self.snapshot())
            .finish_non_exhaustive()
    }
}

impl fmt::Debug for ThrottlePermit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ThrottlePermit").finish_non_exhaustive()
    }
}

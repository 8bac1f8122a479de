use std::{fmt, sync::Arc, time::Duration};

use tokio::time::Instant;

use super::{
    BreakerSnapshot, DestinationSnapshot, Forced, NAME,
    circuit::{Entry, Ticket},
    permit::{BreakerPermit, Held, Node},
    settings::{Rules, Settings},
};
use crate::{
    admission::{Admit, Arrival, Decision, Never},
    context::home::Homes,
    destination::Destinations,
    rejection::{Reason, Rejection},
};

/// A circuit breaker: the policy, and a handle to it. Clones are the same breaker. See the [module](super).
///
/// ```
/// use buttress::{BreakerLayer, admission::breaker::{CircuitState, Forced}};
///
/// let layer = BreakerLayer::new().per_destination();
/// let breaker = layer.breaker(); // for a switch, a metric, a test
///
/// breaker.force(Some(Forced::Open)); // nothing goes out while the upstream is being mended
/// assert_eq!(breaker.snapshot().forced, Some(Forced::Open));
/// breaker.force(None);
/// assert_eq!(breaker.snapshot().state, CircuitState::Closed);
/// ```
#[derive(Clone)]
pub struct Breaker {
    rules: Arc<Rules>,
    circuits: Circuits,
}

#[derive(Clone)]
enum Circuits {
    One(Homes<Node>),
    Each(Destinations<Node>),
}

impl Breaker {
    pub(super) fn new(settings: &Settings) -> Self {
        let rules = Arc::new(Rules::new(settings));
        let circuits = match &settings.each {
            None => Circuits::One(Homes::new(Node::new(rules.clone()))),
            Some(each) => {
                let rules = rules.clone();
                let make = move || Node::new(rules.clone());
                Circuits::Each(Destinations::keyed(each.key_of.clone(), each.most, make))
            }
        };
        Self { rules, circuits }
    }

    /// Holds all circuits open or closed, whatever they find; with `None`, leaves them to it again, and they go on from where they
    /// were. Held closed, calls are let in without being judged.
    pub fn force(&self, forced: Option<Forced>) {
        self.rules.force(forced);
    }

    /// Whether the circuits only tell what they would do: all is let in, and what they would have rejected is counted as
    /// [`rejected`](BreakerSnapshot::rejected).
    pub fn observe_only(&self, only: bool) {
        self.rules.observe_only(only);
    }

    /// How it stands. Of a circuit for each destination: the sums of all, and the state of the worst of them.
    pub fn snapshot(&self) -> BreakerSnapshot {
        let now = Instant::now();
        let mut all = BreakerSnapshot::new(self.rules.mode(), now);
        match &self.circuits {
            Circuits::One(node) => all.set(&node.here().circuit.standing(now)),
            Circuits::Each(seats) => {
                let mut last = None;
                seats.for_each(|_, node| {
                    let standing = node.circuit.standing(now);
                    last = last.max(Some(standing.since));
                    all.add(&standing);
                });
                all.since = last.unwrap_or(now);
                all.evicted = seats.evicted();
            }
        }
        all
    }

    pub(super) fn is_per_destination(&self) -> bool {
        matches!(self.circuits, Circuits::Each(_))
    }

    /// Each destination that is remembered, by name, and how its circuit stands. Empty where there is one circuit for all.
    pub fn destinations(&self) -> Vec<DestinationSnapshot> {
        let (now, mode) = (Instant::now(), self.rules.mode());
        let mut all = Vec::new();
        if let Circuits::Each(seats) = &self.circuits {
            seats.for_each(|name, node| {
                let mut circuit = BreakerSnapshot::new(mode, now);
                circuit.set(&node.circuit.standing(now));
                let name = name.map(Into::into);
                all.push(DestinationSnapshot { name, circuit });
            });
        }
        all
    }
}

impl Admit for Breaker {
    type Permit = BreakerPermit;
    type Wait = Never<BreakerPermit>;

    #[inline]
    fn admit(&self, arrival: &Arrival<'_>) -> Decision<BreakerPermit, Never<BreakerPermit>> {
        match &self.circuits {
            Circuits::One(node) => {
                let node = node.here();
                match decide(node, arrival) {
                    Entry::Go(ticket) => admitted(Held::One(node.clone()), ticket, arrival),
                    Entry::No(wait) => rejected(node, wait),
                }
            }
            Circuits::Each(seats) => {
                let seat = seats.find(arrival.head(), arrival.now());
                match decide(&seat, arrival) {
                    Entry::Go(ticket) => admitted(Held::Of(seat), ticket, arrival),
                    Entry::No(wait) => rejected(&seat, wait),
                }
            }
        }
    }
}

#[inline]
fn decide(node: &Node, arrival: &Arrival<'_>) -> Entry {
    if node.rules.is_plain() {
        node.circuit.admit(|| node.rules.home(), || arrival.now())
    } else {
        overruled(node, arrival)
    }
}

/// An operator has a say in it.
#[cold]
fn overruled(node: &Node, arrival: &Arrival<'_>) -> Entry {
    match node.rules.mode().forced {
        Some(Forced::Open) => node.circuit.reject(node.rules.home()),
        Some(Forced::Closed) => Entry::Go(Ticket::UNJUDGED),
        None => match node.circuit.admit(|| node.rules.home(), || arrival.now()) {
            Entry::No(_) => Entry::Go(Ticket::UNJUDGED),
            entry @ Entry::Go(_) => entry,
        },
    }
}

#[inline]
fn admitted(held: Held, ticket: Ticket, arrival: &Arrival<'_>) -> Decision<BreakerPermit, Never<BreakerPermit>> {
    let since = held.rules.law.slow.map(|_| arrival.now());
    Decision::Now(BreakerPermit::new(held, ticket, since))
}

#[cold]
fn rejected(node: &Node, wait: Duration) -> Decision<BreakerPermit, Never<BreakerPermit>> {
    let mut rejection = Rejection::new(Reason::BreakerOpen, NAME).retry_after(wait);
    if node.rules.mode().forced == Some(Forced::Open) {
        rejection = rejection.with_message("circuit breaker held open");
    }
    Decision::No(rejection)
}

impl fmt::Debug for Breaker {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Breaker")
            .field("law", &self.rules.law)
            .field("now", &self.snapshot())
            .finish_non_exhaustive()
    }
}

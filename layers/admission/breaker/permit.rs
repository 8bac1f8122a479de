use std::{fmt, mem, ops::Deref, sync::Arc, time::Duration};

use tokio::time::Instant;

use super::{
    circuit::{Circuit, Evidence, Ticket},
    settings::Rules,
};
use crate::{
    context::home::{Home, homes},
    destination::{Seat, Tenant},
    outcome::{Answer, Outcome, Settle},
};

/// A circuit, and what it goes by.
pub(super) struct Node {
    pub(super) circuit: Circuit,
    pub(super) rules: Arc<Rules>,
}

/// The circuit that let a call in, held for as long as the call lasts.
pub(super) enum Held {
    /// The only one.
    One(Arc<Home<Node>>),
    /// One of many.
    Of(Seat<Node>),
}

/// What a call that a [`Breaker`](super::Breaker) let in carries to its end: there it becomes evidence. Dropped before, it is none,
/// and a probe's place is free again.
#[must_use = "a permit that is dropped is no evidence"]
pub struct BreakerPermit {
    held: Held,
    home: usize,
    ticket: Ticket,
    timing: Timing,
}

/// How long the call took to its head, where that matters.
#[derive(Clone, Copy)]
enum Timing {
    No,
    Since(Instant),
    Took(Duration),
}

impl Node {
    pub(super) fn new(rules: Arc<Rules>) -> Self {
        Self {
            circuit: Circuit::new(rules.law, homes(), fastrand::Rng::new(), Instant::now()),
            rules,
        }
    }
}

impl Tenant for Node {
    fn reset(&self, now: Instant) {
        self.circuit.reset(now);
    }

    fn is_idle(&self, now: Instant) -> bool {
        self.circuit.is_idle(now)
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

impl BreakerPermit {
    #[inline]
    pub(super) fn new(held: Held, home: usize, ticket: Ticket, since: Option<Instant>) -> Self {
        Self {
            held,
            home,
            ticket,
            timing: since.map_or(Timing::No, Timing::Since),
        }
    }

    #[inline]
    fn end(&mut self, evidence: Evidence) {
        let ticket = mem::replace(&mut self.ticket, Ticket::Unjudged);
        self.held.circuit.settle(self.home, ticket, evidence, Instant::now);
    }
}

impl Timing {
    #[inline]
    fn stopped(self) -> Self {
        match self {
            Self::Since(start) => Self::Took(Instant::now().saturating_duration_since(start)),
            other => other,
        }
    }

    #[inline]
    fn took(self) -> Option<Duration> {
        match self.stopped() {
            Self::Took(took) => Some(took),
            Self::No | Self::Since(_) => None,
        }
    }
}

impl Settle for BreakerPermit {
    #[inline]
    fn answered(&mut self, _: &mut Answer<'_>) {
        self.timing = self.timing.stopped();
    }

    #[inline]
    fn settle(mut self, outcome: Outcome) {
        let evidence = self.held.rules.evidence(&outcome, self.timing.took());
        self.end(evidence);
    }
}

impl Drop for BreakerPermit {
    #[inline]
    fn drop(&mut self) {
        if self.ticket.is_probe() {
            self.end(Evidence::None);
        }
    }
}

impl fmt::Debug for BreakerPermit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("BreakerPermit")
            .field("ticket", &self.ticket)
            .finish_non_exhaustive()
    }
}

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
    ticket: Ticket,
    timing: Timing,
}

/// How long the call took to its head, where that matters, and whether that was good: in one word, as a permit is carried through every
/// layer above.
#[derive(Clone, Copy)]
struct Timing(u64);

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
    pub(super) fn new(held: Held, ticket: Ticket, since: Option<Instant>) -> Self {
        let timing = since.map_or(Timing::NO, |since| Timing::since(held.circuit.nanos(since)));
        Self { held, ticket, timing }
    }

    #[inline]
    fn stop(&mut self) {
        if self.timing.is_running() {
            self.timing = self.timing.stop(self.held.circuit.nanos(Instant::now()));
        }
    }

    #[inline]
    fn end(&mut self, evidence: Evidence) {
        let ticket = mem::replace(&mut self.ticket, Ticket::UNJUDGED);
        let home = self.held.rules.home();
        self.held.circuit.settle(home, ticket, evidence, Instant::now);
    }
}

impl Timing {
    const NO: Self = Self(0);
    const SINCE: u64 = 1;
    const TOOK: u64 = 2;
    const GOOD: u64 = 4;
    const KINDS: u32 = 3;

    const fn since(nanos: u64) -> Self {
        Self(nanos << Self::KINDS | Self::SINCE)
    }

    #[inline]
    const fn is_running(self) -> bool {
        self.0 & Self::SINCE != 0
    }

    const fn stop(self, nanos: u64) -> Self {
        let took = nanos.saturating_sub(self.0 >> Self::KINDS);
        Self(took << Self::KINDS | Self::TOOK | self.0 & Self::GOOD)
    }

    const fn good(self) -> Self {
        Self(self.0 | Self::GOOD)
    }

    #[inline]
    const fn is_good(self) -> bool {
        self.0 & Self::GOOD != 0
    }

    #[inline]
    const fn took(self) -> Option<Duration> {
        if self.0 & Self::TOOK == 0 {
            return None;
        }
        Some(Duration::from_nanos(self.0 >> Self::KINDS))
    }
}

impl Settle for BreakerPermit {
    #[inline]
    fn answered(&mut self, answer: &mut Answer<'_>) {
        self.stop();
        if answer.is_success {
            self.timing = self.timing.good();
        }
    }

    #[inline]
    fn settle(mut self, outcome: Outcome) {
        self.stop();
        let outcome = outcome.of_unread(self.timing.is_good());
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

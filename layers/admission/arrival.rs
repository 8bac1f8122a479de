use std::cell::Cell;

use tokio::time::Instant;

use crate::context::{Criticality, Facts, Frame, Head};

/// A request as it arrives: what a policy decides by.
#[derive(Debug)]
pub struct Arrival<'a> {
    head: Option<Head<'a>>,
    facts: Facts,
    now: Cell<Option<Instant>>,
}

impl<'a> Arrival<'a> {
    pub(super) fn new(head: Option<Head<'a>>) -> Self {
        let facts = Frame::facts();
        Self {
            head,
            now: Cell::new(None),
            facts,
        }
    }

    /// The head of the request. `None` where there is no HTTP.
    pub fn head(&self) -> Option<Head<'a>> {
        self.head
    }

    /// When it must be done.
    pub fn deadline(&self) -> Option<Instant> {
        self.facts.deadline
    }

    /// How much it matters.
    pub fn criticality(&self) -> Criticality {
        self.facts.criticality
    }

    /// Which attempt it is; the first is 1.
    pub fn attempt(&self) -> u32 {
        self.facts.attempt
    }

    /// Now: one clock read, however often it is asked.
    pub fn now(&self) -> Instant {
        self.now.get().unwrap_or_else(|| {
            let now = Instant::now();
            self.now.set(Some(now));
            now
        })
    }
}

use std::cell::Cell;

use tokio::time::Instant;

use crate::context::{Criticality, Facts, Frame, Head, clock};

/// A request as it arrives: what a policy decides by.
///
/// A test of a policy makes one:
///
/// ```
/// # #[tokio::main(flavor = "current_thread")] async fn main() {
/// use buttress::{Context, Criticality, admission::Arrival};
///
/// let context = Context::default().with_criticality(Criticality::Sheddable);
/// let criticality = context.scope(async { Arrival::new(None).criticality() }).await;
/// assert_eq!(criticality, Criticality::Sheddable);
/// # }
/// ```
#[derive(Debug)]
pub struct Arrival<'a> {
    head: Option<Head<'a>>,
    facts: Facts,
    now: Cell<Option<Instant>>,
}

impl<'a> Arrival<'a> {
    /// The arrival of a request with this head, in the context in scope. The engine makes it; a test of a policy may, too.
    #[inline]
    pub fn new(head: Option<Head<'a>>) -> Self {
        Self {
            head,
            facts: Frame::facts(),
            now: Cell::new(None),
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

    /// Now: one clock read, however often it is asked; none, where a [`DeadlineLayer`](crate::DeadlineLayer) has just read it.
    #[inline]
    pub fn now(&self) -> Instant {
        self.now.get().unwrap_or_else(|| {
            let now = clock::now();
            self.now.set(Some(now));
            now
        })
    }
}

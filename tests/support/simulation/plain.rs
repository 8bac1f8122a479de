//! What other products put around their laws: a count that rejects at the limit, and a law that is told of every call.

use std::{cell::RefCell, rc::Rc};

use buttress::{
    admission::{
        Admit, Arrival, Decision, Never,
        concurrency::{Limit, RouteWindow, Window},
    },
    outcome::{Outcome, Settle},
    rejection::{Reason, Rejection},
};
use tokio::time::Instant;

use super::subject::Subject;

/// A limit without a queue, around any law.
///
/// The law gets a [`Window`] for each call that ends: `peak` is how many were in flight when it was let in, itself included,
/// `queued` is 1 if the limit is reached now, and `rejected` is 1 if it was left by its caller.
pub(crate) struct Plain(Rc<RefCell<Inner>>);

struct Inner {
    law: Box<dyn Limit>,
    in_flight: usize,
    /// Whether the law is told of calls that failed.
    failures: bool,
}

impl Plain {
    pub(crate) fn new(law: Box<dyn Limit>) -> Self {
        Self(Rc::new(RefCell::new(Inner {
            law,
            in_flight: 0,
            failures: false,
        })))
    }

    /// The law is told of calls that failed, too.
    pub(crate) fn with_failures(self) -> Self {
        self.0.borrow_mut().failures = true;
        self
    }
}

impl Subject for Plain {
    fn limit(&self) -> usize {
        self.0.borrow().law.limit()
    }
}

impl Admit for Plain {
    type Permit = Place;
    type Wait = Never<Place>;

    fn admit(&self, arrival: &Arrival<'_>) -> Decision<Place, Never<Place>> {
        let mut inner = self.0.borrow_mut();
        if inner.in_flight >= inner.law.limit() {
            return Decision::No(Rejection::new(Reason::Overloaded, "plain"));
        }
        inner.in_flight += 1;
        Decision::Now(Place {
            inner: self.0.clone(),
            since: arrival.now(),
            beside: inner.in_flight,
            left: true,
        })
    }
}

/// A place in flight.
pub(crate) struct Place {
    inner: Rc<RefCell<Inner>>,
    since: Instant,
    beside: usize,
    left: bool,
}

impl Settle for Place {
    fn settle(mut self, outcome: Outcome) {
        self.left = false;
        let mut inner = self.inner.borrow_mut();
        if outcome.is_success() || inner.failures {
            inner.tell(self.since, self.beside, false);
        }
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut inner = self.inner.borrow_mut();
        if self.left {
            inner.tell(self.since, self.beside, true);
        }
        inner.in_flight -= 1;
    }
}

impl Inner {
    fn tell(&mut self, since: Instant, beside: usize, left: bool) {
        let now = Instant::now();
        let total = now.duration_since(since);
        let route = RouteWindow {
            route: 0,
            samples: 1,
            total,
        };
        self.law.update(&Window {
            end: now,
            duration: total,
            successes: 1,
            rejected: u64::from(left),
            queued: u64::from(self.in_flight >= self.law.limit()),
            peak: beside,
            routes: &[route],
        });
    }
}

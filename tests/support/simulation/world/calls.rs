//! The life of one call: it arrives, may wait for a permit, enters the service, is worked at, and ends.

use std::{
    mem,
    pin::{Pin, pin},
    task::{self, Poll, Waker},
    time::Duration,
};

use buttress::{
    Context,
    admission::{Admit, Arrival, Decision},
    context::Head,
    outcome::{Answer, Class, Outcome, Settle},
};
use http::{HeaderMap, StatusCode};

use super::super::{
    events::Event,
    report::{Ended, Ending},
    subject::Subject,
};
use super::{World, seconds};

pub(super) struct Call<A: Admit> {
    /// No other call has this number, before or after.
    pub(super) serial: u64,
    state: State<A>,
    facts: Facts,
}

/// What is reported of a call.
#[derive(Clone, Copy)]
struct Facts {
    callers: usize,
    arrived: Duration,
    fails: bool,
    /// In seconds, as drawn; once a worker has begun, as long as it takes.
    work: f64,
}

enum State<A: Admit> {
    /// For a permit.
    Waiting(Pin<Box<A::Wait>>),
    /// In the service, whether or not a worker has begun.
    Inside { permit: A::Permit, began: bool },
    /// Its caller is gone, but the service works on.
    Alone,
}

impl<A: Subject> World<'_, A> {
    pub(super) fn arrive(&mut self, callers: usize) {
        self.report.arrivals += 1;
        self.serial += 1;
        let scenario = self.scenario;
        let kind = &scenario.callers[callers];
        let context = Context::default()
            .with_timeout(seconds(kind.patience))
            .with_criticality(kind.criticality);
        let (policy, request) = (&self.policy, &self.requests[callers]);
        let decided = context.scope(async { policy.admit(&Arrival::new(Some(Head::from(request)))) });
        let Poll::Ready(decision) = pin!(decided).poll(&mut task::Context::from_waker(Waker::noop())) else {
            unreachable!("nothing in there waits")
        };
        // What a call takes belongs to it, and is drawn whether or not it is let in.
        let facts = Facts {
            callers,
            arrived: self.now,
            fails: self.works.f64() < scenario.failing.at(self.now.as_secs_f64()),
            work: kind.work.draw(&mut self.works),
        };
        let serial = self.serial;
        let mut insert = |state| self.calls.insert(Call { serial, state, facts });
        let call = match decision {
            Decision::No(_) => return self.end(serial, facts, Ending::Rejected),
            Decision::Now(permit) => {
                let call = insert(State::Inside { permit, began: false });
                self.enter(call);
                call
            }
            Decision::Wait(wait) => {
                let call = insert(State::Waiting(Box::pin(wait)));
                self.waiting += 1;
                self.poll(call);
                call
            }
        };
        let leaves = self.now + seconds(kind.patience);
        self.events.plan_leave(callers, leaves, call, serial);
    }

    /// Those who wait are polled when they are woken, as by a runtime.
    pub(super) fn poll_woken(&mut self) {
        loop {
            let woken = self.woken.take();
            if woken.is_empty() {
                return;
            }
            for call in woken {
                self.poll(call);
            }
        }
    }

    /// Does nothing to those who do not wait, and to those who are gone.
    fn poll(&mut self, call: usize) {
        let Some(Call { state, .. }) = self.calls.get_mut(call) else {
            return;
        };
        let State::Waiting(wait) = state else { return };
        let waker = self.woken.waker(call);
        let Poll::Ready(granted) = wait.as_mut().poll(&mut task::Context::from_waker(waker)) else {
            return;
        };
        self.waiting -= 1;
        if let Ok(permit) = granted {
            *state = State::Inside { permit, began: false };
            self.enter(call);
        } else {
            let Call { serial, facts, .. } = self.calls.remove(call);
            self.end(serial, facts, Ending::Rejected);
        }
    }

    /// A call that holds a permit enters the service.
    fn enter(&mut self, call: usize) {
        self.in_flight += 1;
        self.report.most_in_flight = self.report.most_in_flight.max(self.in_flight);
        if self.service.enter(call) {
            self.begin(call);
        }
    }

    /// A worker begins with a call.
    fn begin(&mut self, key: usize) {
        let Call { serial, state, facts } = &mut self.calls[key];
        facts.work = if facts.fails {
            self.scenario.failure
        } else {
            facts.work * self.scenario.slowness.at(self.now.as_secs_f64())
        };
        if let State::Inside { began, .. } = state {
            *began = true;
        }
        let (done, serial) = (self.now + seconds(facts.work), *serial);
        self.events.plan(done, Event::Done { call: key, serial });
    }

    /// The service answers. Whoever stands in line is next.
    pub(super) fn done(&mut self, call: usize) {
        let Call { serial, state, facts } = self.calls.remove(call);
        self.in_flight -= 1;
        if let State::Inside { mut permit, .. } = state {
            let (status, outcome, ending) = if facts.fails {
                let status = StatusCode::INTERNAL_SERVER_ERROR;
                (status, Outcome::failure(Class::Http(status)), Ending::Failed)
            } else {
                (StatusCode::OK, Outcome::Success, Ending::Good)
            };
            permit.answered(&mut Answer::new(status, &mut HeaderMap::new(), false));
            permit.settle(outcome);
            self.end(serial, facts, ending);
        }
        self.take_up_next();
    }

    /// The caller has waited enough.
    pub(super) fn leave(&mut self, call: usize) {
        let Call { serial, state, facts } = &mut self.calls[call];
        let (serial, facts) = (*serial, *facts);
        match mem::replace(state, State::Alone) {
            State::Waiting(wait) => {
                self.waiting -= 1;
                self.calls.remove(call);
                drop(wait);
                self.end(serial, facts, Ending::LeftQueue);
            }
            State::Inside { permit, .. } if self.scenario.works_on => {
                drop(permit);
                self.end(serial, facts, Ending::Late);
            }
            State::Inside { permit, began } => {
                self.in_flight -= 1;
                self.calls.remove(call);
                self.end(serial, facts, Ending::Late);
                if began {
                    self.take_up_next();
                } else {
                    self.service.leave(call);
                }
                drop(permit);
            }
            State::Alone => unreachable!("a caller leaves once"),
        }
    }

    fn take_up_next(&mut self) {
        if let Some(next) = self.service.done() {
            self.begin(next);
        }
    }

    fn end(&mut self, serial: u64, facts: Facts, ending: Ending) {
        self.report.end(
            serial,
            Ended {
                at: self.now.as_secs_f64(),
                ending,
                latency: self.now.saturating_sub(facts.arrived).as_secs_f64(),
                work: facts.work,
                callers: facts.callers,
            },
        );
    }
}

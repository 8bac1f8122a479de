use std::{
    future::Future,
    pin::Pin,
    task::{Context, Poll},
};

use pin_project::pin_project;
use tower_service::Service;

use super::{Admit, Arrival, Decision, Immediate, Keep};
use crate::{
    outcome::{Answer, Outcome, Settle},
    rejection::Rejection,
};

/// A policy that is there or not: `None` admits all.
impl<A: Admit> Admit for Option<A> {
    type Permit = Option<A::Permit>;
    type Wait = OptionalWait<A::Wait>;

    fn admit(&self, arrival: &Arrival<'_>) -> Decision<Self::Permit, Self::Wait> {
        let Some(policy) = self else { return Decision::Now(None) };
        match policy.admit(arrival) {
            Decision::Now(permit) => Decision::Now(Some(permit)),
            Decision::No(rejection) => Decision::No(rejection),
            Decision::Wait(wait) => Decision::Wait(OptionalWait(wait)),
        }
    }
}

impl<P: Settle> Settle for Option<P> {
    fn answered(&mut self, answer: &mut Answer<'_>) {
        if let Some(permit) = self {
            permit.answered(answer);
        }
    }

    fn settle(self, outcome: Outcome) {
        if let Some(permit) = self {
            permit.settle(outcome);
        }
    }
}

/// Nothing is held, and nobody is told.
impl Settle for () {
    fn settle(self, _: Outcome) {}
}

/// The wait of an optional policy.
#[pin_project]
#[derive(Debug)]
pub struct OptionalWait<W>(#[pin] W);

impl<W, P> Future for OptionalWait<W>
where
    W: Future<Output = Result<P, Rejection>>,
{
    type Output = Result<Option<P>, Rejection>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        self.project().0.poll(cx).map_ok(Some)
    }
}

#[diagnostic::do_not_recommend]
impl<S, W: Keep<S>> Keep<S> for OptionalWait<W> {
    type Kept = W::Kept;

    fn keep(&self, service: &mut S) -> W::Kept {
        self.0.keep(service)
    }

    fn call<R>(kept: W::Kept, request: R) -> S::Future
    where
        S: Service<R>,
    {
        W::call(kept, request)
    }
}

impl<W: Immediate> Immediate for OptionalWait<W> {
    fn never<T>(self) -> T {
        self.0.never()
    }
}

use std::{
    fmt,
    future::Future,
    pin::Pin,
    task::{Context, Poll, ready},
};

use pin_project::pin_project;
use tower_service::Service;

use super::{Admit, Arrival, Decision, Immediate, Keep};
use crate::{
    outcome::{Answer, Held, Outcome, Settle, of_rejection},
    rejection::Rejection,
};

/// Two policies as one: the second is asked where the first admits, as if each had a layer of its own, the first one outside.
///
/// The first must be one that answers at once: who waits is asked no further. More than two are pairs of pairs,
/// `(drain, (rate, limit))`, and an `Option` of a policy has its place here, too. What one layer would cost for each is paid once.
impl<A, B> Admit for (A, B)
where
    A: Admit<Wait: Immediate>,
    B: Admit,
{
    type Permit = Both<A::Permit, B::Permit>;
    type Wait = BothWait<A::Permit, B::Wait>;

    #[inline]
    fn admit(&self, arrival: &Arrival<'_>) -> Decision<Self::Permit, Self::Wait> {
        let first = match self.0.admit(arrival) {
            Decision::Now(permit) => Held::new(permit),
            Decision::No(rejection) => return Decision::No(rejection),
            Decision::Wait(wait) => wait.never(),
        };
        let is_http = arrival.head().is_some();
        match self.1.admit(arrival) {
            Decision::Now(second) => Decision::Now(Both { first, second }),
            Decision::No(rejection) => Decision::No(reject(first, rejection, is_http)),
            Decision::Wait(wait) => Decision::Wait(BothWait {
                first: Some(first),
                is_http,
                wait,
            }),
        }
    }
}

/// The permits of two policies.
pub struct Both<A: Settle, B> {
    // Held, as the other may panic when it is told.
    first: Held<A>,
    second: B,
}

/// The wait of the second of two policies, which holds the permit of the first. Dropping it settles that as cancelled.
#[pin_project]
pub struct BothWait<A: Settle, W> {
    first: Option<Held<A>>,
    /// Whether there is an answer to be told of, and not an error.
    is_http: bool,
    #[pin]
    wait: W,
}

/// The second said no: the first is told, as it would be by the answer.
#[cold]
fn reject<A: Settle>(first: Held<A>, rejection: Rejection, is_http: bool) -> Rejection {
    let mut first = first;
    let Some(mut permit) = first.take() else {
        return rejection;
    };
    let mut rejection = rejection;
    if is_http {
        let status = rejection.reason().http_status();
        // Among those of the second, which may be of the same name.
        rejection.write_headers(|headers| permit.answered(&mut Answer::new(status, headers, false)));
    }
    permit.settle(of_rejection(&rejection));
    rejection
}

// === impl Both, BothWait ===

impl<A: Settle, B: Settle> Settle for Both<A, B> {
    fn answered(&mut self, answer: &mut Answer<'_>) {
        self.second.answered(answer);
        if let Some(first) = self.first.held() {
            first.answered(answer);
        }
    }

    fn settle(mut self, outcome: Outcome) {
        self.second.settle(outcome.clone());
        self.first.settle(outcome);
    }
}

impl<A, W, B> Future for BothWait<A, W>
where
    A: Settle,
    W: Future<Output = Result<B, Rejection>>,
{
    type Output = Result<Both<A, B>, Rejection>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.project();
        let granted = ready!(this.wait.poll(cx));
        let Some(first) = this.first.take() else {
            return Poll::Pending;
        };
        Poll::Ready(match granted {
            Ok(second) => Ok(Both { first, second }),
            Err(rejection) => Err(reject(first, rejection, *this.is_http)),
        })
    }
}

impl<S, A: Settle, W: Keep<S>> Keep<S> for BothWait<A, W> {
    type Kept = W::Kept;

    fn keep(&self, service: &mut S) -> W::Kept {
        self.wait.keep(service)
    }

    fn call<R>(kept: W::Kept, request: R) -> S::Future
    where
        S: Service<R>,
    {
        W::call(kept, request)
    }
}

/// Where neither waits, the two do not.
impl<A: Settle, W: Immediate> Immediate for BothWait<A, W> {
    fn never<T>(self) -> T {
        self.wait.never()
    }
}

impl<A: Settle, B> fmt::Debug for Both<A, B> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Both").finish_non_exhaustive()
    }
}

impl<A: Settle, W> fmt::Debug for BothWait<A, W> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("BothWait").finish_non_exhaustive()
    }
}

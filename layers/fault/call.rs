//! A call on its way through the faults that befall it, up to where it is handed on or ends.

use std::{
    mem,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
};

use pin_project::pin_project;
use tokio::time::Instant;
use tower_service::Service;

use super::{
    Injected,
    layer::Shared,
    plan::Plan,
    wait::{Wait, wait_until},
};
use crate::{context::Cancelled, rejection::Protocol};

/// What befalls one request.
pub(super) struct Injection<X> {
    pub(super) shared: Arc<Shared<X>>,
    pub(super) plan: Plan,
    pub(super) protocol: Protocol,
}

/// Where it stands.
#[pin_project(project = CallProj)]
pub(super) enum Call<S: Service<R>, R> {
    /// Handed on.
    Running(#[pin] S::Future),
    /// Boxed, or every call would carry the room of one that is delayed.
    Delayed(Box<Delayed<S, R>>),
    /// Not handed on: it is to end as planned.
    Ending,
    /// Its context ended while it waited.
    Ended(Cancelled),
    Done,
}

pub(super) struct Delayed<S, R> {
    wait: Wait,
    /// The service that was made ready for it, if it is to be handed on.
    next: Option<(S, R)>,
}

impl<S: Service<R>, R> Call<S, R> {
    #[cold]
    pub(super) fn injected<X>(inner: &mut S, injection: &Injection<X>, request: R) -> Self
    where
        S: Clone,
    {
        let plan = &injection.plan;
        match (plan.delay, plan.end) {
            (Some(delay), end) => {
                injection.shared.state.injected(Injected::Delay);
                let next = end.is_none().then(|| {
                    let clone = inner.clone();
                    (mem::replace(inner, clone), request)
                });
                Self::Delayed(Box::new(Delayed {
                    wait: wait_until(Instant::now().checked_add(delay)),
                    next,
                }))
            }
            (None, Some(_)) => Self::Ending,
            (None, None) => Self::Running(inner.call(request)),
        }
    }

    /// Polls a call that waits, up to where it does not.
    #[inline]
    pub(super) fn poll_delay(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        match &*self {
            Self::Delayed(_) => self.poll_delayed(cx),
            _ => Poll::Ready(()),
        }
    }

    #[cold]
    fn poll_delayed(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let CallProj::Delayed(delayed) = self.as_mut().project() else {
            return Poll::Ready(());
        };
        let ended = ready!(delayed.wait.as_mut().poll(cx));
        let next = delayed.next.take();
        let next = match (ended, next) {
            (Err(why), _) => Self::Ended(why),
            (Ok(()), Some((mut service, request))) => Self::Running(service.call(request)),
            (Ok(()), None) => Self::Ending,
        };
        self.set(next);
        Poll::Ready(())
    }

    /// The state's name, for `Debug`.
    pub(super) fn name(&self) -> &'static str {
        match self {
            Self::Running(_) => "running",
            Self::Delayed(_) => "delayed",
            Self::Ending => "ending",
            Self::Ended(_) => "ended",
            Self::Done => "done",
        }
    }
}

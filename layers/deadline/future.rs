//! Futures that end at the deadline of their context.

use std::{
    future::Future,
    pin::Pin,
    task::{Context, Poll, ready},
};

use bytes::Bytes;
use http::Response;
use http_body::Body;
use pin_project::pin_project;
use tokio::time::{Instant, Sleep, sleep_until};

use super::{By, body::DeadlineBody};
use crate::{
    body::BoxError,
    context::Frame,
    registry,
    rejection::{Protocol, Reason, Rejection},
    telemetry,
};

/// A future with a context in scope, up to its deadline.
#[pin_project]
#[derive(Debug)]
pub(super) struct Bounded<F> {
    frame: Frame,
    #[pin]
    future: F,
    #[pin]
    sleep: Option<Sleep>,
}

impl<F> Bounded<F> {
    pub(super) fn new(frame: Frame, future: F) -> Self {
        Self {
            frame,
            future,
            sleep: None,
        }
    }
}

impl<F: Future> Bounded<F> {
    /// Polls the future alone. Its output is returned as it is, for it is costly to move.
    #[inline]
    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<F::Output> {
        let this = self.project();
        this.frame.enter(|| this.future.poll(cx))
    }

    fn is_late(&self) -> bool {
        self.frame.deadline().is_some_and(|deadline| deadline <= Instant::now())
    }

    /// Polls the deadline: ready once it has passed.
    fn poll_deadline(self: Pin<&mut Self>, cx: &mut Context<'_>, by: By) -> Poll<()> {
        let mut this = self.project();
        let Some(deadline) = this.frame.deadline() else {
            return Poll::Pending;
        };
        if this.sleep.is_none() {
            this.sleep.set(Some(sleep_until(deadline)));
            if let By::Deadline = by {
                registry::holds_to(deadline);
            }
        }
        match this.sleep.as_pin_mut() {
            Some(sleep) => sleep.poll(cx),
            None => Poll::Pending,
        }
    }
}

#[pin_project(project = StateProj, project_replace = StateOwned)]
#[derive(Debug)]
enum State<F> {
    Running(#[pin] Bounded<F>),
    Rejected(Rejection),
    Done,
}

/// The response future of [`DeadlineService`](super::DeadlineService), [`PropagateDeadline`](super::PropagateDeadline) and
/// [`Timeout`](super::Timeout).
#[pin_project]
#[derive(Debug)]
pub struct DeadlineFuture<F> {
    #[pin]
    state: State<F>,
    protocol: Protocol,
    by: By,
}

impl<F> DeadlineFuture<F> {
    pub(super) fn running(bounded: Bounded<F>, protocol: Protocol, by: By) -> Self {
        Self {
            state: State::Running(bounded),
            protocol,
            by,
        }
    }

    pub(super) fn rejected(rejection: Rejection, protocol: Protocol, by: By) -> Self {
        Self {
            by,
            state: State::Rejected(rejection),
            protocol,
        }
    }
}

impl<F, B, E> Future for DeadlineFuture<F>
where
    F: Future<Output = Result<Response<B>, E>>,
    B: Body<Data = Bytes>,
    B::Error: Into<BoxError>,
{
    type Output = Result<Response<DeadlineBody<B>>, E>;

    #[inline]
    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let mut this = self.project();
        let rejection = match this.state.as_mut().project() {
            StateProj::Running(mut bounded) => {
                match bounded.as_mut().poll(cx) {
                    Poll::Ready(Ok(response)) => {
                        let frame = bounded.project().frame;
                        return Poll::Ready(Ok(DeadlineBody::bound(response, frame, this.protocol, *this.by)));
                    }
                    // A client that keeps the deadline too, as tonic's does, can be the first to fail by it.
                    Poll::Ready(Err(error)) if !bounded.is_late() => return Poll::Ready(Err(error)),
                    Poll::Ready(Err(_)) => {}
                    Poll::Pending => ready!(bounded.poll_deadline(cx, *this.by)),
                }
                Rejection::new(Reason::DeadlineExceeded, this.by.name()).executed()
            }
            StateProj::Rejected(rejection) => rejection.clone(),
            StateProj::Done => return Poll::Pending,
        };
        // The work is taken down before the answer goes out.
        this.state.set(State::Done);
        telemetry::rejected(&rejection);
        Poll::Ready(Ok(rejection.into_answer(this.protocol).map(DeadlineBody::ours)))
    }
}

/// The response future of a [`Timeout`](super::Timeout) that is [typed](crate::rejection::Typed).
#[pin_project]
#[derive(Debug)]
pub struct TypedDeadlineFuture<F> {
    #[pin]
    state: State<F>,
    by: By,
}

impl<F> TypedDeadlineFuture<F> {
    pub(super) fn running(bounded: Bounded<F>, by: By) -> Self {
        Self {
            state: State::Running(bounded),
            by,
        }
    }
}

impl<F, T, E> Future for TypedDeadlineFuture<F>
where
    F: Future<Output = Result<T, E>>,
    E: From<Rejection>,
{
    type Output = Result<T, E>;

    #[inline]
    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let mut this = self.project();
        let StateProj::Running(mut bounded) = this.state.as_mut().project() else {
            return Poll::Pending;
        };
        if let Poll::Ready(output) = bounded.as_mut().poll(cx) {
            return Poll::Ready(output);
        }
        ready!(bounded.poll_deadline(cx, *this.by));
        this.state.set(State::Done);
        let rejection = Rejection::new(Reason::DeadlineExceeded, this.by.name()).executed();
        telemetry::rejected(&rejection);
        Poll::Ready(Err(rejection.into()))
    }
}

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
use tokio::time::{Sleep, sleep_until};

use super::body::DeadlineBody;
use crate::{
    body::BoxError,
    context::Frame,
    rejection::{Protocol, Reason, Rejection},
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

/// The deadline passed.
struct Expired;

impl<F: Future> Bounded<F> {
    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<F::Output, Expired>> {
        let mut this = self.project();
        let entered = this.frame.enter();
        let polled = this.future.poll(cx);
        drop(entered);
        if let Poll::Ready(output) = polled {
            return Poll::Ready(Ok(output));
        }
        let Some(deadline) = this.frame.facts.deadline else {
            return Poll::Pending;
        };
        if this.sleep.is_none() {
            this.sleep.set(Some(sleep_until(deadline)));
        }
        match this.sleep.as_pin_mut() {
            Some(sleep) => sleep.poll(cx).map(|()| Err(Expired)),
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
    layer: &'static str,
}

impl<F> DeadlineFuture<F> {
    pub(super) fn running(bounded: Bounded<F>, protocol: Protocol, layer: &'static str) -> Self {
        Self {
            state: State::Running(bounded),
            protocol,
            layer,
        }
    }

    pub(super) fn rejected(rejection: Rejection, protocol: Protocol) -> Self {
        Self {
            layer: rejection.layer(),
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

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let mut this = self.project();
        let rejection = match this.state.as_mut().project() {
            StateProj::Running(mut bounded) => match ready!(bounded.as_mut().poll(cx)) {
                Ok(Err(error)) => return Poll::Ready(Err(error)),
                Ok(Ok(response)) => {
                    let frame = bounded.project().frame;
                    return Poll::Ready(Ok(DeadlineBody::bound(response, frame, this.protocol, this.layer)));
                }
                Err(Expired) => Rejection::new(Reason::DeadlineExceeded, this.layer).executed(),
            },
            StateProj::Rejected(rejection) => rejection.clone(),
            StateProj::Done => return Poll::Pending,
        };
        // The work is taken down before the answer goes out.
        this.state.set(State::Done);
        Poll::Ready(Ok(rejection.into_response(this.protocol).map(DeadlineBody::ours)))
    }
}

/// The response future of a [`Timeout`](super::Timeout) that is [typed](crate::rejection::Typed).
#[pin_project]
#[derive(Debug)]
pub struct TypedDeadlineFuture<F> {
    #[pin]
    state: State<F>,
    layer: &'static str,
}

impl<F> TypedDeadlineFuture<F> {
    pub(super) fn running(bounded: Bounded<F>, layer: &'static str) -> Self {
        Self {
            state: State::Running(bounded),
            layer,
        }
    }
}

impl<F, T, E> Future for TypedDeadlineFuture<F>
where
    F: Future<Output = Result<T, E>>,
    E: From<Rejection>,
{
    type Output = Result<T, E>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let mut this = self.project();
        let StateProj::Running(bounded) = this.state.as_mut().project() else {
            return Poll::Pending;
        };
        if let Ok(output) = ready!(bounded.poll(cx)) {
            return Poll::Ready(output);
        }
        this.state.set(State::Done);
        let rejection = Rejection::new(Reason::DeadlineExceeded, this.layer).executed();
        Poll::Ready(Err(rejection.into()))
    }
}

use std::{
    fmt,
    future::Future,
    pin::Pin,
    task::{Context, Poll, ready},
};

use bytes::Bytes;
use http::Response;
use http_body::Body;
use pin_project::pin_project;
use tower_service::Service;

use super::{
    Breaks, FaultBody, Injected,
    call::{Call, CallProj, Injection},
    plan::End,
};
use crate::{
    body::BoxError,
    rejection::{Reason, Rejection},
    telemetry,
};

/// As rejections name this layer.
const NAME: &str = "fault";

/// The response future of [`Fault`](super::Fault). Dropping it ends the delay, and the call.
#[pin_project]
pub struct FaultFuture<S: Service<R>, R, X> {
    #[pin]
    call: Call<S, R>,
    /// `None`: nothing befalls it.
    injection: Option<Box<Injection<X>>>,
}

impl<S: Service<R>, R, X> FaultFuture<S, R, X> {
    #[inline]
    pub(super) fn new(call: Call<S, R>, injection: Option<Box<Injection<X>>>) -> Self {
        Self { call, injection }
    }
}

impl<S, R, X, ResBody> Future for FaultFuture<S, R, X>
where
    S: Service<R, Response = Response<ResBody>>,
    X: Breaks<S::Error>,
    ResBody: Body<Data = Bytes>,
    ResBody::Error: Into<BoxError>,
{
    type Output = Result<Response<FaultBody<ResBody>>, S::Error>;

    #[inline]
    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let mut this = self.project();
        ready!(this.call.as_mut().poll_delay(cx));
        let ended = match this.call.as_mut().project() {
            CallProj::Running(future) => {
                let output = ready!(future.poll(cx));
                let fault = match this.injection {
                    None => None,
                    Some(injection) => injection.of_body(&output),
                };
                // In place, as a response is costly to move.
                return Poll::Ready(output.map(|response| response.map(|body| FaultBody::of(body, fault))));
            }
            CallProj::Ended(why) => Some(*why),
            CallProj::Ending => None,
            CallProj::Delayed(_) | CallProj::Done => return Poll::Pending,
        };
        this.call.set(Call::Done);
        let Some(injection) = this.injection.take() else {
            return Poll::Pending;
        };
        let rejection = ended.map(Rejection::from);
        Poll::Ready(injection.end(rejection))
    }
}

impl<X> Injection<X> {
    #[cold]
    fn end<B, E>(&self, rejection: Option<Rejection>) -> Result<Response<FaultBody<B>>, E>
    where
        X: Breaks<E>,
    {
        let state = &self.shared.state;
        let rejection = match (rejection, self.plan.end) {
            (Some(rejection), _) => rejection,
            (None, Some(End::Reject(reason))) => {
                state.injected(Injected::Reject);
                Rejection::new(reason, NAME)
            }
            (None, Some(End::Abort(abort))) => {
                state.injected(Injected::Abort);
                return Ok(abort.into_answer(&self.protocol).map(FaultBody::ours));
            }
            (None, Some(End::Reset) | None) => {
                state.injected(Injected::Reset);
                return match self.shared.error.error() {
                    Some(error) => Err(error),
                    None => Ok(Response::new(FaultBody::broken())),
                };
            }
        };
        telemetry::rejected(&rejection);
        Ok(rejection.into_answer(&self.protocol).map(FaultBody::ours))
    }

    /// What a call that is not HTTP ends with.
    #[cold]
    fn fail<E>(&self, rejection: Option<Rejection>) -> E
    where
        X: Breaks<E>,
        E: From<Rejection>,
    {
        let state = &self.shared.state;
        let broken = |kind, message| {
            state.injected(kind);
            let unreachable = || {
                Rejection::new(Reason::Unreachable, NAME)
                    .executed()
                    .with_message(message)
            };
            self.shared.error.error().ok_or_else(unreachable)
        };
        let failed = match (rejection, self.plan.end) {
            (Some(rejection), _) => Err(rejection),
            (None, Some(End::Reject(reason))) => {
                state.injected(Injected::Reject);
                Err(Rejection::new(reason, NAME))
            }
            (None, Some(End::Abort(abort))) => {
                broken(Injected::Abort, format!("fault injected: {}", abort.status().as_u16()))
            }
            (None, Some(End::Reset) | None) => broken(Injected::Reset, "fault injected: reset".to_owned()),
        };
        failed.unwrap_or_else(|rejection| {
            telemetry::rejected(&rejection);
            rejection.into()
        })
    }
}

/// The response future of a [`Fault`](super::Fault) that is [typed](crate::rejection::Typed).
#[pin_project]
pub struct TypedFaultFuture<S: Service<R>, R, X> {
    #[pin]
    call: Call<S, R>,
    injection: Option<Box<Injection<X>>>,
}

impl<S: Service<R>, R, X> TypedFaultFuture<S, R, X> {
    #[inline]
    pub(super) fn new(call: Call<S, R>, injection: Option<Box<Injection<X>>>) -> Self {
        Self { call, injection }
    }
}

impl<S, R, X> Future for TypedFaultFuture<S, R, X>
where
    S: Service<R>,
    S::Error: From<Rejection>,
    X: Breaks<S::Error>,
{
    type Output = Result<S::Response, S::Error>;

    #[inline]
    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let mut this = self.project();
        ready!(this.call.as_mut().poll_delay(cx));
        let ended = match this.call.as_mut().project() {
            CallProj::Running(future) => return future.poll(cx),
            CallProj::Ended(why) => Some(*why),
            CallProj::Ending => None,
            CallProj::Delayed(_) | CallProj::Done => return Poll::Pending,
        };
        this.call.set(Call::Done);
        match this.injection.take() {
            Some(injection) => Poll::Ready(Err(injection.fail(ended.map(Rejection::from)))),
            None => Poll::Pending,
        }
    }
}

impl<S: Service<R>, R, X> fmt::Debug for FaultFuture<S, R, X> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FaultFuture")
            .field("state", &self.call.name())
            .finish_non_exhaustive()
    }
}

impl<S: Service<R>, R, X> fmt::Debug for TypedFaultFuture<S, R, X> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TypedFaultFuture")
            .field("state", &self.call.name())
            .finish_non_exhaustive()
    }
}

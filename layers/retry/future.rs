use std::{
    fmt,
    future::Future,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
};

use bytes::Bytes;
use http::{Request, Response};
use http_body::Body;
use pin_project::pin_project;
use tower_service::Service;

use super::{
    Attempt, Classify, Verdict,
    ending::{Ending, Paid},
    layer::Shared,
    marks,
    pause::{Pause, Paused},
    plan::{Kept, Known, Plan},
    service::Again,
};
use crate::{
    body::{
        BoxError, Tracked,
        replay::{NotReplayable, Replay, TakesReplay},
    },
    budget::{How, Why},
    context::{Cancelled, Context as Work, Head, Scope, clock, home::Home},
    outcome::{Class, Delivery, Outcome, of_head},
    rejection::{Protocol, Reason},
    telemetry::{Event, emit},
};

/// The response future of [`Retry`](super::Retry). Dropping it ends the attempt in flight, and there is no other.
#[pin_project]
pub struct RetryFuture<S, C, B>
where
    S: Service<Request<Replay<B>>>,
{
    #[pin]
    state: State<S::Future, Result<S::Response, S::Error>>,
    request: Call<S, C, B>,
}

/// An attempt, or the wait before the next.
#[pin_project(project = StateProj)]
enum State<F, T> {
    Calling(#[pin] F),
    /// Boxed, or every call would carry the room of one that failed.
    Pausing(Pin<Box<Pause<T>>>),
    Done,
}

/// What stays through all attempts.
struct Call<S, C, B> {
    shared: Arc<Home<Shared<C>>>,
    protocol: Protocol,
    /// Of the attempt in flight; until the body of its answer has it.
    scope: Option<Scope>,
    attempt: u32,
    paid: Paid,
    /// Whether the last one was answered: not by an error, and not by one that is told as an answer.
    is_answered: bool,
    /// Why the next is wanted, while it is waited for.
    why: Option<Why>,
    /// `None` where there is to be no other attempt.
    again: Option<Again<S, B>>,
}

impl<S, C, B> RetryFuture<S, C, B>
where
    S: Service<Request<Replay<B>>>,
{
    #[inline]
    pub(super) fn new(
        shared: Arc<Home<Shared<C>>>,
        protocol: Protocol,
        scope: Scope,
        call: S::Future,
        again: Option<Again<S, B>>,
        paid: Paid,
    ) -> Self {
        Self {
            state: State::Calling(call),
            request: Call {
                shared,
                protocol,
                scope: Some(scope),
                attempt: 1,
                paid,
                is_answered: false,
                why: None,
                again,
            },
        }
    }
}

impl<S, C, B> Future for RetryFuture<S, C, B>
where
    S: TakesReplay<B> + Clone,
    C: Classify,
    B: Body<Data = Bytes>,
    B::Error: Into<BoxError>,
{
    type Output = Result<Response<Tracked<S::ResBody, Ending>>, S::Error>;

    #[inline]
    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let mut this = self.project();
        loop {
            match this.state.as_mut().project() {
                StateProj::Calling(call) => {
                    let output = match &mut this.request.scope {
                        Some(scope) => ready!(scope.enter(|| call.poll(cx))),
                        None => return Poll::Pending,
                    };
                    match this.request.plan(&output) {
                        Plan::Pass(why) => return Poll::Ready(this.request.pass(output, why)),
                        Plan::Again(wait) => {
                            let pause = Pause::new(wait, output, this.request.is_answered);
                            this.state.set(State::Pausing(Box::pin(pause)));
                        }
                    }
                }
                StateProj::Pausing(pause) => {
                    let Some(again) = &mut this.request.again else {
                        return Poll::Pending;
                    };
                    let paused = ready!(pause.as_mut().poll_ready(cx, |cx| {
                        ready!(again.body.poll_back(cx));
                        again.service.poll_ready(cx)
                    }));
                    let call = match paused {
                        Paused::Ready => this.request.start(|| drop(pause.as_mut().take())),
                        Paused::Ended(why) => Err(why),
                    };
                    match call {
                        Ok(call) => this.state.set(State::Calling(call)),
                        Err(why) => {
                            let output = pause.as_mut().take();
                            this.state.set(State::Done);
                            return match output {
                                Some(output) => Poll::Ready(this.request.pass(output, why)),
                                None => Poll::Pending,
                            };
                        }
                    }
                }
                StateProj::Done => return Poll::Pending,
            }
        }
    }
}

impl<S, C, B> Call<S, C, B>
where
    C: Classify,
    B: Body<Data = Bytes>,
    B::Error: Into<BoxError>,
{
    /// What is to become of an attempt that has ended.
    #[inline]
    fn plan<T, E: 'static>(&mut self, output: &Result<Response<T>, E>) -> Plan {
        let Some(again) = &self.again else {
            return Plan::Pass(Kept::Verdict);
        };
        let (outcome, delivery) = match output {
            Ok(response) => (of_head(response, &self.protocol).unwrap_or(Outcome::Success), None),
            Err(error) => (Outcome::failure(Class::Transport), Some(Delivery::of_any(error))),
        };
        if let Outcome::Rejected(rejection) = &outcome
            && !rejection.was_executed()
        {
            self.paid.unsent();
        }
        let attempt = Attempt::new(
            (Head::from(&again.head), self.attempt),
            &outcome,
            output,
            delivery,
            (&self.shared.settings, &self.protocol),
        );
        let verdict = self.shared.classify.classify(&attempt);
        if verdict == Verdict::Pass {
            return Plan::Pass(Kept::Verdict);
        }
        self.paid.ended(How::Failure);
        let why = Why::Failed(attempt.class());
        self.why = Some(why);
        self.is_answered = match &outcome {
            Outcome::Rejected(rejection) => rejection.reason() != Reason::Unreachable,
            _ => output.is_ok(),
        };
        let context = Work::current();
        let known = Known {
            verdict,
            attempt: self.attempt,
            hint: attempt.hint(),
            exact: self.protocol.has_grpc_status(),
            // A transport tells of an error first, and lets go of the body after.
            body: again
                .body
                .obstacle()
                .filter(|why| self.is_answered || *why != NotReplayable::Uploading),
            ended: context.check().is_err(),
            remaining: context.remaining(),
            share: fastrand::f64(),
        };
        let bounds = &self.shared.settings.bounds;
        bounds.plan(&known, || self.paid.by.may(why, clock::now()))
    }

    /// Starts the next attempt, or says why there is none. Once it is paid for, what is at hand is let go: it may hold a place that this one
    /// wants.
    fn start<F>(&mut self, let_go: impl FnOnce()) -> Result<F, Kept>
    where
        S: Service<Request<Replay<B>>, Future = F>,
    {
        let Some(Again { service, head, body }) = &mut self.again else {
            return Err(Kept::Verdict);
        };
        if Work::current().check().is_err() {
            return Err(Kept::Ended);
        }
        let body = body.again().map_err(|_| Kept::Body)?;
        let why = self.why.take().unwrap_or(Why::Failed(Class::Transport));
        // Last of all: what is paid for is sent.
        if !self.paid.again(why) {
            return Err(Kept::Budget);
        }
        self.attempt += 1;
        self.shared.counts.retry();
        if let Why::Failed(class) = why {
            emit(|| Event::Retried {
                attempt: self.attempt,
                class,
            });
        }
        if let Some(scope) = &mut self.scope {
            scope.end(Cancelled::Superseded);
        }
        let mut request = Request::from_parts(head.clone(), body);
        marks::write_attempt(request.headers_mut(), &self.protocol, self.attempt);
        let_go();
        let scope = Scope::begin_attempt(self.attempt);
        let counted = self.paid.by.counted();
        let call = service.call(request);
        drop(counted);
        self.scope = Some(scope.release());
        Ok(call)
    }

    /// What the caller gets.
    #[inline]
    fn pass<T, E>(&mut self, output: Result<Response<T>, E>, why: Kept) -> Result<Response<Tracked<T, Ending>>, E>
    where
        T: Body<Data = Bytes>,
        T::Error: Into<BoxError>,
    {
        match output {
            // Nearly all: there is nothing to count, and nobody to be told. In place, as a response is costly to move.
            Ok(response) if self.attempt == 1 && why == Kept::Verdict && !self.is_followed() => {
                Ok(Tracked::ended(response, |body| body))
            }
            Ok(response) => Ok(self.pass_followed(response, why)),
            Err(error) => {
                self.scope = None;
                self.count(why, false);
                self.paid.ended(How::Other);
                Err(error)
            }
        }
    }

    /// Whether anybody is to be told how the answer ends.
    #[inline]
    fn is_followed(&self) -> bool {
        self.scope.as_ref().is_some_and(Scope::is_asked) || self.paid.is_followed()
    }

    fn pass_followed<T>(&mut self, mut response: Response<T>, why: Kept) -> Response<Tracked<T, Ending>>
    where
        T: Body<Data = Bytes>,
        T::Error: Into<BoxError>,
    {
        let scope = self.scope.take();
        let head = of_head(&response, &self.protocol);
        if self.attempt > 1 || why != Kept::Verdict {
            self.count(why, head.as_ref().is_none_or(Outcome::is_success));
        }
        if why.is_final() {
            marks::write_do_not_retry(response.headers_mut(), &self.protocol);
        }
        Ending::follow(
            response,
            &self.protocol,
            head,
            scope,
            (&mut self.paid, &self.shared.settings.codes),
        )
    }

    fn count(&self, why: Kept, success: bool) {
        if why == Kept::Verdict && success {
            self.shared.counts.recovered();
        } else {
            self.shared.counts.kept(why);
            emit(|| Event::GaveUp {
                attempts: self.attempt,
                reason: why.as_str(),
            });
        }
    }
}

impl<S, C, B> fmt::Debug for RetryFuture<S, C, B>
where
    S: Service<Request<Replay<B>>>,
{
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let state = match &self.state {
            State::Calling(_) => "calling",
            State::Pausing(_) => "pausing",
            State::Done => "done",
        };
        f.debug_struct("RetryFuture")
            .field("state", &state)
            .field("attempt", &self.request.attempt)
            .finish_non_exhaustive()
    }
}

use std::{
    fmt,
    future::Future,
    mem,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
    time::Duration,
};

use bytes::Bytes;
use http::{Request, Response, header::CONTENT_LENGTH};
use http_body::Body;
use pin_project::pin_project;
use tokio::time::{Sleep, sleep};
use tower_service::Service;

use super::{
    Failed, FallbackBody, FellBack, Source, When,
    counts::Fate,
    failed::{code_in, of_error},
    layer::Shared,
};
use crate::{
    body::BoxError,
    context::home::Home,
    outcome::{Outcome, of_head},
    rejection::Protocol,
};

/// How long the body of a request is waited for that failed while it was sent. A transport lets go of it a moment after the error.
const PATIENCE: Duration = Duration::from_secs(1);

/// What a call comes to.
type Output<S, R> = Result<<S as Service<R>>::Response, <S as Service<R>>::Error>;

/// Boxed, or every call would carry the room of one that failed.
type Boxed<S, R, F, B> = Pin<Box<Falling<Output<S, R>, F, B>>>;

/// The response future of [`Fallback`](super::Fallback). Dropping it ends the call, or the fallback.
#[pin_project]
pub struct FallbackFuture<S, F, W, B>
where
    F: Source<B>,
    S: Service<Request<F::Sent>>,
{
    #[pin]
    state: State<S, F, B>,
    shared: Arc<Home<Shared<F, W>>>,
    protocol: Protocol,
    /// `None`: whatever becomes of it is passed up.
    kept: Option<F::Kept>,
}

#[pin_project(project = StateProj)]
enum State<S, F, B>
where
    F: Source<B>,
    S: Service<Request<F::Sent>>,
{
    Calling(#[pin] S::Future),
    Falling(Boxed<S, Request<F::Sent>, F, B>),
    Done,
}

/// A call that failed, while there is to be another answer.
#[pin_project]
struct Falling<T, F: Source<B>, B> {
    outcome: Outcome,
    /// What is passed up if there is none.
    at_hand: Option<T>,
    kept: Option<F::Kept>,
    #[pin]
    patience: Option<Sleep>,
    #[pin]
    answering: Option<F::Answering>,
}

impl<S, F, W, B> FallbackFuture<S, F, W, B>
where
    F: Source<B>,
    S: Service<Request<F::Sent>>,
{
    #[inline]
    pub(super) fn new(
        shared: Arc<Home<Shared<F, W>>>,
        protocol: Protocol,
        call: S::Future,
        kept: Option<F::Kept>,
    ) -> Self {
        Self {
            state: State::Calling(call),
            shared,
            protocol,
            kept,
        }
    }
}

impl<S, F, W, B, ResBody> Future for FallbackFuture<S, F, W, B>
where
    F: Source<B>,
    W: When,
    S: Service<Request<F::Sent>, Response = Response<ResBody>>,
    S::Error: 'static,
    ResBody: Body<Data = Bytes>,
    ResBody::Error: Into<BoxError>,
{
    type Output = Result<Response<FallbackBody<ResBody, F::Body>>, S::Error>;

    #[inline]
    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let mut this = self.project();
        loop {
            match this.state.as_mut().project() {
                StateProj::Calling(call) => {
                    let output = ready!(call.poll(cx));
                    let Some(outcome) = failure(&output, this.protocol) else {
                        return Poll::Ready(output.map(|response| response.map(FallbackBody::inner)));
                    };
                    let kept = this.kept.take();
                    let kept = kept.filter(|_| this.shared.when.when(&Failed::http(&outcome, &output)));
                    if kept.is_none() {
                        return Poll::Ready(output.map(|response| response.map(FallbackBody::inner)));
                    }
                    let falling = Falling {
                        outcome,
                        at_hand: Some(output),
                        kept,
                        patience: None,
                        answering: None,
                    };
                    this.state.set(State::Falling(Box::pin(falling)));
                }
                StateProj::Falling(falling) => {
                    let answer = ready!(falling.as_mut().poll(&this.shared.source, cx));
                    let falling = falling.as_mut().project();
                    let (outcome, at_hand) = (mem::replace(falling.outcome, Outcome::Success), falling.at_hand.take());
                    this.state.set(State::Done);
                    this.shared.counts.count(match &answer {
                        Ok(_) => Fate::Answered,
                        Err(fate) => *fate,
                    });
                    return match (answer, at_hand) {
                        (Ok(answer), _) => Poll::Ready(Ok(take_place(answer, outcome, this.protocol))),
                        (Err(_), Some(output)) => Poll::Ready(output.map(|response| response.map(FallbackBody::inner))),
                        (Err(_), None) => Poll::Pending,
                    };
                }
                StateProj::Done => return Poll::Pending,
            }
        }
    }
}

/// How a call failed as far as its head tells. `None`: there is nothing to replace.
#[inline]
fn failure<T, E: 'static>(output: &Result<Response<T>, E>, protocol: &Protocol) -> Option<Outcome> {
    let response = match output {
        Ok(response) => response,
        Err(error) => return Some(of_error(error)),
    };
    let outcome = of_head(response, protocol)?;
    if !outcome.is_success() {
        return Some(outcome);
    }
    let status = response.status();
    let is_well = !status.is_client_error() && !status.is_server_error();
    let is_ok = !protocol.has_grpc_status() || code_in(response.headers()).is_none_or(|code| code == 0);
    (!is_well || !is_ok).then_some(outcome)
}

/// This answer, marked, to a request of that protocol.
fn take_place<A, B: Body>(
    mut answer: Response<B>,
    outcome: Outcome,
    protocol: &Protocol,
) -> Response<FallbackBody<A, B>> {
    answer.extensions_mut().insert(FellBack { outcome });
    if *protocol != Protocol::HttpHead {
        return answer.map(FallbackBody::other);
    }
    // What GET would get, but for the body (RFC 9110, section 9.3.2).
    if let Some(length @ 1..) = answer.body().size_hint().exact() {
        answer
            .headers_mut()
            .entry(CONTENT_LENGTH)
            .or_insert_with(|| length.into());
    }
    answer.map(|_| FallbackBody::none())
}

impl<T, E, F, B> Falling<Result<Response<T>, E>, F, B>
where
    F: Source<B>,
    E: 'static,
{
    fn poll(self: Pin<&mut Self>, source: &F, cx: &mut Context<'_>) -> Poll<Result<Response<F::Body>, Fate>> {
        let mut this = self.project();
        if let (Some(kept), Some(output)) = (&*this.kept, &*this.at_hand) {
            if source.poll_kept(kept, cx).is_pending() {
                // Who answered may read the request as long as it likes.
                if output.is_ok() {
                    return Poll::Ready(Err(Fate::NotRepeatable));
                }
                if this.patience.is_none() {
                    this.patience.set(Some(sleep(PATIENCE)));
                }
                if let Some(patience) = this.patience.as_mut().as_pin_mut() {
                    ready!(patience.poll(cx));
                }
                return Poll::Ready(Err(Fate::NotRepeatable));
            }
            let failed = Failed::http(this.outcome, output);
            let answering = this.kept.take().and_then(|kept| source.answer(&failed, kept));
            if answering.is_none() {
                return Poll::Ready(Err(Fate::NotRepeatable));
            }
            this.answering.set(answering);
        }
        match this.answering.as_pin_mut() {
            Some(answering) => answering.poll(cx).map(|answer| answer.ok_or(Fate::Failed)),
            None => Poll::Ready(Err(Fate::Failed)),
        }
    }
}

impl<S, F, W, B> fmt::Debug for FallbackFuture<S, F, W, B>
where
    F: Source<B>,
    S: Service<Request<F::Sent>>,
{
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let state = match &self.state {
            State::Calling(_) => "calling",
            State::Falling(_) => "falling",
            State::Done => "done",
        };
        f.debug_struct("FallbackFuture")
            .field("state", &state)
            .finish_non_exhaustive()
    }
}

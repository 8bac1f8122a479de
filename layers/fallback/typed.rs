use std::{
    fmt,
    future::Future,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
};

use pin_project::pin_project;
use tower_service::Service;

use super::{Failed, TypedSource, When, counts::Fate, failed::of_error, layer::Shared};
use crate::context::home::Home;

/// The response future of a [`Fallback`](super::Fallback) that is [typed](crate::rejection::Typed).
#[pin_project]
pub struct TypedFallbackFuture<S, F, W, R>
where
    F: TypedSource<R, S::Response, S::Error>,
    S: Service<R>,
{
    #[pin]
    state: State<S::Future, F::Answering, S::Error>,
    shared: Arc<Home<Shared<F, W>>>,
    kept: Option<F::Kept>,
}

#[pin_project(project = StateProj)]
enum State<C, A, E> {
    Calling(#[pin] C),
    Falling {
        #[pin]
        answering: A,
        /// What is passed up if there is no answer.
        at_hand: Option<E>,
    },
    Done,
}

impl<S, F, W, R> TypedFallbackFuture<S, F, W, R>
where
    F: TypedSource<R, S::Response, S::Error>,
    S: Service<R>,
{
    #[inline]
    pub(super) fn new(shared: Arc<Home<Shared<F, W>>>, call: S::Future, kept: F::Kept) -> Self {
        Self {
            state: State::Calling(call),
            shared,
            kept: Some(kept),
        }
    }
}

impl<S, F, W, R> Future for TypedFallbackFuture<S, F, W, R>
where
    F: TypedSource<R, S::Response, S::Error>,
    W: When,
    S: Service<R>,
    S::Error: 'static,
{
    type Output = Result<S::Response, S::Error>;

    #[inline]
    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let mut this = self.project();
        loop {
            match this.state.as_mut().project() {
                StateProj::Calling(call) => {
                    let error = match ready!(call.poll(cx)) {
                        Ok(answer) => return Poll::Ready(Ok(answer)),
                        Err(error) => error,
                    };
                    let outcome = of_error(&error);
                    let is_replaced = this.shared.when.when(&Failed::typed(&outcome, &error));
                    match this.kept.take() {
                        Some(kept) if is_replaced => {
                            let answering = this.shared.source.answer(&error, kept);
                            this.state.set(State::Falling {
                                answering,
                                at_hand: Some(error),
                            });
                        }
                        _ => return Poll::Ready(Err(error)),
                    }
                }
                StateProj::Falling { answering, at_hand } => {
                    let answer = ready!(answering.poll(cx));
                    let at_hand = at_hand.take();
                    this.state.set(State::Done);
                    let fate = if answer.is_some() { Fate::Answered } else { Fate::Failed };
                    this.shared.counts.count(fate);
                    return match (answer, at_hand) {
                        (Some(answer), _) => Poll::Ready(Ok(answer)),
                        (None, Some(error)) => Poll::Ready(Err(error)),
                        (None, None) => Poll::Pending,
                    };
                }
                StateProj::Done => return Poll::Pending,
            }
        }
    }
}

impl<S, F, W, R> fmt::Debug for TypedFallbackFuture<S, F, W, R>
where
    F: TypedSource<R, S::Response, S::Error>,
    S: Service<R>,
{
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let state = match &self.state {
            State::Calling(_) => "calling",
            State::Falling { .. } => "falling",
            State::Done => "done",
        };
        f.debug_struct("TypedFallbackFuture")
            .field("state", &state)
            .finish_non_exhaustive()
    }
}

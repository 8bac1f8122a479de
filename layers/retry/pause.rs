use std::{
    future::Future,
    pin::Pin,
    task::{Context, Poll, ready},
    time::Duration,
};

use pin_project::pin_project;
use tokio::time::{Sleep, sleep, sleep_until};

use super::plan::Kept;
use crate::context::Frame;

/// How long a service is waited for that had no answer to give and no deadline to keep.
const PATIENCE: Duration = Duration::from_secs(1);

/// The wait before another attempt, with the answer of the last one in hand.
#[pin_project]
pub(super) struct Pause<T> {
    #[pin]
    sleep: Option<Sleep>,
    stage: Stage,
    at_hand: Option<T>,
    is_answer: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    Backoff,
    /// There is nothing to answer with: until the service is ready again.
    Readiness,
}

/// How it ended.
pub(super) enum Paused {
    /// The service is ready.
    Ready,
    /// The answer at hand is passed up.
    Ended(Kept),
}

impl<T, E> Pause<Result<T, E>> {
    /// With what is at hand, and whether that is an answer.
    pub(super) fn new(wait: Duration, at_hand: Result<T, E>, is_answer: bool) -> Self {
        Self {
            // A timer that need not be is none.
            sleep: (!wait.is_zero()).then(|| sleep(wait)),
            stage: Stage::Backoff,
            is_answer,
            at_hand: Some(at_hand),
        }
    }

    /// Waits, and then asks whether the service and the body are ready. A service that is not has more than it can do: that is no time
    /// for retries. Only where there is no answer to give it is waited for, to the deadline, or for a second.
    pub(super) fn poll_ready(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        mut ready: impl FnMut(&mut Context<'_>) -> Poll<Result<(), E>>,
    ) -> Poll<Paused> {
        let mut this = self.project();
        if *this.stage == Stage::Backoff
            && let Some(sleep) = this.sleep.as_mut().as_pin_mut()
        {
            ready!(sleep.poll(cx));
        }
        match ready(cx) {
            Poll::Ready(Ok(())) => return Poll::Ready(Paused::Ready),
            Poll::Ready(Err(_)) => return Poll::Ready(Paused::Ended(Kept::NotReady)),
            Poll::Pending if *this.is_answer => return Poll::Ready(Paused::Ended(Kept::NotReady)),
            Poll::Pending => {}
        }
        if *this.stage == Stage::Backoff {
            *this.stage = Stage::Readiness;
            let deadline = Frame::facts().deadline;
            this.sleep
                .set(Some(deadline.map_or_else(|| sleep(PATIENCE), sleep_until)));
        }
        if let Some(sleep) = this.sleep.as_mut().as_pin_mut() {
            ready!(sleep.poll(cx));
        }
        Poll::Ready(Paused::Ended(Kept::NotReady))
    }

    pub(super) fn take(self: Pin<&mut Self>) -> Option<Result<T, E>> {
        self.project().at_hand.take()
    }
}

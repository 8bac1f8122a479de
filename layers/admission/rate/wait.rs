use std::{
    fmt,
    future::Future,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
    time::Duration,
};

use pin_project::pin_project;
use tokio::time::{Instant, Sleep, sleep_until};

use super::{RatePermit, gcra::Place, policy::Limit, state::Key};
use crate::rejection::Rejection;

/// A rate limit that rejects what is over its quota. The default.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct Rejects;

/// A rate limit that [delays](super::RateLimitLayer::wait) what is over its quota, up to a bound.
#[derive(Clone, Copy, Debug)]
pub struct Waits {
    pub(super) max: Duration,
}

/// The wait for a place in the time to come. Dropped before, it gives the place back if nobody has taken one behind it.
#[pin_project]
pub struct Turn {
    #[pin]
    sleep: Sleep,
    reservation: Reservation,
    permit: Option<RatePermit>,
}

impl Turn {
    pub(super) fn new(at: Instant, reservation: Reservation, permit: RatePermit) -> Self {
        Self {
            sleep: sleep_until(at),
            reservation,
            permit: Some(permit),
        }
    }
}

impl Future for Turn {
    type Output = Result<RatePermit, Rejection>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.project();
        ready!(this.sleep.poll(cx));
        this.reservation.take();
        match this.permit.take() {
            Some(permit) => Poll::Ready(Ok(permit)),
            None => Poll::Pending,
        }
    }
}

/// A place in the time to come, held for who waits for it. Dropped, it is given back.
pub(super) struct Reservation {
    limit: Arc<Limit>,
    key: Option<Key>,
    held: Option<Place>,
}

impl Reservation {
    pub(super) fn new(limit: Arc<Limit>, key: Option<Key>, place: Place) -> Self {
        Self {
            limit,
            key,
            held: Some(place),
        }
    }

    /// The time has come: it is taken.
    fn take(&mut self) {
        self.held = None;
    }
}

impl Drop for Reservation {
    fn drop(&mut self) {
        if let Some(place) = self.held.take() {
            self.limit.state.leave(self.key, &place);
        }
    }
}

impl fmt::Debug for Turn {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Turn")
            .field("at", &self.sleep.deadline())
            .finish_non_exhaustive()
    }
}

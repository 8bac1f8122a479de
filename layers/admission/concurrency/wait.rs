use std::{
    fmt,
    future::Future,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
};

use pin_project::{pin_project, pinned_drop};
use tokio::time::{Instant, Sleep, sleep_until};

use super::{Permit, counts::Refusal, limit::Handle, queue::Fate, routes::RouteKey};
use crate::{
    context::Criticality,
    rejection::Rejection,
    telemetry::{Event, Leave, emit},
};

/// The wait in the queue of a [`ConcurrencyLimit`](super::ConcurrencyLimit). Dropping it leaves the queue, and costs nobody anything.
///
/// It ends when it is served, when it has to give way, or when it has waited as long as one may.
#[pin_project(PinnedDrop)]
pub struct Waiting {
    handle: Arc<Handle>,
    place: Option<usize>,
    since: Instant,
    band: Criticality,
    route: RouteKey,
    #[pin]
    overdue: Sleep,
}

impl Waiting {
    pub(super) fn new(handle: Arc<Handle>, place: usize, band: Criticality, route: RouteKey, since: Instant) -> Self {
        let until = since.checked_add(handle.wait()).unwrap_or(since);
        Self {
            handle,
            place: Some(place),
            since,
            band,
            route,
            overdue: sleep_until(until),
        }
    }
}

impl Future for Waiting {
    type Output = Result<Permit, Rejection>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.project();
        let Some(place) = *this.place else {
            return Poll::Pending;
        };
        let Handle { shared, number: home } = &**this.handle;
        let waits = shared.gate.look(place, cx.waker()) == Fate::Waiting;
        if waits && this.overdue.poll(cx).is_pending() {
            return Poll::Pending;
        }
        *this.place = None;
        let now = Instant::now();
        let fate = shared.gate.leave(place, *home, now);
        emit(|| Event::Queued {
            limit: shared.name(),
            band: *this.band,
            wait: now.saturating_duration_since(*this.since),
            leave: match fate {
                Fate::Granted => Leave::Admitted,
                _ => Leave::Rejected,
            },
        });
        Poll::Ready(match fate {
            Fate::Granted => Ok(Permit::new(this.handle.clone(), *this.route, Some(now))),
            fate => {
                let why = Refusal::of(fate);
                shared.counts(*home).refused(*this.band, why);
                Err(why.rejection())
            }
        })
    }
}

#[pinned_drop]
impl PinnedDrop for Waiting {
    fn drop(self: Pin<&mut Self>) {
        let this = self.project();
        if let Some(place) = this.place.take() {
            let Handle { shared, number: home } = &**this.handle;
            let now = Instant::now();
            if shared.gate.leave(place, *home, now) == Fate::Granted {
                shared.gate.exit(*home, false, || now);
            }
        }
    }
}

impl fmt::Debug for Waiting {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Waiting")
            .field("band", &self.band)
            .finish_non_exhaustive()
    }
}

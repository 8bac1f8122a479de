use std::{
    fmt,
    future::Future,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
    time::Duration,
};

use pin_project::{pin_project, pinned_drop};
use tokio::time::{Instant, Sleep, sleep_until};

use super::{Permit, counts::NotAdmitted, limit::Handle, queue::Fate, routes::RouteKey};
use crate::{
    context::Criticality,
    rejection::Rejection,
    telemetry::{Event, Leave, emit},
};

/// Who waits longer looks once in this time whether readers have stalled: a deadline that passes wakes nobody.
const LOOK: Duration = Duration::from_secs(1);

/// The wait in the queue of a [`ConcurrencyLimit`](super::ConcurrencyLimit). Dropping it leaves the queue, and costs nobody anything.
///
/// It ends when it is served, when it has to give way, when it has waited as long as one may, or when its work can no longer be done in time.
#[pin_project(PinnedDrop)]
pub struct Waiting {
    handle: Arc<Handle>,
    place: Option<usize>,
    since: Instant,
    /// When it must be served at the latest, if there is a latest.
    latest: Option<Instant>,
    band: Criticality,
    route: RouteKey,
    /// When it has waited as long as it may. `None`: that is beyond the clock.
    until: Option<Instant>,
    #[pin]
    timer: Sleep,
}

impl Waiting {
    pub(super) fn new(
        handle: Arc<Handle>,
        place: usize,
        (band, route): (Criticality, RouteKey),
        since: Instant,
        latest: Option<Instant>,
    ) -> Self {
        let until = [since.checked_add(handle.wait()), latest].into_iter().flatten().min();
        Self {
            handle,
            place: Some(place),
            since,
            latest,
            band,
            route,
            until,
            timer: sleep_until(next_look(since, until)),
        }
    }
}

fn next_look(now: Instant, until: Option<Instant>) -> Instant {
    let next = now + LOOK;
    until.map_or(next, |until| until.min(next))
}

impl Future for Waiting {
    type Output = Result<Permit, Rejection>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let mut this = self.project();
        let Some(place) = *this.place else {
            return Poll::Pending;
        };
        let Handle { shared, number: home } = &**this.handle;
        while shared.gate.look(place, cx.waker()) == Fate::Waiting {
            ready!(this.timer.as_mut().poll(cx));
            let now = Instant::now();
            if this.until.is_some_and(|until| until <= now) {
                break;
            }
            shared.settle_stalled(*home, || now);
            this.timer.as_mut().reset(next_look(now, *this.until));
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
                let is_late = this.latest.is_some_and(|latest| latest <= now);
                let why = match fate {
                    Fate::Waiting if is_late => NotAdmitted::Unmeetable,
                    fate => NotAdmitted::of(fate),
                };
                shared.counts(*home).rejected(*this.band, why);
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

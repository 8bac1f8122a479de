use std::{fmt, mem, sync::Arc, time::Duration};

use http::{StatusCode, header::CONTENT_TYPE};
use tokio::time::Instant;

use super::{
    HoldUntil,
    limit::{Handle, Shared},
    routes::RouteKey,
    stalled::Deposit,
};
use crate::{
    context::Context,
    outcome::{Answer, Outcome, Settle},
};

/// One of the places of a [`ConcurrencyLimit`](super::ConcurrencyLimit). It rides in the call and its body; dropped at any time, it
/// goes back.
#[must_use = "a permit that is dropped goes back at once"]
pub struct Permit {
    handle: Arc<Handle>,
    place: Place,
    route: RouteKey,
    timing: Timing,
}

/// Where the place is.
#[derive(Clone, Copy, Debug)]
enum Place {
    /// In the permit.
    Held,
    /// With those of the bodies that have a deadline.
    Left(Deposit),
    /// It was given back.
    Free,
}

/// How long the call took, if it is timed: from when it was let in, or came out of the queue, to its head.
#[derive(Clone, Copy, Debug)]
enum Timing {
    No,
    Since(Instant),
    Took(Duration, Instant),
}

impl Timing {
    #[inline]
    fn stopped(self) -> Self {
        match self {
            Self::Since(since) => {
                let now = Instant::now();
                Self::Took(now.saturating_duration_since(since), now)
            }
            stopped => stopped,
        }
    }
}

impl Permit {
    #[inline]
    pub(super) fn new(handle: Arc<Handle>, route: RouteKey, since: Option<Instant>) -> Self {
        Self {
            handle,
            place: Place::Held,
            route,
            timing: match since {
                Some(since) => Timing::Since(since),
                None => Timing::No,
            },
        }
    }

    /// Gives the place back, if that is not done, and says whether it was.
    #[inline]
    fn give_back(&mut self, success: bool) -> bool {
        let Handle { shared, number: home } = &*self.handle;
        let mine = match mem::replace(&mut self.place, Place::Free) {
            Place::Held => true,
            Place::Left(deposit) => shared.stalled(*home).take_back(deposit),
            Place::Free => false,
        };
        if mine {
            shared.gate.exit(*home, success, Instant::now);
        }
        mine
    }

    /// A success that was timed, or whose place is elsewhere.
    fn succeed(&mut self) {
        let timing = self.timing.stopped();
        if let Timing::Took(latency, _) = timing {
            self.shared().meter.timed(self.route, latency);
        }
        if !self.give_back(true) {
            self.shared().gate.permits().succeeded(self.handle.number);
        }
        if let Timing::Took(_, at) = timing
            && self.shared().meter.is_due(at)
        {
            self.shared().end_window(self.handle.number);
        }
    }

    fn shared(&self) -> &Shared {
        &self.handle.shared
    }

    /// Whether the place is not to be held while this body streams.
    fn ends_at_head(&self, answer: &Answer<'_>) -> bool {
        self.shared().hold == HoldUntil::Head
            || answer.status == StatusCode::SWITCHING_PROTOCOLS
            || answer.headers.get(CONTENT_TYPE).is_some_and(|content_type| {
                let event_stream = b"text/event-stream";
                let start = content_type.as_bytes().get(..event_stream.len());
                start.is_some_and(|start| start.eq_ignore_ascii_case(event_stream))
            })
    }
}

impl Settle for Permit {
    #[inline]
    fn answered(&mut self, answer: &mut Answer<'_>) {
        if matches!(self.timing, Timing::Since(_)) {
            self.timing = self.timing.stopped();
        }
        if !answer.streams {
            return;
        }
        if self.ends_at_head(answer) {
            self.give_back(false);
        } else if let Some(deadline) = Context::current_deadline()
            && let Some(deposit) = self.shared().stalled(self.handle.number).leave(deadline)
        {
            self.place = Place::Left(deposit);
        }
    }

    #[inline]
    fn settle(mut self, outcome: Outcome) {
        if !matches!(outcome, Outcome::Success) {
            return; // dropped
        }
        match (self.timing, self.place) {
            (Timing::No, Place::Held) => {
                self.place = Place::Free;
                let Handle { shared, number: home } = &*self.handle;
                shared.gate.exit(*home, true, Instant::now);
            }
            _ => self.succeed(),
        }
    }
}

impl Drop for Permit {
    #[inline]
    fn drop(&mut self) {
        if !matches!(self.place, Place::Free) {
            self.give_back(false);
        }
    }
}

impl fmt::Debug for Permit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Permit")
            .field("place", &self.place)
            .field("timing", &self.timing)
            .finish_non_exhaustive()
    }
}

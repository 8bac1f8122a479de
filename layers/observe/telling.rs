use std::{
    fmt, mem,
    panic::{AssertUnwindSafe, catch_unwind},
    sync::Arc,
    thread,
};

use bytes::Bytes;
use http::{HeaderMap, Response, StatusCode};
use http_body::Body;
use tokio::time::Instant;

use super::{At, Began, Ended, ErrorType, Observer, Side};
use crate::{
    body::{BoxError, End, Tracked, Watch, length},
    context::Cancelled,
    outcome::{Class, Outcome, SoFar, of_head},
    rejection::Protocol,
    telemetry::Listening,
};

/// A call that is observed, until its end is told. Dropping it tells.
pub(super) struct Telling<O: Observer>(Option<Call<O>>);

struct Call<O: Observer> {
    observer: Arc<O>,
    kept: O::Call,
    side: Side,
    began: Instant,
    status: Option<StatusCode>,
    grpc_status: Option<i32>,
    at: At,
    /// A good answer of which the body was not read to its end.
    is_unread: bool,
    /// Whether a poll is under way. If it is when all is over, the poll panicked.
    is_polled: bool,
}

impl<O: Observer> Telling<O> {
    /// Nobody is told.
    pub(super) const fn silent() -> Self {
        Self(None)
    }

    pub(super) const fn is_silent(&self) -> bool {
        !O::LISTENS || self.0.is_none()
    }

    /// A call begins, of which the observer wants to be told.
    #[inline]
    pub(super) fn began(observer: &Arc<O>, began: &Began<'_>, now: Instant) -> Self {
        Self(Some(Call {
            kept: observer.began(began),
            observer: observer.clone(),
            side: began.side,
            began: now,
            status: None,
            grpc_status: None,
            at: At::Head,
            is_unread: false,
            is_polled: false,
        }))
    }

    /// Where nobody listens the compiler knows that there is none, and leaves out what follows from one.
    #[inline]
    fn call(&mut self) -> Option<&mut Call<O>> {
        if O::LISTENS { self.0.as_mut() } else { None }
    }

    /// Runs a poll, and tells what happened in it.
    #[inline]
    pub(super) fn enter<R>(&mut self, poll: impl FnOnce() -> R) -> R {
        let Some(call) = self.call() else { return poll() };
        call.is_polled = true;
        let hearing = Hearing {
            listening: Some(Listening::begin()),
            call,
        };
        let output = hearing.call.observer.enter(&mut hearing.call.kept, poll);
        drop(hearing);
        call.is_polled = false;
        output
    }

    /// Follows the body of this answer, and tells its end.
    #[inline]
    pub(super) fn follow<B>(
        mut self,
        response: Response<B>,
        protocol: &Protocol,
    ) -> Response<Tracked<B, ObservedBody<O>>>
    where
        B: Body<Data = Bytes>,
        B::Error: Into<BoxError>,
    {
        let Some(call) = self.call() else {
            return Tracked::ended(response, |body| body);
        };
        call.status = Some(response.status());
        if protocol.is_grpc() {
            call.grpc_status = grpc_status(response.headers());
        }
        let so_far = of_head(&response, protocol);
        let head = *protocol == Protocol::HttpHead;
        let length = length(&response, head, so_far.is_none());
        if length == Some(0) {
            self.end(so_far.unwrap_or(Outcome::failure(Class::MissingStatus)));
            return Tracked::ended(response, |body| body);
        }
        call.at = At::Body;
        let so_far = SoFar::from(so_far);
        Tracked::follow_for(length, response, ObservedBody { telling: self, so_far }, |body| body)
    }

    pub(super) fn end(&mut self, outcome: Outcome) {
        if let Some(call) = self.0.take() {
            call.end(outcome);
        }
    }
}

/// Tells what happened in a poll when that is over, by a panic too.
struct Hearing<'a, O: Observer> {
    listening: Option<Listening>,
    call: &'a mut Call<O>,
}

impl<O: Observer> Drop for Hearing<'_, O> {
    #[inline]
    fn drop(&mut self) {
        let Call { observer, kept, .. } = &mut *self.call;
        if let Some(listening) = self.listening.take() {
            listening.hear(|event| guarded(|| observer.event(kept, event)));
        }
    }
}

impl<O: Observer> Call<O> {
    fn end(self, outcome: Outcome) {
        let outcome = if self.is_polled {
            Outcome::failure(Class::Panic)
        } else {
            outcome
        };
        // A client that asks for the status alone has what it wants.
        let has_all = self.side == Side::Client && self.is_unread && matches!(outcome, Outcome::Cancelled(_));
        let judged = if has_all { &Outcome::Success } else { &outcome };
        let ended = Ended {
            error: ErrorType::of(self.side, judged, self.status, self.grpc_status),
            outcome,
            at: self.at,
            status: self.status,
            grpc_status: self.grpc_status,
            took: Instant::now().saturating_duration_since(self.began),
        };
        guarded(|| self.observer.ended(self.kept, &ended));
    }
}

/// Tells. A panic of the observer's is its own where it comes on top of another: two would end the process.
#[inline]
fn guarded(tell: impl FnOnce()) {
    if thread::panicking() {
        let _ = catch_unwind(AssertUnwindSafe(tell));
    } else {
        tell();
    }
}

impl<O: Observer> Drop for Telling<O> {
    #[inline]
    fn drop(&mut self) {
        if self.call().is_some() {
            self.end(Outcome::Cancelled(Cancelled::Disconnected));
        }
    }
}

impl<O: Observer> fmt::Debug for Telling<O> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Telling")
            .field("at", &self.0.as_ref().map(|call| call.at))
            .finish_non_exhaustive()
    }
}

/// Rides in an answer's body, and tells the observer how the call ended.
pub struct ObservedBody<O: Observer> {
    telling: Telling<O>,
    so_far: SoFar,
}

impl<O: Observer> Watch for ObservedBody<O> {
    #[inline]
    fn enter<R>(&mut self, poll: impl FnOnce() -> R) -> R {
        self.telling.enter(poll)
    }

    fn awaits_trailers(&self) -> bool {
        self.so_far.awaits_status()
    }

    fn end(mut self, end: End<'_>) {
        if let (Some(call), End::Trailers(trailers)) = (&mut self.telling.0, &end)
            && self.so_far.awaits_status()
        {
            call.grpc_status = grpc_status(trailers);
        }
        let so_far = mem::replace(&mut self.so_far, SoFar::Success);
        if let (Some(call), End::Dropped, SoFar::Success) = (&mut self.telling.0, &end, &so_far) {
            call.is_unread = true;
        }
        self.telling.end(so_far.end(end));
    }
}

impl<O: Observer> fmt::Debug for ObservedBody<O> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ObservedBody")
            .field("so_far", &self.so_far)
            .finish_non_exhaustive()
    }
}

fn grpc_status(headers: &HeaderMap) -> Option<i32> {
    headers.get("grpc-status")?.to_str().ok()?.parse().ok()
}

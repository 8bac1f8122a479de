//! What is decided for all attempts at a request together: who wins, and whether there is another.

use std::{
    future::Future,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};

use bytes::Bytes;
use http::{Request, Response};
use http_body::Body;
use tower_service::Service;

use super::{delay::Timed, flight::Flight, layer::Shared};
use crate::{
    body::{BoxError, Tracked, replay::Replay},
    budget::{How, Why},
    context::{Context as Work, Head, Scope, home::Home},
    outcome::{Class, Delivery, Hint, Outcome, of_head},
    rejection::Protocol,
    retry::{Again, Attempt, Classify, Ending, Paid, Verdict, write_attempt, write_do_not_retry},
    telemetry::{Event, emit},
};

/// What is common to all attempts.
pub(super) struct Call<S, B> {
    pub(super) shared: Arc<Home<Shared>>,
    pub(super) protocol: Protocol,
    pub(super) timed: Timed,
    /// The first attempt's.
    pub(super) paid: Paid,
    pub(super) next: Next,
    pub(super) started: u32,
    /// Whether the layers above are told not to try either: what could be done was done.
    pub(super) exhausted: bool,
    pub(super) again: Option<Again<S, B>>,
}

/// When the next attempt is due.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Next {
    /// So long after somebody first has to wait.
    After(Duration),
    /// When the timer says so.
    Timed,
    Now,
    /// When the attempt that failed lets go of the body, or the timer says that it does not.
    Back,
    Never,
}

/// What is to become of an attempt that has ended.
pub(super) enum Fate {
    /// It is the answer.
    Wins,
    /// It is the answer if no other is.
    Fails,
}

impl<S, B> Call<S, B>
where
    B: Body<Data = Bytes>,
    B::Error: Into<BoxError>,
{
    /// What is to become of an attempt that has ended, and of the next.
    pub(super) fn judge<F: Future, T, E: 'static>(
        &mut self,
        mut flight: Pin<&mut Flight<F>>,
        output: &Result<Response<T>, E>,
        alone: bool,
    ) -> Fate {
        let (outcome, delivery) = match output {
            Ok(response) => (of_head(response, &self.protocol).unwrap_or(Outcome::Success), None),
            Err(error) => (Outcome::failure(Class::Transport), Some(Delivery::of_any(error))),
        };
        if outcome.is_success() {
            return Fate::Wins;
        }
        let Some(again) = &self.again else {
            return Fate::Wins;
        };
        if let Outcome::Rejected(rejection) = &outcome
            && !rejection.was_executed()
        {
            // Ours below said no. It says so to the next one as well; but another that is under way may still answer.
            if let Some(paid) = flight.as_mut().paid() {
                paid.unsent();
            }
            self.next = Next::Never;
            return if alone { Fate::Wins } else { Fate::Fails };
        }
        let attempt = Attempt::new(
            (Head::from(&again.head), flight.number()),
            &outcome,
            output,
            delivery,
            (&self.shared.settings, &self.protocol),
        );
        if self.shared.rules.classify(&attempt) == Verdict::Pass {
            return Fate::Wins;
        }
        // A failure starts the next early, but not before the upstream wants it.
        self.next = match (self.next, attempt.hint()) {
            (Next::Never, _) | (_, Some(Hint::DoNotRetry)) => Next::Never,
            (_, Some(Hint::After(wait))) => self.in_time(wait).map_or(Next::Never, Next::After),
            (_, None) => Next::Now,
        };
        flight.paid().unwrap_or(&mut self.paid).ended(How::Failure);
        Fate::Fails
    }

    /// This wait, if it is no longer than hints may be and leaves time for an attempt.
    fn in_time(&self, wait: Duration) -> Option<Duration> {
        let bounds = &self.shared.settings.bounds;
        let remaining = Work::current().remaining();
        let fits = remaining.is_none_or(|remaining| remaining > wait.saturating_add(bounds.floor));
        (wait <= bounds.hint_cap && fits).then_some(wait)
    }

    /// Whether an attempt still has the body. One that failed may have it a moment longer: the transport's task for it may be another.
    pub(super) fn has_body(&self, cx: &mut Context<'_>) -> bool {
        self.again
            .as_ref()
            .is_some_and(|again| again.body.poll_back(cx).is_pending())
    }

    /// Starts another attempt, if all allows it. What is at hand of one that failed is then let go, as the last failure is the answer:
    /// it may hold a place that this one wants.
    pub(super) fn start<F>(&mut self, cx: &mut Context<'_>, at_hand: &mut Option<F::Output>) -> Option<Flight<F>>
    where
        S: Service<Request<Replay<B>>, Future = F>,
        F: Future,
    {
        let bounds = self.shared.settings.bounds;
        if self.started >= bounds.attempts {
            self.exhausted = true;
            return None;
        }
        self.in_time(Duration::ZERO)?;
        let Again { service, head, body } = self.again.as_mut()?;
        if Work::current().check().is_err() {
            return None;
        }
        // One that is not ready has more than it can do.
        let Poll::Ready(Ok(())) = service.poll_ready(cx) else {
            return None;
        };
        let body = body.again().ok()?;
        let Some(paid) = self.paid.beside(Why::Hedge) else {
            self.exhausted = true;
            self.shared.counts.unpaid();
            return None;
        };
        self.started += 1;
        self.shared.counts.hedge();
        emit(|| Event::Hedged { attempt: self.started });
        self.next = self.timed.delay().map_or(Next::Never, Next::After);
        drop(at_hand.take());

        let began = self.timed.begins();
        let mut request = Request::from_parts(head.clone(), body);
        write_attempt(request.headers_mut(), &self.protocol, self.started);
        let scope = Scope::begin_attempt(self.started);
        let counted = paid.by.counted();
        let call = service.call(request);
        drop(counted);
        Some(Flight::new(scope.release(), Some(paid), self.started, began, call))
    }

    /// The attempt that answered is the answer.
    pub(super) fn answer<F: Future, T, E>(
        &mut self,
        mut flight: Pin<&mut Flight<F>>,
        output: Result<Response<T>, E>,
    ) -> Result<Response<Tracked<T, Ending>>, E>
    where
        T: Body<Data = Bytes>,
        T::Error: Into<BoxError>,
    {
        let response = output?;
        let head = of_head(&response, &self.protocol);
        if head.as_ref().is_none_or(Outcome::is_success) {
            self.timed.won(flight.began());
        }
        let scope = flight.as_mut().take_scope();
        let paid = flight.paid().unwrap_or(&mut self.paid);
        Ok(Ending::follow(
            response,
            &self.protocol,
            head,
            scope,
            (paid, &self.shared.settings.codes),
        ))
    }

    /// All attempts failed: the last one is the answer.
    pub(super) fn give_up<T, E>(&mut self, output: Result<Response<T>, E>) -> Result<Response<Tracked<T, Ending>>, E>
    where
        T: Body<Data = Bytes>,
        T::Error: Into<BoxError>,
    {
        let mut response = output?;
        if self.exhausted {
            write_do_not_retry(response.headers_mut(), &self.protocol);
        }
        Ok(Tracked::ended(response, |body| body))
    }
}

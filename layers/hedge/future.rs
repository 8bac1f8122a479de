use std::{
    fmt,
    future::Future,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};

use bytes::Bytes;
use http::{Request, Response};
use http_body::Body;
use pin_project::pin_project;
use tokio::time::{Sleep, sleep};
use tower_service::Service;

use super::{delay::Timed, flight::Flight, layer::Shared};
use crate::{
    body::{BoxError, Tracked, replay::Replay},
    budget::{How, Why},
    context::{Context as Work, Head, Scope, home::Home},
    outcome::{Class, Delivery, Hint, Outcome, of_head},
    rejection::Protocol,
    retry::{Again, Attempt, Classify, Ending, Paid, Verdict, write_attempt, write_do_not_retry},
};

/// The response future of [`Hedge`](super::Hedge). Dropping it ends all attempts.
#[pin_project]
pub struct HedgeFuture<S, B>
where
    S: Service<Request<Replay<B>>>,
{
    #[pin]
    first: Option<Flight<S::Future>>,
    hedges: Vec<Pin<Box<Flight<S::Future>>>>,
    #[pin]
    timer: Option<Sleep>,
    /// The answer of an attempt that failed, while there are others.
    at_hand: Option<Result<S::Response, S::Error>>,
    request: Call<S, B>,
}

/// What is common to all attempts.
struct Call<S, B> {
    shared: Arc<Home<Shared>>,
    protocol: Protocol,
    timed: Timed,
    /// The first attempt's.
    paid: Paid,
    next: Next,
    started: u32,
    /// Whether the layers above are told not to try either: what could be done was done.
    exhausted: bool,
    again: Option<Again<S, B>>,
}

/// When the next attempt is due.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Next {
    /// So long after somebody first has to wait.
    After(Duration),
    /// When the timer says so.
    Timed,
    Now,
    Never,
}

/// What is to become of an attempt that has ended.
enum Fate {
    /// It is the answer.
    Wins,
    /// It is the answer if no other is.
    Fails,
}

impl<S, B> HedgeFuture<S, B>
where
    S: Service<Request<Replay<B>>>,
{
    pub(super) fn new(
        shared: Arc<Home<Shared>>,
        protocol: Protocol,
        timed: Timed,
        paid: Paid,
        first: Flight<S::Future>,
        again: Option<Again<S, B>>,
    ) -> Self {
        let delay = timed.delay().filter(|_| again.is_some());
        Self {
            first: Some(first),
            hedges: Vec::new(),
            timer: None,
            at_hand: None,
            request: Call {
                shared,
                protocol,
                timed,
                paid,
                next: delay.map_or(Next::Never, Next::After),
                started: 1,
                exhausted: false,
                again,
            },
        }
    }
}

impl<S, B, ResBody> Future for HedgeFuture<S, B>
where
    S: Service<Request<Replay<B>>, Response = Response<ResBody>> + Clone,
    S::Error: 'static,
    B: Body<Data = Bytes>,
    B::Error: Into<BoxError>,
    ResBody: Body<Data = Bytes>,
    ResBody::Error: Into<BoxError>,
{
    type Output = Result<Response<Tracked<ResBody, Ending>>, S::Error>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let mut this = self.project();
        loop {
            // The first, then the others: whoever is older wins where two have answered.
            if let Some(mut flight) = this.first.as_mut().as_pin_mut()
                && let Poll::Ready(output) = flight.as_mut().poll(cx)
            {
                let alone = this.hedges.is_empty();
                if let Fate::Wins = this.request.judge(flight.as_mut(), &output, alone) {
                    supersede(this.hedges);
                    return Poll::Ready(this.request.answer(flight, output));
                }
                this.first.set(None);
                *this.at_hand = Some(output);
            }
            let mut place = 0;
            while let Some(flight) = this.hedges.get_mut(place) {
                let Poll::Ready(output) = flight.as_mut().poll(cx) else {
                    place += 1;
                    continue;
                };
                let mut flight = this.hedges.remove(place);
                let alone = this.first.is_none() && this.hedges.is_empty();
                if let Fate::Wins = this.request.judge(flight.as_mut(), &output, alone) {
                    this.request.shared.counts.won();
                    if let Some(first) = this.first.as_mut().as_pin_mut() {
                        first.supersede();
                    }
                    supersede(this.hedges);
                    return Poll::Ready(this.request.answer(flight.as_mut(), output));
                }
                *this.at_hand = Some(output);
            }

            if let Next::After(delay) = this.request.next {
                this.timer.set(Some(sleep(delay)));
                this.request.next = Next::Timed;
            }
            if this.request.next == Next::Timed
                && let Some(timer) = this.timer.as_mut().as_pin_mut()
                && timer.poll(cx).is_ready()
            {
                this.request.next = Next::Now;
            }
            if this.request.next == Next::Now {
                match this.request.start(cx) {
                    Some(flight) => {
                        this.hedges.push(Box::pin(flight));
                        continue;
                    }
                    None => this.request.next = Next::Never,
                }
            }
            let waits = this.first.is_some() || !this.hedges.is_empty() || this.request.next == Next::Timed;
            if !waits && let Some(output) = this.at_hand.take() {
                return Poll::Ready(this.request.give_up(output));
            }
            return Poll::Pending;
        }
    }
}

impl<S, B> Call<S, B>
where
    B: Body<Data = Bytes>,
    B::Error: Into<BoxError>,
{
    /// What is to become of an attempt that has ended, and of the next.
    fn judge<F: Future, T, E: 'static>(
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

    /// Starts another attempt, if all allows it.
    fn start<F>(&mut self, cx: &mut Context<'_>) -> Option<Flight<F>>
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
        self.next = self.timed.delay().map_or(Next::Never, Next::After);

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
    fn answer<F: Future, T, E>(
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
        Ok(Ending::follow(response, &self.protocol, head, scope, paid))
    }

    /// All attempts failed: the last one is the answer.
    fn give_up<T, E>(&mut self, output: Result<Response<T>, E>) -> Result<Response<Tracked<T, Ending>>, E>
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

fn supersede<F: Future>(flights: &mut [Pin<Box<Flight<F>>>]) {
    for flight in flights {
        flight.as_mut().supersede();
    }
}

impl<S, B> fmt::Debug for HedgeFuture<S, B>
where
    S: Service<Request<Replay<B>>>,
{
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("HedgeFuture")
            .field("started", &self.request.started)
            .field("next", &self.request.next)
            .finish_non_exhaustive()
    }
}

use std::{
    fmt,
    future::Future,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
    time::Duration,
};

use bytes::Bytes;
use http::{Request, Response};
use http_body::Body;
use pin_project::pin_project;
use tokio::time::{Sleep, sleep};
use tower_service::Service;

use super::{
    call::{Call, Fate, Next},
    delay::Timed,
    flight::Flight,
    layer::Shared,
};
use crate::{
    body::{
        BoxError, Tracked,
        replay::{Replay, TakesReplay},
    },
    context::home::Home,
    rejection::Protocol,
    retry::{Again, Ending, Paid},
};

/// How long the body of an attempt that failed is waited for.
const PATIENCE: Duration = Duration::from_secs(1);

/// The response future of [`Hedge`](super::Hedge). Dropping it ends all attempts.
#[pin_project]
pub struct HedgeFuture<S, B>(#[pin] State<S, B>)
where
    S: Service<Request<Replay<B>>>;

#[pin_project(project = StateProj)]
#[expect(clippy::large_enum_variant, reason = "a layer that is off is the exception")]
enum State<S, B>
where
    S: Service<Request<Replay<B>>>,
{
    /// The layer is off.
    Alone(#[pin] S::Future),
    Accompanied(#[pin] Attempts<S, B>),
}

/// The first attempt, and those beside it.
#[pin_project]
struct Attempts<S, B>
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
        Self(State::Accompanied(Attempts {
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
        }))
    }

    pub(super) fn alone(call: S::Future) -> Self {
        Self(State::Alone(call))
    }
}

impl<S, B> Future for HedgeFuture<S, B>
where
    S: TakesReplay<B> + Clone,
    B: Body<Data = Bytes>,
    B::Error: Into<BoxError>,
{
    type Output = Result<Response<Tracked<S::ResBody, Ending>>, S::Error>;

    #[inline]
    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        match self.project().0.project() {
            StateProj::Alone(call) => Poll::Ready(match ready!(call.poll(cx)) {
                Ok(response) => Ok(Tracked::ended(response, |body| body)),
                Err(error) => Err(error),
            }),
            StateProj::Accompanied(attempts) => attempts.poll(cx),
        }
    }
}

impl<S, B> Attempts<S, B>
where
    S: TakesReplay<B> + Clone,
    B: Body<Data = Bytes>,
    B::Error: Into<BoxError>,
{
    #[expect(clippy::type_complexity, reason = "the output of the future")]
    fn poll(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Result<Response<Tracked<S::ResBody, Ending>>, S::Error>> {
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
            let waits_for_nobody = this.first.is_none() && this.hedges.is_empty();
            if this.request.next == Next::Now
                && waits_for_nobody
                && matches!(this.at_hand, Some(Err(_)))
                && this.request.has_body(cx)
            {
                this.timer.set(Some(sleep(PATIENCE)));
                this.request.next = Next::Back;
            }
            if this.request.next == Next::Back {
                let is_over = this
                    .timer
                    .as_mut()
                    .as_pin_mut()
                    .is_none_or(|timer| timer.poll(cx).is_ready());
                if !is_over && this.request.has_body(cx) {
                    return Poll::Pending;
                }
                this.request.next = Next::Now;
            }
            if this.request.next == Next::Now {
                match this.request.start(cx, this.at_hand) {
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
        let mut debug = f.debug_struct("HedgeFuture");
        if let State::Accompanied(attempts) = &self.0 {
            debug
                .field("started", &attempts.request.started)
                .field("next", &attempts.request.next);
        }
        debug.finish_non_exhaustive()
    }
}

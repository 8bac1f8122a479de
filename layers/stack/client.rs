use std::{
    fmt,
    future::poll_fn,
    task::{Context, Poll},
    time::Duration,
};

use http::Request;
use tower_layer::Layer;
use tower_service::Service;

use crate::{
    admission::{
        Admission, AdmissionLayer,
        breaker::{Breaker, BreakerLayer},
        concurrency::{ConcurrencyLimit, ConcurrencyLimitLayer},
        throttle::{Throttle, ThrottleLayer},
    },
    budget::{Budget, Budgets},
    criticality::{PropagateCriticality, PropagateCriticalityLayer},
    deadline::{PropagateDeadline, PropagateDeadlineLayer, Timeout, TimeoutLayer},
    hedge::{Hedge, HedgeLayer},
    observe::{Observe, ObserveLayer},
    retry::{Retry, RetryLayer},
};

/// A client's stack: no call takes longer than `timeout`, all of its attempts and the answer's body included.
///
/// See [`ClientStack`] for what is in it, and the [module](super) for how it is used.
pub fn client(timeout: Duration) -> ClientStack {
    let budgets = Budgets::from(Budget::default());
    ClientStack {
        observe: ObserveLayer::client(()),
        timeout: Some(TimeoutLayer::new(timeout)),
        retry: Some(RetryLayer::new().budget(budgets.clone())),
        hedge: None,
        budgets,
        breaker: Some(BreakerLayer::new().per_destination()),
        throttle: Some(ThrottleLayer::new().per_destination()),
        limit: None,
        attempt_timeout: None,
        deadline: Some(PropagateDeadlineLayer::new()),
        criticality: Some(PropagateCriticalityLayer::new()),
    }
}

/// The layers of a client, in order. Made by [`client`].
///
/// | outermost first | default | why |
/// |---|---|---|
/// | [`observe`](Self::observe) | off: no observer, no cost | sees every ending |
/// | [`timeout`](Self::timeout) | as given to [`client`], or what the context has left | a bound where the caller has none |
/// | [`retry`](Self::retry) | what is safe, three attempts in all | a fault of a moment is hidden |
/// | [`hedge`](Self::hedge) | none | only you know what may be asked twice at once |
/// | [`budget`](Self::budget) | a tenth of the calls, 1 a second, 10 at once | an outage is not multiplied; pays for both of them |
/// | [`breaker`](Self::breaker) | for each destination | what keeps failing is left alone |
/// | [`throttle`](Self::throttle) | for each destination | about as much is sent as is accepted |
/// | [`limit`](Self::limit) | none | one number for all destinations would let the slow one starve the others |
/// | [`attempt_timeout`](Self::attempt_timeout) | none | an attempt that is cut short is an attempt lost, unless you know how long they take |
/// | [`deadline`](Self::deadline) | written on each attempt | the next service stops in time |
/// | [`criticality`](Self::criticality) | written on each attempt | the next service knows what to reject first |
///
/// Below it stands the transport, or the adapter for one: [`tonic`](crate::tonic), [`reqwest`](crate::reqwest). A request with a body `B`
/// reaches it with a body [`Replay<Replay<B>>`](crate::body::replay::Replay): one is of the retry, one of the hedge, on or off. The
/// transport must be `Clone`, and its error is the stack's. `poll_ready` is the transport's. How to name a client's type is said
/// [here](super#keep-a-client-in-your-state).
pub struct ClientStack<O = ()> {
    observe: ObserveLayer<O>,
    timeout: Option<TimeoutLayer>,
    retry: Option<RetryLayer>,
    hedge: Option<HedgeLayer>,
    budgets: Budgets,
    breaker: Option<BreakerLayer>,
    throttle: Option<ThrottleLayer>,
    limit: Option<ConcurrencyLimitLayer>,
    attempt_timeout: Option<TimeoutLayer>,
    deadline: Option<PropagateDeadlineLayer>,
    criticality: Option<PropagateCriticalityLayer>,
}

type Policies = (Option<Breaker>, (Option<Throttle>, Option<ConcurrencyLimit>));

type Attempt<S> = Timeout<PropagateDeadline<PropagateCriticality<S>>>;
type Attempts<S> = Retry<Hedge<Admission<Attempt<S>, Policies>>>;
type Stacked<S, O> = Observe<Timeout<Attempts<S>>, O>;

/// The service of [`ClientStack`]. Clones share all that the stack has.
pub struct Client<S, O = ()> {
    stack: Stacked<S, O>,
}

impl<O> ClientStack<O> {
    /// Who is told of each call. With another observer it is another type.
    pub fn observe<P>(self, observe: ObserveLayer<P>) -> ClientStack<P> {
        ClientStack {
            observe,
            timeout: self.timeout,
            retry: self.retry,
            hedge: self.hedge,
            budgets: self.budgets,
            breaker: self.breaker,
            throttle: self.throttle,
            limit: self.limit,
            attempt_timeout: self.attempt_timeout,
            deadline: self.deadline,
            criticality: self.criticality,
        }
    }

    /// How long a call may take, with all of its attempts. With `None` it is the context alone that says so.
    #[must_use]
    pub fn timeout(mut self, timeout: impl Into<Option<TimeoutLayer>>) -> Self {
        self.timeout = timeout.into();
        self
    }

    /// What is tried again. The stack's [budget](Self::budget) pays for it, whatever this one's was.
    #[must_use]
    pub fn retry(mut self, retry: impl Into<Option<RetryLayer>>) -> Self {
        self.retry = retry.into().map(|retry| retry.budget(self.budgets.clone()));
        self
    }

    /// What is asked a second time where the first is slow. The stack's [budget](Self::budget) pays for it, whatever this one's was.
    ///
    /// ```
    /// use buttress::HedgeLayer;
    /// # use std::time::Duration;
    ///
    /// let stack = buttress::client(Duration::from_secs(5)).hedge(HedgeLayer::quantile(0.95));
    /// ```
    #[must_use]
    pub fn hedge(mut self, hedge: impl Into<Option<HedgeLayer>>) -> Self {
        self.hedge = hedge.into().map(|hedge| hedge.budget(self.budgets.clone()));
        self
    }

    /// What retries and hedges are paid from: one [`Budget`], or one for each destination. A clone of another client's is shared with it.
    #[must_use]
    pub fn budget(mut self, budget: impl Into<Budgets>) -> Self {
        self.budgets = budget.into();
        let (retry, hedge) = (self.retry.take(), self.hedge.take());
        self.retry(retry).hedge(hedge)
    }

    /// What is left alone while it keeps failing.
    #[must_use]
    pub fn breaker(mut self, breaker: impl Into<Option<BreakerLayer>>) -> Self {
        self.breaker = breaker.into();
        self
    }

    /// How much is asked of whoever rejects.
    #[must_use]
    pub fn throttle(mut self, throttle: impl Into<Option<ThrottleLayer>>) -> Self {
        self.throttle = throttle.into();
        self
    }

    /// How many attempts at a time.
    #[must_use]
    pub fn limit(mut self, limit: impl Into<Option<ConcurrencyLimitLayer>>) -> Self {
        self.limit = limit.into();
        self
    }

    /// How long each attempt may take.
    #[must_use]
    pub fn attempt_timeout(mut self, timeout: impl Into<Option<TimeoutLayer>>) -> Self {
        self.attempt_timeout = timeout.into();
        self
    }

    /// How the upstream is told what remains.
    #[must_use]
    pub fn deadline(mut self, deadline: impl Into<Option<PropagateDeadlineLayer>>) -> Self {
        self.deadline = deadline.into();
        self
    }

    /// How the upstream is told how much it matters.
    #[must_use]
    pub fn criticality(mut self, criticality: impl Into<Option<PropagateCriticalityLayer>>) -> Self {
        self.criticality = criticality.into();
        self
    }

    /// The stack around a transport: what [`Layer::layer`] does, without an import.
    pub fn service<S>(&self, transport: S) -> Client<S, O> {
        // One that is left out is there, and off: a stack has one type, whatever is in it.
        let criticality = self.criticality.clone().unwrap_or_else(PropagateCriticalityLayer::off);
        let deadline = self.deadline.clone().unwrap_or_else(PropagateDeadlineLayer::off);
        let attempt_timeout = self.attempt_timeout.unwrap_or(TimeoutLayer::new(Duration::MAX));
        let hedge = self.hedge.clone().unwrap_or_else(HedgeLayer::off);
        let retry = self.retry.clone().unwrap_or_else(|| RetryLayer::new().attempts(1));
        let timeout = self.timeout.unwrap_or(TimeoutLayer::new(Duration::MAX));
        let attempt = attempt_timeout.layer(deadline.layer(criticality.layer(transport)));
        let admitted = AdmissionLayer::new(self.policies()).layer(attempt);
        Client {
            stack: self.observe.layer(timeout.layer(retry.layer(hedge.layer(admitted)))),
        }
    }

    fn policies(&self) -> Policies {
        (
            self.breaker.as_ref().map(BreakerLayer::for_service),
            (
                self.throttle.as_ref().map(ThrottleLayer::for_service),
                self.limit.as_ref().map(ConcurrencyLimitLayer::for_service),
            ),
        )
    }
}

impl<S, O> Client<S, O> {
    /// Sends a request. A clone of the stack waits until the transport is ready, and is called once.
    ///
    /// # Errors
    ///
    /// Those of the transport. An answer with an error's status is an answer, and so is a rejection by one of the layers: see
    /// [`ResponseExt`](crate::rejection::ResponseExt).
    pub async fn send<B>(
        &self,
        request: Request<B>,
    ) -> Result<<Self as Service<Request<B>>>::Response, <Self as Service<Request<B>>>::Error>
    where
        Self: Service<Request<B>> + Clone,
    {
        let mut client = self.clone();
        poll_fn(|cx| client.poll_ready(cx)).await?;
        client.call(request).await
    }
}

// === impl ClientStack, Client ===

impl<S, O> Layer<S> for ClientStack<O> {
    type Service = Client<S, O>;

    fn layer(&self, transport: S) -> Client<S, O> {
        self.service(transport)
    }
}

impl<S, O, R> Service<R> for Client<S, O>
where
    Stacked<S, O>: Service<R>,
{
    type Response = <Stacked<S, O> as Service<R>>::Response;
    type Error = <Stacked<S, O> as Service<R>>::Error;
    type Future = <Stacked<S, O> as Service<R>>::Future;

    #[inline]
    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        self.stack.poll_ready(cx)
    }

    #[inline]
    fn call(&mut self, request: R) -> Self::Future {
        self.stack.call(request)
    }
}

impl<O> Clone for ClientStack<O> {
    fn clone(&self) -> Self {
        Self {
            observe: self.observe.clone(),
            timeout: self.timeout,
            retry: self.retry.clone(),
            hedge: self.hedge.clone(),
            budgets: self.budgets.clone(),
            breaker: self.breaker.clone(),
            throttle: self.throttle.clone(),
            limit: self.limit.clone(),
            attempt_timeout: self.attempt_timeout,
            deadline: self.deadline.clone(),
            criticality: self.criticality.clone(),
        }
    }
}

impl<S: Clone, O> Clone for Client<S, O> {
    fn clone(&self) -> Self {
        Self {
            stack: self.stack.clone(),
        }
    }
}

/// What is in effect, outermost first.
impl<O> fmt::Debug for ClientStack<O> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list()
            .entry(&self.observe)
            .entries(self.timeout)
            .entries(&self.retry)
            .entries(&self.hedge)
            .entries(&self.breaker)
            .entries(&self.throttle)
            .entries(&self.limit)
            .entries(self.attempt_timeout)
            .entries(&self.deadline)
            .entries(&self.criticality)
            .finish()
    }
}

impl<S: fmt::Debug, O> fmt::Debug for Client<S, O> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.stack.fmt(f)
    }
}

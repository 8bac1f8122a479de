use std::{fmt, sync::Arc, time::Duration};

use tower_layer::Layer;

#[cfg(feature = "rate")]
use crate::admission::rate::{RateLimit, RateLimitLayer};
use crate::{
    admission::{
        Admission, AdmissionLayer,
        concurrency::{ConcurrencyLimit, ConcurrencyLimitLayer},
        drain::Drain,
        shed::{LoadShed, LoadShedLayer},
    },
    cancel::{Cancel, CancelLayer},
    criticality::{CriticalityLayer, CriticalityService},
    deadline::{DeadlineLayer, DeadlineService},
    observe::{Observe, ObserveLayer},
    rejection::{RenderLayer, RenderService},
};

/// A server's stack: no request takes longer than `deadline`, unless its caller says so.
///
/// See [`ServerStack`] for what is in it, and the [module](super) for how it is used.
pub fn server(deadline: Duration) -> ServerStack {
    ServerStack {
        observe: ObserveLayer::server(()),
        render: None,
        criticality: Some(CriticalityLayer::new()),
        deadline: Some(DeadlineLayer::new(deadline)),
        cancel: Some(CancelLayer::new()),
        drain: None,
        #[cfg(feature = "rate")]
        rate: None,
        shed: Some(LoadShedLayer::new()),
        limit: Some(ConcurrencyLimitLayer::adaptive()),
    }
}

/// The layers of a server, in order. Made by [`server`].
///
/// | outermost first | default | why |
/// |---|---|---|
/// | [`observe`](Self::observe) | off: no observer, no cost | sees every ending, the caller's departure included |
/// | [`render`](Self::render) | none: a line of text | how a rejection looks |
/// | [`criticality`](Self::criticality) | `x-criticality` can lower it | what is rejected first |
/// | [`deadline`](Self::deadline) | as given to [`server`]; a caller's, up to 30 s or that | stands outside of every wait, so that it counts |
/// | [`cancel`](Self::cancel) | on | the context, that ends with its request |
/// | [`drain`](Self::drain) | none | rejects new requests once you close it |
/// | [`rate`](Self::rate) | none | only you know how much is too much |
/// | [`shed`](Self::shed) | the runtime's lag, for which you run a [monitor](Self::shed), and memory | where the process is in trouble, the least critical are rejected first |
/// | [`limit`](Self::limit) | adaptive | as many at a time as the service does best with, and a short queue |
///
/// It allocates nothing for a request that need not wait. `poll_ready` is the inner service's, which must be `Clone`: one that was ready is kept
/// while its request waits. The last four are [one policy](crate::admission::Admit#impl-Admit-for-(A,+B)), so that they cost one layer.
pub struct ServerStack<O = ()> {
    observe: ObserveLayer<O>,
    render: Option<RenderLayer>,
    criticality: Option<CriticalityLayer>,
    deadline: Option<DeadlineLayer>,
    cancel: Option<CancelLayer>,
    drain: Option<Drain>,
    #[cfg(feature = "rate")]
    rate: Option<RateLimitLayer>,
    shed: Option<LoadShedLayer>,
    limit: Option<ConcurrencyLimitLayer>,
}

type Capacity = (Option<Arc<LoadShed>>, Option<ConcurrencyLimit>);
#[cfg(feature = "rate")]
type Policies = (Option<Drain>, (Option<RateLimit>, Capacity));
#[cfg(not(feature = "rate"))]
type Policies = (Option<Drain>, Capacity);

type Admitted<S> = Admission<S, Policies>;
type Bounded<S> = DeadlineService<Cancel<Admitted<S>>>;

/// The service of [`ServerStack`].
pub type Served<S, O = ()> = Observe<RenderService<CriticalityService<Bounded<S>>>, O>;

impl<O> ServerStack<O> {
    /// Who is told of each call. With another observer it is another type.
    ///
    /// ```
    /// use buttress::{ObserveLayer, observe::Ended};
    /// # use std::time::Duration;
    ///
    /// let stack = buttress::server(Duration::from_secs(10))
    ///     .observe(ObserveLayer::server(|ended: &Ended| println!("{:?} after {:?}", ended.outcome, ended.took)));
    /// ```
    pub fn observe<P>(self, observe: ObserveLayer<P>) -> ServerStack<P> {
        ServerStack {
            observe,
            render: self.render,
            criticality: self.criticality,
            deadline: self.deadline,
            cancel: self.cancel,
            drain: self.drain,
            #[cfg(feature = "rate")]
            rate: self.rate,
            shed: self.shed,
            limit: self.limit,
        }
    }

    /// How rejections look in plain HTTP. Without one they look as whoever rejects makes them: what a handler rejects in plain HTTP, not knowing
    /// that its request is one of gRPC, is [made anew](RenderLayer) by a layer alone.
    #[must_use]
    pub fn render(mut self, render: impl Into<Option<RenderLayer>>) -> Self {
        self.render = render.into();
        self
    }

    /// How much each request matters.
    #[must_use]
    pub fn criticality(mut self, criticality: impl Into<Option<CriticalityLayer>>) -> Self {
        self.criticality = criticality.into();
        self
    }

    /// How long each request has. With `None` a request has as long as the context outside allows.
    #[must_use]
    pub fn deadline(mut self, deadline: impl Into<Option<DeadlineLayer>>) -> Self {
        self.deadline = deadline.into();
        self
    }

    /// The context that ends with its request. Without it, what a request spawns ends with whatever is outside.
    #[must_use]
    pub fn cancel(mut self, cancel: impl Into<Option<CancelLayer>>) -> Self {
        self.cancel = cancel.into();
        self
    }

    /// A gate that you close when nothing more is to be let in.
    #[must_use]
    pub fn drain(mut self, drain: impl Into<Option<Drain>>) -> Self {
        self.drain = drain.into();
        self
    }

    /// How often: for all, for each client, for each key.
    ///
    /// ```
    /// use buttress::{RateLimitLayer, admission::rate::{ClientAddress, Quota}};
    /// # use std::time::Duration;
    ///
    /// let clients = RateLimitLayer::new(Quota::per_second(100)).by_client(ClientAddress::new().trusted_hops(1));
    /// let stack = buttress::server(Duration::from_secs(10)).rate(clients);
    /// ```
    #[cfg(feature = "rate")]
    #[must_use]
    pub fn rate(mut self, rate: impl Into<Option<RateLimitLayer>>) -> Self {
        self.rate = rate.into();
        self
    }

    /// What is shed while the process is in trouble.
    ///
    /// The default watches memory by itself, and the runtime's lag only in part: how long requests wait for their turn only a task can
    /// tell. So make the layer yourself, and run its [monitor](LoadShed::monitor):
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), buttress::BoxError> {
    /// use buttress::{Lifecycle, LoadShedLayer};
    /// # use std::time::Duration;
    ///
    /// let life = Lifecycle::builder().build()?;
    /// let shed = LoadShedLayer::new();
    /// let policy = shed.policy();
    /// life.critical("shed", async move { policy.monitor().await; Ok(()) }); // runs as long as requests are served
    /// let stack = buttress::server(Duration::from_secs(10)).shed(shed);
    /// # life.handle().shutdown();
    /// # assert!(life.run().await.is_clean());
    /// # Ok(()) }
    /// ```
    #[must_use]
    pub fn shed(mut self, shed: impl Into<Option<LoadShedLayer>>) -> Self {
        self.shed = shed.into();
        self
    }

    /// How many at a time.
    #[must_use]
    pub fn limit(mut self, limit: impl Into<Option<ConcurrencyLimitLayer>>) -> Self {
        self.limit = limit.into();
        self
    }

    /// The stack around a service: what [`Layer::layer`] does, without an import.
    pub fn service<S>(&self, inner: S) -> Served<S, O> {
        // One that is left out is there, and off: a stack has one type, whatever is in it.
        let cancel = self.cancel.unwrap_or(CancelLayer::off());
        let deadline = self.deadline.clone().unwrap_or_else(DeadlineLayer::off);
        let criticality = self.criticality.clone().unwrap_or_else(CriticalityLayer::off);
        let render = self.render.clone().unwrap_or_else(RenderLayer::off);
        let admitted = AdmissionLayer::new(self.policies()).layer(inner);
        let bounded = deadline.layer(cancel.layer(admitted));
        self.observe.layer(render.layer(criticality.layer(bounded)))
    }

    fn policies(&self) -> Policies {
        let shed = self.shed.as_ref().map(LoadShedLayer::policy);
        let limit = self.limit.as_ref().map(ConcurrencyLimitLayer::for_service);
        let capacity = (shed, limit);
        #[cfg(feature = "rate")]
        let capacity = (self.rate.as_ref().map(RateLimitLayer::policy), capacity);
        (self.drain.clone(), capacity)
    }
}

// === impl ServerStack ===

impl<S, O> Layer<S> for ServerStack<O> {
    type Service = Served<S, O>;

    fn layer(&self, inner: S) -> Served<S, O> {
        self.service(inner)
    }
}

impl<O> Clone for ServerStack<O> {
    fn clone(&self) -> Self {
        Self {
            observe: self.observe.clone(),
            render: self.render.clone(),
            criticality: self.criticality.clone(),
            deadline: self.deadline.clone(),
            cancel: self.cancel,
            drain: self.drain.clone(),
            #[cfg(feature = "rate")]
            rate: self.rate.clone(),
            shed: self.shed.clone(),
            limit: self.limit.clone(),
        }
    }
}

/// What is in effect, outermost first.
impl<O> fmt::Debug for ServerStack<O> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut list = f.debug_list();
        list.entry(&self.observe)
            .entries(&self.render)
            .entries(&self.criticality)
            .entries(&self.deadline)
            .entries(self.cancel)
            .entries(&self.drain);
        #[cfg(feature = "rate")]
        list.entries(&self.rate);
        list.entries(&self.shed).entries(&self.limit).finish()
    }
}

use std::{fmt, marker::PhantomData, sync::Arc, time::Duration};

use tower_layer::Layer;

use super::{Breaker, law::Law, settings::Settings};
use crate::{
    admission::{Admission, AdmissionLayer},
    context::Head,
    destination::KeyOf,
    outcome::Outcome,
    rejection::{Http, Typed},
};

/// Stops calling a destination that keeps failing. See the [module](super).
///
/// | setting | default | |
/// |---|---|---|
/// | [`per_destination`](Self::per_destination), [`by`](Self::by) | one for all | what has a circuit of its own |
/// | [`keys`](Self::keys) | 1,000 | how many destinations are remembered |
/// | [`failure_rate`](Self::failure_rate) | 0.5 | the share of failures that opens it |
/// | [`slow_call`](Self::slow_call) | off | what is slow, and the share of slow calls that opens it |
/// | [`minimum_calls`](Self::minimum_calls) | 20 | so many calls, or it is not judged |
/// | [`window`](Self::window), [`window_calls`](Self::window_calls) | 10 s | how far back it looks |
/// | [`open_for`](Self::open_for) | 1 s, doubling to 30 s | how long it leaves the destination alone |
/// | [`probes`](Self::probes) | 3 | how many calls then find out whether it is back |
/// | [`failing`](Self::failing) | as [here](super#what-is-a-failure) | what a failure is |
/// | [`observe_only`](Self::observe_only) | no | to tell, and do nothing |
///
/// No value is an error: what makes no sense is taken for the nearest that does, as each setting says.
///
/// State is shared by all services made from a layer and its clones, unless [`per_service`](Self::per_service). A setting makes a new
/// breaker: use it before [`breaker`](Self::breaker) and before the layer is cloned. `poll_ready` is the inner service's.
pub struct BreakerLayer<M = Http> {
    breaker: Breaker,
    settings: Settings,
    per_service: bool,
    mode: PhantomData<M>,
}

impl BreakerLayer {
    /// One circuit for all calls.
    pub fn new() -> Self {
        Self::of(Settings::default(), false)
    }
}

impl<M> BreakerLayer<M> {
    fn of(settings: Settings, per_service: bool) -> Self {
        Self {
            breaker: Breaker::new(&settings),
            settings,
            per_service,
            mode: PhantomData,
        }
    }

    fn with(mut self, set: impl FnOnce(&mut Settings)) -> Self {
        set(&mut self.settings);
        Self::of(self.settings, self.per_service)
    }

    fn with_law(self, set: impl FnOnce(&mut Law)) -> Self {
        self.with(|settings| set(&mut settings.law))
    }

    /// A circuit for each destination, so that one that fails does not stop calls to the others: for each host and port of the
    /// request's URI, or else of its `host`. Those without share one, and so do all calls that are not HTTP.
    #[must_use]
    pub fn per_destination(self) -> Self {
        self.with(|settings| _ = settings.each.get_or_insert_default())
    }

    /// A circuit for each of what this finds: a shard, a region, a method. Those without a name share one.
    ///
    /// ```
    /// # use buttress::BreakerLayer;
    /// let layer = BreakerLayer::new().by(|head| head.headers.get("x-region")?.to_str().ok());
    /// ```
    ///
    /// It is called within `Service::call`, and should be quick.
    #[must_use]
    pub fn by(self, name: impl for<'a> Fn(Head<'a>) -> Option<&'a str> + Send + Sync + 'static) -> Self {
        self.with(|settings| settings.each.get_or_insert_default().key_of = KeyOf::by(name))
    }

    /// A circuit for each destination, and how many are remembered at a time: 1,000 unless set, and 1 at least. A new one takes
    /// the place of one that is idle, else of one that was unused for long.
    #[must_use]
    pub fn keys(self, keys: usize) -> Self {
        self.with(|settings| settings.each.get_or_insert_default().most = keys)
    }

    /// Opens when this share of the calls in the window failed: 0.5 unless set. It is taken for one from 0.001 to 1.
    #[must_use]
    pub fn failure_rate(self, share: f64) -> Self {
        self.with_law(|law| law.failure_rate = Law::share(share))
    }

    /// Opens also when this share of the calls in the window took so long or longer, from when they were let in to their head. The
    /// share is taken for one from 0.001 to 1. Each call then reads the clock at its head.
    #[must_use]
    pub fn slow_call(self, slow: Duration, share: f64) -> Self {
        self.with_law(|law| law.slow = Some((slow, Law::share(share))))
    }

    /// Is not judged before so many calls in the window: 20 unless set; with [`window_calls`](Self::window_calls) never more than there
    /// are in it.
    #[must_use]
    pub fn minimum_calls(self, calls: u32) -> Self {
        self.with_law(|law| law.minimum = calls.into())
    }

    /// Looks back so far: 10 s unless set, and 10 ms at least. It moves on by tenths, as calls arrive.
    #[must_use]
    pub fn window(self, window: Duration) -> Self {
        self.with_law(|law| law.step = Law::time(window))
    }

    /// Looks back so many calls instead, rounded up to tens: always over the last of them, however long ago they were. It moves on
    /// by tenths: between nine and ten of them are in it.
    #[must_use]
    pub fn window_calls(self, calls: u32) -> Self {
        self.with_law(|law| law.step = Law::calls(calls.into()))
    }

    /// How long it is open at first: 1 s unless set, and 1 ms at least. Each time a probe fails it is twice as long, up to 30 s or to
    /// this if it is longer; and up to a quarter more, by chance, so that many clients do not come back at once.
    #[must_use]
    pub fn open_for(self, time: Duration) -> Self {
        self.with_law(|law| law.open_for = time.max(Duration::from_millis(1)))
    }

    /// How many calls find out whether the destination is back: 3 unless set, and 1 at least. All must succeed.
    #[must_use]
    pub fn probes(self, probes: u16) -> Self {
        self.with_law(|law| law.probes = probes.max(1))
    }

    /// What a failure is, instead of [ours](super#what-is-a-failure).
    ///
    /// ```
    /// # use buttress::{BreakerLayer, outcome::{Class, Outcome}};
    /// // Only those who do not answer at all.
    /// let layer = BreakerLayer::new()
    ///     .failing(|outcome| matches!(outcome, Outcome::Failure(failure) if failure.class == Class::Transport));
    /// ```
    ///
    /// It is asked of all that reached the destination, and answers `false` for what speaks for it. A call that was cancelled, or
    /// rejected on this side before it was sent, is neither. A rejection after that can only be a failure, or neither.
    #[must_use]
    pub fn failing(self, failing: impl Fn(&Outcome) -> bool + Send + Sync + 'static) -> Self {
        self.with(|settings| settings.failing = Some(Arc::new(failing)))
    }

    /// Rejects nothing, and only tells what it would do: see [`Breaker::observe_only`].
    #[must_use]
    pub fn observe_only(self) -> Self {
        self.with(|settings| settings.observe_only = true)
    }

    /// Each service made from the layer has a breaker of its own. Then there is no one [`breaker`](Self::breaker) to look at.
    #[must_use]
    pub fn per_service(self) -> Self {
        Self {
            per_service: true,
            ..self
        }
    }

    /// Around a service that is not HTTP: a rejection is an error, `S::Error: From<Rejection>`, and every other error a failure.
    pub fn typed(self) -> BreakerLayer<Typed> {
        BreakerLayer {
            breaker: self.breaker,
            settings: self.settings,
            per_service: self.per_service,
            mode: PhantomData,
        }
    }

    /// The breaker, to look at and to force.
    pub fn breaker(&self) -> Breaker {
        self.breaker.clone()
    }

    /// That of a service which is made now.
    pub(crate) fn for_service(&self) -> Breaker {
        if self.per_service {
            Breaker::new(&self.settings)
        } else {
            self.breaker.clone()
        }
    }
}

impl Default for BreakerLayer {
    fn default() -> Self {
        Self::new()
    }
}

impl<S, M> Layer<S> for BreakerLayer<M> {
    type Service = Admission<S, Breaker, M>;

    fn layer(&self, inner: S) -> Self::Service {
        AdmissionLayer::<_, M>::of(self.for_service()).layer(inner)
    }
}

impl<M> Clone for BreakerLayer<M> {
    fn clone(&self) -> Self {
        Self {
            breaker: self.breaker.clone(),
            settings: self.settings.clone(),
            per_service: self.per_service,
            mode: PhantomData,
        }
    }
}

impl<M> fmt::Debug for BreakerLayer<M> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("BreakerLayer")
            .field("settings", &self.settings)
            .field("per_service", &self.per_service)
            .finish_non_exhaustive()
    }
}

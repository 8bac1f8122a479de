use std::{fmt, marker::PhantomData, sync::Arc, time::Duration};

use tower_layer::Layer;

use super::{Throttle, settings::Settings};
use crate::{
    admission::{Admission, AdmissionLayer},
    context::{Criticality, Head},
    destination::KeyOf,
    outcome::Outcome,
    rejection::{Http, Typed},
};

/// Rejects here, in part, what the destination would refuse. See the [module](super).
///
/// | setting | default | |
/// |---|---|---|
/// | [`per_destination`](Self::per_destination), [`by`](Self::by) | one for all | what has a throttle of its own |
/// | [`keys`](Self::keys) | 1,000 | how many destinations are remembered |
/// | [`k`](Self::k), [`k_for`](Self::k_for) | 2, 1.5, 1.1 | how much more than it accepts a destination is asked |
/// | [`window`](Self::window) | 2 min | how far back it looks |
/// | [`rejecting`](Self::rejecting) | as [here](super#what-is-a-refusal) | what a refusal is |
///
/// State is shared by all services made from a layer and its clones, unless [`per_service`](Self::per_service). A setting makes a new
/// throttle: use it before [`throttle`](Self::throttle) and before the layer is cloned. `poll_ready` is the inner service's.
pub struct ThrottleLayer<M = Http> {
    throttle: Throttle,
    per_service: bool,
    mode: PhantomData<M>,
}

impl ThrottleLayer {
    /// One throttle for all calls.
    pub fn new() -> Self {
        Self::of(Settings::default(), false)
    }
}

impl<M> ThrottleLayer<M> {
    fn of(settings: Settings, per_service: bool) -> Self {
        Self {
            throttle: Throttle::new(settings),
            per_service,
            mode: PhantomData,
        }
    }

    fn with(self, set: impl FnOnce(&mut Settings)) -> Self {
        let mut settings = self.throttle.settings().clone();
        set(&mut settings);
        Self::of(settings, self.per_service)
    }

    /// A throttle for each destination: for each host and port of the request's URI, or else of its `host`. Those without share
    /// one, and so do all calls that are not HTTP.
    #[must_use]
    pub fn per_destination(self) -> Self {
        self.with(|settings| _ = settings.each.get_or_insert_default())
    }

    /// A throttle for each of what this finds: a shard, a region, a tenant whose quota it is. Those without a name share one.
    ///
    /// ```
    /// # use buttress::ThrottleLayer;
    /// let layer = ThrottleLayer::new().by(|head| head.headers.get("x-region")?.to_str().ok());
    /// ```
    ///
    /// It is called within `Service::call`, and should be quick.
    #[must_use]
    pub fn by(self, name: impl for<'a> Fn(Head<'a>) -> Option<&'a str> + Send + Sync + 'static) -> Self {
        self.with(|settings| settings.each.get_or_insert_default().key_of = KeyOf::by(name))
    }

    /// A throttle for each destination, and how many are remembered at a time: 1,000 unless set, and 1 at least. A new one takes
    /// the place of one that is idle, else of one that was unused for long.
    #[must_use]
    pub fn keys(self, keys: usize) -> Self {
        self.with(|settings| settings.each.get_or_insert_default().most = keys)
    }

    /// How much more than it accepts the destination is asked, for critical requests: 2 unless set. Less is rejected sooner, and notices
    /// later that there is room again. It is taken for 1 at least.
    ///
    /// The less critical are given less, so that they go first: `sheddable-plus` half of what is above 1, `sheddable` a tenth. With 2,
    /// that is 1.5 and 1.1.
    #[must_use]
    pub fn k(self, k: f64) -> Self {
        self.with(|settings| settings.set_k(k))
    }

    /// The same, for this criticality alone. Use it after [`k`](Self::k).
    #[must_use]
    pub fn k_for(self, band: Criticality, k: f64) -> Self {
        self.with(|settings| settings.set_k_for(band, k))
    }

    /// Looks back so far: 2 min unless set, and 12 ms at least. It moves on by twelfths. A shorter one forgets an outage sooner.
    #[must_use]
    pub fn window(self, window: Duration) -> Self {
        self.with(|settings| settings.window = window)
    }

    /// What a refusal is, instead of [ours](super#what-is-a-refusal). All else is accepted. It is not asked of what was cancelled, or
    /// rejected by another of our layers below.
    #[must_use]
    pub fn rejecting(self, rejecting: impl Fn(&Outcome) -> bool + Send + Sync + 'static) -> Self {
        self.with(|settings| settings.rejecting = Some(Arc::new(rejecting)))
    }

    /// Each service made from the layer has a throttle of its own. Then there is no one [`throttle`](Self::throttle) to look at.
    #[must_use]
    pub fn per_service(self) -> Self {
        Self {
            per_service: true,
            ..self
        }
    }

    /// Around a service that is not HTTP: a rejection is an error, `S::Error: From<Rejection>`, and every other error a
    /// refusal, unless [`rejecting`](Self::rejecting) says otherwise.
    pub fn typed(self) -> ThrottleLayer<Typed> {
        ThrottleLayer {
            throttle: self.throttle,
            per_service: self.per_service,
            mode: PhantomData,
        }
    }

    /// The throttle, to look at.
    pub fn throttle(&self) -> Throttle {
        self.throttle.clone()
    }

    /// That of a service which is made now.
    pub(crate) fn for_service(&self) -> Throttle {
        if self.per_service {
            Throttle::new(self.throttle.settings().clone())
        } else {
            self.throttle.clone()
        }
    }
}

impl Default for ThrottleLayer {
    fn default() -> Self {
        Self::new()
    }
}

impl<S, M> Layer<S> for ThrottleLayer<M> {
    type Service = Admission<S, Throttle, M>;

    fn layer(&self, inner: S) -> Self::Service {
        AdmissionLayer::<_, M>::of(self.for_service()).layer(inner)
    }
}

impl<M> Clone for ThrottleLayer<M> {
    fn clone(&self) -> Self {
        Self {
            throttle: self.throttle.clone(),
            per_service: self.per_service,
            mode: PhantomData,
        }
    }
}

impl<M> fmt::Debug for ThrottleLayer<M> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ThrottleLayer")
            .field("settings", self.throttle.settings())
            .field("per_service", &self.per_service)
            .finish_non_exhaustive()
    }
}

use std::{fmt, marker::PhantomData, time::Duration};

use tower_layer::Layer;

use super::{Adaptive, ConcurrencyLimit, Fixed, Limit, settings::Settings};
use crate::{
    admission::{Admission, AdmissionLayer},
    context::Head,
    rejection::{Http, Typed},
};

/// How long a call holds its place.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum HoldUntil {
    /// To the end of the answer's body. The default.
    #[default]
    Body,
    /// To the answer's head.
    Head,
}

/// Lets in so many requests at a time. See the [module](super).
///
/// | setting | default | |
/// |---|---|---|
/// | [`new`](Self::new), [`adaptive`](Self::adaptive), [`with_law`](Self::with_law) | required | how many |
/// | [`name`](Self::name) | `concurrency` | which limit it is, where waits are told |
/// | [`queue`](Self::queue) | four times the first limit, 64 to 1,024 | how many may wait |
/// | [`max_wait`](Self::max_wait) | 100 ms | how long each may |
/// | [`hold_until`](Self::hold_until) | the end of the body | how long a call holds its place |
/// | [`route`](Self::route) | gRPC methods | what takes about the same time |
///
/// State is shared by all services made from a layer and its clones, unless [`per_service`](Self::per_service). A setting makes a new
/// limit: use it before [`limit`](Self::limit) and before the layer is cloned.
pub struct ConcurrencyLimitLayer<M = Http> {
    limit: ConcurrencyLimit,
    settings: Settings,
    per_service: bool,
    mode: PhantomData<M>,
}

impl ConcurrencyLimitLayer {
    /// So many at a time, always. 0 rejects all, at once.
    pub fn new(limit: usize) -> Self {
        Self::with_law(Fixed(limit))
    }

    /// As many at a time as the service does best with, which is found by [measurement](Adaptive).
    pub fn adaptive() -> Self {
        Self::with_law(Adaptive::default())
    }

    /// As many at a time as this law says. Each limit made from the layer has a clone of its own.
    pub fn with_law<L>(law: L) -> Self
    where
        L: Limit + Clone + Sync + 'static,
    {
        Self::of(Settings::new(law), false)
    }
}

impl<M> ConcurrencyLimitLayer<M> {
    fn of(settings: Settings, per_service: bool) -> Self {
        Self {
            limit: ConcurrencyLimit::new(&settings),
            settings,
            per_service,
            mode: PhantomData,
        }
    }

    /// Which limit it is: the attribute `name` of the waits in its queue.
    #[must_use]
    pub fn name(self, name: &'static str) -> Self {
        Self::of(Settings { name, ..self.settings }, self.per_service)
    }

    /// How many may wait. 0: nobody, what finds no place is rejected at once.
    #[must_use]
    pub fn queue(self, length: usize) -> Self {
        let queue = Some(length);
        Self::of(Settings { queue, ..self.settings }, self.per_service)
    }

    /// How long each may wait. A queue in which somebody has always waited for a twentieth of this, for 100 ms, is not one of a burst: until
    /// it is empty, it is served from its other end.
    ///
    /// A wait is also ended by the request's deadline, less what its work takes.
    #[must_use]
    pub fn max_wait(self, wait: Duration) -> Self {
        Self::of(Settings { wait, ..self.settings }, self.per_service)
    }

    /// How long a call holds its place: [`HoldUntil::Head`] gives it back before the body has been read.
    ///
    /// Upgrades and `text/event-stream` give it back at their head in any case, or a few long streams would hold them all.
    #[must_use]
    pub fn hold_until(self, hold: HoldUntil) -> Self {
        Self::of(Settings { hold, ..self.settings }, self.per_service)
    }

    /// What takes about the same time: the name of a request's route. How long each takes is known apart, so that a change of
    /// their mix is not taken for a change of load. Up to a thousand are; the rest, and those without a name, share one.
    ///
    /// Of gRPC it is the method, unless this is set. With axum:
    ///
    /// ```
    /// use axum::extract::MatchedPath;
    /// use buttress::ConcurrencyLimitLayer;
    ///
    /// let layer = ConcurrencyLimitLayer::adaptive()
    ///     .route(|head| head.extensions.get::<MatchedPath>().map(MatchedPath::as_str));
    /// ```
    ///
    /// It is called for the requests that are timed, and should be quick.
    #[must_use]
    pub fn route(self, name: impl for<'a> Fn(Head<'a>) -> Option<&'a str> + Send + Sync + 'static) -> Self {
        let route = Some(std::sync::Arc::new(name) as _);
        Self::of(Settings { route, ..self.settings }, self.per_service)
    }

    /// Each service made from the layer has a limit of its own. Then there is no one [`limit`](Self::limit) to look at.
    #[must_use]
    pub fn per_service(self) -> Self {
        Self {
            per_service: true,
            ..self
        }
    }

    /// Around a service that is not HTTP: a rejection is an error, `S::Error: From<Rejection>`.
    pub fn typed(self) -> ConcurrencyLimitLayer<Typed> {
        ConcurrencyLimitLayer {
            limit: self.limit,
            settings: self.settings,
            per_service: self.per_service,
            mode: PhantomData,
        }
    }

    /// The limit, to look at and to set.
    pub fn limit(&self) -> ConcurrencyLimit {
        self.limit.clone()
    }

    /// That of a service which is made now.
    pub(crate) fn for_service(&self) -> ConcurrencyLimit {
        if self.per_service {
            ConcurrencyLimit::new(&self.settings)
        } else {
            self.limit.clone()
        }
    }
}

impl<S, M> Layer<S> for ConcurrencyLimitLayer<M> {
    type Service = Admission<S, ConcurrencyLimit, M>;

    fn layer(&self, inner: S) -> Self::Service {
        AdmissionLayer::<_, M>::of(self.for_service()).layer(inner)
    }
}

impl<M> Clone for ConcurrencyLimitLayer<M> {
    fn clone(&self) -> Self {
        Self {
            limit: self.limit.clone(),
            settings: self.settings.clone(),
            per_service: self.per_service,
            mode: PhantomData,
        }
    }
}

impl<M> fmt::Debug for ConcurrencyLimitLayer<M> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ConcurrencyLimitLayer")
            .field("settings", &self.settings)
            .field("per_service", &self.per_service)
            .finish_non_exhaustive()
    }
}

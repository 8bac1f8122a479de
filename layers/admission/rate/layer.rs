use std::{fmt, hash::Hash, marker::PhantomData, time::Duration};

use http::HeaderName;
use tower_layer::Layer;

use super::{
    ClientAddress, Quotas, RateLimit, RateSnapshot,
    policy::Config,
    wait::{Rejects, Waits},
};
use crate::{
    admission::{Admission, AdmissionLayer, Arrival},
    rejection::{Http, Typed},
};

/// Limits how often a service is called. See the [module](super).
///
/// | setting | default | |
/// |---|---|---|
/// | [`new`](Self::new) | required | the quota, or up to four that stand together |
/// | [`by_client`](Self::by_client), [`by_header`](Self::by_header), [`by`](Self::by) | one for all | what requests are told apart by |
/// | [`quota_for`](Self::quota_for) | the same for all | a key with a quota of its own |
/// | [`keys`](Self::keys) | 100,000 | how many keys are remembered |
/// | [`wait`](Self::wait) | reject at once | delay what is over the quota, so long at most |
/// | [`tell`](Self::tell) | rejections | answer all with the `ratelimit` fields |
///
/// Of several ways to tell requests apart the last that is set counts.
///
/// State is the layer's: all services made from it and its clones share one limit. A setter makes a limit of its own, which has
/// seen nothing. `poll_ready` is the inner service's; a request is counted in `call`, and a rejected one is not.
pub struct RateLimitLayer<W = Rejects, M = Http> {
    policy: RateLimit<W>,
    mode: PhantomData<M>,
}

impl RateLimitLayer {
    /// One quota, or several that stand together: `Quota::per_second(100)`, or `[Quota::per_second(10), Quota::per_hour(1_000)]`.
    pub fn new(quotas: impl Into<Quotas>) -> Self {
        Self::from_config(Config::new(quotas.into()), Rejects)
    }
}

impl<W: Copy, M> RateLimitLayer<W, M> {
    /// Each client address has a quota of its own: each IPv4 address, and each /64 of IPv6. Those without one share a bucket.
    ///
    /// Without [trusted proxies](ClientAddress::trusted_hops) the server must tell the socket's peer.
    /// [`Lifecycle::serve`](crate::Lifecycle::serve) does; a plain `axum::serve(listener, app)` does not, so that all clients share one
    /// bucket: see [`ClientAddress`].
    #[must_use]
    pub fn by_client(self, client: ClientAddress) -> Self {
        self.configured(|config| config.by_client(client))
    }

    /// Each value of that header has a quota of its own: an API key. Those without it share a bucket. Of several lines the first
    /// counts.
    ///
    /// Only a value that somebody in front has verified tells callers apart: a new one is a new bucket.
    #[must_use]
    pub fn by_header(self, name: HeaderName) -> Self {
        self.configured(|config| config.by_header(name))
    }

    /// Each key has a quota of its own, of whatever the head and the context show. An `Option` is one too: all that are `None`
    /// share a bucket.
    ///
    /// ```
    /// # use buttress::admission::rate::{Quota, RateLimitLayer};
    /// let layer = RateLimitLayer::new(Quota::per_second(10)).by(|arrival| {
    ///     let head = arrival.head()?;
    ///     Some((head.method.clone(), head.headers.get("x-tenant")?.clone()))
    /// });
    /// ```
    ///
    /// Of a key only a hash is kept, 64 bits under a secret of this limit's own, so it may be as long as it likes. Two keys of the
    /// same hash share a bucket: nobody can look for such, and chance has one pair among 100,000 keys once in four billion
    /// limits. The function is called within `Service::call`, and should be quick.
    #[must_use]
    pub fn by<K: Hash>(self, key: impl Fn(&Arrival<'_>) -> K + Send + Sync + 'static) -> Self {
        self.configured(|config| config.by(key))
    }

    /// The same, where the quota depends on the key: one for whom `quota` says `None` has that of the layer.
    ///
    /// ```
    /// # use buttress::admission::rate::{ClientAddress, Quota, RateLimitLayer};
    /// let client = ClientAddress::new().trusted_hops(1);
    /// let layer = RateLimitLayer::new(Quota::per_second(10)).quota_for(
    ///     move |arrival| client.resolve(arrival.head()?).map(ClientAddress::network),
    ///     |address| address.is_some_and(|address| address.is_loopback()).then_some(Quota::per_second(1_000)),
    /// );
    /// ```
    ///
    /// A key whose quota changes keeps what it owes, as time until its bucket is full.
    #[must_use]
    pub fn quota_for<K: Hash, Q: Into<Quotas>>(
        self,
        key: impl Fn(&Arrival<'_>) -> K + Send + Sync + 'static,
        quota: impl Fn(&K) -> Option<Q> + Send + Sync + 'static,
    ) -> Self {
        self.configured(|config| config.quota_for(key, quota))
    }

    /// How many keys are remembered: 100,000 unless set, and 1 at least. See [what is forgotten](super#keys).
    #[must_use]
    pub fn keys(self, keys: usize) -> Self {
        self.configured(|config| config.keys = keys)
    }

    /// Delays what is over its quota instead of rejecting it, by `max` at most, and never to the deadline or past it.
    ///
    /// A request takes its place on arrival, so the wait is exact and first come is first served. One that would wait too long is
    /// rejected at once. No more than `max` times the rate can wait, for each key. One whose caller leaves gives its place back if
    /// nobody has taken one behind it; otherwise that place goes unused, as those behind it know when they are due.
    ///
    /// The wait keeps the service that was ready and leaves a clone, so the inner service must be `Clone`.
    #[must_use]
    pub fn wait(self, max: Duration) -> RateLimitLayer<Waits, M> {
        RateLimitLayer::from_config(self.policy.limit.config.clone(), Waits { max })
    }

    /// Answers all requests with the `ratelimit` and `ratelimit-policy` fields, not only those that are rejected. Off by default:
    /// it costs a few allocations a request, and tells strangers how much they may do.
    #[must_use]
    pub fn tell(self) -> Self {
        self.configured(|config| config.tell = true)
    }

    fn configured(self, set: impl FnOnce(&mut Config)) -> Self {
        let mut config = self.policy.limit.config.clone();
        set(&mut config);
        Self::from_config(config, self.policy.waits)
    }

    fn from_config(config: Config, waits: W) -> Self {
        Self {
            policy: RateLimit {
                limit: config.build(),
                waits,
            },
            mode: PhantomData,
        }
    }
}

impl<W> RateLimitLayer<W> {
    /// Around any other service: a rejection is an error, `S::Error: From<Rejection>`. There is no head to tell keys by, but the
    /// context and whatever a [`by`](Self::by) captured.
    pub fn typed(self) -> RateLimitLayer<W, Typed> {
        RateLimitLayer {
            policy: self.policy,
            mode: PhantomData,
        }
    }
}

impl<W: Copy, M> RateLimitLayer<W, M> {
    /// What it decided so far.
    pub fn snapshot(&self) -> RateSnapshot {
        self.policy.snapshot()
    }

    /// The limit itself, to be asked within another policy.
    pub fn policy(&self) -> RateLimit<W> {
        self.policy.clone()
    }
}

impl<S, W: Copy, M> Layer<S> for RateLimitLayer<W, M> {
    type Service = Admission<S, RateLimit<W>, M>;

    fn layer(&self, inner: S) -> Self::Service {
        AdmissionLayer::of(self.policy()).layer(inner)
    }
}

impl<W: Copy, M> Clone for RateLimitLayer<W, M> {
    fn clone(&self) -> Self {
        Self {
            policy: self.policy(),
            mode: PhantomData,
        }
    }
}

impl<W: fmt::Debug, M> fmt::Debug for RateLimitLayer<W, M> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("RateLimitLayer").field(&self.policy).finish()
    }
}

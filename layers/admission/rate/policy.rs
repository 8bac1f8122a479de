use std::{
    fmt,
    hash::{Hash, RandomState},
    net::IpAddr,
    sync::Arc,
    time::Duration,
};

use http::{HeaderName, HeaderValue};

use super::{
    ClientAddress, Quotas, fields,
    gcra::{Place, Tats},
    quota::SPAN,
    state::{Key, State},
    wait::{Rejects, Reservation, Turn, Waits},
};
use crate::{
    admission::{Admit, Arrival, Decision, Never, Queued},
    outcome::{Answer, Outcome, Settle},
    rejection::{Reason, Rejection},
    telemetry::{Measured, Report, instruments},
};

pub(super) const NAME: &str = "rate";

/// How many keys are remembered unless the user says otherwise.
pub(super) const DEFAULT_KEYS: usize = 100_000;

/// Finds a request's key, and its quotas if they are not those of all.
type By = dyn Fn(&Arrival<'_>, &RandomState) -> (Key, Option<Quotas>) + Send + Sync;

/// A rate limit, as a policy for [`AdmissionLayer`](crate::admission::AdmissionLayer): what a
/// [`RateLimitLayer`](super::RateLimitLayer) shares with all its services. Clones are the same limit. See the [module](super).
#[derive(Clone)]
pub struct RateLimit<W = Rejects> {
    pub(super) limit: Arc<Limit>,
    pub(super) waits: W,
}

/// What is shared.
pub(super) struct Limit {
    pub(super) config: Config,
    pub(super) state: State,
}

#[derive(Clone)]
pub(super) struct Config {
    pub(super) quotas: Quotas,
    pub(super) policy: Option<HeaderValue>,
    pub(super) by: Option<Arc<By>>,
    pub(super) hasher: RandomState,
    /// Whether keys can have quotas of their own.
    pub(super) differ: bool,
    pub(super) keys: usize,
    pub(super) tell: bool,
}

/// What a rate limit decided since it was made.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct RateSnapshot {
    /// Requests that were within their quota, and admitted at once.
    pub allowed: u64,
    /// Requests that were given a place to wait for, those included that left before it came.
    pub waited: u64,
    /// Requests that were rejected.
    pub rejected: u64,
    /// Keys that are remembered now; 0 without keys. The idle are dropped as new ones come.
    pub keys: usize,
    /// Keys that were forgotten, for want of room, before their buckets were full again. Each was forgiven what it owed; where
    /// this grows, the limit wants more [keys](super::RateLimitLayer::keys).
    pub evicted: u64,
}

impl Config {
    pub(super) fn new(quotas: Quotas) -> Self {
        Self {
            quotas,
            policy: fields::policy(&quotas),
            by: None,
            hasher: RandomState::new(),
            differ: false,
            keys: DEFAULT_KEYS,
            tell: false,
        }
    }

    pub(super) fn by<K: Hash>(&mut self, key: impl Fn(&Arrival<'_>) -> K + Send + Sync + 'static) {
        self.differ = false;
        self.by = Some(Arc::new(move |arrival, hasher| (Key::new(hasher, &key(arrival)), None)));
    }

    pub(super) fn by_header(&mut self, name: HeaderName) {
        self.differ = false;
        // Not by way of `by`: what is hashed here is borrowed.
        self.by = Some(Arc::new(move |arrival, hasher| {
            let value = arrival.head().and_then(|head| head.headers.get(&name));
            (Key::new(hasher, &value), None)
        }));
    }

    pub(super) fn by_client(&mut self, client: ClientAddress) {
        self.by(move |arrival| {
            let address = client.resolve(arrival.head()?)?;
            // As a number it is hashed in one go; an IPv4 address is no IPv6 network.
            Some(match ClientAddress::network(address) {
                IpAddr::V4(address) => address.to_ipv6_mapped().to_bits(),
                IpAddr::V6(network) => network.to_bits(),
            })
        });
    }

    pub(super) fn quota_for<K: Hash, Q: Into<Quotas>>(
        &mut self,
        key: impl Fn(&Arrival<'_>) -> K + Send + Sync + 'static,
        quota: impl Fn(&K) -> Option<Q> + Send + Sync + 'static,
    ) {
        self.differ = true;
        self.by = Some(Arc::new(move |arrival, hasher| {
            let key = key(arrival);
            (Key::new(hasher, &key), quota(&key).map(Into::into))
        }));
    }

    /// A limit with nothing remembered yet, and as much room as this configuration wants.
    pub(super) fn build(self) -> Arc<Limit> {
        let quotas = if self.differ {
            Quotas::MAX
        } else {
            self.quotas.as_slice().len()
        };
        let state = match self.by {
            Some(_) => State::keyed(self.keys, quotas),
            None => State::default(),
        };
        Arc::new(Limit { config: self, state })
    }
}

impl<W> RateLimit<W> {
    /// What it decided so far.
    pub fn snapshot(&self) -> RateSnapshot {
        let tally = self.limit.state.tally();
        RateSnapshot {
            allowed: tally.allowed,
            waited: tally.waited,
            rejected: tally.rejected,
            keys: tally.keys,
            evicted: tally.evicted,
        }
    }
}

impl Limit {
    /// Takes one request of the quotas, and says how long from now it is due, what it is known by and what it is told.
    #[inline]
    fn decide(
        &self,
        arrival: &Arrival<'_>,
        place: &mut Place,
        patience: Duration,
    ) -> Result<(Duration, Option<Key>, RatePermit), Rejection> {
        let (key, own) = match &self.config.by {
            Some(by) => {
                let (key, own) = by(arrival, &self.config.hasher);
                (Some(key), own)
            }
            None => (None, None),
        };
        let own = own.as_ref();
        let quotas = own.unwrap_or(&self.config.quotas).as_slice();
        let now = self.state.nanos(arrival.now());
        let latest = now.saturating_add(u64::try_from(patience.as_nanos()).unwrap_or(SPAN).min(SPAN));
        match self.state.grant(key, quotas, place, now, latest) {
            Ok(at) => {
                let told = self.config.tell.then(|| Box::new(self.fields(own, &place.after, now)));
                Ok((Duration::from_nanos(at - now), key, RatePermit(told)))
            }
            Err(earliest) => Err(self.rejection(own, &place.before, now, earliest)),
        }
    }

    #[cold]
    fn rejection(&self, own: Option<&Quotas>, tats: &Tats, now: u64, earliest: Option<u64>) -> Rejection {
        let rejection = Rejection::new(Reason::Quota, NAME);
        let mut rejection = match earliest {
            Some(earliest) => rejection.retry_after(Duration::from_nanos(earliest.saturating_sub(now))),
            None => rejection.do_not_retry(),
        };
        let Fields { standing, policy } = self.fields(own, tats, now);
        for (name, value) in [(fields::RATELIMIT, standing), (fields::RATELIMIT_POLICY, policy)] {
            if let Some(value) = value {
                rejection = rejection.with_header(name, value);
            }
        }
        rejection
    }

    fn fields(&self, own: Option<&Quotas>, tats: &Tats, now: u64) -> Fields {
        Fields {
            standing: fields::standing(own.unwrap_or(&self.config.quotas), tats, now),
            policy: own.map_or_else(|| self.config.policy.clone(), fields::policy),
        }
    }
}

impl Admit for RateLimit {
    type Permit = RatePermit;
    type Wait = Never<RatePermit>;

    #[inline]
    fn admit(&self, arrival: &Arrival<'_>) -> Decision<RatePermit, Never<RatePermit>> {
        match self.limit.decide(arrival, &mut Place::default(), Duration::ZERO) {
            Ok((.., permit)) => Decision::Now(permit),
            Err(rejection) => Decision::No(rejection),
        }
    }
}

impl Admit for RateLimit<Waits> {
    type Permit = RatePermit;
    type Wait = Queued<Turn>;

    fn admit(&self, arrival: &Arrival<'_>) -> Decision<RatePermit, Queued<Turn>> {
        let mut patience = self.waits.max;
        if let Some(deadline) = arrival.deadline() {
            // At the deadline it is too late.
            let left = deadline.saturating_duration_since(arrival.now());
            patience = patience.min(left.saturating_sub(Duration::from_nanos(1)));
        }
        let mut place = Place::default();
        match self.limit.decide(arrival, &mut place, patience) {
            Ok((wait, _, permit)) if wait.is_zero() => Decision::Now(permit),
            Ok((wait, key, permit)) => {
                let reservation = Reservation::new(self.limit.clone(), key, place);
                Decision::Wait(Queued::new(Turn::new(arrival.now() + wait, reservation, permit)))
            }
            Err(rejection) => Decision::No(rejection),
        }
    }
}

/// The permit of a [`RateLimit`]. It holds nothing, for a rate is spent on arrival; it writes the `ratelimit` fields into the answer
/// where that is [asked for](super::RateLimitLayer::tell).
#[derive(Debug)]
pub struct RatePermit(Option<Box<Fields>>);

#[derive(Debug)]
struct Fields {
    standing: Option<HeaderValue>,
    policy: Option<HeaderValue>,
}

impl Settle for RatePermit {
    fn answered(&mut self, answer: &mut Answer<'_>) {
        let Some(Fields { standing, policy }) = self.0.take().map(|fields| *fields) else {
            return;
        };
        // Appended: they are lists, and a limit below may have written its own.
        for (name, value) in [(fields::RATELIMIT, standing), (fields::RATELIMIT_POLICY, policy)] {
            if let Some(value) = value {
                answer.headers.append(name, value);
            }
        }
    }

    fn settle(self, _: Outcome) {}
}

impl<W: fmt::Debug> fmt::Debug for RateLimit<W> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RateLimit")
            .field("quotas", &self.limit.config.quotas)
            .field("keys", &self.limit.config.by.as_ref().map(|_| self.limit.config.keys))
            .field("waits", &self.waits)
            .finish_non_exhaustive()
    }
}

impl<W> Measured for RateLimit<W> {
    fn measure(&self, name: &str, report: &mut dyn Report) {
        let now = self.snapshot();
        for (decision, count) in [
            ("allowed", now.allowed),
            ("waited", now.waited),
            ("rejected", now.rejected),
        ] {
            instruments::RATE_DECISIONS.count(count, &[("name", name), ("decision", decision)], report);
        }
        instruments::RATE_KEYS.count(now.keys as u64, &[("name", name)], report);
        instruments::RATE_EVICTED.count(now.evicted, &[("name", name)], report);
    }
}

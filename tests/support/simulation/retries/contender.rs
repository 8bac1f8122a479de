//! Who is sent into the storms of retries.

use std::{convert::Infallible, time::Duration};

use buttress::{
    ConcurrencyLimitLayer, DeadlineLayer, PropagateDeadlineLayer, RetryLayer, TimeoutLayer,
    admission::concurrency::Adaptive,
    body::replay::Replay,
    budget::{Budget, Law, Why},
};
use bytes::Bytes;
use http::Request;
use http_body_util::Empty;
use tokio::time::Instant;
use tower::{Layer, Service};

use super::{
    laws::{Aws, Envoy},
    line::Line,
    wire::{Answer, Upstream, read_whole},
};

/// Three attempts each, with the same rules and waits between them: they differ in who pays, and in what is about it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Contender {
    /// `Budget::default()`, the marks that keep the tiers above from trying too, the deadline told to the service, and an adaptive
    /// limit before that.
    Ours,
    /// `Budget::default()`, and nothing about it.
    Tenth,
    /// The same, and the deadline told to the service.
    Told,
    /// The token bucket of AWS's SDKs.
    Aws,
    /// Envoy's retry budget.
    Envoy,
    /// As often as it likes.
    Naive,
}

impl Contender {
    pub(crate) const ALL: [Self; 6] = [Self::Ours, Self::Told, Self::Tenth, Self::Aws, Self::Envoy, Self::Naive];

    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Ours => "ours",
            Self::Tenth => "10% alone",
            Self::Told => "10%, told",
            Self::Aws => "AWS",
            Self::Envoy => "Envoy",
            Self::Naive => "naive",
        }
    }

    /// Whether it heeds what layers tell each other about retries. Other products do not know of it.
    pub(crate) fn marks(self) -> bool {
        self == Self::Ours
    }

    /// Whether the service is told the deadline.
    fn tells(self) -> bool {
        matches!(self, Self::Ours | Self::Told)
    }

    /// A client of its own, with a budget of its own. Each attempt may take so long.
    pub(crate) fn client<S>(self, attempt: Duration, wire: S) -> Upstream
    where
        S: Service<Request<Replay<Empty<Bytes>>>, Response = Answer, Error = Infallible>,
        S: Clone + Send + Sync + 'static,
        S::Future: Send + 'static,
    {
        let budget = match self {
            Self::Ours | Self::Tenth | Self::Told => Budget::default(),
            Self::Aws => Budget::with_law(Aws::default()),
            Self::Envoy => Budget::with_law(Envoy::default()),
            Self::Naive => Budget::with_law(NoBound),
        };
        let retry = RetryLayer::http().budget(budget);
        let timeout = TimeoutLayer::new(attempt);
        if self.tells() {
            let propagate = PropagateDeadlineLayer::new();
            read_whole(retry.layer(timeout.layer(propagate.layer(wire))))
        } else {
            read_whole(retry.layer(timeout.layer(wire)))
        }
    }

    /// What stands before the service.
    pub(super) fn server(self, line: Line, seed: u64) -> Upstream {
        let deadline = DeadlineLayer::new(Duration::from_secs(10));
        match self {
            Self::Ours => {
                let limit = ConcurrencyLimitLayer::with_law(Adaptive::new().seed(seed));
                read_whole(deadline.layer(limit.layer(line)))
            }
            Self::Told => read_whole(deadline.layer(line)),
            Self::Tenth | Self::Aws | Self::Envoy | Self::Naive => Upstream::new(line),
        }
    }
}

/// Everything is paid for.
#[derive(Debug)]
struct NoBound;

impl Law for NoBound {
    fn first(&self, _: Instant) {}

    fn again(&self, _: Why, _: Instant) -> bool {
        true
    }

    fn unsent(&self, _: Why, _: Instant) {}
}

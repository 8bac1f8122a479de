//! The layers, as the command line has them.

use std::time::Duration;

use buttress::{
    ConcurrencyLimitLayer, CriticalityLayer, DeadlineLayer, PropagateDeadlineLayer, RateLimitLayer,
    admission::rate::{ClientAddress, Quota},
};

use crate::cli::{Args, Limit, Per, Rate};

/// Held back from what the upstream is told, so that the answer of one that gives up by itself still comes in time.
const MARGIN: Duration = Duration::from_millis(5);

/// Those that have something to set or to look at. Clones are the same layers.
#[derive(Clone)]
pub(crate) struct Layers {
    pub(crate) criticality: Option<CriticalityLayer>,
    pub(crate) deadline: DeadlineLayer,
    pub(crate) rate: Option<RateLimitLayer>,
    pub(crate) limit: Option<ConcurrencyLimitLayer>,
    pub(crate) propagate: PropagateDeadlineLayer,
}

impl Layers {
    pub(crate) fn new(args: &Args) -> Self {
        Self {
            // Who names a header says that whoever can send it is to be believed.
            criticality: args
                .criticality_header
                .clone()
                .map(|name| CriticalityLayer::new().header(name).trust(|_| true)),
            deadline: DeadlineLayer::new(args.deadline_default).max(args.deadline_max),
            rate: args.rate.map(|rate| rate_limit(rate, args.trusted_hops)),
            limit: limit(args.limit, args.queue),
            propagate: PropagateDeadlineLayer::new().margin(MARGIN),
        }
    }
}

fn rate_limit(rate: Rate, trusted_hops: usize) -> RateLimitLayer {
    let count = rate.count.get();
    let quota = match rate.per {
        Per::Second => Quota::per_second(count),
        Per::Minute => Quota::per_minute(count),
        Per::Hour => Quota::per_hour(count),
    };
    let quota = match rate.burst {
        Some(burst) => quota.burst(burst.get()),
        None => quota,
    };
    RateLimitLayer::new(quota).by_client(ClientAddress::new().trusted_hops(trusted_hops))
}

fn limit(limit: Limit, queue: Option<usize>) -> Option<ConcurrencyLimitLayer> {
    let layer = match limit {
        Limit::Off => return None,
        Limit::Adaptive => ConcurrencyLimitLayer::adaptive(),
        Limit::Fixed(limit) => ConcurrencyLimitLayer::new(limit.get()),
    };
    Some(match queue {
        Some(length) => layer.queue(length),
        None => layer,
    })
}

//! The layers, as the command line has them.

use std::time::Duration;

use buttress::{
    BoxError, BreakerLayer, ConcurrencyLimitLayer, CriticalityLayer, DeadlineLayer, HedgeLayer, PropagateDeadlineLayer,
    RateLimitLayer, RetryLayer,
    admission::rate::{ClientAddress, Quota},
    budget::Budget,
};

use crate::{
    cli::{Args, HedgeAfter, Limit, Per, Rate},
    metrics::NAME,
};

/// Held back from what the upstream is told, so that the answer of one that gives up by itself still comes in time.
const MARGIN: Duration = Duration::from_millis(5);

/// Those that have something to set or to look at. Clones are the same layers.
#[derive(Clone)]
pub(crate) struct Layers {
    pub(crate) criticality: Option<CriticalityLayer>,
    pub(crate) deadline: DeadlineLayer,
    pub(crate) rate: Option<RateLimitLayer>,
    pub(crate) limit: Option<ConcurrencyLimitLayer>,
    /// Always there, as it changes the body: with one attempt, where it is not wanted.
    pub(crate) retry: RetryLayer,
    pub(crate) hedge: HedgeLayer,
    /// What retries and hedges are paid from.
    pub(crate) budget: Budget,
    pub(crate) breaker: Option<BreakerLayer>,
    pub(crate) propagate: PropagateDeadlineLayer,
}

impl Layers {
    pub(crate) fn new(args: &Args) -> Result<Self, BoxError> {
        let budget = Budget::builder().ratio(args.retry_budget.0).build()?;
        Ok(Self {
            // Who names a header says that whoever can send it is to be believed.
            criticality: args
                .criticality_header
                .clone()
                .map(|name| CriticalityLayer::new().header(name).trust(|_| true)),
            deadline: DeadlineLayer::new(args.deadline_default).max(args.deadline_max),
            rate: args.rate.map(|rate| rate_limit(rate, args.trusted_hops)),
            limit: limit(args.limit, args.queue),
            retry: RetryLayer::new().attempts(args.retry.get()).budget(budget.clone()),
            hedge: hedge(args.hedge).budget(budget.clone()),
            budget,
            breaker: args.breaker.then(|| BreakerLayer::new().per_destination()),
            propagate: PropagateDeadlineLayer::new().margin(MARGIN),
        })
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
    let layer = layer.name(NAME);
    Some(match queue {
        Some(length) => layer.queue(length),
        None => layer,
    })
}

fn hedge(after: Option<HedgeAfter>) -> HedgeLayer {
    match after {
        None => HedgeLayer::after(Duration::ZERO).attempts(1),
        Some(HedgeAfter::Delay(delay)) => HedgeLayer::after(delay),
        Some(HedgeAfter::Quantile(share)) => HedgeLayer::quantile(share),
    }
}

//! What a client's layers cost per request, beside what others offer for the same; and what two threads at once make of them.
//!
//! All requests but those of the last group are answered at the first attempt, as nearly all are: what is measured is the readiness
//! to try again. The peers clone the request and ask a closure; ours also record the body, read the upstream's hints, and give each
//! attempt a context of its own; the aims say that they cost less all the same. How it is measured stands in [`support`].
//!
//! "Four of tower's" are `Retry` with a `TpsBudget`, `LoadShed`, `ConcurrencyLimit` and `Timeout`. The client stack beside them is all of
//! ours, in their order: [`RetryLayer`], [`BreakerLayer`], [`ThrottleLayer`], [`ConcurrencyLimitLayer::adaptive`] and
//! [`PropagateDeadlineLayer`].
//!
//! What the peers do not do: seatbelt's retry has no budget, tower-resilience's is filled by successes and by time, and neither of the
//! hedges has one.

#![allow(
    clippy::disallowed_methods,
    clippy::disallowed_types,
    reason = "a bench reads the real clock and starts processes"
)]

mod again;
mod clients;
mod peers;
#[path = "../support/mod.rs"]
#[allow(dead_code, unused_imports, reason = "each bench uses its part of it")]
mod support;
mod threads;
mod transport;

#[cfg(doc)]
use buttress::{BreakerLayer, ConcurrencyLimitLayer, PropagateDeadlineLayer, RetryLayer, ThrottleLayer};

use self::support::{Aim, Results, Suite};

/// What everything is compared with.
const TOWER: &str = "tower Retry, TpsBudget";
const FOUR: &str = "four of tower's";
const RESILIENCE_HEDGE: &str = "tower-resilience Hedge";

const RETRY: &str = "retry";
const HEDGE: &str = "hedge after 1 s";
const QUANTILE: &str = "hedge after a quantile";
const STACK: &str = "client stack";

const IMMEDIATE: &str = "immediate, GET without a header";
const IMMEDIATE_SIX: &str = "immediate, POST of JSON with six headers";
const PENDING: &str = "pending once, GET without a header";
const PENDING_SIX: &str = "pending once, POST of JSON with six headers";
const ADDRESSED: &str = "immediate, GET of a URI with its authority";
const TIMED: &str = "immediate, GET within a deadline";
const AGAIN: &str = "503 and then 200, without a backoff";

fn suite() -> Suite {
    let mut suite = Suite::default();
    clients::add(&mut suite);
    again::add(&mut suite);
    suite
}

fn aims(results: &Results) -> Vec<Aim> {
    let ratio = |group: &str, name, reference, most| Aim {
        what: format!("{group}: {name} / {reference}"),
        value: results.ratio(group, name, reference),
        most,
    };
    let allocations = |group: &str, name| Aim {
        what: format!("{group}: {name}, allocations"),
        value: results.over(group, name).map(|cost| cost.allocations),
        most: 0.0,
    };
    let mut aims = Vec::new();
    for (group, most) in [
        (IMMEDIATE, 0.6),
        (PENDING, 0.6),
        (ADDRESSED, 0.6),
        (IMMEDIATE_SIX, 1.0),
        (PENDING_SIX, 1.0),
    ] {
        aims.push(ratio(group, RETRY, TOWER, most));
        aims.push(ratio(group, STACK, FOUR, 1.0));
    }
    aims.push(ratio(TIMED, STACK, FOUR, 1.0));
    for group in [IMMEDIATE, IMMEDIATE_SIX, PENDING, PENDING_SIX] {
        aims.push(ratio(group, HEDGE, RESILIENCE_HEDGE, 0.4));
    }
    for group in [IMMEDIATE, IMMEDIATE_SIX] {
        aims.push(ratio(group, QUANTILE, RESILIENCE_HEDGE, 0.4));
    }
    for group in [IMMEDIATE, PENDING, ADDRESSED] {
        aims.extend([RETRY, HEDGE, QUANTILE, STACK].map(|name| allocations(group, name)));
    }
    aims.extend(threads::measure());
    aims
}

fn main() {
    support::main(suite(), &[TOWER, FOUR], aims);
}

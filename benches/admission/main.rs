//! What admission costs per request, beside what others offer for the same; and what two threads at once make of it.
//!
//! The peers reject by an error, from outside of their limit: tower's `LoadShed`, which is what turns a limit that waits into one
//! that rejects. Ours hold the place to the end of the body and answer in the caller's protocol; the aims say that they cost less
//! all the same. How it is measured stands in [`support`]. Where a request is rejected, it is counted over a service that does
//! nothing but fail.
//!
//! "Three" is what the README has: [`DeadlineLayer`] around [`CancelLayer`] around [`ConcurrencyLimitLayer::adaptive`], with its
//! queue. Its peer is tower's `Timeout` around `LoadShed` around tower-acc's Gradient2.

#![allow(
    clippy::disallowed_methods,
    clippy::disallowed_types,
    reason = "a bench reads the real clock and starts processes"
)]

mod limits;
mod rates;
#[path = "../support/mod.rs"]
#[allow(dead_code, unused_imports, reason = "each bench uses its part of it")]
mod support;
mod threads;

#[cfg(doc)]
use buttress::{CancelLayer, ConcurrencyLimitLayer, DeadlineLayer};

use self::support::{Aim, Results, Suite};

/// What everything is compared with: the least that tower has, and the nearest to ours.
const LOAD_SHED: &str = "tower LoadShed + ConcurrencyLimit";
const GRADIENT2: &str = "tower-acc Gradient2";
const ALL_OF_THEM: &str = "Timeout + LoadShed + tower-acc Gradient2";

const FIXED: &str = "fixed";
const ADAPTIVE: &str = "adaptive";
const THREE: &str = "deadline + cancel + adaptive";
const TYPED: &str = "fixed, typed, no queue";

const IMMEDIATE: &str = "immediate, x-request-timeout-ms";
const PENDING: &str = "pending once, x-request-timeout-ms";
const REJECTED: &str = "rejected";

fn suite() -> Suite {
    let mut suite = Suite::default();
    limits::add(&mut suite);
    rates::add(&mut suite);
    suite
}

fn aims(results: &Results) -> Vec<Aim> {
    let ratio = |group: &str, name, reference, most| Aim {
        what: format!("{group}: {name} / {reference}"),
        value: results.ratio(group, name, reference),
        most,
    };
    let instructions = |group: &str, name, most| Aim {
        what: format!("{group}: {name}, instructions"),
        value: results.over(group, name).and_then(|cost| cost.instructions),
        most,
    };
    let allocations = |group: &str, name| Aim {
        what: format!("{group}: {name}, allocations"),
        value: results.over(group, name).map(|cost| cost.allocations),
        most: 0.0,
    };
    let mut aims = vec![
        ratio(IMMEDIATE, FIXED, LOAD_SHED, 1.0),
        ratio(IMMEDIATE, ADAPTIVE, GRADIENT2, 0.6),
        ratio(IMMEDIATE, THREE, ALL_OF_THEM, 0.85),
        instructions(IMMEDIATE, THREE, 650.0),
        allocations(IMMEDIATE, THREE),
        ratio(PENDING, THREE, ALL_OF_THEM, 0.95),
        instructions(PENDING, THREE, 1200.0),
        allocations(PENDING, THREE),
        instructions(REJECTED, TYPED, 150.0),
        allocations(REJECTED, TYPED),
    ];
    aims.extend(threads::measure());
    aims
}

fn main() {
    support::main(suite(), &[ALL_OF_THEM, LOAD_SHED], aims);
}

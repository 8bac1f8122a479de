//! What servers and clients limit alike.

use super::read::{Field, Invalid, Table};
use crate::admission::concurrency::{ConcurrencyLimitLayer, HoldUntil};

const REQUESTS: &str = "a number of requests, 0 or more";

/// A concurrency limit, or none.
pub(super) fn limit(field: &Field) -> Result<Option<ConcurrencyLimitLayer>, Invalid> {
    if let Some(table) = field.as_table() {
        return table.read(settings).map(Some);
    }
    match field.as_switch() {
        Some(is_on) => Ok(is_on.then(ConcurrencyLimitLayer::adaptive)),
        None => at_most(field, "true, false, \"adaptive\", a number of requests, or a table").map(Some),
    }
}

fn at_most(field: &Field, allowed: &str) -> Result<ConcurrencyLimitLayer, Invalid> {
    match (field.as_text(), field.as_count()) {
        (Some("adaptive"), _) => Ok(ConcurrencyLimitLayer::adaptive()),
        (_, Some(limit)) => Ok(ConcurrencyLimitLayer::new(limit)),
        _ => Err(field.invalid(allowed)),
    }
}

fn settings(table: &mut Table) -> Result<ConcurrencyLimitLayer, Invalid> {
    let mut limit = match table.take("at_most") {
        Some(field) => at_most(&field, "\"adaptive\" or a number of requests")?,
        None => ConcurrencyLimitLayer::adaptive(),
    };
    if let Some(queue) = table.take("queue") {
        limit = limit.queue(queue.count(REQUESTS)?);
    }
    if let Some(wait) = table.take("max_wait") {
        limit = limit.max_wait(wait.duration()?);
    }
    if let Some(hold) = table.take("hold_until") {
        limit = limit.hold_until(hold.word(&[("body", HoldUntil::Body), ("head", HoldUntil::Head)])?);
    }
    Ok(limit)
}

use std::time::Duration;

use super::{
    limits,
    read::{Field, Invalid, Table},
};
use crate::{
    admission::{breaker::BreakerLayer, throttle::ThrottleLayer},
    budget::Budget,
    criticality::PropagateCriticalityLayer,
    deadline::{PropagateDeadlineLayer, TimeoutLayer},
    hedge::HedgeLayer,
    retry::RetryLayer,
    stack::{ClientStack, client},
};

const ATTEMPTS: &str = "a number of attempts in all, 1 or more";
const BYTES: &str = "a number of bytes, 0 or more";

pub(super) fn stack(table: &mut Table) -> Result<ClientStack, Invalid> {
    let mut stack = client(table.require("timeout")?.duration()?);
    if let Some(budget) = table.take("budget") {
        stack = stack.budget(self::budget(&budget)?);
    }
    if let Some(retry) = table.take("retry") {
        stack = stack.retry(self::retry(&retry)?);
    }
    if let Some(hedge) = table.take("hedge") {
        stack = stack.hedge(self::hedge(&hedge)?);
    }
    if let Some(breaker) = table.take("breaker") {
        stack = stack.breaker(switched(&breaker, breakers)?);
    }
    if let Some(throttle) = table.take("throttle") {
        stack = stack.throttle(switched(&throttle, throttles)?);
    }
    if let Some(limit) = table.take("limit") {
        stack = stack.limit(limits::limit(&limit)?);
    }
    if let Some(timeout) = table.take("attempt_timeout") {
        stack = stack.attempt_timeout(TimeoutLayer::new(timeout.duration()?));
    }
    if let Some(deadline) = table.take("deadline") {
        stack = stack.deadline(switched(&deadline, deadlines)?);
    }
    if let Some(criticality) = table.take("criticality") {
        stack = stack.criticality(match criticality.as_switch() {
            Some(is_on) => is_on.then(PropagateCriticalityLayer::new),
            None => Some(PropagateCriticalityLayer::new().header(criticality.header()?)),
        });
    }
    Ok(stack)
}

/// On with its defaults, off, or on with these settings.
fn switched<T>(field: &Field, settings: fn(&mut Table) -> Result<T, Invalid>) -> Result<Option<T>, Invalid> {
    if let Some(table) = field.as_table() {
        return table.read(settings).map(Some);
    }
    match field.as_switch() {
        Some(false) => Ok(None),
        Some(true) => settings(&mut Table::empty()).map(Some),
        None => Err(field.invalid("true, false, or a table")),
    }
}

fn budget(field: &Field) -> Result<Budget, Invalid> {
    let mut budget = Budget::builder();
    match field.as_table() {
        None => budget = budget.ratio(field.number(0.0, 1.0)?),
        Some(table) => {
            budget = table.read(|table| {
                if let Some(ratio) = table.take("ratio") {
                    budget = budget.ratio(ratio.number(0.0, 1.0)?);
                }
                if let Some(floor) = table.take("min_per_second") {
                    budget = budget.min_per_second(floor.number(0.0, 1_000.0)?);
                }
                if let Some(burst) = table.take("burst") {
                    budget = budget.burst(burst.count("a number of attempts, 1 or more")?);
                }
                Ok(budget)
            })?;
        }
    }
    budget
        .build()
        .map_err(|error| field.invalid(format!("a budget that can be kept ({error})")))
}

fn attempts(field: &Field, allowed: &str) -> Result<u32, Invalid> {
    let attempts = field.as_count().filter(|attempts| *attempts > 0);
    attempts.ok_or_else(|| field.invalid(allowed))
}

fn retry(field: &Field) -> Result<Option<RetryLayer>, Invalid> {
    if let Some(table) = field.as_table() {
        return table.read(retries).map(Some);
    }
    if let Some(is_on) = field.as_switch() {
        Ok(is_on.then(RetryLayer::new))
    } else {
        let attempts = attempts(
            field,
            "true, false, a number of attempts in all (1 or more), or a table",
        )?;
        Ok(Some(RetryLayer::new().attempts(attempts)))
    }
}

fn retries(table: &mut Table) -> Result<RetryLayer, Invalid> {
    let rules: fn() -> RetryLayer = match table.take("rules") {
        None => RetryLayer::new,
        Some(rules) => rules.word::<fn() -> RetryLayer>(&[
            ("auto", RetryLayer::new),
            ("http", RetryLayer::http),
            ("grpc", RetryLayer::grpc),
        ])?,
    };
    let mut retry = rules();
    if let Some(field) = table.take("attempts") {
        retry = retry.attempts(attempts(&field, ATTEMPTS)?);
    }
    if let Some(cap) = table.take("hint_cap") {
        retry = retry.hint_cap(cap.duration()?);
    }
    if let Some(floor) = table.take("floor") {
        retry = retry.floor(floor.duration()?);
    }
    if let Some(limit) = table.take("body_limit") {
        retry = retry.body_limit(limit.count(BYTES)?);
    }
    Ok(retry)
}

fn hedge(field: &Field) -> Result<Option<HedgeLayer>, Invalid> {
    if let Some(table) = field.as_table() {
        return table.read(hedges).map(Some);
    }
    match field.as_switch() {
        Some(false) => Ok(None),
        _ => after(field).map(Some),
    }
}

/// After a while, or a percentile.
fn after(field: &Field) -> Result<HedgeLayer, Invalid> {
    let percent = field.as_text().and_then(|text| text.strip_prefix('p')?.parse().ok());
    match percent.filter(|percent| (50.0..=99.9).contains(percent)) {
        Some(percent) => {
            let percent: f32 = percent;
            Ok(HedgeLayer::quantile(percent / 100.0))
        }
        None => match field.duration() {
            Ok(delay) => Ok(HedgeLayer::after(delay)),
            Err(_) => Err(field.invalid("a duration (\"50ms\") or a percentile from \"p50\" to \"p99.9\"")),
        },
    }
}

fn hedges(table: &mut Table) -> Result<HedgeLayer, Invalid> {
    let mut hedge = after(&table.require("after")?)?;
    if let Some(field) = table.take("attempts") {
        hedge = hedge.attempts(attempts(&field, ATTEMPTS)?);
    }
    if let Some(limit) = table.take("body_limit") {
        hedge = hedge.body_limit(limit.count(BYTES)?);
    }
    Ok(hedge)
}

/// Whether each destination has its own.
fn is_per_destination(table: &mut Table) -> Result<bool, Invalid> {
    let per = table.take("per");
    per.map_or(Ok(true), |per| per.word(&[("destination", true), ("all", false)]))
}

fn breakers(table: &mut Table) -> Result<BreakerLayer, Invalid> {
    let mut breaker = BreakerLayer::new();
    if is_per_destination(table)? {
        breaker = breaker.per_destination();
    }
    if let Some(rate) = table.take("failure_rate") {
        breaker = breaker.failure_rate(rate.number(0.001, 1.0)?);
    }
    if let Some(calls) = table.take("minimum_calls") {
        breaker = breaker.minimum_calls(calls.count("a number of calls, 0 or more")?);
    }
    if let Some(window) = table.take("window") {
        breaker = breaker.window(at_least(&window, Duration::from_millis(10))?);
    }
    if let Some(time) = table.take("open_for") {
        breaker = breaker.open_for(at_least(&time, Duration::from_millis(1))?);
    }
    if let Some(probes) = table.take("probes") {
        let count = probes.as_count().filter(|count| *count > 0);
        breaker = breaker.probes(count.ok_or_else(|| probes.invalid("a number of calls, 1 or more"))?);
    }
    Ok(breaker)
}

fn throttles(table: &mut Table) -> Result<ThrottleLayer, Invalid> {
    let mut throttle = ThrottleLayer::new();
    if is_per_destination(table)? {
        throttle = throttle.per_destination();
    }
    if let Some(k) = table.take("k") {
        throttle = throttle.k(k.number(1.0, 100.0)?);
    }
    if let Some(window) = table.take("window") {
        throttle = throttle.window(at_least(&window, Duration::from_millis(12))?);
    }
    Ok(throttle)
}

fn deadlines(table: &mut Table) -> Result<PropagateDeadlineLayer, Invalid> {
    let mut deadline = PropagateDeadlineLayer::new();
    if let Some(margin) = table.take("margin") {
        deadline = deadline.margin(margin.duration()?);
    }
    if let Some(max) = table.take("max") {
        deadline = deadline.max(max.duration()?);
    }
    Ok(deadline)
}

fn at_least(field: &Field, least: Duration) -> Result<Duration, Invalid> {
    let duration = field.duration()?;
    if duration < least {
        return Err(field.invalid(format!("a duration of {least:?} at least")));
    }
    Ok(duration)
}

#[cfg(feature = "rate")]
use super::read::Field;
use super::{
    limits,
    read::{Invalid, Table},
};
#[cfg(feature = "rate")]
use crate::admission::rate::{ClientAddress, Quota, RateLimitLayer};
use crate::{
    admission::shed::LoadShedLayer,
    cancel::CancelLayer,
    context::wire::DeadlineHeaders,
    criticality::CriticalityLayer,
    deadline::DeadlineLayer,
    rejection::{Render, RenderLayer},
    stack::{ServerStack, server},
};

pub(super) fn stack(table: &mut Table) -> Result<ServerStack, Invalid> {
    let deadline = table.require("deadline")?;
    let mut stack = match deadline.as_table() {
        Some(table) => {
            let (default, layer) = table.read(settings)?;
            server(default).deadline(layer)
        }
        None => server(deadline.duration()?),
    };
    if let Some(render) = table.take("render") {
        let problem = render.word(&[("text", false), ("problem", true)])?;
        stack = stack.render(problem.then(|| RenderLayer::new(Render::Problem)));
    }
    if let Some(criticality) = table.take("criticality") {
        stack = stack.criticality(match criticality.as_switch() {
            Some(is_on) => is_on.then(CriticalityLayer::new),
            None => Some(CriticalityLayer::new().header(criticality.header()?)),
        });
    }
    if let Some(cancel) = table.take("cancel") {
        stack = stack.cancel(cancel.switch()?.then(CancelLayer::new));
    }
    #[cfg(feature = "rate")]
    if let Some(rate) = table.take("rate") {
        stack = stack.rate(self::rate(&rate)?);
    }
    if let Some(shed) = table.take("shed") {
        stack = stack.shed(shed.switch()?.then(LoadShedLayer::new));
    }
    if let Some(limit) = table.take("limit") {
        stack = stack.limit(limits::limit(&limit)?);
    }
    Ok(stack)
}

fn settings(table: &mut Table) -> Result<(std::time::Duration, DeadlineLayer), Invalid> {
    let default = table.require("default")?.duration()?;
    let mut layer = DeadlineLayer::new(default);
    if let Some(max) = table.take("max") {
        layer = layer.max(max.duration()?);
    }
    if let Some(headers) = table.take("headers") {
        let mut read = DeadlineHeaders::NONE;
        for header in headers.list()? {
            read = read.with(header.word(&[
                ("grpc", DeadlineHeaders::GRPC),
                ("connect", DeadlineHeaders::CONNECT),
                ("plain", DeadlineHeaders::PLAIN),
                ("envoy", DeadlineHeaders::ENVOY),
                ("linkerd", DeadlineHeaders::LINKERD),
            ])?);
        }
        layer = layer.headers(read);
    }
    if let Some(strict) = table.take("strict")
        && strict.switch()?
    {
        layer = layer.strict();
    }
    Ok((default, layer))
}

#[cfg(feature = "rate")]
fn rate(field: &Field) -> Result<Option<RateLimitLayer>, Invalid> {
    if field.as_switch() == Some(false) {
        return Ok(None);
    }
    match field.as_table() {
        Some(table) => table.read(rates).map(Some),
        None => Ok(Some(RateLimitLayer::new(quota(field)?))),
    }
}

#[cfg(feature = "rate")]
fn rates(table: &mut Table) -> Result<RateLimitLayer, Invalid> {
    let mut quota = quota(&table.require("quota")?)?;
    if let Some(burst) = table.take("burst") {
        quota = quota.burst(burst.count("a number of requests, 0 or more")?);
    }
    let mut layer = RateLimitLayer::new(quota);
    let hops = table.take("trusted_hops");
    let by = table.take("by");
    let by_client = by.as_ref().is_some_and(|by| by.as_text() == Some("client"));
    if let Some(hops) = hops.as_ref().filter(|_| !by_client) {
        return Err(hops.invalid("left out, unless `by` is \"client\""));
    }
    let keys = table.take("keys");
    let by_all = by.as_ref().is_none_or(|by| by.as_text() == Some("all"));
    if let Some(keys) = keys.as_ref().filter(|_| by_all) {
        return Err(keys.invalid("left out, unless `by` is \"client\" or a header"));
    }
    match by {
        Some(_) if by_client => {
            let hops = hops
                .map(|hops| hops.count("a number of proxies, 0 or more"))
                .transpose()?;
            layer = layer.by_client(ClientAddress::new().trusted_hops(hops.unwrap_or(0)));
        }
        Some(by) if !by_all => {
            let header = by.header();
            layer = layer.by_header(header.map_err(|_| by.invalid("\"all\", \"client\", or the name of a header"))?);
        }
        _ => {}
    }
    if let Some(keys) = keys {
        layer = layer.keys(keys.count("a number of keys, 0 or more")?);
    }
    Ok(layer)
}

#[cfg(feature = "rate")]
fn quota(field: &Field) -> Result<Quota, Invalid> {
    let quota = field.as_text().and_then(|text| {
        let (count, per) = text.split_once('/')?;
        let count = count.trim().parse().ok()?;
        Some(match per.trim() {
            "s" => Quota::per_second(count),
            "m" => Quota::per_minute(count),
            "h" => Quota::per_hour(count),
            "d" => Quota::per_day(count),
            _ => return None,
        })
    });
    quota.ok_or_else(|| field.invalid("a quota, such as \"100/s\" (s, m, h or d)"))
}

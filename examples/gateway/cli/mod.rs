//! The command line. What makes no sense is an error before anything is started.

mod limits;
mod retries;
mod upstream;

use std::{num::NonZero, time::Duration};

use clap::{CommandFactory, Parser, error::ErrorKind};
use http::HeaderName;

pub(crate) use self::{
    limits::{Limit, Per, Rate},
    retries::{HedgeAfter, Ratio},
    upstream::Upstream,
};

/// A reverse proxy for HTTP/1, HTTP/2 (h2c) and gRPC, made of buttress layers.
#[derive(Debug, Parser)]
#[command(name = "gateway", version)]
pub(crate) struct Args {
    /// Where requests come in: HTTP/1 and HTTP/2 with prior knowledge, on one port.
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:8080")]
    pub(crate) listen: String,

    /// Where /live, /ready and /metrics are served.
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:9900")]
    pub(crate) admin: String,

    /// Where requests go: http://host:port speaks HTTP/1, h2c://host:port HTTP/2; gRPC is HTTP/2 to either. Give several, and
    /// they take turns; give none, and a demo upstream is started.
    #[arg(long = "upstream", value_name = "URL")]
    pub(crate) upstreams: Vec<Upstream>,

    /// How long a request may take that does not say so itself.
    #[arg(long, value_name = "DURATION", default_value = "10s", value_parser = duration)]
    pub(crate) deadline_default: Duration,

    /// How long a request may take, whatever it says. Bounds the default too.
    #[arg(long, value_name = "DURATION", default_value = "30s", value_parser = duration)]
    pub(crate) deadline_max: Duration,

    /// How many requests may be in flight: adaptive finds out, fixed:N is N, off is any number.
    #[arg(long, value_name = "LIMIT", default_value = "adaptive")]
    pub(crate) limit: Limit,

    /// How many may wait for one of those to end; 0 rejects at once. By default, what the limit thinks fit.
    #[arg(long, value_name = "N")]
    pub(crate) queue: Option<usize>,

    /// How many requests each client address may send: 100/s, 100/m or 100/h, and with 100/s:20 no more than 20 of them at once.
    #[arg(long, value_name = "N/s[:BURST]")]
    pub(crate) rate: Option<Rate>,

    /// How many proxies of yours a request has passed before it comes here. A client's address is what the first of
    /// them wrote into x-forwarded-for; with none, it is the peer's, whatever that header says.
    #[arg(long, value_name = "N", default_value_t = 0, requires = "rate")]
    pub(crate) trusted_hops: usize,

    /// A header that says how much a request matters when not all can be served: critical-plus, critical, sheddable-plus or
    /// sheddable. It is believed, whoever sends it: name one that only those you trust can send.
    #[arg(long, value_name = "NAME")]
    pub(crate) criticality_header: Option<HeaderName>,

    /// How many attempts a request may make in all, each at the next upstream; 1 is no retry. Only what is safe to send again is.
    #[arg(long, value_name = "N", default_value = "3")]
    pub(crate) retry: NonZero<u32>,

    /// How many retries and hedges there may be for each request: 0.1 is a tenth more load, however much fails.
    #[arg(long, value_name = "RATIO", default_value = "0.1")]
    pub(crate) retry_budget: Ratio,

    /// When a request that is safe to send twice gets a second attempt beside the first: after 50ms, say, or after p95 of what
    /// its kind took of late.
    #[arg(long, value_name = "DELAY|p95")]
    pub(crate) hedge: Option<HedgeAfter>,

    /// Leaves an upstream alone that keeps failing, and asks now and then whether it is back.
    #[arg(long)]
    pub(crate) breaker: bool,

    /// Writes a line to the standard error for each request and each call when it ends, and for what the layers did in it.
    #[arg(long)]
    pub(crate) log: bool,

    /// How long, once told to end, it says that it is not ready and still accepts: so long as load balancers need to hear of it.
    #[arg(long, value_name = "DURATION", default_value = "0s", value_parser = humantime::parse_duration)]
    pub(crate) ready_delay: Duration,

    /// How long the end may take, the delay included; then what is left is aborted.
    #[arg(long, value_name = "DURATION", default_value = "25s", value_parser = humantime::parse_duration)]
    pub(crate) shutdown_budget: Duration,
}

impl Args {
    /// Those of this process. Where they make no sense it says so, and ends.
    pub(crate) fn get() -> Self {
        let args = Self::parse();
        if args.queue.is_some() && args.limit == Limit::Off {
            let why = "--queue N is where requests wait for a limit: it cannot be used with --limit off";
            Self::command().error(ErrorKind::ArgumentConflict, why).exit();
        }
        args
    }
}

fn duration(text: &str) -> Result<Duration, String> {
    match humantime::parse_duration(text) {
        Ok(Duration::ZERO) => Err("no request could be served in no time".to_owned()),
        Ok(duration) => Ok(duration),
        Err(error) => Err(format!("{error}: write it like 250ms or 10s")),
    }
}

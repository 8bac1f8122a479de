//! A service on axum that knows how much time it has, how many it can serve, and how to end.
//!
//! ```text
//! cargo run --example axum_server
//! curl -si -H 'x-request-timeout-ms: 500' http://127.0.0.1:3000/report    200: as many pages as there was time for
//! curl -si -H 'x-request-timeout-ms: 500' http://127.0.0.1:3000/export    504, and the work has stopped
//! for n in 1 2 3; do curl -si http://127.0.0.1:3000/export & done         one of three at once: 503
//! curl -si http://127.0.0.1:3000/whoami                                   more than five at once, or sixty a minute: 429
//! curl -si http://127.0.0.1:3000/ready                                    200; 503 once the process ends
//! kill -TERM %1                                                           not ready, drains, reports
//! ```
//!
//! What stands behind a proxy says so: `--proxies 1` makes `x-forwarded-for` count, from the right.

use std::{net::SocketAddr, time::Duration};

use axum::{
    Router,
    routing::{MethodRouter, get},
};
use buttress::{
    BoxError, Cancelled, ConcurrencyLimitLayer, Context, Lifecycle, ObserveLayer, RateLimitLayer,
    address::ClientAddress,
    admission::rate::Quota,
    axum::{ClientIp, Deadline, RouterExt, route},
    observe::{Began, Ended, Observer},
};
use clap::Parser;
use tokio::{net::TcpListener, time::sleep};

#[derive(Parser)]
struct Options {
    #[arg(long, default_value = "127.0.0.1:3000")]
    listen: SocketAddr,
    /// How many proxies of ours are in front.
    #[arg(long, default_value_t = 0)]
    proxies: usize,
}

const PAGE: Duration = Duration::from_millis(20);

async fn page(number: u32) -> u32 {
    sleep(PAGE).await;
    number
}

/// Has something to say at any time, and so never answers too late.
async fn report(deadline: Deadline) -> String {
    let mut pages = 0;
    while pages < 1_000 && deadline.remaining() > 10 * PAGE {
        pages = page(pages + 1).await;
    }
    format!("{pages} of 1000 pages, {} ms left\n", deadline.remaining().as_millis())
}

/// All or nothing: it stops where nobody waits any more.
async fn export(ctx: Context) -> Result<String, Cancelled> {
    for number in 1..=1_000 {
        ctx.check()?;
        page(number).await;
    }
    Ok("1000 of 1000 pages\n".to_owned())
}

async fn whoami(ClientIp(ip): ClientIp) -> String {
    format!("{ip}\n")
}

/// Says how each call ended.
#[derive(Clone)]
struct Log;

impl Observer for Log {
    type Call = String;

    fn began(&self, began: &Began<'_>) -> String {
        began.route.unwrap_or("no route").to_owned()
    }

    fn ended(&self, route: String, ended: &Ended) {
        println!(
            "{route}: {} after {} ms",
            ended.outcome.as_str(),
            ended.took.as_millis()
        );
    }
}

pub(crate) fn app(life: &Lifecycle, client: ClientAddress) -> Router {
    // What is expensive has a limit of its own; nobody waits for a place.
    let export: MethodRouter = get(export).layer(ConcurrencyLimitLayer::new(2).queue(0));
    let stack = buttress::server(Duration::from_secs(10))
        .observe(ObserveLayer::server(Log).route(route))
        .rate(RateLimitLayer::new(Quota::per_minute(60).burst(5)).by_client(client.clone()));
    Router::new()
        .route("/report", get(report))
        .route("/export", export)
        .route("/whoami", get(whoami))
        .with_client_address(client)
        // What is added last is outermost: one stack for all routes, and so one limit, one quota.
        .layer(stack)
        // Outside of all layers.
        .with_readiness("/ready", life)
}

#[tokio::main]
async fn main() -> Result<(), BoxError> {
    let options = Options::parse();
    let life = Lifecycle::builder()
        .signals()
        .ready_delay(Duration::from_secs(1))
        .build()?;
    let listener = TcpListener::bind(options.listen).await?;
    println!("listening on http://{}", listener.local_addr()?);
    life.serve(listener, app(&life, ClientAddress::new().trusted_hops(options.proxies)));
    life.run().await.exit()
}

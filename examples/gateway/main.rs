//! A reverse proxy for HTTP/1, HTTP/2 (h2c) and gRPC whose behaviour is nothing but this crate's layers.
//!
//! ```text
//! cargo run --release --example gateway
//! cargo run --release --example gateway -- --upstream http://127.0.0.1:3000 --upstream h2c://127.0.0.1:50051
//! cargo run --release --example gateway -- --limit fixed:100 --queue 20 --rate 100/s:20 --criticality-header x-criticality
//! cargo run --release --example gateway -- --retry 2 --retry-budget 0.05 --hedge p95 --breaker
//! ```
//!
//! Without an `--upstream` it starts one of its own, and prints commands to try. Here is what they show:
//!
//! - **Nobody waits for ever.** Every request has a deadline: its caller's, capped, or a default. It covers the connect, the
//!   wait for the answer, and both bodies. The upstream is told what is left of it, never more.
//! - **Nothing runs for nobody.** A client that leaves takes its upstream call with it.
//! - **Nothing is taken in that cannot be done.** A limit, which finds itself by default, lets in as many requests at a time as the
//!   upstreams do best with; a short queue takes up the bursts, the most critical first; the rest are told so at once. A
//!   client that asks more often than its `--rate` is told when to come back.
//! - **A fault is hidden where it can be, and never multiplied.** What is safe to send again goes to the next upstream, up to three
//!   times in all, and within a budget of a tenth of the requests. An upstream says when to come back, or not to; so does this,
//!   to those above. `--hedge` sends a second attempt where the first is slow, from the same budget; `--breaker` leaves an upstream
//!   alone that keeps failing.
//! - **Every request is answered in its own protocol.** A dead upstream is a 502, a silent one a 504; to gRPC they are the
//!   statuses 14 and 4.
//! - **Every ending is counted once**, at the end of the body: see `/metrics` on the admin address, for Prometheus, with a dashboard in
//!   `examples/grafana`. No path and no client is named there, and upstreams only as the command line does. `--log` writes down each by itself.
//!
//! The stack that does it is in `serve`, below, of the `layers` that the command line `cli` asks for. The rest moves bytes: `proxy`
//! hands requests on, `headers` knows what a proxy must change in them, `metrics` is the page that `admin` serves, `demo` is the upstream
//! for a machine that has none.
//!
//! # Whom it believes
//!
//! Nobody, unless told to: a deadline is capped, a client is its socket's address whatever `x-forwarded-for` says
//! (`--trusted-hops` is the number of your proxies in front), and no header makes a request critical but the one that
//! `--criticality-header` names.
//!
//! # What it does not do
//!
//! It speaks no TLS. It opens no tunnels: `CONNECT` is answered 501, and an `Upgrade` is not passed on, so that the upstream
//! answers as if it had not been asked.
//!
//! # How it ends
//!
//! At SIGTERM or Ctrl-C `/ready` says no, and after `--ready-delay` it takes no more connections; those that are there end after their
//! requests. All that may take `--shutdown-budget`; then what is left is aborted, and named. A second signal aborts at once. What is
//! alive, and what stops it, is at `/debug/work` on the admin address.

#![allow(
    clippy::disallowed_methods,
    clippy::disallowed_types,
    reason = "the bans are for layers: this is a process, and its connections are tasks of its own"
)]

mod admin;
mod cli;
mod demo;
mod headers;
mod layers;
mod metrics;
mod proxy;

use std::{
    fmt,
    io::{self, Write},
    process::{ExitCode, Termination},
    time::Duration,
};

use buttress::{BoxError, CancelLayer, Lifecycle, ObserveLayer, lifecycle::Report, optional};
use tokio::{net::TcpListener, runtime::Runtime};
use tower::ServiceBuilder;

use self::{
    cli::{Args, Upstream},
    layers::Layers,
    metrics::{Calls, Metrics},
    proxy::{Clients, Proxy, Upstreams},
};

/// How often a silent HTTP/2 peer is asked whether it is still there. One that is cut off never says goodbye.
const KEEP_ALIVE: Duration = Duration::from_secs(20);

fn main() -> ExitCode {
    let args = Args::get();
    let ended = Runtime::new().map_err(BoxError::from).and_then(|runtime| {
        let ended = runtime.block_on(run(args));
        // A name that is being resolved holds a thread which nobody can stop: do not wait for it.
        runtime.shutdown_background();
        ended
    });
    match ended {
        // What had to be aborted is named, and makes it a failure.
        Ok(report) => report.report(),
        Err(error) => {
            eprintln!("gateway: {error}");
            ExitCode::FAILURE
        }
    }
}

async fn run(args: Args) -> Result<Report, BoxError> {
    if args.log {
        metrics::log();
    }
    let metrics = Metrics::install()?;
    let life = Lifecycle::builder()
        .signals()
        .ready_delay(args.ready_delay)
        .budget(args.shutdown_budget)
        .observe(metrics.calls.clone())
        .build()?;
    let layers = Layers::new(&args)?;
    let listener = bind(&args.listen).await?;
    let admin = bind(&args.admin).await?;
    let (listen_url, admin_url) = (url(&listener)?, url(&admin)?);
    say(format_args!("listening on {listen_url}"));
    say(format_args!("admin on {admin_url}"));

    let mut upstreams = args.upstreams;
    if upstreams.is_empty() {
        let demo = bind("127.0.0.1:0").await?;
        upstreams.push(Upstream::http1(demo.local_addr()?)?);
        say(format_args!("demo upstream on {}", url(&demo)?));
        say(format_args!("{}", demo::Commands { listen_url, admin_url }));
        life.critical("demo upstream", demo::serve(demo, args.deadline_max));
    }

    let (calls, upkeep) = (metrics.calls.clone(), metrics.clone().upkeep());
    life.critical("metrics", upkeep);
    // It answers to the end, and is the last to go: whoever watches wants to see it end.
    tokio::spawn(admin::serve(admin, metrics.page(&layers, life.handle()), life.handle()));
    serve(&life, listener, Upstreams::new(upstreams), layers, calls);
    Ok(life.run().await)
}

/// Serves each connection with the one stack.
fn serve(life: &Lifecycle, listener: TcpListener, upstreams: Upstreams, layers: Layers, calls: Calls) {
    let proxy = Proxy::new(upstreams, Clients::new(&layers, &calls));
    // The state of a layer is made with the layer, so all connections share it.
    let stack = ServiceBuilder::new()
        .layer(ObserveLayer::server(calls))
        .layer(optional(layers.criticality))
        .layer(layers.deadline)
        .layer(CancelLayer::new())
        .layer(optional(layers.rate))
        .layer(optional(layers.limit))
        .layer(layers.retry)
        .layer(layers.hedge)
        .service(proxy);
    life.server()
        .name("gateway")
        .http(|http| {
            http.http2()
                .keep_alive_interval(KEEP_ALIVE)
                .keep_alive_timeout(KEEP_ALIVE);
        })
        .serve(listener, stack);
}

async fn bind(address: &str) -> Result<TcpListener, BoxError> {
    TcpListener::bind(address)
        .await
        .map_err(|error| format!("cannot listen on {address}: {error}").into())
}

fn url(listener: &TcpListener) -> io::Result<String> {
    Ok(format!("http://{}", listener.local_addr()?))
}

/// Prints a line. Nobody reading it is no reason to die, as `println!` would.
fn say(line: fmt::Arguments<'_>) {
    let _ = writeln!(io::stdout().lock(), "{line}");
}

//! reqwest, with a circuit breaker: a client that leaves an upstream alone that is down, and tells its own word from the upstream's.
//!
//! ```text
//! cargo run --example reqwest_client
//! ```
//!
//! The upstream fails until it is left alone. Two failures are seen, and with them the circuit opens: the calls that follow are
//! answered here, at once. After a while a probe goes out, and is answered; and so is all that follows.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU32, Ordering},
    },
    time::Duration,
};

use axum::{Json, Router, extract::Path, http::StatusCode, routing::get};
use buttress::{BoxError, BreakerLayer, rejection::ResponseExt};
use tokio::{net::TcpListener, time::sleep};

/// What a call gave: the number doubled, the upstream's status, or the layer of this process that said no.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Gave {
    Doubled(u64),
    Failed(u16),
    Rejected(&'static str),
}

/// An upstream that doubles numbers while it is well, and counts how often it is asked.
#[derive(Clone, Default)]
struct Upstream {
    well: Arc<AtomicBool>,
    asked: Arc<AtomicU32>,
}

impl Upstream {
    fn app(&self) -> Router {
        let Self { well, asked } = self.clone();
        let double = async move |Path(n): Path<u64>| {
            asked.fetch_add(1, Ordering::Relaxed);
            let well = well.load(Ordering::Relaxed);
            well.then(|| Json(n * 2)).ok_or(StatusCode::INTERNAL_SERVER_ERROR)
        };
        Router::new().route("/double/{n}", get(double))
    }
}

/// What each of the calls gave, and how many of them the upstream has seen.
pub(crate) async fn run() -> Result<(Vec<Gave>, u32), BoxError> {
    let upstream = Upstream::default();
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let url = format!("http://{}/double/21", listener.local_addr()?);
    let server = axum::serve(listener, upstream.app()).into_future();

    let http = reqwest::Client::builder()
        .no_proxy()
        .retry(reqwest::retry::never())
        .build()?;
    let open_for = Duration::from_millis(100);
    let breaker = BreakerLayer::new()
        .per_destination()
        .minimum_calls(2)
        .probes(1)
        .open_for(open_for);
    // Takes reqwest's requests, gives its responses. In a handler, a call has what is left of its request's time, if that is less.
    let client = buttress::client(Duration::from_secs(5))
        .breaker(breaker)
        .retry(None) // what hides failures would hide the breaker, here
        .throttle(None)
        .reqwest(http.clone());

    let call = async || {
        let response = client.send(http.get(&url).build()?).await?;
        let gave = match response.error_for_rejection() {
            Err(rejection) => Gave::Rejected(rejection.layer()),
            Ok(response) if response.status().is_success() => Gave::Doubled(response.json().await?),
            Ok(response) => Gave::Failed(response.status().as_u16()),
        };
        println!("{gave:?}");
        Ok::<_, BoxError>(gave)
    };
    let calls = async {
        let mut gave = Vec::new();
        for _ in 0..4 {
            gave.push(call().await?);
        }
        upstream.well.store(true, Ordering::Relaxed);
        println!("  (a while)");
        sleep(2 * open_for).await;
        for _ in 0..2 {
            gave.push(call().await?);
        }
        Ok((gave, upstream.asked.load(Ordering::Relaxed)))
    };
    tokio::select! {
        gave = calls => gave,
        ended = server => {
            ended?;
            Err("the server ended".into())
        }
    }
}

#[tokio::main]
async fn main() -> Result<(), BoxError> {
    let (gave, asked) = run().await?;
    println!("{} calls, {asked} of which the upstream has seen", gave.len());
    Ok(())
}

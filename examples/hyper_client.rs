//! hyper's client, of a server that fails two attempts of three: what is tried again, when, and when that stops.
//!
//! ```text
//! cargo run --example hyper_client
//! ```
//!
//! The first three requests are answered at the third attempt, and their callers notice a delay at most. Each has cost two retries,
//! and the budget pays for six. The fourth has less time left than the server asks it to wait: it gets the answer at hand, at once. So
//! does the fifth: the budget is spent, and a server in such a state is not helped by more load.

use std::{
    sync::atomic::{AtomicU32, Ordering},
    time::Duration,
};

use axum::{
    Router,
    body::Bytes,
    http::{HeaderMap, Request, StatusCode},
    response::IntoResponse,
    routing::put,
};
use buttress::{
    BoxError, Context, RetryLayer, TimeoutLayer,
    budget::Budget,
    retry::{Kept, RetrySnapshot},
};
use http_body_util::Full;
use hyper_util::{client::legacy::Client, rt::TokioExecutor};
use tokio::time::Instant;

/// Is overloaded, hangs, and answers, in turn.
async fn flaky(headers: HeaderMap, body: Bytes) -> impl IntoResponse {
    static CALLS: AtomicU32 = AtomicU32::new(0);
    let said = |name| headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or("0");
    let (attempt, left) = (said("x-retry-attempt"), said("x-request-timeout-ms"));
    println!("  attempt after {attempt} others: {} bytes, {left} ms left", body.len());
    match CALLS.fetch_add(1, Ordering::Relaxed) % 3 {
        0 => Err((StatusCode::SERVICE_UNAVAILABLE, [("retry-after-ms", "30")])),
        1 => Ok(std::future::pending::<&str>().await),
        _ => Ok("stored"),
    }
}

/// How each of the calls ended, and what the retries have to say of it.
pub(crate) async fn run() -> Result<(Vec<StatusCode>, RetrySnapshot), BoxError> {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await?;
    let uri = format!("http://{}/", listener.local_addr()?);
    let server = axum::serve(listener, Router::new().route("/", put(flaky))).into_future();

    let budget = Budget::builder().ratio(0.05).min_per_second(0.6).burst(6).build()?;
    let retry = RetryLayer::http();
    let client = buttress::client(Duration::from_secs(10))
        .budget(budget)
        .retry(retry.clone())
        .attempt_timeout(TimeoutLayer::new(Duration::from_millis(200)))
        .breaker(None) // two failures of three would open it, and there is one upstream
        .throttle(None)
        .service(Client::builder(TokioExecutor::new()).build_http());

    let calls = async {
        let mut statuses = Vec::new();
        for timeout in [5_000, 5_000, 5_000, 25, 5_000] {
            let (begun, context) = (Instant::now(), Context::current());
            let request = Request::put(&uri).body(Full::from("body"))?;
            let call = client.send(request);
            let response = context.with_timeout(Duration::from_millis(timeout)).scope(call).await?;
            println!("{} after {} ms", response.status(), begun.elapsed().as_millis());
            statuses.push(response.status());
        }
        Ok((statuses, retry.snapshot()))
    };
    tokio::select! {
        done = calls => done,
        ended = server => {
            ended?;
            Err("the server ended".into())
        }
    }
}

#[tokio::main]
async fn main() -> Result<(), BoxError> {
    let (_, seen) = run().await?;
    println!(
        "{} retries, which {} requests owe their success",
        seen.retries, seen.recovered
    );
    for why in [Kept::Deadline, Kept::Budget] {
        println!("{} requests not tried again: {}", seen.kept(why), why.as_str());
    }
    Ok(())
}

//! A limit of one that lets in ten, and one that lets in one.
//!
//! ```text
//! cargo run --example pain
//! ```
//!
//! The same app twice, and each time ten clients who come at once. tower's limit is made where its layer is applied, and `axum::serve` applies
//! the layers of a `Router` for each connection, route by route: ten connections, ten limits. Ours is made with the layer.

use std::{
    sync::atomic::{AtomicUsize, Ordering},
    time::Duration,
};

use axum::{Router, routing::get};
use buttress::BoxError;
use futures_util::future::join_all;
use tokio::net::TcpListener;

static INSIDE: AtomicUsize = AtomicUsize::new(0);
static MOST: AtomicUsize = AtomicUsize::new(0);

async fn work() {
    MOST.fetch_max(INSIDE.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
    tokio::time::sleep(Duration::from_secs(1)).await;
    INSIDE.fetch_sub(1, Ordering::SeqCst);
}

/// How many of ten are in the handler at once, and how many are answered with 200.
async fn ten_at(app: Router) -> Result<(usize, usize), BoxError> {
    MOST.store(0, Ordering::SeqCst);
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let url = format!("http://{}/", listener.local_addr()?);
    let answers = tokio::select! {
        answers = join_all((0..10).map(|_| reqwest::get(&url))) => answers,
        stopped = axum::serve(listener, app).into_future() => stopped.map(|()| Vec::new())?,
    };
    let served = answers.iter().flatten().filter(|answer| answer.status().is_success());
    Ok((MOST.load(Ordering::SeqCst), served.count()))
}

#[tokio::main]
async fn main() -> Result<(), BoxError> {
    let app = Router::new().route("/", get(work));

    let tower = app.clone().layer(tower::limit::ConcurrencyLimitLayer::new(1));
    let (at_once, served) = ten_at(tower).await?;
    println!("tower, a limit of 1:    {at_once} of 10 at once, {served} answered with 200");

    let ours = app.layer(buttress::ConcurrencyLimitLayer::new(1));
    let (at_once, served) = ten_at(ours).await?;
    println!("buttress, a limit of 1: {at_once} of 10 at once, {served} answered with 200");
    Ok(())
}

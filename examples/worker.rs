//! A service with a worker behind it, that ends as it should: an order is answered at once, and its mail is sent behind the answer.
//!
//! ```text
//! cargo run --example worker
//! curl -si -X POST http://127.0.0.1:3000/orders/7     202, or 503 where the queue is full
//! curl -si http://127.0.0.1:3000/ready                200, or 503 where the worker is behind or the process ends
//! kill -TERM %1                                       not ready, drains, sends what is left, closes; the exit code says how it went
//! ```

use std::{net::SocketAddr, time::Duration};

use axum::{
    Router,
    extract::{Path, State},
    http::StatusCode,
    routing::{get, post},
};
use buttress::{
    BoxError, CancelLayer, Context, DeadlineLayer, Lifecycle,
    lifecycle::worker::{Failed, Queue},
    retry::Backoff,
};
use clap::Parser;
use tokio::{net::TcpListener, time::sleep};

#[derive(Parser)]
struct Options {
    #[arg(long, default_value = "127.0.0.1:3000")]
    listen: SocketAddr,
    /// How long the mail server takes for a mail.
    #[arg(long, default_value = "200ms", value_parser = humantime::parse_duration)]
    mail_takes: Duration,
    /// How long the process may take to end.
    #[arg(long, default_value = "25s", value_parser = humantime::parse_duration)]
    budget: Duration,
}

#[derive(Clone, Debug)]
struct Mail {
    order: u64,
}

/// An order is taken where its mail can be: else it is not, and the client may come again.
async fn order(State(mails): State<Queue<Mail>>, Path(order): Path<u64>) -> (StatusCode, String) {
    // The answer is due in seconds, the mail is not.
    let own = Context::default().with_criticality(Context::current().criticality());
    match own.scope(mails.enqueue(Mail { order })).await {
        Ok(()) => (StatusCode::ACCEPTED, format!("order {order} is taken\n")),
        Err(refused) => (
            StatusCode::SERVICE_UNAVAILABLE,
            format!("order {order} is not: {refused}\n"),
        ),
    }
}

#[tokio::main]
async fn main() -> Result<(), BoxError> {
    let options = Options::parse();
    let life = Lifecycle::builder().signals().budget(options.budget).build()?;

    let mails = life
        .worker("mail")
        .queue(64)
        .concurrency(4)
        .max_wait(Duration::from_millis(100))
        .job_timeout(Duration::from_secs(10))
        .retry(3, Backoff::default())
        .on_failed(|failed: Failed<Mail>| println!("failed {}: {}", failed.job.order, failed.why))
        .on_unprocessed(|mail: Mail| println!("left {}", mail.order))
        .run(move |mail: Mail| async move {
            sleep(options.mail_takes).await;
            println!("sent {}", mail.order);
            Ok::<_, BoxError>(())
        })?;
    life.on_close("mail server", async {
        println!("closed");
        Ok(())
    });
    life.readiness().depends_on("mail", {
        let mails = mails.clone();
        move || !mails.status().behind
    });

    let app = Router::new()
        .route("/orders/{order}", post(order))
        .with_state(mails)
        .layer(CancelLayer::new())
        .layer(DeadlineLayer::new(Duration::from_secs(2)))
        .route("/", get(|| async { "POST /orders/{order}\n" }))
        .route_service("/ready", life.readiness());
    let listener = TcpListener::bind(options.listen).await?;
    println!("listening on http://{}", listener.local_addr()?);
    life.serve(listener, app);
    life.run().await.exit()
}

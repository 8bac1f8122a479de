//! A process with one of everything that the debug page can show, and the page itself.
//!
//! It prints two addresses, `api ADDRESS` and `admin ADDRESS`, and `all is under way` once the rest of what it shows is. What overstays its
//! deadline here is what nothing can end: code that blocks, and a task that never yields.
#![allow(clippy::disallowed_methods, reason = "a thread that blocks is what is to be shown")]

use std::{convert::Infallible, net::SocketAddr, thread, time::Duration};

use axum::{Router, extract::State, routing::get};
use buttress::{BoxError, Context, Lifecycle};
use tokio::{net::TcpListener, sync::mpsc, time::sleep};

const S: Duration = Duration::from_secs(1);
const TICK: Duration = Duration::from_millis(5);

#[tokio::main(flavor = "multi_thread", worker_threads = 4)]
async fn main() -> Result<(), BoxError> {
    let life = Lifecycle::builder().signals().budget(S).grace(S / 2).build()?;
    let handle = life.handle();
    let mail = life.worker("mail").queue(16).concurrency(2).job_timeout(600 * S);
    let mail = mail.run(async |_: u32| {
        std::future::pending::<()>().await;
        Ok::<_, Infallible>(())
    })?;
    let quick = life.worker("audit").queue(1024).concurrency(4);
    let quick = quick.run(async |_: u32| {
        sleep(2 * TICK).await;
        Ok::<_, Infallible>(())
    })?;
    for job in 0..12 {
        mail.enqueue(job).await?;
        quick.enqueue(job).await?;
    }

    let (entered, mut all) = mpsc::channel(8);
    let api = Router::new()
        .route("/checkout", get(checkout))
        .with_state(entered)
        .route("/events", get(std::future::pending::<()>));
    let admin = Router::new().route_service("/debug/work", handle.debug_view());
    serve(&life, "api", api).await?;
    serve(&life, "admin", admin).await?;

    let context = handle.context();
    drop(context.spawn("warm <the> \"cache\"", std::future::pending::<()>()));
    let brief = context.with_timeout(S / 2);
    drop(brief.spawn_blocking("thumbnail", |_| blocks()));
    drop(brief.spawn("reindex", async { blocks() }));
    life.critical("consumer of orders", std::future::pending());
    drop(context.detach("webhook", 3_600 * S, std::future::pending::<()>()));
    let report = tokio::spawn(life.run());
    all.recv().await;
    // Now what has half a second has overstayed it.
    sleep(S).await;
    println!("all is under way");
    report.await?.exit()
}

fn blocks() {
    loop {
        thread::sleep(TICK);
    }
}

/// A request with a shield and two tasks, one of another's, that waits.
async fn checkout(State(entered): State<mpsc::Sender<()>>) {
    let context = Context::current();
    let stock = context.with_timeout(120 * S).spawn("stock", async {
        let shard = Context::current().spawn("stock-shard", std::future::pending::<()>());
        let _ = shard.await;
    });
    let charge = context.shield("charge card", 300 * S, std::future::pending::<()>());
    let told = async {
        sleep(TICK).await;
        let _ = entered.send(()).await;
    };
    let _ = tokio::join!(stock, charge, told);
}

async fn serve(life: &Lifecycle, name: &'static str, app: Router) -> Result<(), BoxError> {
    let listener = TcpListener::bind(SocketAddr::from(([127, 0, 0, 1], 0))).await?;
    let serving = life.server().name(name).track_requests().serve(listener, app);
    println!("{name} {}", serving.local_addr()?);
    Ok(())
}

//! A server with one of everything that can be under way when a process is told to end, which writes down what it did.
//!
//! ```text
//! ending BUDGET_MS [stuck]
//! ```
//!
//! What is under way ends by itself when the process drains; with `stuck`, nothing of it ever does.
//!
//! ```text
//! http ADDRESS            GET /work/N answers soon; GET /hang answers with the process's end; POST /jobs/N enqueues a job
//! events ADDRESS          GET / is a stream of server-sent events
//! sockets ADDRESS         GET / is upgraded, echoes, and ends with a full stop
//! grpc ADDRESS            grpc.health.v1.Health
//! began N                 a handler has taken a request
//! done N, failed N, left N    how a job ended
//! ```
#![allow(
    clippy::disallowed_methods,
    reason = "a WebSocket's task is the user's, and a thread that blocks is what is to be shown"
)]

use std::{convert::Infallible, net::SocketAddr, pin::Pin, thread, time::Duration};

use axum::{
    Router,
    body::Body,
    extract::{Path, Request, State},
    http::StatusCode,
    response::{
        IntoResponse, Response,
        sse::{Event, Sse},
    },
    routing::{any, get, post},
};
use buttress::{
    BoxError, Context, Lifecycle,
    lifecycle::{
        Handle, Phase,
        worker::{Failed, Queue},
    },
};
use futures_util::stream;
use hyper_util::rt::TokioIo;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpListener,
    time::sleep,
};
use tonic_health::ServingStatus;

const GRACE: Duration = Duration::from_millis(500);
const TICK: Duration = Duration::from_millis(5);

/// How the things under way end.
#[derive(Clone)]
struct Ending {
    life: Handle,
    is_stuck: bool,
}

impl Ending {
    /// When what is under way is to end by itself.
    fn told(&self) -> Pin<Box<dyn Future<Output = ()> + Send>> {
        if self.is_stuck {
            Box::pin(std::future::pending())
        } else {
            Box::pin(self.life.draining())
        }
    }
}

#[tokio::main]
async fn main() -> Result<(), BoxError> {
    let mut args = std::env::args().skip(1);
    let budget = args.next().ok_or("ending: BUDGET_MS is missing")?.parse()?;
    let life = Lifecycle::builder()
        .signals()
        .budget(Duration::from_millis(budget))
        .grace(GRACE)
        .build()?;
    let ending = Ending {
        life: life.handle(),
        is_stuck: args.next().is_some_and(|arg| arg == "stuck"),
    };
    let jobs = worker(&life, ending.is_stuck)?;
    serve(&life, "http", http(ending.clone(), jobs)).await?;
    serve(
        &life,
        "events",
        Router::new().route("/", get(events)).with_state(ending.clone()),
    )
    .await?;
    serve(
        &life,
        "sockets",
        Router::new().route("/", any(socket)).with_state(ending.clone()),
    )
    .await?;
    serve(&life, "grpc", grpc(ending.clone()).await).await?;

    drop(ending.life.context().spawn("loop", ending.told()));
    let is_stuck = ending.is_stuck;
    drop(ending.life.context().spawn_blocking("crunch", move |_| {
        while is_stuck || ending.life.phase() < Phase::Draining {
            thread::sleep(TICK);
        }
    }));
    life.run().await.exit()
}

async fn serve(life: &Lifecycle, name: &'static str, app: Router) -> Result<(), BoxError> {
    let listener = TcpListener::bind(SocketAddr::from(([127, 0, 0, 1], 0))).await?;
    let serving = life.server().name(name).serve(listener, app);
    println!("{name} {}", serving.local_addr()?);
    Ok(())
}

// === what is under way ===

fn worker(life: &Lifecycle, is_stuck: bool) -> Result<Queue<u64>, BoxError> {
    let worker = life.worker("mail").queue(64).concurrency(2).max_wait(Duration::ZERO);
    let jobs = worker
        .on_failed(|failed: Failed<u64>| println!("failed {}", failed.job))
        .on_unprocessed(|job| println!("left {job}"))
        .run(move |job| async move {
            if is_stuck {
                std::future::pending::<()>().await;
            }
            sleep(TICK).await;
            println!("done {job}");
            Ok::<_, Infallible>(())
        })?;
    Ok(jobs)
}

fn http(ending: Ending, jobs: Queue<u64>) -> Router {
    let work = async |Path(number): Path<u64>| {
        println!("began {number}");
        sleep(TICK).await;
        number.to_string()
    };
    let hang = async |State(ending): State<Ending>| {
        println!("began hanging");
        ending.told().await;
    };
    let enqueue = async |State(jobs): State<Queue<u64>>, Path(number): Path<u64>| {
        println!("began {number}");
        match Context::default().scope(jobs.enqueue(number)).await {
            Ok(()) => StatusCode::ACCEPTED,
            Err(_) => StatusCode::SERVICE_UNAVAILABLE,
        }
    };
    Router::new()
        .route("/jobs/{number}", post(enqueue))
        .with_state(jobs)
        .route("/hang", get(hang))
        .with_state(ending)
        .route("/work/{number}", get(work))
}

async fn events(State(ending): State<Ending>) -> impl IntoResponse {
    let ticks = stream::unfold(ending.told(), |mut told| async {
        tokio::select! {
            biased;
            () = &mut told => None,
            () = sleep(TICK) => Some((Ok::<_, Infallible>(Event::default().data("tick")), told)),
        }
    });
    Sse::new(ticks)
}

async fn socket(State(ending): State<Ending>, mut request: Request) -> Response {
    let upgrade = hyper::upgrade::on(&mut request);
    tokio::spawn(async move {
        let mut socket = TokioIo::new(upgrade.await?);
        let (mut buffer, mut told) = ([0; 64], ending.told());
        loop {
            let read = tokio::select! {
                biased;
                () = &mut told => break,
                read = socket.read(&mut buffer) => read?,
            };
            socket.write_all(&buffer[..read]).await?;
        }
        socket.write_all(b".").await?;
        socket.shutdown().await?;
        Ok::<_, BoxError>(())
    });
    let mut response = Response::new(Body::empty());
    *response.status_mut() = StatusCode::SWITCHING_PROTOCOLS;
    let headers = response.headers_mut();
    headers.insert("connection", "upgrade".parse().expect("a value"));
    headers.insert("upgrade", "echo".parse().expect("a value"));
    response
}

/// A watch ends when what it watches is taken away.
async fn grpc(ending: Ending) -> Router {
    let (mut reporter, service) = tonic_health::server::health_reporter();
    reporter.set_service_status("work", ServingStatus::Serving).await;
    // Where all is stuck there is no such task: it would end as the drain begins, and be there or not when that is cut short.
    if !ending.is_stuck {
        drop(ending.life.context().spawn("health", async move {
            ending.life.draining().await;
            reporter.clear_service_status("work").await;
        }));
    }
    tonic::service::Routes::new(service).into_axum_router()
}

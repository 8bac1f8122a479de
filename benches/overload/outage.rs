//! An outage, and what the callers' retries make of it: in small what the bench `scenarios` simulates as *metastable*.
//!
//! The upstream can do 300 requests a second, of which 280 are asked for; it stands still for two and a half seconds, and then goes on, with
//! all that it was asked for in the meantime. The callers wait for half a second and try three times: *naive* as often as they like,
//! *budget* by `RetryLayer` with its default and the deadline told. Between them and the upstream is nothing, or the gateway. Goodput is
//! the part of those who came in that time that was answered, by whichever attempt.

use std::{
    convert::Infallible,
    error::Error,
    io,
    net::SocketAddr,
    task::{Context, Poll},
    time::Duration,
};

use buttress::DeadlineLayer;
use bytes::Bytes;
use fastrand::Rng;
use http::{Request, Response, StatusCode, Uri};
use http_body_util::{BodyExt, Empty};
use hyper::server::conn::http1;
use hyper_util::{
    client::legacy::{Client, connect::HttpConnector},
    rt::{TokioExecutor, TokioIo},
    service::TowerToHyperService,
};
use tokio::{net::TcpListener, task::spawn_local, time::Instant};
use tower::{Layer, Service};

use self::simulation::{
    random::Takes,
    retries::{Answer, Answering, Attempts, Contender, Line, Seen, call},
};
use crate::contender;

#[path = "../../tests/support/simulation/mod.rs"]
mod simulation;

const CALM: f64 = 2.0;
const END: f64 = CALM + 2.5;
const UNTIL: f64 = END + 5.0;

const OFFERED: f64 = 280.0;
const WORKERS: usize = 10;
const CALL: Takes = Takes::Exponential(1.0 / 30.0);

const PATIENCE: Duration = Duration::from_millis(500);

/// What is looked at: from when to when, in seconds.
const LOOKS: [(&str, f64, f64); 5] = [
    ("before", 0.5, CALM - 0.5),
    ("outage", CALM, END),
    ("0-1 s", END, END + 1.0),
    ("1-3 s", END + 1.0, END + 3.0),
    ("3-5 s", END + 3.0, UNTIL),
];

/// All of them, in less than a minute.
pub(crate) async fn measure() -> Result<(), Box<dyn Error>> {
    contender::build_gateway()?;
    print!("goodput, %           ");
    for (name, ..) in LOOKS {
        print!("{name:>9}");
    }
    println!("{:>20}", "attempts a request");
    for (name, callers, gateway) in [
        ("naive", Contender::Naive, false),
        ("naive, gateway", Contender::Naive, true),
        ("budget", Contender::Told, false),
        ("budget, gateway", Contender::Ours, true),
    ] {
        let seen = run(callers, gateway).await?;
        print!("{name:21}");
        for (_, from, to) in LOOKS {
            print!("{:>9.1}", 100.0 * seen.goodput(from, to));
        }
        println!("{:>20.2}", seen.attempts(CALM, UNTIL));
    }
    Ok(())
}

async fn run(callers: Contender, gateway: bool) -> io::Result<Seen> {
    let (listener, start) = (TcpListener::bind(("127.0.0.1", 0)).await?, Instant::now());
    let upstream = listener.local_addr()?;
    let still = start + Duration::from_secs_f64(CALM)..start + Duration::from_secs_f64(END);
    let line = Line::new(WORKERS, CALL, Rng::with_seed(1), still).looks(true);
    let served = spawn_local(serve(listener, line));
    let between = if gateway {
        Some(contender::start_gateway(upstream, &[]).await?)
    } else {
        None
    };
    let attempts = Attempts::default();
    let wire = Loopback {
        client: Client::builder(TokioExecutor::new()).build_http(),
        to: between.as_ref().map_or(upstream, |between| between.address),
        attempts: attempts.clone(),
        marks: callers.marks(),
    };
    let began = start.elapsed().as_secs_f64();
    let called = call(
        &callers.client(PATIENCE, wire),
        OFFERED,
        UNTIL - began,
        Rng::with_seed(2),
    )
    .await;
    served.abort();
    Ok(Seen::shifted(called, attempts.since(start), began))
}

async fn serve(listener: TcpListener, line: Line) {
    let service = DeadlineLayer::new(Duration::from_secs(60)).layer(line);
    while let Ok((stream, _)) = listener.accept().await {
        let service = TowerToHyperService::new(service.clone());
        spawn_local(async move {
            // A connection that breaks is its caller's affair.
            let _ = http1::Builder::new()
                .serve_connection(TokioIo::new(stream), service)
                .await;
        });
    }
}

/// The way to whoever listens there. What goes wrong on it is a 502.
#[derive(Clone)]
struct Loopback {
    client: Client<HttpConnector, Empty<Bytes>>,
    to: SocketAddr,
    attempts: Attempts,
    /// Whether its callers heed the marks of layers.
    marks: bool,
}

impl<B> Service<Request<B>> for Loopback {
    type Response = Answer;
    type Error = Infallible;
    type Future = Answering;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<B>) -> Answering {
        self.attempts.add(Instant::now());
        let uri = Uri::builder()
            .scheme("http")
            .authority(self.to.to_string())
            .path_and_query("/");
        let mut request = request.map(|_| Empty::new());
        let asked = uri.build().map(|uri| {
            *request.uri_mut() = uri;
            self.client.request(request)
        });
        let marks = self.marks;
        Box::pin(async move {
            let mut answer = Response::new(Empty::new());
            *answer.status_mut() = StatusCode::BAD_GATEWAY;
            let Ok(asked) = asked else { return Ok(answer) };
            if let Ok(response) = asked.await {
                let (head, body) = response.into_parts();
                if body.collect().await.is_ok() {
                    answer = Response::from_parts(head, Empty::new());
                }
            }
            if !marks {
                answer.headers_mut().remove("x-should-retry");
            }
            Ok(answer)
        })
    }
}

//! A thousand requests over real sockets, each of which ends as the dice say: every end is told once, and as what it was; and nothing
//! is left in flight.
#![cfg(all(feature = "metrics", feature = "server"))]
#![allow(clippy::disallowed_methods, clippy::unwrap_used, reason = "a test may")]

#[path = "support/page.rs"]
mod page;
#[path = "support/mod.rs"]
mod support;

use std::{
    collections::BTreeMap,
    future::pending,
    sync::{Arc, Mutex},
    time::Duration,
};

use axum::{
    Router,
    body::{Body, Bytes},
    extract::State,
    http::{HeaderMap, Request, Response, StatusCode},
    routing::any,
};
use buttress::{
    CancelLayer, ConcurrencyLimitLayer, DeadlineLayer, Lifecycle, ObserveLayer, Rejection,
    admission::{AdmissionLayer, Admit, Arrival, Decision, Never},
    metrics::{CallMetrics, Collector},
    observe::{Began, Ended, Observer},
    outcome::Outcome,
    rejection::Reason,
};
use fastrand::Rng;
use futures_util::{StreamExt, stream};
use http_body::Frame;
use http_body_util::{BodyExt, StreamBody};
use metrics_exporter_prometheus::PrometheusBuilder;
use page::Page;
use support::{Connection, Version, get, listener, soon};
use tokio::{io::AsyncWriteExt, net::TcpStream, sync::Notify, task::JoinSet};

const REQUESTS: usize = 1_000;
const AT_A_TIME: usize = 40;

/// How a request ends, and how that is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Fate {
    Success,
    Failure,
    Rejection,
    Deadline,
    LeavesAtHead,
    LeavesInBody,
    /// On HTTP/1 the connection, else the stream.
    Resets,
    Panic,
}

use Fate::{Deadline, Failure, LeavesAtHead, LeavesInBody, Panic, Rejection as Rejected, Resets, Success};

const FATES: [(Fate, &str, &str); 8] = [
    (Success, "success", "success at body"),
    (Failure, "failure", "failure at body"),
    (Rejected, "rejection", "rejected quota"),
    (Deadline, "deadline", "rejected deadline"),
    (LeavesAtHead, "leaves-at-head", "cancelled client_disconnect at head"),
    (LeavesInBody, "leaves-in-body", "cancelled client_disconnect at body"),
    (Resets, "resets", "cancelled client_disconnect at head"),
    (Panic, "panic", "failure panic at head"),
];

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Spoken {
    Http1,
    Http2,
    Grpc,
}

/// What is known of all of them, by their numbers.
struct World {
    begun: Vec<Notify>,
    ends: Mutex<Vec<Vec<String>>>,
    one_ended: Notify,
}

#[derive(Clone)]
struct Told(Arc<World>);

fn number(headers: &HeaderMap) -> usize {
    headers["x-number"].to_str().unwrap().parse().unwrap()
}

impl Observer for Told {
    type Call = usize;

    fn began(&self, began: &Began<'_>) -> usize {
        number(began.head.unwrap().headers)
    }

    fn ended(&self, number: usize, ended: &Ended) {
        let error = match ended.error {
            // Of each protocol its own.
            Some(error) if ended.outcome.as_str() != "failure" || error.to_string() == "panic" => format!(" {error}"),
            _ => String::new(),
        };
        let at = match ended.outcome {
            // gRPC hears it at the head, without a body.
            Outcome::Rejected(_) => String::new(),
            _ => format!(" at {}", ended.at.as_str()),
        };
        let told = format!("{}{error}{at}", ended.outcome.as_str());
        self.0.ends.lock().unwrap()[number].push(told);
        self.0.one_ended.notify_one();
    }
}

impl World {
    fn new() -> Arc<Self> {
        Arc::new(Self {
            begun: (0..REQUESTS).map(|_| Notify::new()).collect(),
            ends: Mutex::new(vec![Vec::new(); REQUESTS]),
            one_ended: Notify::new(),
        })
    }

    async fn all_ended(&self) {
        while self.ends.lock().unwrap().iter().any(Vec::is_empty) {
            self.one_ended.notified().await;
        }
    }
}

/// Rejects whose fate it is.
struct Gate;

impl Admit for Gate {
    type Permit = ();
    type Wait = Never<()>;

    fn admit(&self, arrival: &Arrival<'_>) -> Decision<(), Never<()>> {
        if arrival.head().is_some_and(|head| head.headers["x-fate"] == "rejection") {
            return Decision::No(Rejection::new(Reason::Quota, "gate"));
        }
        Decision::Now(())
    }
}

async fn handle(State(world): State<Arc<World>>, request: Request<Body>) -> Response<Body> {
    let headers = request.headers();
    let (fate, is_grpc) = (
        headers["x-fate"].to_str().unwrap(),
        headers.contains_key("content-type"),
    );
    world.begun[number(headers)].notify_one();
    let status = match fate {
        "success" => "0",
        "failure" => "14",
        "leaves-in-body" => {
            let frames = stream::iter([Ok::<_, axum::Error>(Frame::data(Bytes::from("yes")))]).chain(stream::pending());
            return Response::new(Body::new(StreamBody::new(frames)));
        }
        // Without a word.
        "panic" => std::panic::resume_unwind(Box::new(())),
        _ => pending().await,
    };
    let mut response = Response::new(Body::from("yes"));
    if is_grpc {
        let trailers = HeaderMap::from_iter([("grpc-status".parse().unwrap(), status.parse().unwrap())]);
        let frames = [Frame::data(Bytes::from("yes")), Frame::trailers(trailers)];
        *response.body_mut() = Body::new(StreamBody::new(stream::iter(frames.map(Ok::<_, axum::Error>))));
    } else if status != "0" {
        *response.status_mut() = StatusCode::INTERNAL_SERVER_ERROR;
    }
    response
}

/// A request, and its caller's part in how it ends.
async fn call(number: usize, fate: usize, spoken: Spoken, mut connection: Connection, world: Arc<World>) {
    let (fate, name, _) = FATES[fate];
    let mut request = get("127.0.0.1:80".parse().unwrap(), "/");
    let headers = request.headers_mut();
    headers.insert("x-number", number.to_string().parse().unwrap());
    headers.insert("x-fate", name.parse().unwrap());
    if spoken == Spoken::Grpc {
        headers.insert("content-type", "application/grpc".parse().unwrap());
    }
    if fate == Deadline {
        let header = if spoken == Spoken::Grpc {
            ("grpc-timeout", "50m")
        } else {
            ("x-request-timeout-ms", "50")
        };
        headers.insert(header.0, header.1.parse().unwrap());
    }
    if spoken == Spoken::Grpc {
        *request.method_mut() = http::Method::POST;
    }
    let answer = connection.send(request);
    match fate {
        Success | Failure | Rejected | Deadline => {
            soon(answer).await.unwrap().into_body().collect().await.unwrap();
        }
        LeavesInBody => {
            let mut body = soon(answer).await.unwrap().into_body();
            soon(body.frame()).await.unwrap().unwrap();
        }
        Panic => assert!(soon(answer).await.is_err()),
        LeavesAtHead | Resets => {
            tokio::select! {
                _ = answer => panic!("there is no answer"),
                () = soon(world.begun[number].notified()) => {}
            }
        }
    }
}

/// The same by a socket that is reset.
async fn reset(number: usize, mut socket: TcpStream, world: Arc<World>) {
    let text = format!("GET / HTTP/1.1\r\nhost: it\r\nx-number: {number}\r\nx-fate: resets\r\n\r\n");
    socket.write_all(text.as_bytes()).await.unwrap();
    soon(world.begun[number].notified()).await;
    socket.set_zero_linger().unwrap();
}

#[tokio::test(crate = "support::leakless")]
async fn of_a_thousand_requests_each_end_is_told_once() {
    let mut dice = Rng::with_seed(6);
    let (world, recorder) = (World::new(), Arc::new(PrometheusBuilder::new().build_recorder()));
    let page = || Page::parse(&recorder.handle().render());
    let limit = ConcurrencyLimitLayer::new(AT_A_TIME).name("it");
    let app = Router::new()
        .route("/", any(handle))
        .with_state(world.clone())
        .layer(limit.clone())
        .layer(AdmissionLayer::new(Arc::new(Gate)))
        .layer(CancelLayer::new())
        .layer(DeadlineLayer::new(Duration::from_secs(60)))
        .layer(ObserveLayer::server((
            Told(world.clone()),
            CallMetrics::with_recorder(recorder.clone()),
        )));
    let life = Lifecycle::builder().build().unwrap();
    let (listening, address) = listener().await;
    life.serve(listening, app);
    let alive = || {
        life.handle()
            .snapshot()
            .iter()
            .map(ToString::to_string)
            .collect::<Vec<_>>()
    };
    let before = alive();
    let collector = Collector::with_recorder(recorder.clone())
        .watch("it", limit.limit())
        .watch("it", life.handle());

    let (mut calls, mut fates) = (JoinSet::new(), Vec::new());
    let shared = Connection::open(address, Version::Http2).await;
    for number in 0..REQUESTS {
        if calls.len() == AT_A_TIME {
            calls.join_next().await.unwrap().unwrap();
        }
        let fate = dice.usize(..FATES.len());
        let spoken = dice.choice([Spoken::Http1, Spoken::Http2, Spoken::Grpc]).unwrap();
        fates.push((FATES[fate], spoken));
        if (FATES[fate].0, spoken) == (Resets, Spoken::Http1) {
            calls.spawn(reset(number, TcpStream::connect(address).await.unwrap(), world.clone()));
            continue;
        }
        let connection = match spoken {
            Spoken::Http1 => Connection::open(address, Version::Http1).await,
            Spoken::Http2 | Spoken::Grpc => shared.shared().unwrap(),
        };
        calls.spawn(call(number, fate, spoken, connection, world.clone()));
    }
    while let Some(ended) = calls.join_next().await {
        ended.unwrap();
    }
    soon(world.all_ended()).await;

    let ends = world.ends.lock().unwrap().clone();
    let mut sums = BTreeMap::new();
    for (number, (((fate, _, expected), spoken), told)) in fates.iter().zip(&ends).enumerate() {
        assert_eq!(told, &[*expected], "{number}: {fate:?} by {spoken:?}");
        *sums.entry(*fate).or_insert(0) += 1;
    }
    assert_eq!(
        (sums.len(), sums.values().sum::<usize>()),
        (FATES.len(), REQUESTS),
        "{sums:?}"
    );

    drop(shared);
    soon(async {
        while alive() != before {
            tokio::task::yield_now().await;
        }
    })
    .await;
    collector.collect();
    let of_grpc = fates.iter().filter(|(_, spoken)| *spoken == Spoken::Grpc).count();
    assert_recorded(&page(), of_grpc, &sums);
    life.handle().shutdown();
    let report = soon(life.run()).await;
    assert!(report.is_clean(), "{report}");
}

/// That what is recorded adds up to as many, and nothing is in flight.
fn assert_recorded(page: &Page, of_grpc: usize, sums: &BTreeMap<Fate, usize>) {
    let value = |name: &str, labels: &[(&str, &str)]| page.value(name, labels).unwrap_or(0.0).to_string();
    let durations = ["http_server_request", "rpc_server_call"];
    let durations = durations.map(|name| value(&format!("{name}_duration_count"), &[]));
    assert_eq!(durations, [REQUESTS - of_grpc, of_grpc].map(|count| count.to_string()));
    let left = sums[&LeavesAtHead] + sums[&LeavesInBody] + sums[&Resets];
    let told = |sum: usize| sum.to_string();
    assert_eq!(value("buttress_request_cancelled", &[]), told(left));
    assert_eq!(
        value("buttress_request_cancelled", &[("at", "body")]),
        told(sums[&LeavesInBody])
    );
    assert_eq!(
        value("buttress_rejected", &[("layer", "gate"), ("reason", "quota")]),
        told(sums[&Rejected])
    );
    assert_eq!(
        value("buttress_rejected", &[("layer", "deadline")]),
        told(sums[&Deadline])
    );
    for gauge in [
        "http_server_active_requests",
        "buttress_limit_in_flight",
        "buttress_limit_queued",
    ] {
        assert_eq!(page.value(gauge, &[]), Some(0.0), "{gauge}");
    }
}

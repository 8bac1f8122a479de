//! A process under load that is told to end: SIGTERM, while ordinary requests flow, streams run, a WebSocket and a gRPC stream are
//! open, a queue is full, and something is stuck.
//!
//! It writes down what it takes in and what becomes of it, its clients write down what they heard, and the two are laid beside each
//! other.
#![cfg(unix)]
#![allow(clippy::disallowed_methods, clippy::unwrap_used, reason = "a test may")]

#[path = "support/process.rs"]
mod process;
mod support;

use std::{
    collections::BTreeSet,
    net::SocketAddr,
    sync::{
        Arc, Mutex,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use buttress::{Lifecycle, lifecycle::Cause};
use http::Method;
use http_body_util::BodyExt;
use hyper::body::Incoming;
use process::{Exit, Process};
use support::{Connection, VERSIONS, Version, call, get, grpc, socket, soon};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    process::Command,
    task::{JoinHandle, JoinSet},
    time::sleep,
};
use tonic::Streaming;
use tonic_health::pb::{HealthCheckRequest, HealthCheckResponse, health_client::HealthClient};

/// More than the queue holds and the worker runs.
const CLIENTS: usize = 8;

/// The process, and all that is under way on it.
struct Up {
    process: Process,
    http: SocketAddr,
    /// The lines that have been read.
    said: Vec<String>,
    streams: Streams,
    load: Load,
}

/// What is open, to be followed to its end.
struct Streams {
    events: Vec<Incoming>,
    socket: TcpStream,
    watch: Streaming<HealthCheckResponse>,
}

/// Clients that ask as long as they are heard.
struct Load {
    clients: JoinSet<()>,
    heard: Arc<Mutex<Answers>>,
}

/// What clients were told, by the numbers of their requests.
#[derive(Debug, Default)]
struct Answers {
    answered: BTreeSet<u64>,
    /// Those of them whose job was taken in.
    accepted: BTreeSet<u64>,
    rejected: BTreeSet<u64>,
}

impl Up {
    async fn start(args: &[&str]) -> Self {
        let mut process = Process::start("ending", args);
        let mut address = async |name| process.says(name).await.parse::<SocketAddr>().unwrap();
        let [http, events, sockets, health] = [
            address("http").await,
            address("events").await,
            address("sockets").await,
            address("grpc").await,
        ];
        let mut up = Self {
            process,
            http,
            said: Vec::new(),
            streams: Streams::open(events, sockets, health).await,
            load: Load::start(http),
        };
        // The queue has been full, and all kinds of clients are at it.
        let heard = up.load.heard.clone();
        up.until(|_| heard.lock().unwrap().rejected.len() > 20).await;
        up
    }

    /// Reads what it says until this is so.
    async fn until(&mut self, is_so: impl Fn(&[String]) -> bool) {
        while !is_so(&self.said) {
            self.said.push(self.process.lines.next().await);
        }
    }

    /// A request that is not answered before the end, on a connection of its own.
    async fn hang(&mut self, version: Version) -> JoinHandle<Result<(), hyper::Error>> {
        let begun = |said: &[String]| said.iter().filter(|line| *line == "began hanging").count();
        let before = begun(&self.said);
        let http = self.http;
        let hanging = tokio::spawn(async move {
            let mut connection = Connection::open(http, version).await;
            connection
                .send(get(http, "/hang"))
                .await?
                .into_body()
                .collect()
                .await
                .map(drop)
        });
        self.until(|said| begun(said) > before).await;
        hanging
    }

    /// Waits for its end.
    async fn ended(self) -> (Exit, Streams, Answers) {
        let mut exit = self.process.ended().await;
        exit.lines.splice(0..0, self.said);
        let Load { mut clients, heard } = self.load;
        soon(async { while clients.join_next().await.transpose().unwrap().is_some() {} }).await;
        let heard = std::mem::take(&mut *heard.lock().unwrap());
        (exit, self.streams, heard)
    }
}

impl Streams {
    async fn open(on_events: SocketAddr, on_sockets: SocketAddr, on_health: SocketAddr) -> Self {
        let mut events = Vec::new();
        for version in VERSIONS {
            let mut body = call(on_events, version, Method::GET, "/").await.into_body();
            soon(body.frame()).await.unwrap().unwrap();
            events.push(body);
        }
        let upgrade = "GET / HTTP/1.1\r\nhost: x\r\nconnection: upgrade\r\nupgrade: echo\r\n\r\n";
        let mut socket = socket(on_sockets, upgrade).await;
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            head.push(soon(socket.read_u8()).await.unwrap());
        }
        socket.write_all(b"e").await.unwrap();
        assert_eq!(soon(socket.read_u8()).await.unwrap(), b'e');
        let request = HealthCheckRequest {
            service: "work".to_owned(),
        };
        let mut health = HealthClient::new(grpc::channel(on_health).await);
        let mut watch = health.watch(request).await.unwrap().into_inner();
        assert!(soon(watch.message()).await.unwrap().is_some());
        Self { events, socket, watch }
    }

    /// Whether each came to an end, and not to a break.
    async fn ended_whole(mut self) -> Vec<bool> {
        let mut whole = Vec::new();
        for body in self.events {
            whole.push(soon(body.collect()).await.is_ok());
        }
        // Its closing word: the end of a socket that was dropped looks like any other.
        whole.push(matches!(soon(self.socket.read_u8()).await, Ok(b'.')));
        whole.push(soon(self.watch.message()).await.is_ok());
        whole
    }
}

impl Load {
    fn start(http: SocketAddr) -> Self {
        let (heard, number) = (Arc::<Mutex<Answers>>::default(), Arc::<AtomicU64>::default());
        let mut clients = JoinSet::new();
        for client in 0..CLIENTS * 2 {
            clients.spawn(ask(http, VERSIONS[client % 2], number.clone(), heard.clone()));
        }
        Self { clients, heard }
    }
}

/// Asks for work and for jobs in turn, on one connection after the other, until there is none to be had.
async fn ask(http: SocketAddr, version: Version, numbers: Arc<AtomicU64>, heard: Arc<Mutex<Answers>>) {
    while TcpStream::connect(http).await.is_ok() {
        let Ok(mut connection) = Connection::try_open(http, version).await else {
            return;
        };
        loop {
            let number = numbers.fetch_add(1, Ordering::Relaxed);
            let is_job = !number.is_multiple_of(3);
            let mut request = get(http, &format!("/{}/{number}", if is_job { "jobs" } else { "work" }));
            if is_job {
                *request.method_mut() = Method::POST;
            }
            let Ok(answer) = soon(connection.send(request)).await else {
                break;
            };
            let status = answer.status();
            let Ok(body) = soon(answer.into_body().collect()).await else {
                break;
            };
            assert!(is_job || body.to_bytes() == number.to_string());
            let mut heard = heard.lock().unwrap();
            heard.answered.insert(number);
            match status.as_u16() {
                200 => {}
                202 => drop(heard.accepted.insert(number)),
                503 => drop(heard.rejected.insert(number)),
                other => panic!("{other}"),
            }
        }
    }
}

/// The numbers of the lines that begin so, each of which is there once.
fn numbers(exit: &Exit, what: &str) -> BTreeSet<u64> {
    let of_line = |line: &String| line.strip_prefix(what)?.trim_start().parse().ok();
    let all: Vec<u64> = exit.lines.iter().filter_map(of_line).collect();
    let numbers: BTreeSet<_> = all.iter().copied().collect();
    assert_eq!(numbers.len(), all.len(), "{what}: some of them twice: {all:?}");
    numbers
}

/// The works that the report names so, without their ages, sorted.
fn reported(exit: &Exit, how: &str) -> Vec<String> {
    let of_line = |line: &str| Some(line.trim().strip_prefix(how)?.split(" (").next()?.trim().to_owned());
    let mut works: Vec<_> = exit.complaint.lines().filter_map(of_line).collect();
    works.sort_unstable();
    works
}

/// Nothing that was accepted is lost: every request that began is answered, or it is on a connection that the report names; and every
/// job that was taken in is found again, once.
fn nothing_is_lost(exit: &Exit, heard: &Answers) {
    let began = numbers(exit, "began");
    let unanswered: BTreeSet<_> = began.difference(&heard.answered).copied().collect();
    let named = reported(exit, "aborted: ")
        .iter()
        .filter(|work| *work == "connection http")
        .count();
    let with_others = named.saturating_sub(2);
    assert!(
        unanswered.len() <= with_others,
        "not answered: {unanswered:?}, {named} connections"
    );
    let found = ["done", "failed", "left"].map(|how| numbers(exit, how));
    let mut jobs = BTreeSet::new();
    for job in found.iter().flatten() {
        assert!(jobs.insert(*job), "{job} twice");
    }
    let lost: Vec<_> = heard.accepted.difference(&jobs).collect();
    assert!(lost.is_empty(), "lost: {lost:?}");
    assert!(
        jobs.difference(&heard.accepted).all(|job| unanswered.contains(job)),
        "nobody enqueued it"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2, crate = "support::leakless")]
async fn what_is_under_way_ends_by_itself_and_the_process_in_order() {
    let mut up = Up::start(&["20000"]).await;
    let hanging = [up.hang(Version::Http1).await, up.hang(Version::Http2).await];
    up.process.signal("TERM").await;
    let (exit, streams, heard) = up.ended().await;
    assert_eq!((exit.code, exit.complaint.as_str()), (Some(0), ""), "{exit:?}");
    nothing_is_lost(&exit, &heard);
    assert_eq!(numbers(&exit, "done"), heard.accepted);
    for hanging in hanging {
        soon(hanging).await.unwrap().unwrap();
    }
    assert_eq!(streams.ended_whole().await, [true; 4]);
}

/// All that does not end by itself.
const STUCK: [&str; 11] = [
    "blocking crunch",
    "connection events",
    "connection events",
    "connection grpc",
    "connection http",
    "connection http",
    "connection sockets",
    "job mail of worker mail",
    "job mail of worker mail",
    "task loop",
    "worker mail",
];

/// A process that will not end by itself, and two requests that it will not answer.
struct Stuck {
    up: Up,
    hanging: [JoinHandle<Result<(), hyper::Error>>; 2],
}

impl Stuck {
    async fn start(budget: &str) -> Self {
        let mut up = Up::start(&[budget, "stuck"]).await;
        let hanging = [up.hang(Version::Http1).await, up.hang(Version::Http2).await];
        Self { up, hanging }
    }

    /// Its end, in which nothing is lost, and what its report says was aborted.
    async fn ended(self) -> Vec<String> {
        let (exit, streams, heard) = self.up.ended().await;
        assert_eq!(exit.code, Some(1), "{exit:?}");
        // What blocks its thread, alone, was there to the last.
        assert_eq!(reported(&exit, "stuck: "), ["blocking crunch"], "{}", exit.complaint);
        nothing_is_lost(&exit, &heard);
        // Two had begun.
        assert_eq!((numbers(&exit, "failed").len(), numbers(&exit, "left").len()), (2, 64));
        for hanging in self.hanging {
            soon(hanging).await.unwrap().unwrap_err();
        }
        assert_eq!(streams.ended_whole().await, [false; 4]);
        reported(&exit, "aborted: ")
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2, crate = "support::leakless")]
async fn what_is_stuck_is_ended_and_named_and_nothing_that_was_accepted_is_lost() {
    let stuck = Stuck::start("1000").await;
    stuck.up.process.signal("TERM").await;
    assert_eq!(stuck.ended().await, STUCK);
}

/// The budget is longer than the test waits.
#[tokio::test(flavor = "multi_thread", worker_threads = 2, crate = "support::leakless")]
async fn a_second_sigterm_exits_within_the_grace() {
    let mut stuck = Stuck::start("3600000").await;
    stuck.up.process.signal("TERM").await;
    stuck.up.process.drains(stuck.up.http).await;
    assert!(stuck.up.process.runs());
    stuck.up.process.signal("TERM").await;
    // It comes in the middle of the drain: there may be other connections yet.
    let of_others = |work: &String| work == "connection http";
    let mut aborted = stuck.ended().await;
    assert!(aborted.iter().filter(|work| of_others(work)).count() >= 2);
    aborted.retain(|work| !of_others(work));
    assert_eq!(
        aborted,
        STUCK
            .map(str::to_owned)
            .into_iter()
            .filter(|work| !of_others(work))
            .collect::<Vec<_>>()
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2, crate = "support::leakless")]
async fn a_report_that_nobody_reads_ends_the_process_all_the_same() {
    let stuck = Stuck::start("1000").await;
    stuck.up.process.stop_listening();
    stuck.up.process.signal("TERM").await;
    let (exit, ..) = stuck.up.ended().await;
    assert_eq!(exit.code, Some(1), "{exit:?}");
}

/// As from an orchestrator, which sends one whatever the process has been asked by then. It is sent to this very process.
#[tokio::test(flavor = "multi_thread", worker_threads = 2, crate = "support::leakless")]
async fn a_signal_after_another_cause_is_the_first_and_cuts_nothing_short() {
    let life = Lifecycle::builder().signals().build().unwrap();
    let handle = life.handle();
    let request = handle.context().spawn("request", sleep(Duration::from_millis(500)));
    handle.shutdown();
    let run = tokio::spawn(life.run());
    soon(handle.draining()).await;
    let pid = std::process::id().to_string();
    let sent = soon(Command::new("kill").args(["-s", "TERM", &pid]).status()).await;
    assert!(sent.unwrap().success());
    let report = soon(run).await.unwrap();
    assert!(report.is_clean(), "{report}");
    assert_eq!((report.cause, request.await), (Cause::Asked, Ok(())));
}

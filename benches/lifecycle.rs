//! What it costs to know of everything that lives: of each request, each task, each connection.
//!
//! A request has a context below its process's, whether it is tracked or not; that it is tracked is counted over that. It comes into
//! the registry where it first waits, so that one which is answered at once pays for a look alone.
//!
//! A task is in the registry from its start to its end, under a name, and ends with its context. It is held against tokio's, which is
//! nobody's, and against a `JoinSet`, which can end what is in it. 64 are started on one thread, and then waited for.
//!
//! A connection is served by hyper-util's server, by that with its `GracefulShutdown`, by ours, and by that with a listener of ours; its
//! client is on the same thread and in every number. What a connection holds while it waits is counted in bytes.
//!
//! How it is measured stands in [`support`].

#![allow(
    clippy::disallowed_methods,
    clippy::disallowed_types,
    reason = "a bench reads the real clock and spawns"
)]

#[allow(dead_code, unused_imports, reason = "each bench uses its part of it")]
mod support;

use std::{
    convert::Infallible,
    hint::black_box,
    net::{Ipv4Addr, SocketAddr},
    rc::Rc,
    time::{Duration, Instant},
};

use buttress::{CancelLayer, Context, Lifecycle};
use bytes::Bytes;
use http::{Request, Response};
use http_body_util::Full;
use hyper::body::Incoming;
use hyper_util::{
    rt::{TokioExecutor, TokioIo, TokioTimer},
    server::{conn::auto, graceful::GracefulShutdown},
    service::TowerToHyperService,
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    runtime::{Builder, Runtime},
    task::{JoinSet, yield_now},
};
use tower::{Layer, service_fn};

use self::support::{Aim, BARE, Drive, End, Handler, Requests, Results, Run, Suite, Wheel, counted, lazily};

fn runtime() -> Rc<Runtime> {
    Rc::new(Builder::new_current_thread().enable_all().build().expect("a runtime"))
}

// === requests ===

const AT_ONCE: &str = "a request that is answered at once";
const WAITS: &str = "a request that waits once";

const CANCEL: &str = "CancelLayer";
const PROCESS: &str = "below the process";
const TRACKED: &str = "below the process, tracked";

fn requests(suite: &mut Suite, drive: &Drive) {
    for (group, handler) in [
        (AT_ONCE, Handler::immediate()),
        (WAITS, Handler::immediate().pending_once()),
    ] {
        let life = Lifecycle::builder().build().expect("a lifecycle");
        let plain = Requests::plain;
        let bare = drive.requests(handler.clone(), plain(), End::Head);
        suite.case(group, BARE, BARE, bare);
        let cancel = CancelLayer::new().layer(handler.clone());
        suite.case(group, CANCEL, BARE, drive.requests(cancel, plain(), End::Head));
        let process = life.layer().layer(handler.clone());
        suite.case(group, PROCESS, BARE, drive.requests(process, plain(), End::Head));
        let tracked = life.layer().track_requests().layer(handler);
        let mut run = drive.requests(tracked, plain(), End::Head);
        let run = move |count| {
            // It lives as long as what is below it.
            let _ = &life;
            run(count)
        };
        suite.case(group, TRACKED, PROCESS, Box::new(run));
    }
}

// === tasks ===

const ENDS: &str = "a task that ends at once";
const YIELDS: &str = "a task that waits once";
const TASKS: [&str; 2] = [ENDS, YIELDS];

const TOKIO: &str = "tokio::spawn";
const JOIN_SET: &str = "JoinSet";
const SPAWN: &str = "Context::spawn";
const SPAWN_WITHIN: &str = "Context::spawn, with a deadline";

const AT_A_TIME: u64 = 64;

async fn task(waits: bool, number: u64) -> u64 {
    if waits {
        yield_now().await;
    }
    black_box(number)
}

/// Starts so many, and waits for all of them.
async fn start_all(name: &str, waits: bool, few: u64) {
    let numbers = 0..few;
    match name {
        TOKIO => {
            let tasks: Vec<_> = numbers.map(|number| tokio::spawn(task(waits, number))).collect();
            for task in tasks {
                black_box(task.await).expect("it ends");
            }
        }
        JOIN_SET => {
            let mut tasks = JoinSet::new();
            for number in numbers {
                tasks.spawn(task(waits, number));
            }
            while let Some(task) = tasks.join_next().await {
                black_box(task).expect("it ends");
            }
        }
        SPAWN | SPAWN_WITHIN => {
            let context = Context::current().child();
            let context = if name == SPAWN {
                (*context).clone()
            } else {
                context.with_timeout(Duration::from_secs(10))
            };
            let tasks: Vec<_> = numbers
                .map(|number| context.spawn("task", task(waits, number)))
                .collect();
            for task in tasks {
                black_box(task.await).expect("it ends");
            }
        }
        // What is to be done, in place. One that waits by itself waits for the reactor, too.
        _ => {
            for number in numbers {
                task(false, number).await;
            }
        }
    }
}

fn tasks(suite: &mut Suite) {
    let runtime = runtime();
    for group in TASKS {
        for name in [BARE, TOKIO, JOIN_SET, SPAWN, SPAWN_WITHIN] {
            let runtime = runtime.clone();
            let run = move |count| {
                counted(|| {
                    runtime.block_on(async {
                        let (start, mut left) = (Instant::now(), count);
                        while left > 0 {
                            let few = AT_A_TIME.min(left);
                            start_all(name, group == YIELDS, few).await;
                            left -= few;
                        }
                        start.elapsed()
                    })
                })
            };
            suite.case(group, name, BARE, Box::new(run));
        }
    }
}

// === connections ===

const KEPT: &str = "a request on a kept connection, HTTP/1";
const OPENED: &str = "a connection with one request, HTTP/1";

const GRACEFUL: &str = "GracefulShutdown";
const LISTENER: &str = "our listener, hyper-util's server";
const OURS: &str = "life.serve";
const OURS_TRACKED: &str = "life.serve, requests tracked";
const SERVERS: [&str; 5] = [BARE, GRACEFUL, LISTENER, OURS, OURS_TRACKED];

/// Answers; where there is a body, never.
async fn answer(request: Request<Incoming>) -> Result<Response<Full<Bytes>>, Infallible> {
    if !http_body::Body::is_end_stream(request.body()) {
        std::future::pending::<()>().await;
    }
    Ok(Response::new(Full::new(Bytes::from_static(b"done"))))
}

fn hyper() -> auto::Builder<TokioExecutor> {
    let mut http = auto::Builder::new(TokioExecutor::new());
    http.http1().timer(TokioTimer::new());
    http.http2().timer(TokioTimer::new());
    http
}

/// A server, on the thread of its clients.
struct Serves {
    runtime: Rc<Runtime>,
    address: SocketAddr,
    _life: Lifecycle,
}

impl Serves {
    fn new(name: &str) -> Self {
        let runtime = runtime();
        let life = Lifecycle::builder().build().expect("a lifecycle");
        let entered = runtime.enter();
        let listener = runtime.block_on(TcpListener::bind((Ipv4Addr::LOCALHOST, 0)));
        let listener = listener.expect("a port");
        let address = listener.local_addr().expect("an address");
        let service = service_fn(answer);
        match name {
            OURS => drop(life.serve(listener, service)),
            OURS_TRACKED => drop(life.server().track_requests().serve(listener, service)),
            LISTENER => {
                let mut listener = life.listener(listener);
                tokio::spawn(async move {
                    while let Some((io, _)) = listener.accept().await {
                        let service = TowerToHyperService::new(service);
                        tokio::spawn(async move {
                            let http = hyper();
                            let served = http.serve_connection_with_upgrades(TokioIo::new(io), service);
                            let _ = served.await;
                        });
                    }
                });
            }
            _ => {
                let graceful = (name == GRACEFUL).then(GracefulShutdown::new);
                tokio::spawn(async move {
                    while let Ok((stream, _)) = listener.accept().await {
                        stream.set_nodelay(true).expect("it is open");
                        let (io, service) = (TokioIo::new(stream), TowerToHyperService::new(service));
                        if let Some(graceful) = &graceful {
                            let served = hyper().serve_connection_with_upgrades(io, service).into_owned();
                            let served = graceful.watch(served);
                            tokio::spawn(async move { drop(served.await) });
                        } else {
                            tokio::spawn(async move {
                                drop(hyper().serve_connection_with_upgrades(io, service).await);
                            });
                        }
                    }
                });
            }
        }
        drop(entered);
        Self {
            runtime,
            address,
            _life: life,
        }
    }

    async fn connect(&self) -> TcpStream {
        let stream = TcpStream::connect(self.address).await.expect("it accepts");
        stream.set_nodelay(true).expect("it is open");
        // A closed one would keep its port for a minute.
        stream.set_zero_linger().expect("it is open");
        stream
    }

    fn run(self, group: &str) -> Run {
        let is_kept = group == KEPT;
        let mut kept = None;
        Box::new(move |count| {
            counted(|| {
                self.runtime.block_on(async {
                    if is_kept && kept.is_none() {
                        kept = Some(self.connect().await);
                    }
                    let start = Instant::now();
                    for _ in 0..count {
                        match &mut kept {
                            Some(stream) => ask(stream).await,
                            None => ask(&mut self.connect().await).await,
                        }
                    }
                    start.elapsed()
                })
            })
        })
    }
}

async fn ask(stream: &mut TcpStream) {
    let get = b"GET / HTTP/1.1\r\nhost: a\r\n\r\n";
    stream.write_all(get).await.expect("it is open");
    let (mut answer, mut read) = ([0; 256], 0);
    while !answer[..read].ends_with(b"done") {
        read += stream.read(&mut answer[read..]).await.expect("it answers");
    }
}

fn connections(suite: &mut Suite) {
    for group in [KEPT, OPENED] {
        for name in SERVERS {
            suite.case(group, name, BARE, lazily(move || Serves::new(name).run(group)));
        }
    }
}

/// What a connection waits for.
#[derive(Clone, Copy, Debug)]
enum Waits {
    /// The next request.
    Idle,
    /// The end of a request whose body nobody reads: the connection watch is at work.
    Unread,
}

/// How many bytes a connection holds that waits, with its client's.
fn held(name: &str, waits: Waits) -> f64 {
    const OPEN: u32 = 200;
    let serves = Serves::new(name);
    let mut kept = Vec::with_capacity(OPEN as usize);
    let mut open = |count: u32| {
        serves.runtime.block_on(async {
            for _ in 0..count {
                let mut stream = serves.connect().await;
                match waits {
                    Waits::Idle => ask(&mut stream).await,
                    Waits::Unread => {
                        let post = b"POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 9\r\n\r\nunread";
                        stream.write_all(post).await.expect("it is open");
                    }
                }
                kept.push(stream);
            }
            for _ in 0..1_000 {
                yield_now().await;
            }
        });
    };
    open(1);
    let of = allocation_counter::measure(|| open(OPEN - 1));
    f64::from(i32::try_from(of.bytes_current).unwrap_or(i32::MAX)) / f64::from(OPEN - 1)
}

// === what was aimed at ===

fn aims(results: &Results) -> Vec<Aim> {
    let mut aims = Vec::new();
    let mut aim = |what: String, value, most| aims.push(Aim { what, value, most });
    let tracked = |group| results.over(group, TRACKED);
    aim(
        format!("{AT_ONCE}: instructions of tracking it"),
        tracked(AT_ONCE).and_then(|cost| cost.instructions),
        100.0,
    );
    for group in [AT_ONCE, WAITS] {
        let allocations = tracked(group).map(|cost| cost.allocations);
        aim(format!("{group}: allocations of tracking it"), allocations, 0.0);
    }
    for group in TASKS {
        for reference in [TOKIO, JOIN_SET] {
            let ratio = results.ratio_of_instructions(group, SPAWN, reference);
            aim(format!("{group}: instructions of {SPAWN} / {reference}"), ratio, 2.0);
        }
    }
    for (group, most) in [(KEPT, 1.1), (OPENED, 1.25)] {
        let whole = |name| Some(results.over(group, name)?.instructions.unwrap_or_default());
        let bare = results.whole(group, BARE).and_then(|cost| cost.instructions);
        let ratio = whole(OURS).zip(bare).map(|(over, bare)| (bare + over) / bare);
        aim(
            format!("{group}: instructions of {OURS} / hyper-util's server"),
            ratio,
            most,
        );
    }
    for (what, waits, most) in [("idle", Waits::Idle, 2_048.0), ("unread", Waits::Unread, 2_560.0)] {
        let bare = held(BARE, waits);
        for name in &SERVERS[1..] {
            let more = held(name, waits) - bare;
            aim(format!("{what}: bytes of {name}, over {bare:.0}"), Some(more), most);
        }
    }
    aims
}

fn suite() -> Suite {
    let mut suite = Suite::default();
    requests(&mut suite, &Drive::new(Wheel::Busy));
    tasks(&mut suite);
    connections(&mut suite);
    suite
}

fn main() {
    support::main(suite(), &[TOKIO, JOIN_SET, GRACEFUL], aims);
}

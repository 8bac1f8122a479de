//! What two threads make of one limit.
//!
//! Each thread sends requests through a clone of one service, as fast as it can, and what both get done in a second is told as a
//! multiple of what one gets done alone. With nothing else to do but the making of the next request, two threads fight for
//! whatever they share: 1 is then good, as each request takes longer. With a microsecond of work each, as little as a handler
//! ever does, the bare service says what there is to be had on this machine.

use std::{
    hint::black_box,
    sync::Barrier,
    task::{Context, Waker},
    thread,
    time::{Duration, Instant},
};

use buttress::{ConcurrencyLimitLayer, RateLimitLayer, admission::rate::Quota};
use bytes::Bytes;
use http::{Request, Response};
use http_body::Body;
use http_body_util::Full;
use tower::{Layer, Service, limit::GlobalConcurrencyLimitLayer, load_shed::LoadShedLayer};

use super::support::{Aim, End, Handler, Requests, drive};

/// More than is ever in flight.
const ROOM: usize = 100;

/// How often each is timed, alone and together in turn. The best of each counts: a neighbour only ever takes away.
const ROUNDS: usize = 24;

const BATCH: Duration = Duration::from_millis(10);

/// Measures, prints, and tells what was aimed at.
pub(super) fn measure() -> Vec<Aim> {
    println!("\ntwo threads on one service, as a multiple of one: with no work, and with a microsecond of it");
    let turns = turns_of_a_microsecond();
    let bare = line("bare", |handler| handler, turns);
    line(
        super::LOAD_SHED,
        |handler| LoadShedLayer::new().layer(GlobalConcurrencyLimitLayer::new(ROOM).layer(handler)),
        turns,
    );
    line(
        super::GRADIENT2,
        |handler| tower_acc::ConcurrencyLimitLayer::new(tower_acc::Gradient2::default()).layer(handler),
        turns,
    );
    let fixed = line(
        "fixed",
        |handler| ConcurrencyLimitLayer::new(ROOM).layer(handler),
        turns,
    );
    let adaptive = line(
        "adaptive",
        |handler| ConcurrencyLimitLayer::adaptive().layer(handler),
        turns,
    );
    let quota = Quota::per_second(1_000_000_000);
    line(
        "rate, one for all",
        |handler| RateLimitLayer::new(quota).layer(handler),
        turns,
    );
    let aims = [("fixed", fixed), ("adaptive", adaptive)].map(|(name, of)| {
        [
            Aim {
                what: format!("{name}: one thread / two, no work"),
                value: Some(1.0 / of[0]),
                most: 1.0 / 0.95,
            },
            Aim {
                what: format!("{name}: the bare service's gain of two threads / its own, a microsecond of work"),
                value: Some(bare[1] / of[1]),
                most: 1.0 / 0.9,
            },
        ]
    });
    aims.into_iter().flatten().collect()
}

fn line<S, B>(name: &str, service: impl Fn(Handler) -> S, turns: u32) -> [f64; 2]
where
    S: Service<Request<Full<Bytes>>, Response = Response<B>> + Clone + Send,
    B: Body,
{
    let gains = [0, turns].map(|turns| gain(&service(Handler::immediate().works(turns))));
    println!("{name:42}  {:>6.2} {:>6.2}", gains[0], gains[1]);
    gains
}

/// What two threads get done, as a multiple of what one does.
fn gain<S, B>(service: &S) -> f64
where
    S: Service<Request<Full<Bytes>>, Response = Response<B>> + Clone + Send,
    B: Body,
{
    let mut size = 1_000;
    while rate(service, 1, size).1 < BATCH {
        size *= 2;
    }
    let mut best = [0_f64; 2];
    for _ in 0..ROUNDS {
        for threads in [1, 2] {
            let best = &mut best[threads - 1];
            *best = best.max(rate(service, threads, size).0);
        }
    }
    best[1] / best[0]
}

/// Requests a second of so many threads, each of which sends `size`; and how long it took.
fn rate<S, B>(service: &S, threads: usize, size: u32) -> (f64, Duration)
where
    S: Service<Request<Full<Bytes>>, Response = Response<B>> + Clone + Send,
    B: Body,
{
    let ready = Barrier::new(threads);
    let work = |mut service: S| {
        let requests = Requests::plain();
        let mut cx = Context::from_waker(Waker::noop());
        ready.wait();
        let start = Instant::now();
        for _ in 0..size {
            drive(&mut cx, &mut service, requests.one(), End::Head);
        }
        start.elapsed()
    };
    let took = thread::scope(|scope| {
        let work = &work;
        let clones = (0..threads).map(|_| service.clone());
        let running: Vec<_> = clones.map(|service| scope.spawn(move || work(service))).collect();
        let took = running
            .into_iter()
            .map(|thread| thread.join().expect("a thread that ends"));
        took.max().unwrap_or_default()
    });
    let requests = f64::from(size) * if threads == 2 { 2.0 } else { 1.0 };
    (requests / took.as_secs_f64(), took)
}

/// How many turns of the handler's loop take a microsecond.
fn turns_of_a_microsecond() -> u32 {
    let least = (0..16).map(|_| {
        let start = Instant::now();
        (0..100_000_u32).for_each(|turn| _ = black_box(turn));
        start.elapsed()
    });
    let least = least.min().unwrap_or_default().as_nanos();
    u32::try_from(100_000 * 1_000 / least.max(1)).unwrap_or(1_000)
}

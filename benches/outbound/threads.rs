//! What two threads make of one budget, and of one layer.
//!
//! What both get done in a second, as a multiple of what one gets done alone, as in the bench of admission: with nothing else to do, where
//! 1 is good, and with a microsecond of work each.

use std::{
    hint::black_box,
    sync::Barrier,
    task::{Context, Waker},
    thread,
    time::{Duration, Instant},
};

use buttress::{
    HedgeLayer, RetryLayer,
    budget::{Budget, Law},
};
use bytes::Bytes;
use http::{Request, Response};
use http_body::Body;
use http_body_util::Full;
use tower::{
    Layer, Service,
    retry::budget::{Budget as _, TpsBudget},
};

use super::{
    HEDGE, RETRY, TOWER, peers,
    support::{Aim, End, Requests, drive},
    transport::Transport,
};

/// How often each is timed, alone and together in turn. The best of each counts: a neighbour only ever takes away.
const ROUNDS: usize = 24;

const BATCH: Duration = Duration::from_millis(10);

/// Measures, prints, and tells what was aimed at.
pub(super) fn measure() -> Vec<Aim> {
    println!(
        "\ntwo threads on one budget and on one service, as a multiple of one: with no work, and with a microsecond of it"
    );
    let turns = turns_of_a_microsecond();
    let tps = TpsBudget::new(Duration::from_secs(10), 10, 0.1);
    budget_line("tower TpsBudget, a deposit", turns, || tps.deposit());
    let now = tokio::time::Instant::now();
    let budget = Budget::default();
    let shared = budget_line("budget, the first attempt of a request", turns, || budget.first(now));

    let bare = line("bare", turns, |transport| transport);
    line(TOWER, turns, |transport| peers::tower().layer(transport));
    let retry = line(RETRY, turns, |transport| RetryLayer::http().layer(transport));
    let hedge = line(HEDGE, turns, |transport| {
        HedgeLayer::after(Duration::from_secs(1)).layer(transport)
    });
    let mut aims = Vec::new();
    for (name, [alone, _]) in [("budget", shared), (RETRY, retry), (HEDGE, hedge)] {
        aims.push(Aim {
            what: format!("{name}: one thread / two, no work"),
            value: Some(1.0 / alone),
            most: 1.0 / 0.95,
        });
    }
    for (name, [_, working]) in [(RETRY, retry), (HEDGE, hedge)] {
        aims.push(Aim {
            what: format!("{name}: the bare service's gain of two threads / its own, a microsecond of work"),
            value: Some(bare[1] / working),
            most: 1.0 / 0.9,
        });
    }
    aims
}

/// A line of what is done to a budget, each time after so much work.
fn budget_line(name: &str, turns: u32, act: impl Fn() + Sync) -> [f64; 2] {
    let gains = [0, turns].map(|turns| {
        gain(&|| {
            || {
                (0..turns).for_each(|turn| _ = black_box(turn));
                act();
            }
        })
    });
    println!("{name:42}  {:>6.2} {:>6.2}", gains[0], gains[1]);
    gains
}

/// A line of requests through clones of one service, each of which is so much work.
fn line<S, B>(name: &str, turns: u32, service: impl Fn(Transport) -> S) -> [f64; 2]
where
    S: Service<Request<Full<Bytes>>, Response = Response<B>> + Clone + Send + Sync,
    B: Body,
{
    let gains = [0, turns].map(|turns| {
        let service = service(Transport::immediate().works(turns));
        gain(&|| {
            let (mut service, requests) = (service.clone(), Requests::plain());
            move || {
                let mut cx = Context::from_waker(Waker::noop());
                drive(&mut cx, &mut service, requests.one(), End::Head);
            }
        })
    });
    println!("{name:42}  {:>6.2} {:>6.2}", gains[0], gains[1]);
    gains
}

/// What two threads get done, as a multiple of what one does. Each makes its own.
fn gain<F: FnMut()>(make: &(impl Fn() -> F + Sync)) -> f64 {
    let mut size = 1_000;
    while rate(make, 1, size).1 < BATCH {
        size *= 2;
    }
    let mut best = [0_f64; 2];
    for _ in 0..ROUNDS {
        for threads in [1, 2] {
            let best = &mut best[threads - 1];
            *best = best.max(rate(make, threads, size).0);
        }
    }
    best[1] / best[0]
}

/// How much so many threads get done in a second, each of which does it `size` times; and how long it took.
fn rate<F: FnMut()>(make: &(impl Fn() -> F + Sync), threads: usize, size: u32) -> (f64, Duration) {
    let ready = Barrier::new(threads);
    let work = || {
        let mut act = make();
        ready.wait();
        let start = Instant::now();
        (0..size).for_each(|_| act());
        start.elapsed()
    };
    let took = thread::scope(|scope| {
        let running: Vec<_> = (0..threads).map(|_| scope.spawn(work)).collect();
        let took = running
            .into_iter()
            .map(|thread| thread.join().expect("a thread that ends"));
        took.max().unwrap_or_default()
    });
    let done = f64::from(size) * if threads == 2 { 2.0 } else { 1.0 };
    (done / took.as_secs_f64(), took)
}

/// How many turns of a loop take a microsecond.
fn turns_of_a_microsecond() -> u32 {
    let least = (0..16).map(|_| {
        let start = Instant::now();
        (0..100_000_u32).for_each(|turn| _ = black_box(turn));
        start.elapsed()
    });
    let least = least.min().unwrap_or_default().as_nanos();
    u32::try_from(100_000 * 1_000 / least.max(1)).unwrap_or(1_000)
}

//! What a retry budget costs per request, beside tower's; and what two threads at once make of it.
//!
//! A budget is asked by every request, whether or not anything fails, so that is what is measured first. tower's reads the clock by
//! itself. Ours is given the time: in `ours` it is read for each call, as by a loop of one's own; in `ours, at a time at hand` it is
//! not, as in the retry layer, which shares one read with the layers around it and needs none where the bucket is full. How it is
//! measured stands in [`support`].

#![allow(
    clippy::disallowed_methods,
    clippy::disallowed_types,
    reason = "a bench reads the real clock and starts threads"
)]

#[allow(dead_code, unused_imports, reason = "each bench uses its part of it")]
mod support;

use std::{
    hint::black_box,
    sync::{Arc, Barrier},
    task::{Context, Poll},
    thread,
    time::Duration,
};

use buttress::{
    budget::{Budget, Law, Why},
    outcome::Class,
};
use tokio::time::Instant;
use tower::{
    Service,
    retry::budget::{Budget as _, TpsBudget},
};

use self::support::{Aim, BARE, Drive, End, Handler, Requests, Results, Suite, Wheel};

const TOWER: &str = "tower TpsBudget";
const OURS: &str = "ours";
const AT_HAND: &str = "ours, at a time at hand";
const GRPC: &str = "ours, gRPC's law";

const SUCCEED: &str = "all succeed";
const GRANTED: &str = "each tries again, all are granted";
const REJECTED: &str = "each tries again, a tenth are granted";

/// More than a batch is never let through by a floor.
const TTL: Duration = Duration::from_secs(10);

/// What a request does with a budget.
trait Ask: Clone {
    fn first(&self);
    fn again(&self) -> bool;
}

#[derive(Clone)]
struct Tower(Arc<TpsBudget>);

impl Ask for Tower {
    fn first(&self) {
        self.0.deposit();
    }

    fn again(&self) -> bool {
        self.0.withdraw()
    }
}

/// With a time that is at hand, if there is one.
#[derive(Clone)]
struct Ours(Budget, Option<Instant>);

impl Ours {
    fn now(&self) -> Instant {
        self.1.unwrap_or_else(Instant::now)
    }
}

impl Ask for Ours {
    fn first(&self) {
        self.0.first(self.now());
    }

    fn again(&self) -> bool {
        self.0.again(Why::Failed(Class::Transport), self.now())
    }
}

/// Asks a budget on the way to a service.
#[derive(Clone)]
struct Asking<S, B> {
    inner: S,
    budget: B,
    again: bool,
}

impl<R, S: Service<R>, B: Ask> Service<R> for Asking<S, B> {
    type Response = S::Response;
    type Error = S::Error;
    type Future = S::Future;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, request: R) -> S::Future {
        self.budget.first();
        if self.again {
            black_box(self.budget.again());
        }
        self.inner.call(request)
    }
}

fn tower(ratio: f32) -> Tower {
    Tower(Arc::new(TpsBudget::new(TTL, 1, ratio)))
}

fn ours(ratio: f64) -> Budget {
    Budget::builder().ratio(ratio).build().expect("a ratio")
}

fn suite() -> Suite {
    let (mut suite, drive) = (Suite::default(), Drive::new(Wheel::Busy));
    for (group, ratio, again) in [(SUCCEED, 0.1, false), (GRANTED, 1.0, true), (REJECTED, 0.1, true)] {
        let bare = drive.requests(Handler::immediate(), Requests::plain(), End::Head);
        suite.case(group, BARE, BARE, bare);
        add(&mut suite, &drive, group, TOWER, tower(ratio), again);
        let ratio = f64::from(ratio);
        add(&mut suite, &drive, group, OURS, Ours(ours(ratio), None), again);
        add(
            &mut suite,
            &drive,
            group,
            AT_HAND,
            Ours(ours(ratio), Some(Instant::now())),
            again,
        );
    }
    let grpc = Budget::grpc(10.0, 0.1).expect("in its bounds");
    add(
        &mut suite,
        &drive,
        GRANTED,
        GRPC,
        Ours(grpc, Some(Instant::now())),
        true,
    );
    suite
}

fn add(
    suite: &mut Suite,
    drive: &Drive,
    group: &'static str,
    name: &'static str,
    budget: impl Ask + 'static,
    again: bool,
) {
    let service = Asking {
        inner: Handler::immediate(),
        budget,
        again,
    };
    suite.case(group, name, BARE, drive.requests(service, Requests::plain(), End::Head));
}

/// How often each is timed, alone and together in turn. The best of each counts: a neighbour only ever takes away.
const ROUNDS: usize = 48;
const HAMMERED: u32 = 200_000;

/// Measures, prints, and says how much slower a thread is when another is at it, too: where all succeed.
fn threads() -> f64 {
    println!(
        "\ntwo threads that ask one budget and do nothing else, each as a multiple of one alone: all succeed, each tries again"
    );
    let line = |name, ratios: [f64; 2]| {
        println!("{name:42}  {:>6.2} {:>6.2}", ratios[0], ratios[1]);
        ratios[0]
    };
    line(TOWER, [beside(&tower(0.1), false), beside(&tower(1.0), true)]);
    let now = Some(Instant::now());
    line(
        AT_HAND,
        [
            beside(&Ours(ours(0.1), now), false),
            beside(&Ours(ours(1.0), now), true),
        ],
    )
}

fn beside(budget: &(impl Ask + Send + Sync), again: bool) -> f64 {
    let mut best = [Duration::MAX; 2];
    for _ in 0..ROUNDS {
        for threads in [1, 2] {
            let best = &mut best[threads - 1];
            *best = (*best).min(hammer(budget, again, threads));
        }
    }
    best[0].as_secs_f64() / best[1].as_secs_f64()
}

/// How long the slowest of so many threads takes.
fn hammer(budget: &(impl Ask + Send + Sync), again: bool, threads: usize) -> Duration {
    let ready = Barrier::new(threads);
    let work = || {
        ready.wait();
        let start = Instant::now();
        for _ in 0..HAMMERED {
            budget.first();
            if again {
                black_box(budget.again());
            }
        }
        start.elapsed()
    };
    thread::scope(|scope| {
        let running: Vec<_> = (0..threads).map(|_| scope.spawn(work)).collect();
        let took = running
            .into_iter()
            .map(|thread| thread.join().expect("a thread that ends"));
        took.max().unwrap_or_default()
    })
}

fn aims(results: &Results) -> Vec<Aim> {
    let mut aims = Vec::new();
    for group in [SUCCEED, GRANTED, REJECTED] {
        aims.push(Aim {
            what: format!("{group}: {OURS} / {TOWER}"),
            value: results.ratio(group, OURS, TOWER),
            most: 1.0,
        });
        aims.push(Aim {
            what: format!("{group}: allocations"),
            value: results.over(group, OURS).map(|cost| cost.allocations),
            most: 0.0,
        });
    }
    aims.push(Aim {
        what: format!("{SUCCEED}: {AT_HAND}, clock reads"),
        value: results.over(SUCCEED, AT_HAND).and_then(|cost| cost.clock_reads),
        most: 0.0,
    });
    aims.push(Aim {
        what: format!("{SUCCEED}: one thread / each of two"),
        value: Some(1.0 / threads()),
        most: 1.0 / 0.95,
    });
    aims
}

fn main() {
    support::main(suite(), &[TOWER], aims);
}

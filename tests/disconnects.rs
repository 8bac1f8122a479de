//! Half of the callers leave in the middle, on HTTP/1, HTTP/2 and gRPC, across three tiers: every tier's work ends with the departure,
//! and nothing of it is left: no permit, no task, no token of a budget, no entry in the registry.
//!
//! It is run with some thousands of departures, and with as many as are asked for:
//!
//! ```text
//! BUTTRESS_DEPARTURES=100000 cargo test --release --all-features --test disconnects -- --nocapture
//! ```
//!
//! How long the work at the bottom went on after its caller had left is printed. Nothing else would end it: all have an hour. With all the
//! callers at once it says how busy the machine is; that of one caller at a time is what a departure takes through three tiers:
//!
//! ```text
//! BUTTRESS_CALLERS=1 cargo test --release --all-features --test disconnects -- --nocapture --test-threads=1
//! ```
#![allow(clippy::disallowed_methods, clippy::unwrap_used, reason = "a test may")]

#[path = "disconnects/house.rs"]
mod house;
#[path = "support/ledger.rs"]
mod ledger;
mod support;

use std::{net::SocketAddr, sync::Arc, time::Duration};

use buttress::Cancelled;
use house::{Books, House, Plan};
use support::{Connection, Version, get, grpc, soon, tier::Wire};
use tokio::{task::JoinSet, time::Instant};

/// At a time, on each wire.
fn callers() -> usize {
    asked("BUTTRESS_CALLERS").unwrap_or(16)
}

/// Of all wires.
fn departures() -> usize {
    asked("BUTTRESS_DEPARTURES").unwrap_or(3_000)
}

fn asked(name: &str) -> Option<usize> {
    let asked = std::env::var(name).ok()?;
    Some(asked.parse().expect("a number"))
}

/// One caller's requests, one after the other: each is answered, or left in the middle.
struct Caller {
    first: SocketAddr,
    books: Arc<Books>,
    number: usize,
}

impl Caller {
    /// Its requests by their numbers, which are no other's.
    fn numbers(&self) -> impl Iterator<Item = usize> + use<> {
        (self.number..self.books.requests()).step_by(callers())
    }

    /// Makes a call, and leaves it when it is time to.
    async fn call<A: std::fmt::Debug>(&self, number: usize, call: impl Future<Output = A>) -> Option<A> {
        if !Plan::of(number / callers()).leaves() {
            return Some(soon(call).await);
        }
        tokio::select! {
            biased;
            answer = call => panic!("{number} is never answered: {answer:?}"),
            () = self.books.is_time_to_leave(number) => {}
        }
        self.books.left(number);
        None
    }

    async fn http(self, version: Version) {
        let mut kept = Connection::open(self.first, version).await;
        for number in self.numbers() {
            let mut request = get(self.first, "/");
            request.headers_mut().insert("x-number", number.into());
            // On HTTP/1 who leaves takes the connection along.
            let answer = match (kept.shared(), Plan::of(number / callers()).leaves()) {
                (Some(mut shared), _) => self.call(number, shared.send(request)).await,
                (None, true) => {
                    let mut alone = Connection::open(self.first, version).await;
                    self.call(number, alone.send(request)).await
                }
                (None, false) => self.call(number, kept.send(request)).await,
            };
            if let Some(answer) = answer {
                assert_eq!(support::said(answer.unwrap()).await.text, "done");
            }
        }
    }

    async fn grpc(self) {
        let channel = grpc::channel(self.first).await;
        for number in self.numbers() {
            let answer = self.call(number, house::say(channel.clone(), self.first, number)).await;
            assert!(answer.is_none_or(|answer| answer.unwrap() == "done"));
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2, crate = "support::leakless")]
async fn on_http1() {
    nothing_is_left(Wire::Http1).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2, crate = "support::leakless")]
async fn on_http2() {
    nothing_is_left(Wire::Http2).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2, crate = "support::leakless")]
async fn on_grpc() {
    nothing_is_left(Wire::Grpc).await;
}

async fn nothing_is_left(wire: Wire) {
    let at_once = callers();
    let requests = (departures() * 2 / 3).next_multiple_of(at_once * Plan::ALL.len());
    let books = Books::new(requests, at_once);
    let house = House::build(wire, &books).await;
    let mut calls = JoinSet::new();
    let start = Instant::now();
    for number in 0..at_once {
        let caller = Caller {
            first: house.first(),
            books: books.clone(),
            number,
        };
        match wire {
            Wire::Http1 => calls.spawn(caller.http(Version::Http1)),
            Wire::Http2 => calls.spawn(caller.http(Version::Http2)),
            Wire::Grpc => calls.spawn(caller.grpc()),
        };
    }
    while let Some(done) = calls.join_next().await {
        done.unwrap();
    }
    soon(books.all_have_ended()).await;
    report(wire, &books, start.elapsed());

    let half = requests as u64 / 2;
    for tier in house.end().await {
        let (handlers, tasks) = (books.handlers(tier.name), books.tasks(tier.name));
        assert_eq!(handlers.began(), tasks.began(), "each has a task");
        // At the bottom there are attempts whose answer is dropped for another.
        if tier.name != 'C' {
            for of in [handlers, tasks] {
                assert_eq!(of.ended_as(Some(Cancelled::Disconnected)), half, "{}", tier.name);
            }
            assert_eq!(handlers.ended_as(None), half, "{}", tier.name);
        }
        tier.holds_nothing();
    }
}

/// How long the work at the bottom went on.
fn report(wire: Wire, books: &Books, took: Duration) {
    let mut late = books.went_on();
    late.sort_unstable();
    let at = |per_mille: usize| late[(late.len() - 1) * per_mille / 1_000];
    println!(
        "{wire:?}: {} departures in {took:.1?}; work at the bottom went on for {:.2?} (median), {:.2?} (99%), {:.2?} (99.9%), {:.2?} (most)",
        books.requests() / 2,
        at(500),
        at(990),
        at(999),
        at(1_000),
    );
}

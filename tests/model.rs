//! The gate of a concurrency limit, under every order in which two or three threads can take their steps.
//!
//! It is the very source of the library, with a model checker's atomics and locks instead of the standard library's: see
//! `layers/admission/concurrency/sync.rs`.
#![allow(
    dead_code,
    clippy::disallowed_methods,
    clippy::unwrap_used,
    reason = "a test may, and the model uses a part of the gate"
)]

use std::{
    sync::{Arc as StdArc, atomic::AtomicUsize as StdAtomicUsize, atomic::Ordering as StdOrdering},
    task::{Wake, Waker},
};

use loom::{sync::Arc, thread};
use tokio::time::Instant;

#[path = "../layers/admission/concurrency/gate.rs"]
mod gate;
#[path = "../layers/admission/concurrency/permits.rs"]
mod permits;
#[path = "../layers/admission/concurrency/queue.rs"]
mod queue;
mod sync {
    pub(crate) use loom::sync::{
        Mutex, MutexGuard,
        atomic::{AtomicU64, Ordering},
    };
}

use self::{
    gate::{Entry, Gate},
    permits::Taken,
    queue::{Bounds, Fate},
};

const BAND: usize = 2;

fn gate(limit: usize, shards: usize, queue: usize) -> Arc<Gate> {
    let bounds = Bounds {
        length: queue,
        wait: std::time::Duration::MAX,
    };
    Arc::new(Gate::new(limit, bounds, shards))
}

/// Counts how often it is woken. Told by the model's own threads, but no part of what is modelled.
#[derive(Default)]
struct Bell(StdAtomicUsize);

impl Wake for Bell {
    fn wake(self: StdArc<Self>) {
        self.0.fetch_add(1, StdOrdering::SeqCst);
    }
}

/// Comes in, as a request does.
fn arrive(gate: &Gate, home: usize, now: Instant) -> Entry {
    match gate.enter(home) {
        Taken::Held(_) => Entry::Now,
        Taken::None if !gate.has_queue() => Entry::Full,
        Taken::None | Taken::Awaited => gate.arrive(home, BAND, now, None),
    }
}

/// Comes in, works, and goes; who has to wait is served by whoever goes last.
fn visit(gate: &Gate, home: usize, now: Instant) -> Option<usize> {
    match arrive(gate, home, now) {
        Entry::Now => {
            gate.exit(home, true, || now);
            None
        }
        Entry::Waits(key) => Some(key),
        Entry::Full => panic!("there is room to wait"),
    }
}

/// No thread runs any more: nobody may wait, and all permits are free but for those who were granted one.
fn settled(gate: &Gate, limit: usize, waiting: impl IntoIterator<Item = usize>, now: Instant) {
    let mut waiting: Vec<_> = waiting.into_iter().collect();
    // Who was granted a permit gives it back, and so it goes on to the next.
    while !waiting.is_empty() {
        let granted = waiting
            .iter()
            .position(|key| gate.look(*key, Waker::noop()) == Fate::Granted);
        let key = waiting.remove(granted.expect("a waiter was forgotten"));
        gate.leave(key, 0, now);
        gate.exit(0, true, || now);
    }
    let standing = gate.standing();
    assert_eq!((standing.in_flight, standing.waiting), (0, [0; 4]));
    assert_eq!(gate.permits().free(), limit);
}

fn model(limit: usize, shards: usize, threads: usize, preemptions: Option<usize>) {
    let mut builder = loom::model::Builder::new();
    builder.preemption_bound = preemptions;
    builder.check(move || {
        let now = Instant::now();
        let gate = gate(limit, shards, 4);
        let others: Vec<_> = (1..threads)
            .map(|home| {
                let gate = gate.clone();
                thread::spawn(move || visit(&gate, home, now))
            })
            .collect();
        let mine = visit(&gate, 0, now);
        let theirs: Vec<_> = others.into_iter().map(|other| other.join().unwrap()).collect();
        settled(&gate, limit, mine.into_iter().chain(theirs.into_iter().flatten()), now);
    });
}

#[test]
fn no_wake_up_is_lost_on_one_shard() {
    model(1, 1, 2, None);
}

#[test]
fn no_wake_up_is_lost_between_shards() {
    model(1, 2, 2, None);
}

#[test]
fn no_wake_up_is_lost_among_three() {
    model(1, 2, 3, Some(2));
}

#[test]
fn no_wake_up_is_lost_where_two_are_let_in() {
    model(2, 2, 3, Some(2));
}

#[test]
fn who_is_granted_a_permit_is_woken() {
    loom::model(|| {
        let now = Instant::now();
        let gate = gate(1, 2, 4);
        assert_eq!(arrive(&gate, 0, now), Entry::Now);
        let Entry::Waits(key) = arrive(&gate, 1, now) else {
            panic!()
        };
        let bell = StdArc::new(Bell::default());
        let waker = Waker::from(bell.clone());
        let leaver = {
            let gate = gate.clone();
            thread::spawn(move || gate.exit(0, true, || now))
        };
        let seen = gate.look(key, &waker);
        leaver.join().unwrap();
        assert!(
            seen == Fate::Granted || bell.0.load(StdOrdering::SeqCst) == 1,
            "asleep with a permit"
        );
        settled(&gate, 1, [key], now);
    });
}

#[test]
fn who_leaves_while_a_permit_comes_does_not_take_it_along() {
    loom::model(|| {
        let now = Instant::now();
        let gate = gate(1, 2, 4);
        assert_eq!(arrive(&gate, 0, now), Entry::Now);
        let Entry::Waits(key) = arrive(&gate, 1, now) else {
            panic!()
        };
        let leaver = {
            let gate = gate.clone();
            thread::spawn(move || gate.exit(0, true, || now))
        };
        if gate.leave(key, 1, now) == Fate::Granted {
            gate.exit(1, false, || now);
        }
        leaver.join().unwrap();
        settled(&gate, 1, [], now);
    });
}

#[test]
fn a_lowered_limit_swallows_what_comes_back() {
    loom::model(|| {
        let now = Instant::now();
        let gate = gate(2, 2, 4);
        assert_eq!(arrive(&gate, 0, now), Entry::Now);
        assert_eq!(arrive(&gate, 1, now), Entry::Now);
        let leaver = {
            let gate = gate.clone();
            thread::spawn(move || gate.exit(1, true, || now))
        };
        gate.resize(1, 0, now);
        leaver.join().unwrap();
        assert_eq!((gate.standing().in_flight, gate.permits().free()), (1, 0));
        gate.exit(0, true, || now);
        settled(&gate, 1, [], now);
    });
}

#[test]
fn a_raised_limit_serves_who_waits() {
    loom::model(|| {
        let now = Instant::now();
        let gate = gate(0, 2, 4);
        let raiser = {
            let gate = gate.clone();
            thread::spawn(move || gate.resize(1, 1, now))
        };
        let entry = arrive(&gate, 0, now);
        raiser.join().unwrap();
        match entry {
            Entry::Now => gate.exit(0, true, || now),
            Entry::Waits(key) => return settled(&gate, 1, [key], now),
            Entry::Full => panic!("there is room to wait"),
        }
        settled(&gate, 1, [], now);
    });
}

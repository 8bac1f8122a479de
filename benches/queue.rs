//! What it costs to leave a job in a worker's queue and to run it, beside tokio's mpsc channel.
//!
//! Ours does more on the way: each job is stamped, timed, caught where it panics, counted, and run in a context of its own, which the
//! channel's loop is not. `tokio mpsc, stamped` is one that carries the time at which a job was left, without which nobody knows how long
//! the oldest waits; `with the same by hand` is a loop that stamps, times and catches, and no more. The jobs do nothing, so everything here
//! is the way to them.
//!
//! On one thread, 64 jobs are left, which is timed by itself too, and then done. Between threads, one leaves jobs and another does
//! them, and each waits for the other where the queue is full or empty; there most of the time is the waking. How it is measured
//! stands in [`support`]; instructions are counted on one thread, of the whole way.

#![allow(
    clippy::disallowed_methods,
    clippy::disallowed_types,
    reason = "a bench reads the real clock and spawns"
)]

#[allow(dead_code, unused_imports, reason = "each bench uses its part of it")]
mod support;

use std::{
    convert::Infallible,
    future::poll_fn,
    hint::black_box,
    panic::{AssertUnwindSafe, catch_unwind},
    pin::pin,
    rc::Rc,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use buttress::{Lifecycle, lifecycle::worker::Queue};
use tokio::{
    runtime::{Builder, Runtime},
    sync::mpsc,
    task::yield_now,
};

use self::support::{Aim, BARE, Results, Run, Suite, counted};

const LEAVE: &str = "to leave it, with room";
const ONE: &str = "on one thread, 64 at a time";
const TWO: &str = "from one thread to another";

const MPSC: &str = "tokio mpsc";
const STAMPED: &str = "tokio mpsc, stamped";
const BY_HAND: &str = "tokio mpsc, with the same by hand";
const OURS: &str = "ours";
const LANES: &str = "ours, four at a time";

const CAPACITY: usize = 64;

/// What has been done. On a line of its own.
#[derive(Default)]
#[repr(align(128))]
struct Done(AtomicU64);

/// As large as a small job: an id and a name.
type Job = (u64, [u64; 3]);

impl Done {
    #[expect(clippy::unused_async, reason = "as a handler is")]
    async fn job(&self, job: Job) -> Result<(), Infallible> {
        black_box(job);
        self.0.fetch_add(1, Ordering::Relaxed);
        Ok(())
    }

    async fn until(&self, count: u64) {
        while self.0.load(Ordering::Relaxed) < count {
            yield_now().await;
        }
    }
}

/// Where jobs are left.
enum Way {
    Direct,
    Mpsc(mpsc::Sender<Job>),
    ByHand(mpsc::Sender<(Instant, Job)>),
    /// With the time at which it was left.
    Stamped(mpsc::Sender<(Instant, Job)>),
    Ours(Queue<Job>, #[allow(dead_code, reason = "it lives as long")] Lifecycle),
}

impl Way {
    /// Within the runtime.
    fn new(name: &str, done: &Arc<Done>) -> Self {
        let done = done.clone();
        match name {
            BARE => Self::Direct,
            MPSC => {
                let (send, mut receive) = mpsc::channel(CAPACITY);
                tokio::spawn(async move {
                    while let Some(job) = receive.recv().await {
                        let _ = done.job(job).await;
                    }
                });
                Self::Mpsc(send)
            }
            STAMPED => {
                let (send, mut receive) = mpsc::channel(CAPACITY);
                tokio::spawn(async move {
                    while let Some((since, job)) = receive.recv().await {
                        black_box(since);
                        let _ = done.job(job).await;
                    }
                });
                Self::Stamped(send)
            }
            BY_HAND => {
                let (send, mut receive) = mpsc::channel(CAPACITY);
                tokio::spawn(async move {
                    while let Some((since, job)) = receive.recv().await {
                        let began = Instant::now();
                        let mut work = pin!(done.job(job));
                        let caught = poll_fn(|cx| {
                            let polled = catch_unwind(AssertUnwindSafe(|| work.as_mut().poll(cx)));
                            polled.map_or_else(|_| std::task::Poll::Ready(None), |polled| polled.map(Some))
                        });
                        black_box((caught.await.is_some(), began - since, began.elapsed()));
                    }
                });
                Self::ByHand(send)
            }
            _ => {
                let life = Lifecycle::builder().build().expect("a lifecycle");
                let worker = life.worker("bench").queue(CAPACITY);
                let worker = worker.concurrency(if name == LANES { 4 } else { 1 });
                let run = move |job| {
                    let done = done.clone();
                    async move { done.job(job).await }
                };
                Self::Ours(worker.run(run).expect("a worker"), life)
            }
        }
    }

    async fn leave(&self, done: &Done, job: Job) {
        match self {
            Self::Direct => drop(done.job(job).await),
            Self::Mpsc(send) => send.send(job).await.expect("it is received"),
            Self::ByHand(send) | Self::Stamped(send) => send.send((Instant::now(), job)).await.expect("it is received"),
            Self::Ours(queue, _) => queue.enqueue(job).await.expect("it is taken in"),
        }
    }
}

/// A runtime, and a way in it.
fn case(runtime: Rc<Runtime>, name: &'static str, group: &'static str) -> Run {
    let at_a_time = if group == TWO { u64::MAX } else { CAPACITY as u64 };
    let done = Arc::new(Done::default());
    let way = runtime.block_on(async { Way::new(name, &done) });
    let mut left = 0;
    let mut run = move |count| {
        runtime.block_on(async {
            let (start, end) = (Instant::now(), left + count);
            let mut leaving = Duration::ZERO;
            while left < end {
                let few = at_a_time.min(end - left);
                let begin = Instant::now();
                for id in left..left + few {
                    way.leave(&done, black_box((id, [id; 3]))).await;
                }
                leaving += begin.elapsed();
                left += few;
                if at_a_time < u64::MAX {
                    done.until(left).await;
                }
            }
            done.until(end).await;
            if group == LEAVE { leaving } else { start.elapsed() }
        })
    };
    if group == ONE {
        Box::new(move |count| counted(|| run(count)))
    } else {
        Box::new(run)
    }
}

fn suite() -> Suite {
    let mut suite = Suite::default();
    let one = Rc::new(Builder::new_current_thread().enable_all().build().expect("a runtime"));
    let two = Builder::new_multi_thread().worker_threads(1).enable_all().build();
    let two = Rc::new(two.expect("a runtime"));
    for (group, runtime) in [(LEAVE, &one), (ONE, &one), (TWO, &two)] {
        for name in [BARE, MPSC, STAMPED, BY_HAND, OURS, LANES] {
            suite.case(group, name, BARE, case(runtime.clone(), name, group));
        }
    }
    suite
}

fn aims(results: &Results) -> Vec<Aim> {
    let ratio = |group: &str, reference, most| Aim {
        what: format!("{group}: {OURS} / {reference}"),
        value: results.ratio(group, OURS, reference),
        most,
    };
    let allocations = |name| results.over(ONE, name).map(|cost| cost.allocations);
    vec![
        ratio(LEAVE, MPSC, 1.5),
        ratio(ONE, MPSC, 1.5),
        ratio(ONE, STAMPED, 1.5),
        ratio(ONE, BY_HAND, 1.5),
        ratio(TWO, MPSC, 1.5),
        Aim {
            what: format!("{ONE}: {OURS}, allocations more than {MPSC}"),
            value: allocations(OURS).zip(allocations(MPSC)).map(|(ours, mpsc)| ours - mpsc),
            most: 0.0,
        },
    ]
}

fn main() {
    support::main(suite(), &[MPSC, BY_HAND], aims);
}

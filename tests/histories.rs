//! Concurrency limits under random histories: what holds whatever happens, in whatever order.
#![allow(clippy::disallowed_methods, clippy::unwrap_used, reason = "a test may")]

#[path = "support/leakless.rs"]
mod leakless;

use std::{
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    task::Poll,
    time::Duration,
};

use buttress::{
    ConcurrencyLimitLayer, Context, Criticality, Rejection,
    admission::{
        Admit, Arrival, Decision, Queued,
        concurrency::{Adaptive, Aimd, ConcurrencyLimit, Permit, Waiting},
    },
    outcome::{Class, Outcome, Settle},
};
use futures_util::{FutureExt, poll};
use proptest::prelude::*;
use tokio::time::{Instant, advance};

/// One step of a history.
#[derive(Clone, Debug)]
enum Step {
    Arrive {
        band: Criticality,
        timeout: Option<u64>,
    },
    /// One of those inside ends.
    End {
        which: usize,
        how: How,
    },
    /// One of those who wait looks.
    Look {
        which: usize,
    },
    /// One of those who wait leaves.
    Leave {
        which: usize,
    },
    Pass {
        millis: u64,
    },
    Set(Option<usize>),
}

#[derive(Clone, Copy, Debug)]
enum How {
    Success,
    Failure,
    Drop,
}

fn step() -> impl Strategy<Value = Step> {
    let band = (0..4_usize).prop_map(|band| Criticality::ALL[band]);
    let how = prop_oneof![3 => Just(How::Success), 1 => Just(How::Failure), 1 => Just(How::Drop)];
    prop_oneof![
        8 => (band, prop::option::of(1..300_u64)).prop_map(|(band, timeout)| Step::Arrive { band, timeout }),
        5 => (any::<usize>(), how).prop_map(|(which, how)| Step::End { which, how }),
        4 => any::<usize>().prop_map(|which| Step::Look { which }),
        1 => any::<usize>().prop_map(|which| Step::Leave { which }),
        3 => (0..120_u64).prop_map(|millis| Step::Pass { millis }),
        1 => prop::option::of(0..6_usize).prop_map(Step::Set),
    ]
}

struct Waiter {
    line: Pin<Box<Queued<Waiting>>>,
    since: Instant,
}

struct History {
    limit: ConcurrencyLimit,
    queue: usize,
    inside: Vec<Permit>,
    waiting: Vec<Waiter>,
    /// What was in use when the limit was last lowered.
    allowed: usize,
    arrived: u64,
    turned_away: u64,
}

impl History {
    async fn take(&mut self, step: Step) {
        match step {
            Step::Arrive { band, timeout } => self.arrive(band, timeout),
            Step::End { which, how } if !self.inside.is_empty() => {
                let permit = self.inside.swap_remove(which % self.inside.len());
                match how {
                    How::Success => permit.settle(Outcome::Success),
                    How::Failure => permit.settle(Outcome::failure(Class::Transport)),
                    How::Drop => drop(permit),
                }
            }
            Step::Look { which } if !self.waiting.is_empty() => self.look(which % self.waiting.len()).await,
            Step::Leave { which } if !self.waiting.is_empty() => {
                self.waiting.remove(which % self.waiting.len());
            }
            Step::Pass { millis } => advance(Duration::from_millis(millis)).await,
            Step::Set(limit) => self.limit.set(limit),
            Step::End { .. } | Step::Look { .. } | Step::Leave { .. } => {}
        }
    }

    fn arrive(&mut self, band: Criticality, timeout: Option<u64>) {
        let mut context = Context::default().with_criticality(band);
        if let Some(timeout) = timeout {
            context = context.with_timeout(Duration::from_millis(timeout));
        }
        self.arrived += 1;
        let decide = context.scope(async { self.limit.admit(&Arrival::new(None)) });
        match decide.now_or_never().unwrap() {
            Decision::Now(permit) => self.inside.push(permit),
            Decision::Wait(line) => self.waiting.push(Waiter {
                line: Box::pin(line),
                since: Instant::now(),
            }),
            Decision::No(rejection) => self.turn_away(&rejection),
        }
    }

    async fn look(&mut self, which: usize) {
        let waiter = &mut self.waiting[which];
        match poll!(&mut waiter.line) {
            Poll::Ready(Ok(permit)) => self.inside.push(permit),
            Poll::Ready(Err(rejection)) => self.turn_away(&rejection),
            Poll::Pending => {
                let so_long = waiter.since.elapsed();
                assert!(so_long <= Duration::from_millis(100), "waits for {so_long:?}");
                return;
            }
        }
        self.waiting.remove(which);
    }

    fn turn_away(&mut self, rejection: &Rejection) {
        assert!(!rejection.was_executed());
        self.turned_away += 1;
    }

    fn check(&mut self) {
        let snapshot = self.limit.snapshot();
        // A waiter that was granted a permit holds it, before it has looked.
        let most = self.inside.len() + self.waiting.len() - snapshot.queued.min(self.waiting.len());
        assert!((self.inside.len()..=most).contains(&snapshot.in_flight), "{snapshot:?}");
        assert!(snapshot.in_flight <= snapshot.limit.max(self.allowed), "{snapshot:?}");
        self.allowed = snapshot.in_flight;
        assert!(snapshot.queued <= self.queue, "{snapshot:?}");
        assert!(
            snapshot.queued == 0 || snapshot.in_flight >= snapshot.limit,
            "somebody waits beside a free place: {snapshot:?}"
        );
        assert_eq!(snapshot.rejected_in_all(), self.turned_away);
    }

    async fn end(mut self) {
        while let Some(permit) = self.inside.pop() {
            drop(permit);
        }
        while !self.waiting.is_empty() {
            self.look(0).await;
            self.inside.clear();
            advance(Duration::from_millis(1)).await;
        }
        let snapshot = self.limit.snapshot();
        assert_eq!((snapshot.in_flight, snapshot.queued), (0, 0));
    }
}

fn live(layer: &ConcurrencyLimitLayer, queue: usize, steps: Vec<Step>) {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .start_paused(true)
        .build()
        .unwrap();
    runtime.block_on(async {
        let limit = layer.clone().queue(queue).limit();
        let mut history = History {
            allowed: 0,
            limit,
            queue,
            inside: Vec::new(),
            waiting: Vec::new(),
            arrived: 0,
            turned_away: 0,
        };
        for step in steps {
            history.take(step).await;
            history.check();
        }
        history.end().await;
    });
}

proptest! {
    #[test]
    fn no_place_is_lost_or_given_twice(limit in 0..5_usize, queue in 0..5_usize, steps in prop::collection::vec(step(), 1..200)) {
        live(&ConcurrencyLimitLayer::new(limit), queue, steps);
    }

    #[test]
    fn nor_while_the_limit_moves(queue in 0..5_usize, steps in prop::collection::vec(step(), 1..400)) {
        live(&ConcurrencyLimitLayer::adaptive(), queue, steps.clone());
        live(&ConcurrencyLimitLayer::with_law(Aimd::new(Duration::from_millis(20))), queue, steps);
    }
}

/// Threads that come and go as fast as they can, each by another way.
#[tokio::test(flavor = "multi_thread", worker_threads = 4, crate = "leakless")]
async fn under_threads_there_are_never_more_inside_than_the_limit() {
    const LIMIT: usize = 3;
    for queue in [0, 2, 64] {
        let layer = ConcurrencyLimitLayer::with_law(Adaptive::default()).queue(queue);
        let limit = layer.limit();
        limit.set(Some(LIMIT));
        let (inside, served) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
        let visitor = |n: usize| {
            let (limit, inside, served) = (limit.clone(), inside.clone(), served.clone());
            async move {
                for turn in 0..500 {
                    let permit = match limit.admit(&Arrival::new(None)) {
                        Decision::Now(permit) => permit,
                        Decision::Wait(wait) if turn % 7 == n % 7 => return drop(wait),
                        Decision::Wait(wait) => match wait.await {
                            Ok(permit) => permit,
                            Err(_) => continue,
                        },
                        Decision::No(_) => {
                            tokio::task::yield_now().await;
                            continue;
                        }
                    };
                    assert!(inside.fetch_add(1, Ordering::SeqCst) < LIMIT);
                    if (turn + n).is_multiple_of(3) {
                        tokio::task::yield_now().await;
                    }
                    inside.fetch_sub(1, Ordering::SeqCst);
                    served.fetch_add(1, Ordering::SeqCst);
                    permit.settle(Outcome::Success);
                }
            }
        };
        let visitors: Vec<_> = (0..16).map(|n| tokio::spawn(visitor(n))).collect();
        for visitor in visitors {
            visitor.await.unwrap();
        }
        let snapshot = limit.snapshot();
        assert_eq!((snapshot.in_flight, snapshot.queued), (0, 0));
        assert!(served.load(Ordering::SeqCst) > 0);
    }
}

//! Workers: every job that is taken in is found again, whatever becomes of it and of the process.
#![allow(clippy::disallowed_methods, clippy::unwrap_used, reason = "a test may")]

#[path = "support/leakless.rs"]
mod leakless;

use std::{
    future::pending,
    pin::pin,
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    task::Poll,
    time::Duration,
};

use buttress::{
    BoxError, Cancelled, Context, Criticality, Lifecycle,
    budget::Budget,
    lifecycle::{
        Phase, Report,
        worker::{EnqueueError, Failed, InvalidWorker, NotEnqueued, Queue},
    },
    registry::Kind,
    retry::Backoff,
};
use futures_util::poll;
use proptest::prelude::*;
use tokio::{
    sync::Semaphore,
    time::{Instant, sleep, timeout},
};
use tower::{Service, ServiceExt};

const S: Duration = Duration::from_secs(1);

fn life() -> Lifecycle {
    Lifecycle::builder().budget(24 * S).build().unwrap()
}

/// What a worker was seen to do, in order.
#[derive(Clone, Debug)]
struct Log<T>(Arc<Mutex<Vec<T>>>);

impl<T> Default for Log<T> {
    fn default() -> Self {
        Self(Arc::default())
    }
}

impl<T: Clone> Log<T> {
    fn add(&self, entry: T) {
        self.0.lock().unwrap().push(entry);
    }

    fn all(&self) -> Vec<T> {
        self.0.lock().unwrap().clone()
    }
}

fn kind<J>(refused: Result<(), EnqueueError<J>>) -> (NotEnqueued, J) {
    let EnqueueError { kind, job, .. } = refused.unwrap_err();
    (kind, job)
}

/// Sleeps for as many seconds as the job says.
fn sleeper(life: &Lifecycle, capacity: usize) -> Queue<u64> {
    let sleeps = async |seconds| {
        sleep(Duration::from_secs(seconds)).await;
        Ok::<_, BoxError>(())
    };
    life.worker("sleeper").queue(capacity).run(sleeps).unwrap()
}

async fn settle() {
    sleep(S / 1_000).await;
}

#[tokio::test(start_paused = true, crate = "leakless")]
async fn so_many_jobs_run_at_a_time_and_in_their_order() {
    let life = life();
    let (log, running) = (Log::default(), Arc::new(AtomicUsize::new(0)));
    let queue = life.worker("w").queue(100).concurrency(3);
    let queue = queue
        .run({
            let log = log.clone();
            move |job: usize| {
                let (log, running) = (log.clone(), running.clone());
                async move {
                    log.add((job, running.fetch_add(1, Ordering::Relaxed)));
                    sleep(S).await;
                    running.fetch_sub(1, Ordering::Relaxed);
                    Ok::<_, BoxError>(())
                }
            }
        })
        .unwrap();
    for job in 0..9 {
        queue.try_enqueue(job).unwrap();
    }
    sleep(3 * S + S / 2).await;
    let status = queue.status();
    assert_eq!((status.counts.done, status.depth, status.in_progress), (9, 0, 0));
    assert_eq!(status.mean_job_time, Some(S));
    let jobs: Vec<_> = log.all().into_iter().map(|(job, _)| job).collect();
    assert_eq!(jobs, (0..9).collect::<Vec<_>>());
    assert_eq!(log.all().iter().map(|(_, beside)| *beside).max(), Some(2));
}

#[tokio::test(start_paused = true, crate = "leakless")]
async fn full_late_and_closed_are_told_apart_and_return_the_job() {
    let life = life();
    let queue = sleeper(&life, 2);
    queue.try_enqueue(4).unwrap();
    settle().await;
    queue.try_enqueue(4).unwrap();
    queue.try_enqueue(4).unwrap();
    assert_eq!(kind(queue.try_enqueue(7)), (NotEnqueued::Full, 7));
    sleep(4 * S).await;
    // One runs, one waits, and takes 4 s.
    let in_time = |left| {
        Context::current()
            .with_timeout(left)
            .scope(async { queue.try_enqueue(0) })
    };
    assert_eq!(kind(in_time(3 * S).await), (NotEnqueued::Late, 0));
    in_time(5 * S).await.unwrap();
    life.handle().shutdown();
    let _ = life.run().await;
    assert_eq!(kind(queue.try_enqueue(7)), (NotEnqueued::Closed, 7));
    assert_eq!(kind(queue.enqueue(7).await), (NotEnqueued::Closed, 7));
}

#[tokio::test(start_paused = true, crate = "leakless")]
async fn who_waits_for_room_waits_no_longer_than_is_allowed() {
    let life = life();
    let queue = sleeper(&life, 1);
    queue.try_enqueue(60).unwrap();
    settle().await;
    queue.try_enqueue(0).unwrap();
    let start = Instant::now();
    let enqueue = || async { (kind(queue.enqueue(7).await), start.elapsed()) };
    // Its own bound, its caller's deadline, and its caller.
    assert_eq!(enqueue().await, ((NotEnqueued::Full, 7), 5 * S));
    let late = Context::current().with_timeout(2 * S).scope(enqueue()).await;
    assert_eq!(late, ((NotEnqueued::Late, 7), 7 * S));
    let caller = Context::current().child();
    let waits = caller.scope(enqueue());
    let leaves = async {
        sleep(S).await;
        caller.cancel(Cancelled::Disconnected);
    };
    let (gone, ()) = tokio::join!(waits, leaves);
    assert_eq!(gone, ((NotEnqueued::Cancelled(Cancelled::Disconnected), 7), 8 * S));
    // The intake.
    life.handle().shutdown();
    let (closed, _) = tokio::join!(enqueue(), life.run());
    assert_eq!(closed, ((NotEnqueued::Closed, 7), 8 * S));
}

#[tokio::test(start_paused = true, crate = "leakless")]
async fn room_is_given_to_who_waited_longest_and_passed_on_by_who_left() {
    let life = life();
    let queue = sleeper(&life, 1);
    queue.try_enqueue(3).unwrap();
    settle().await;
    queue.try_enqueue(3).unwrap();
    let log = Log::default();
    let caller = |name: &'static str| {
        let (queue, log) = (queue.clone(), log.clone());
        tokio::spawn(async move {
            queue.enqueue(1).await.unwrap();
            log.add(name);
        })
    };
    let first = caller("first");
    settle().await;
    let _second = caller("second");
    settle().await;
    first.abort();
    sleep(3 * S).await;
    assert_eq!(log.all(), ["second"]);
    // Nobody waits any more, and the room is not kept for them.
    sleep(3 * S).await;
    queue.try_enqueue(0).unwrap();
}

#[tokio::test(start_paused = true, crate = "leakless")]
async fn who_comes_later_does_not_take_the_room_of_who_waits() {
    let life = life();
    let queue = sleeper(&life, 1);
    queue.try_enqueue(1).unwrap();
    settle().await;
    queue.try_enqueue(60).unwrap();
    let mut first = pin!(queue.enqueue(2));
    assert!(poll!(first.as_mut()).is_pending());
    // There is room now, and the first has not been polled since.
    sleep(S).await;
    let mut later = pin!(queue.enqueue(3));
    assert!(poll!(later.as_mut()).is_pending());
    assert_eq!(kind(queue.try_enqueue(4)), (NotEnqueued::Full, 4));
    assert!(matches!(poll!(first.as_mut()), Poll::Ready(Ok(()))));
    assert!(poll!(later.as_mut()).is_pending());
}

#[tokio::test(start_paused = true, crate = "leakless")]
async fn who_is_called_too_late_passes_the_room_on() {
    let life = life();
    let queue = sleeper(&life, 1);
    queue.try_enqueue(1).unwrap();
    settle().await;
    queue.try_enqueue(60).unwrap();
    let mut late = pin!(Context::current().with_timeout(S).scope(queue.enqueue(2)));
    let mut next = pin!(queue.enqueue(3));
    assert!(poll!(late.as_mut()).is_pending() && poll!(next.as_mut()).is_pending());
    // Its turn has come, and its deadline has passed.
    sleep(2 * S).await;
    assert_eq!(kind(late.await), (NotEnqueued::Late, 2));
    assert!(matches!(poll!(next.as_mut()), Poll::Ready(Ok(()))));
}

#[tokio::test(start_paused = true, crate = "leakless")]
async fn criticality_and_deadline_go_with_a_job_and_cancellation_does_not() {
    let life = life();
    let seen = Log::default();
    let queue = life.worker("w").queue(9).job_timeout(10 * S).run({
        let seen = seen.clone();
        move |()| {
            let seen = seen.clone();
            async move {
                let context = Context::current();
                seen.add((context.criticality(), context.remaining(), context.attempt()));
                sleep(S).await;
                context.check()
            }
        }
    });
    let queue = queue.unwrap();
    let caller = Context::current().child();
    let sheddable = caller.with_timeout(4 * S).with_criticality(Criticality::Sheddable);
    sheddable.scope(queue.enqueue(())).await.unwrap();
    drop(caller);
    settle().await;
    queue.enqueue(()).await.unwrap();
    sleep(3 * S).await;
    assert_eq!(queue.status().counts.done, 2, "the caller left, and the job is done");
    let [first, second] = seen.all()[..] else {
        panic!("two jobs ran")
    };
    assert_eq!(first, (Criticality::Sheddable, Some(4 * S), 1));
    assert_eq!(second, (Criticality::Critical, Some(10 * S), 1));
}

#[tokio::test(start_paused = true, crate = "leakless")]
async fn a_job_that_takes_too_long_fails_and_takes_its_tasks_with_it() {
    let life = life();
    let (failed, ended) = (Log::default(), Log::default());
    let queue = life.worker("w").queue(9).job_timeout(2 * S);
    let queue = queue.on_failed({
        let failed = failed.clone();
        move |job: Failed<&'static str>| failed.add((job.job, job.why.as_str(), job.attempts))
    });
    let queue = queue.run({
        let ended = ended.clone();
        move |_| {
            let ended = ended.clone();
            async move {
                let context = Context::current();
                let heard = context.clone();
                drop(tokio::spawn(async move { ended.add(heard.cancelled().await) }));
                let _ = context.spawn("part", pending::<()>()).await;
                Ok::<_, BoxError>(())
            }
        }
    });
    let queue = queue.unwrap();
    queue.enqueue("slow").await.unwrap();
    sleep(S).await;
    let alive: Vec<_> = life.handle().snapshot().iter().map(leakless::named).collect();
    assert_eq!(alive, ["worker w", "task part of worker w", "job w of worker w"]);
    sleep(2 * S).await;
    assert_eq!(failed.all(), [("slow", "timeout", 1)]);
    assert_eq!(ended.all(), [Cancelled::DeadlineExceeded]);
    assert_eq!(life.handle().snapshot().len(), 1);
    assert_eq!(queue.status().counts.failed, 1);
}

#[tokio::test(start_paused = true, crate = "leakless")]
async fn what_expired_in_the_queue_is_not_run_and_handed_back() {
    let life = life();
    let back = Log::default();
    let queue = life.worker("w").queue(9).on_unprocessed({
        let back = back.clone();
        move |job| back.add(job)
    });
    let queue = queue.run(async |job: u64| {
        assert_ne!(job, 7, "it is too late");
        sleep(3 * S).await;
        Ok::<_, BoxError>(())
    });
    let queue = queue.unwrap();
    queue.try_enqueue(0).unwrap();
    let context = Context::current().with_timeout(2 * S);
    context.scope(queue.enqueue(7)).await.unwrap();
    queue.try_enqueue(1).unwrap();
    sleep(7 * S).await;
    let counts = queue.status().counts;
    assert_eq!((counts.done, counts.expired, counts.failed), (2, 1, 0));
    assert_eq!(back.all(), [7]);
}

#[tokio::test(start_paused = true, crate = "leakless")]
async fn a_panic_is_a_failed_job_and_no_more() {
    let life = life();
    let failed = Log::default();
    let queue = life.worker("w").queue(9).retry(3, Backoff::default()).on_failed({
        let failed = failed.clone();
        move |job: Failed<&'static str>| {
            failed.add((job.job, job.why.as_str(), job.attempts));
            panic!("in the callback, too");
        }
    });
    let queue = queue.run(|job| {
        assert_ne!(job, "at once", "before there is a future");
        async move {
            sleep(S).await;
            assert_ne!(job, "later");
            Ok::<_, BoxError>(())
        }
    });
    let queue = queue.unwrap();
    for job in ["at once", "later", "sound"] {
        queue.enqueue(job).await.unwrap();
    }
    sleep(3 * S).await;
    let counts = queue.status().counts;
    assert_eq!((counts.done, counts.failed, counts.restarts), (1, 2, 0));
    assert_eq!(failed.all(), [("at once", "panic", 1), ("later", "panic", 1)]);
}

#[tokio::test(start_paused = true, crate = "leakless")]
async fn attempts_are_bounded_by_their_number_and_paid_from_the_budget() {
    let life = life();
    // Each job brings one further attempt, and nothing else does.
    let budget = Budget::builder()
        .ratio(1.0)
        .min_per_second(0.0)
        .burst(3)
        .build()
        .unwrap();
    let (failed, attempts) = (Log::default(), Log::default());
    let queue = life
        .worker("w")
        .queue(9)
        .retry_from(budget.clone(), 3, Backoff::default());
    let queue = queue.on_failed({
        let failed = failed.clone();
        move |job: Failed<u64>| failed.add((job.job, job.why.to_string(), job.attempts))
    });
    let queue = queue.run({
        let attempts = attempts.clone();
        move |_| {
            attempts.add(Context::current().attempt());
            async { Err("no") }
        }
    });
    let queue = queue.unwrap();
    for job in 0..3 {
        queue.enqueue(job).await.unwrap();
    }
    sleep(60 * S).await;
    let no = |job, attempts| (job, "no".to_owned(), attempts);
    assert_eq!(failed.all(), [no(0, 2), no(1, 2), no(2, 2)]);
    assert_eq!(attempts.all(), [1, 2, 1, 2, 1, 2]);
    assert_eq!(budget.snapshot().granted, 3);
    let attempts = Log::default();
    let rich = life.worker("rich").queue(9).retry(3, Backoff::default());
    let rich = rich.run({
        let attempts = attempts.clone();
        move |()| {
            attempts.add(Context::current().attempt());
            async { Err("no") }
        }
    });
    rich.unwrap().enqueue(()).await.unwrap();
    sleep(S).await;
    assert_eq!(attempts.all(), [1, 2, 3]);
    let mended = AtomicUsize::new(0);
    let mends = life.worker("mends").queue(9).retry(3, Backoff::default());
    let mends = mends.run(move |()| {
        let end = if mended.fetch_add(1, Ordering::Relaxed) == 0 {
            Err("not yet")
        } else {
            Ok(())
        };
        async move { end }
    });
    let mends = mends.unwrap();
    mends.enqueue(()).await.unwrap();
    sleep(S).await;
    assert_eq!((mends.status().counts.done, mends.status().counts.failed), (1, 0));
}

struct BreaksWhenDropped;

impl Drop for BreaksWhenDropped {
    fn drop(&mut self) {
        assert!(std::thread::panicking(), "in a drop");
    }
}

#[tokio::test(start_paused = true, crate = "leakless")]
async fn a_worker_that_dies_is_started_again_after_a_wait_and_counted() {
    let life = life();
    let failed = Log::default();
    let queue = life
        .worker("w")
        .queue(9)
        .job_timeout(S)
        .restart(Backoff::new(10 * S, 10 * S));
    let queue = queue.on_failed({
        let failed = failed.clone();
        move |job: Failed<bool>| failed.add(job.why.as_str())
    });
    let queue = queue.run(async |breaks| {
        let _breaks = breaks.then(|| BreaksWhenDropped);
        if breaks {
            pending::<()>().await;
        }
        Ok::<_, BoxError>(())
    });
    let queue = queue.unwrap();
    for breaks in [true, false, true, false] {
        queue.enqueue(breaks).await.unwrap();
    }
    sleep(60 * S).await;
    let counts = queue.status().counts;
    assert_eq!((counts.restarts, counts.failed, counts.done), (2, 2, 2));
    assert_eq!(failed.all(), ["panic", "panic"]);
    life.handle().shutdown();
    assert!(life.run().await.is_clean());
}

#[tokio::test(start_paused = true, crate = "leakless")]
async fn a_handler_that_drains_can_enqueue_and_its_job_is_done() {
    let life = life();
    let queue = sleeper(&life, 9);
    let request = life.handle().context().spawn("request", {
        let queue = queue.clone();
        async move {
            sleep(5 * S).await;
            queue.enqueue(2).await.map_err(|refused| refused.kind)
        }
    });
    life.handle().shutdown();
    let report = life.run().await;
    assert!(report.is_clean(), "{report}");
    assert_eq!(request.await.unwrap(), Ok(()));
    assert_eq!((queue.status().counts.done, report.took()), (1, 7 * S));
}

/// Longer than any end, whatever the jitter makes of it.
const AGES: Duration = Duration::from_secs(365 * 24 * 3_600);

#[tokio::test(start_paused = true, crate = "leakless")]
async fn a_job_does_not_hold_the_end_up_for_an_attempt_that_would_come_after_it() {
    // Before the end has begun, and in it.
    for fails_after in [Duration::ZERO, 2 * S] {
        let life = life();
        let failed = Log::default();
        let queue = life
            .worker("w")
            .queue(9)
            .retry(2, Backoff::new(AGES, AGES))
            .on_failed({
                let failed = failed.clone();
                move |job: Failed<()>| failed.add((job.why.to_string(), job.attempts))
            })
            .run(move |()| async move {
                sleep(fails_after).await;
                Err::<(), _>(BoxError::from("down"))
            });
        queue.unwrap().enqueue(()).await.unwrap();
        sleep(S).await;
        life.handle().shutdown();
        let report = life.run().await;
        assert_eq!(failed.all(), [("down".to_owned(), 1)]);
        assert!(report.is_clean() && report.took() <= S, "{report}");
    }
}

#[tokio::test(start_paused = true, crate = "leakless")]
async fn an_attempt_that_comes_in_time_is_made_in_the_end_too() {
    let life = life();
    let attempts = Arc::new(AtomicUsize::new(0));
    let queue = life.worker("w").queue(9).retry(2, Backoff::new(S, S)).run({
        let attempts = attempts.clone();
        move |()| {
            let first = attempts.fetch_add(1, Ordering::Relaxed) == 0;
            async move { if first { Err(BoxError::from("down")) } else { Ok(()) } }
        }
    });
    let queue = queue.unwrap();
    queue.enqueue(()).await.unwrap();
    life.handle().shutdown();
    assert!(life.run().await.is_clean());
    assert_eq!((queue.status().counts.done, attempts.load(Ordering::Relaxed)), (1, 2));
}

#[tokio::test(start_paused = true, crate = "leakless")]
async fn the_worker_that_was_started_last_stops_first_and_can_use_the_others() {
    let life = life();
    let log = Log::default();
    let worker = |name, next: Option<Queue<u64>>| {
        let log = log.clone();
        let run = move |job| {
            let (log, next) = (log.clone(), next.clone());
            async move {
                sleep(S).await;
                log.add((name, job));
                match next {
                    Some(next) => next.enqueue(job).await.map_err(BoxError::from),
                    None => Ok(()),
                }
            }
        };
        life.worker(name).queue(9).run(run).unwrap()
    };
    let letters = worker("letters", None);
    let orders = worker("orders", Some(letters.clone()));
    for job in 0..3 {
        orders.enqueue(job).await.unwrap();
    }
    life.handle().shutdown();
    let report = life.run().await;
    assert!(report.is_clean(), "{report}");
    assert_eq!((orders.status().counts.done, letters.status().counts.done), (3, 3));
    assert_eq!(log.all().last(), Some(&("letters", 2)));
}

#[tokio::test(start_paused = true, crate = "leakless")]
async fn when_time_is_over_the_rest_is_handed_back_and_what_runs_is_aborted_and_named() {
    let life = life();
    let (back, failed) = (Log::default(), Log::default());
    let queue = life.worker("w").queue(9).on_unprocessed({
        let back = back.clone();
        move |job| {
            back.add(job);
            assert_ne!(job, 2, "one that panics does not keep the others");
        }
    });
    let queue = queue.on_failed({
        let failed = failed.clone();
        move |job: Failed<u64>| failed.add((job.job, job.why.as_str()))
    });
    let queue = queue.run(async |job| {
        if job == 1 {
            pending::<()>().await;
        }
        Ok::<_, BoxError>(())
    });
    let queue = queue.unwrap();
    for job in 0..5 {
        queue.enqueue(job).await.unwrap();
    }
    life.handle().shutdown();
    let report = life.run().await;
    assert_eq!(
        (report.unprocessed.as_slice(), report.lost.as_slice()),
        (&[("w", 2)][..], &[("w", 1)][..])
    );
    assert_eq!(back.all(), [2, 3, 4]);
    assert_eq!(failed.all(), [(1, "aborted")]);
    let aborted: Vec<_> = report
        .aborted
        .iter()
        .map(|ended| leakless::named(&ended.work))
        .collect();
    assert_eq!(aborted, ["worker w", "job w of worker w"]);
    assert!(report.stuck.is_empty() && !report.is_clean(), "{report}");
    let counts = queue.status().counts;
    assert_eq!(
        (counts.accepted, counts.done, counts.failed, counts.unprocessed),
        (5, 1, 1, 3)
    );
}

/// They share looks at the clock, and nobody sees that.
#[tokio::test(start_paused = true, crate = "leakless")]
async fn what_quick_jobs_took_is_told_before_their_worker_waits() {
    let life = life();
    let queue = sleeper(&life, 99);
    for _ in 0..40 {
        queue.try_enqueue(0).unwrap();
    }
    settle().await;
    let status = queue.status();
    assert_eq!((status.mean_job_time, status.counts.done), (Some(Duration::ZERO), 40));
    sleep(30 * S).await;
    // The third waits, and what was before it is not its own time.
    for seconds in [0, 0, 8] {
        queue.try_enqueue(seconds).unwrap();
    }
    sleep(4 * S).await;
    let status = queue.status();
    assert_eq!((status.counts.done, status.in_progress), (42, 1));
    sleep(5 * S).await;
    assert_eq!(queue.status().mean_job_time, Some(S));
}

/// One job runs until a moment after the workers' time, so that nothing is aborted; what waits behind it does not run any more.
async fn ends_with_jobs_left(take_back: Option<fn(u64)>) -> Report {
    let life = life();
    life.on_close("pool", async {
        sleep(S / 2).await;
        Ok(())
    });
    let worker = life.worker("w").queue(9);
    let worker = match take_back {
        Some(take_back) => worker.on_unprocessed(take_back),
        None => worker,
    };
    let run = async |millis| {
        sleep(Duration::from_millis(millis)).await;
        Ok::<_, BoxError>(())
    };
    let queue = worker.run(run).unwrap();
    for millis in [23_200, 1, 2] {
        queue.enqueue(millis).await.unwrap();
    }
    life.handle().shutdown();
    let report = life.run().await;
    assert!(report.aborted.is_empty(), "{report}");
    assert_eq!(queue.status().counts.unprocessed, 2);
    report
}

#[tokio::test(start_paused = true, crate = "leakless")]
async fn jobs_that_nobody_takes_back_make_the_exit_code_not_0() {
    let report = ends_with_jobs_left(None).await;
    assert_eq!((&*report.lost, &*report.unprocessed), (&[("w", 2)][..], &[][..]));
    assert!(!report.is_clean());
    assert!(
        report
            .to_string()
            .ends_with("lost: 2 jobs of w, which has no on_unprocessed or whose one panicked"),
        "{report}"
    );
}

#[tokio::test(start_paused = true, crate = "leakless")]
async fn jobs_that_are_taken_back_are_not_lost() {
    let report = ends_with_jobs_left(Some(|_| {})).await;
    assert_eq!((&*report.lost, &*report.unprocessed), (&[][..], &[("w", 2)][..]));
    assert!(report.is_clean(), "{report}");
}

#[tokio::test(start_paused = true, crate = "leakless")]
async fn a_job_whose_taker_panics_is_lost() {
    let report = ends_with_jobs_left(Some(|millis| assert_ne!(millis, 1, "not this one"))).await;
    assert_eq!(
        (&*report.lost, &*report.unprocessed),
        (&[("w", 1)][..], &[("w", 1)][..])
    );
    assert!(!report.is_clean());
}

#[tokio::test(start_paused = true, crate = "leakless")]
async fn what_begins_while_the_process_ends_is_told_when_it_aborts() {
    let life = life();
    let told = Log::default();
    let queue = life.worker("w").queue(9).run({
        let told = told.clone();
        move |seconds| {
            told.add(Context::current().remaining());
            async move {
                sleep(seconds * S).await;
                Ok::<_, BoxError>(())
            }
        }
    });
    let queue = queue.unwrap();
    queue.try_enqueue(4).unwrap();
    queue.try_enqueue(1).unwrap();
    settle().await;
    life.handle().shutdown();
    assert!(life.run().await.is_clean());
    assert_eq!(told.all()[0], None);
    let left = told.all()[1].unwrap();
    assert!(left > 20 * S && left < 20 * S + S / 10, "{left:?}");
}

#[tokio::test(start_paused = true, crate = "leakless")]
async fn a_queue_is_a_service() {
    let life = life();
    let mut queue = sleeper(&life, 1);
    queue.try_enqueue(2).unwrap();
    settle().await;
    queue.ready().await.unwrap().call(2).await.unwrap();
    let start = Instant::now();
    let waits = queue.ready().await.unwrap().call(2);
    assert!(format!("{waits:?}").contains("true"));
    waits.await.unwrap();
    assert_eq!(start.elapsed().as_secs(), 1);
    let context = Context::current().with_timeout(S);
    let late = context.scope(queue.oneshot(9)).await;
    assert_eq!(kind(late), (NotEnqueued::Late, 9));
}

#[tokio::test(start_paused = true, crate = "leakless")]
async fn readiness_can_depend_on_a_queue() {
    let life = life();
    let queue = sleeper(&life, 100);
    life.readiness().depends_on("sleeper", {
        let queue = queue.clone();
        move || !queue.status().behind
    });
    for _ in 0..7 {
        queue.try_enqueue(2).unwrap();
    }
    assert_eq!(life.readiness().why_not(), None);
    sleep(11 * S).await;
    assert_eq!(life.readiness().why_not(), Some("sleeper"));
    sleep(4 * S).await;
    assert_eq!(life.readiness().why_not(), None);
}

#[tokio::test(start_paused = true, crate = "leakless")]
async fn a_worker_that_makes_no_sense_is_an_error() {
    let life = life();
    let fails = |name, capacity, concurrency, attempts| {
        let worker = life.worker(name).queue(capacity).concurrency(concurrency);
        let worker = worker.retry(attempts, Backoff::default());
        worker.run(async |()| Ok::<_, BoxError>(())).err()
    };
    assert_eq!(fails("w", 0, 1, 1), Some(InvalidWorker::Queue));
    assert_eq!(fails("w", usize::MAX, 1, 1), Some(InvalidWorker::Queue));
    assert_eq!(fails("w", 1, 0, 1), Some(InvalidWorker::Concurrency));
    assert_eq!(fails("w", 1, 1, 0), Some(InvalidWorker::Attempts));
    assert_eq!(fails("w", 1, 1, 1), None);
    assert_eq!(fails("w", 1, 1, 1), Some(InvalidWorker::Name));
    let handle = life.handle();
    handle.shutdown();
    let _ = life.run().await;
    let late = handle.worker("late").queue(1).run(async |()| Ok::<_, BoxError>(()));
    assert_eq!(late.err(), Some(InvalidWorker::ShuttingDown));
}

#[test]
fn a_worker_needs_a_runtime_and_hands_back_when_that_ends() {
    let life = life();
    let start = || {
        let worker = life.worker("w").queue(9).on_failed(|_: Failed<u64>| {});
        worker.run(async |job| {
            if job == 1 {
                pending::<()>().await;
            }
            Ok::<_, BoxError>(())
        })
    };
    assert_eq!(start().err(), Some(InvalidWorker::NoRuntime));
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    let queue = runtime.block_on(async { start().unwrap() });
    runtime.block_on(async {
        for job in 0..4 {
            queue.try_enqueue(job).unwrap();
        }
        while queue.status().counts.done == 0 {
            tokio::task::yield_now().await;
        }
    });
    drop(runtime);
    let counts = queue.status().counts;
    assert_eq!((counts.done, counts.failed, counts.unprocessed), (1, 1, 2));
    assert_eq!(kind(queue.try_enqueue(7)), (NotEnqueued::Closed, 7));
    assert!(life.handle().snapshot().iter().all(|work| work.kind != Kind::Worker));
    // One that had no turn yet.
    let other = crate::life();
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    let queue = runtime.block_on(async {
        let worker = other.worker("w").queue(9);
        worker.run(async |_: u64| Ok::<_, BoxError>(())).unwrap()
    });
    queue.try_enqueue(0).unwrap();
    drop(runtime);
    assert_eq!(queue.status().counts.unprocessed, 1);
}

/// No job is slept over, and no caller, however the threads meet.
#[tokio::test(flavor = "multi_thread", worker_threads = 4, crate = "leakless")]
async fn nothing_is_slept_over_between_threads() {
    let life = life();
    let queue = life.worker("w").queue(3).concurrency(4).max_wait(20 * S);
    let queue = queue
        .run(async |n: usize| {
            if n.is_multiple_of(3) {
                tokio::task::yield_now().await;
            }
            Ok::<_, BoxError>(())
        })
        .unwrap();
    let callers: Vec<_> = (0..8_usize)
        .map(|caller| {
            let queue = queue.clone();
            tokio::spawn(async move {
                for n in 0..2_000 {
                    if n % 7 == caller {
                        // Given up at once, or taken in.
                        let _ = timeout(Duration::ZERO, queue.enqueue(n)).await;
                    } else {
                        queue.enqueue(n).await.unwrap();
                    }
                }
            })
        })
        .collect();
    for caller in callers {
        timeout(30 * S, caller).await.unwrap().unwrap();
    }
    life.handle().shutdown();
    assert!(life.run().await.is_clean());
    let counts = queue.status().counts;
    assert_eq!(
        (counts.done, counts.failed + counts.expired + counts.unprocessed),
        (counts.accepted, 0)
    );
    assert!(counts.done > 12_000);
}

// === at any stop point ===

#[derive(Clone, Copy, Debug)]
enum Does {
    Nothing,
    Sleeps(u64),
    Fails,
    Panics,
    PanicsAtOnce,
    BreaksWhenDropped,
    NeverEnds,
}

#[derive(Clone, Copy, Debug)]
enum Stops {
    ByShutdown { budget: u64 },
    BySecondSignal { budget: u64, after: u64 },
    AtOnce,
    WithItsRuntime,
}

fn does() -> impl Strategy<Value = Does> {
    prop_oneof![
        4 => Just(Does::Nothing),
        4 => (0..6_u64).prop_map(Does::Sleeps),
        2 => Just(Does::Fails),
        1 => Just(Does::Panics),
        1 => Just(Does::PanicsAtOnce),
        1 => Just(Does::BreaksWhenDropped),
        1 => Just(Does::NeverEnds),
    ]
}

fn stops() -> impl Strategy<Value = Stops> {
    prop_oneof![
        (0..40_u64).prop_map(|budget| Stops::ByShutdown { budget }),
        (1..40_u64, 0..40_u64).prop_map(|(budget, after)| Stops::BySecondSignal { budget, after }),
        Just(Stops::AtOnce),
        Just(Stops::WithItsRuntime),
    ]
}

type Found = Log<(usize, &'static str)>;

/// The history of a worker: what it is given, when, and how it is stopped.
async fn history(
    jobs: &[(Does, u64, Option<u64>)],
    (capacity, concurrency): (usize, usize),
    stops: Stops,
    found: Found,
) -> (Queue<(usize, Does)>, Vec<usize>) {
    let budget = match stops {
        Stops::ByShutdown { budget } | Stops::BySecondSignal { budget, .. } => budget,
        Stops::AtOnce | Stops::WithItsRuntime => 0,
    };
    let life = Lifecycle::builder()
        .budget(Duration::from_secs(budget))
        .build()
        .unwrap();
    let worker = life.worker("w").queue(capacity).concurrency(concurrency).max_wait(S);
    let worker = worker.job_timeout(20 * S).retry(2, Backoff::default());
    let [failed, back, done] = [found.clone(), found.clone(), found];
    let worker = worker.on_failed(move |job: Failed<(usize, Does)>| failed.add((job.job.0, job.why.as_str())));
    let worker = worker.on_unprocessed(move |(id, _)| back.add((id, "unprocessed")));
    let queue = worker.run(move |(id, does)| {
        assert!(!matches!(does, Does::PanicsAtOnce));
        let done = done.clone();
        async move {
            let _breaks = matches!(does, Does::BreaksWhenDropped).then(|| BreaksWhenDropped);
            match does {
                Does::Nothing | Does::PanicsAtOnce => {}
                Does::Sleeps(seconds) => sleep(Duration::from_secs(seconds)).await,
                Does::Fails => return Err("it fails"),
                Does::Panics => panic!("in a job"),
                Does::BreaksWhenDropped | Does::NeverEnds => pending().await,
            }
            done.add((id, "done"));
            Ok(())
        }
    });
    let queue = queue.unwrap();
    let mut accepted = Vec::new();
    for (id, (does, wait, left)) in jobs.iter().enumerate() {
        sleep(Duration::from_secs(*wait)).await;
        let context = Context::default();
        let context = left.map_or(context.clone(), |left| context.with_timeout(Duration::from_secs(left)));
        match context.scope(queue.enqueue((id, *does))).await {
            Ok(()) => accepted.push(id),
            Err(refused) => assert_eq!(refused.into_job().0, id),
        }
    }
    let handle = life.handle();
    match stops {
        Stops::WithItsRuntime => {
            // Beyond this function, so that nothing else ends it.
            tokio::spawn(life.run());
            return (queue, accepted);
        }
        Stops::AtOnce => handle.abort(),
        Stops::ByShutdown { .. } => handle.shutdown(),
        Stops::BySecondSignal { after, .. } => {
            handle.shutdown();
            tokio::spawn(async move {
                sleep(Duration::from_secs(after)).await;
                handle.abort();
            });
        }
    }
    let report = life.run().await;
    assert!(report.stuck.is_empty(), "{report}");
    (queue, accepted)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]

    /// accepted = done + failed + expired + unprocessed, and each of them by name.
    #[test]
    fn every_job_that_was_taken_in_is_found_again_at_any_stop_point(
        jobs in prop::collection::vec((does(), 0..3_u64, prop::option::of(0..30_u64)), 0..30),
        capacity in 1..8_usize, concurrency in 1..4_usize, stops in stops(),
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().start_paused(true).build().unwrap();
        let found = Found::default();
        let run = history(&jobs, (capacity, concurrency), stops, found.clone());
        let (queue, accepted) = runtime.block_on(run);
        drop(runtime);
        let (status, counts) = (queue.status(), queue.status().counts);
        prop_assert_eq!((status.depth, status.in_progress), (0, 0));
        prop_assert_eq!(counts.accepted, counts.done + counts.failed + counts.expired + counts.unprocessed);
        let mut found = found.all();
        let of = |how: &[&str]| found.iter().filter(|(_, end)| how.contains(end)).count() as u64;
        prop_assert_eq!(of(&["done"]), counts.done);
        prop_assert_eq!(of(&["unprocessed"]), counts.expired + counts.unprocessed);
        prop_assert_eq!(of(&["error", "panic", "timeout", "aborted"]), counts.failed);
        found.sort_unstable();
        prop_assert_eq!(found.into_iter().map(|(id, _)| id).collect::<Vec<_>>(), accepted);
    }
}

#[tokio::test(start_paused = true, crate = "leakless")]
async fn a_second_signal_hands_back_at_once() {
    let life = life();
    let back = Log::default();
    let queue = life.worker("w").queue(9).on_unprocessed({
        let back = back.clone();
        move |job| back.add(job)
    });
    let gate = Arc::new(Semaphore::new(0));
    let queue = queue.run(move |_: u64| {
        let gate = gate.clone();
        async move { gate.acquire().await.map(drop) }
    });
    let queue = queue.unwrap();
    for job in 0..4 {
        queue.try_enqueue(job).unwrap();
    }
    let handle = life.handle();
    handle.shutdown();
    let run = tokio::spawn(life.run());
    handle.reaches(Phase::Workers).await;
    settle().await;
    assert_eq!(back.all(), [0; 0]);
    let start = Instant::now();
    handle.abort();
    let report = run.await.unwrap();
    assert_eq!((back.all(), start.elapsed()), (vec![1, 2, 3], Duration::ZERO));
    assert!(report.stuck.is_empty(), "{report}");
    assert_eq!(report.unprocessed, [("w", 3)]);
    assert_eq!(queue.status().counts.failed, 1);
}

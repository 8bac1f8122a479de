//! The end of a process: in order, in time, and told.
//!
//! # The invariants of the lifecycle, and where each is held
//!
//! | | invariant | the test of its name |
//! |---|---|---|
//! | 1 | accepted = done + failed + expired + unprocessed, at any stop point | `lifecycle/at_any_time.rs`: `accepted_is_done_failed_expired_and_unprocessed_at_any_stop_point`; of one worker in every way it can end: `workers.rs` |
//! | 2 | a handler that drains can enqueue | `serve/drain.rs`: `a_handler_that_drains_can_enqueue` |
//! | 3 | `run` returns within budget and grace if tasks yield | `lifecycle/at_any_time.rs`: `run_returns_within_budget_and_grace` |
//! | 4 | the end of a request aborts its tasks by the next yield, on HTTP/1, HTTP/2 and gRPC, over a real socket | `serve/requests.rs`: `the_end_of_a_request_aborts_its_tasks_by_the_next_yield` |
//! | 5 | shielded work survives a disconnect and never its maximum | `serve/requests.rs`: `shielded_work_survives_a_disconnect_and_never_its_maximum` |
//! | 6 | no deadline grows | `lifecycle/at_any_time.rs`: `no_deadline_grows` |
//! | 7 | the report names exactly what was aborted, WebSockets and blocking calls included | `serve/abort.rs`: `the_report_names_exactly_what_was_aborted` |
//! | 8 | registration that races shutdown is tracked or refused | `model_registry.rs`: `registration_that_races_shutdown_is_tracked_or_refused` |
//! | 9 | a handler with an unread body, whose client leaves, is cancelled: by the connection watch where we serve | `serve/watch.rs`: `a_handler_with_an_unread_body_whose_client_leaves_is_cancelled`, `with_half_close_only_a_reset_counts`, `a_watched_handler_that_then_reads_its_whole_body_gets_every_byte` |
//! | | by the deadline elsewhere | `tiers.rs`: `a_handler_with_an_unread_body_whose_client_leaves_is_cancelled_by_the_deadline_elsewhere` |
//! | 10 | a peer that never acknowledges a PING does not hold the drain | `serve/drain.rs`: `a_peer_that_never_acknowledges_a_ping_does_not_hold_the_drain` |
//! | 11 | a second SIGTERM exits within the grace | `process.rs`: `a_second_sigterm_exits_within_the_grace` |
//! | 12 | a reader that stalls past its deadline holds no permit | `serve/abort.rs`: `a_reader_that_stalls_past_its_deadline_holds_no_permit` |
#![allow(clippy::disallowed_methods, clippy::unwrap_used, reason = "a test may")]

#[path = "lifecycle/at_any_time.rs"]
mod at_any_time;
#[path = "support/leakless.rs"]
mod leakless;

use std::{
    sync::{Arc, Mutex},
    time::Duration,
};

use buttress::{
    BoxError, Cancelled, Lifecycle,
    lifecycle::{Cause, InvalidLifecycle, Phase},
    registry::Kind,
    testing::leak,
};
use http::Request;
use leakless::named;
use tokio::time::{Instant, sleep};
use tower::ServiceExt;

const S: Duration = Duration::from_secs(1);

fn life() -> Lifecycle {
    Lifecycle::builder().budget(24 * S).build().unwrap()
}

#[tokio::test(start_paused = true, crate = "leakless")]
async fn with_nothing_to_do_it_ends_at_once_and_clean() {
    let life = life();
    life.handle().shutdown();
    let start = Instant::now();
    let report = life.run().await;
    assert!(report.is_clean(), "{report}");
    assert_eq!((report.cause, start.elapsed()), (Cause::Asked, Duration::ZERO));
}

#[tokio::test(start_paused = true, crate = "leakless")]
async fn readiness_says_no_before_anything_else_ends() {
    let life = Lifecycle::builder().ready_delay(5 * S).build().unwrap();
    let (handle, readiness) = (life.handle(), life.readiness());
    let ask = || async {
        readiness
            .clone()
            .oneshot(Request::new(()))
            .await
            .unwrap()
            .status()
            .as_u16()
    };
    assert_eq!(ask().await, 200);
    readiness.depends_on("cold", || false);
    assert_eq!((ask().await, readiness.why_not()), (503, Some("cold")));
    let draining = tokio::spawn({
        let draining = handle.draining();
        async move {
            draining.await;
            Instant::now()
        }
    });
    let start = Instant::now();
    handle.shutdown();
    let run = tokio::spawn(life.run());
    sleep(S).await;
    assert_eq!(
        (handle.phase(), readiness.why_not()),
        (Phase::NotReady, Some("not_ready"))
    );
    assert_eq!(draining.await.unwrap() - start, 5 * S);
    assert_eq!(run.await.unwrap().took(), 5 * S);
}

#[tokio::test(start_paused = true, crate = "leakless")]
async fn a_check_that_panics_says_no() {
    let life = life();
    life.readiness().depends_on("broken", || panic!("in a check"));
    assert_eq!(life.readiness().why_not(), Some("broken"));
}

#[test]
fn a_check_that_is_slow_holds_up_nobody_but_who_asks_it() {
    let life = life();
    let readiness = life.readiness();
    let (asked, is_asked) = std::sync::mpsc::channel();
    let (answer, answers) = std::sync::mpsc::channel();
    let answers = Mutex::new(answers);
    readiness.depends_on("slow", move || {
        asked.send(()).unwrap();
        answers.lock().unwrap().recv().unwrap()
    });
    std::thread::scope(|scope| {
        let asks = scope.spawn(|| readiness.why_not());
        is_asked.recv().unwrap();
        life.readiness().depends_on("cold", || false);
        answer.send(false).unwrap();
        assert_eq!(asks.join().unwrap(), Some("slow"));
    });
}

#[tokio::test(start_paused = true, crate = "leakless")]
async fn a_drain_waits_for_what_requests_started_and_no_longer_than_it_may() {
    for (work, drained) in [(3, 3), (60, 23)] {
        let life = life();
        life.on_close("pool", async { Ok(()) });
        let handle = life.handle();
        let task = handle.context().spawn("work", sleep(work * S));
        handle.shutdown();
        let report = life.run().await;
        let draining = report
            .phases
            .iter()
            .find(|(phase, _)| *phase == Phase::Draining)
            .unwrap();
        assert_eq!(draining.1, drained * S, "{report}");
        assert_eq!(report.is_clean(), work == drained);
        drop(task);
    }
}

#[tokio::test(start_paused = true, crate = "leakless")]
async fn hooks_close_in_reverse_order_and_their_failures_are_told() {
    let life = life();
    let closed = Arc::new(Mutex::new(Vec::new()));
    for name in ["first", "second", "third"] {
        let closed = closed.clone();
        life.on_close(name, async move {
            closed.lock().unwrap().push(name);
            if name == "second" {
                Err(BoxError::from("broken pipe"))
            } else {
                Ok(())
            }
        });
    }
    life.on_close("panics", async { panic!("in a hook") });
    life.on_close("hangs", std::future::pending());
    life.handle().shutdown();
    let report = life.run().await;
    // The one that hangs was added last, and takes what there was.
    assert_eq!(*closed.lock().unwrap(), [] as [&str; 0]);
    assert_eq!(report.failed_hooks[0], ("hangs", "not closed in time".to_owned()));
    assert_eq!(report.aborted[0].work.kind, Kind::Hook);
}

#[tokio::test(start_paused = true, crate = "leakless")]
async fn a_hook_that_fails_or_panics_does_not_keep_the_others_from_closing() {
    let life = life();
    let closed = Arc::new(Mutex::new(Vec::new()));
    for name in ["first", "second", "third"] {
        let closed = closed.clone();
        life.on_close(name, async move {
            closed.lock().unwrap().push(name);
            match name {
                "second" => Err(BoxError::from("broken pipe")),
                "third" => panic!("in a hook"),
                _ => Ok(()),
            }
        });
    }
    life.handle().shutdown();
    let report = life.run().await;
    assert_eq!(*closed.lock().unwrap(), ["third", "second", "first"]);
    let failed: Vec<_> = report
        .failed_hooks
        .iter()
        .map(|(name, how)| (*name, how.as_str()))
        .collect();
    assert_eq!(failed, [("third", "task third panicked"), ("second", "broken pipe")]);
    assert!(!report.is_clean());
}

#[tokio::test(start_paused = true, crate = "leakless")]
async fn a_hook_that_a_second_signal_leaves_no_time_for_is_told() {
    let life = life();
    for name in ["first", "second"] {
        life.on_close(name, async { unreachable!("there is no time") });
    }
    life.handle().abort();
    let report = life.run().await;
    let skipped = ["second", "first"].map(|name| (name, "skipped".to_owned()));
    assert_eq!(report.failed_hooks, skipped);
    assert!(!report.is_clean());
}

#[tokio::test(start_paused = true, crate = "leakless")]
async fn a_critical_task_that_ends_fails_or_panics_ends_the_process() {
    for (end, told) in [("ends", "ended"), ("fails", "failed: no more"), ("panics", "panicked")] {
        let life = life();
        life.critical("consumer", async move {
            sleep(S).await;
            match end {
                "ends" => Ok(()),
                "fails" => Err("no more".into()),
                _ => panic!("in a critical task"),
            }
        });
        let report = life.run().await;
        assert!(!report.is_clean());
        let Cause::Critical { name, how } = report.cause else {
            panic!("{:?}", report.cause)
        };
        assert_eq!((name, how.as_str()), ("consumer", told));
    }
}

#[tokio::test(start_paused = true, crate = "leakless")]
async fn a_critical_task_is_told_when_all_requests_have_ended() {
    let life = life();
    let handle = life.handle();
    life.critical("consumer", std::future::pending());
    let task = handle.context().spawn("request", sleep(2 * S));
    handle.shutdown();
    let report = life.run().await;
    assert!(report.is_clean(), "{report}");
    assert_eq!(report.took(), 2 * S);
    drop(task);
}

#[tokio::test(start_paused = true, crate = "leakless")]
async fn the_report_names_what_was_aborted() {
    let life = Lifecycle::builder().budget(8 * S).grace(2 * S).build().unwrap();
    let handle = life.handle();
    let context = handle.context();
    let stuck = context.spawn("stuck", {
        let context = context.clone();
        async move {
            let _child = context.spawn("child", std::future::pending::<()>());
            std::future::pending::<()>().await;
        }
    });
    let detached = handle.detach("mail", 3_600 * S, std::future::pending::<()>());
    sleep(S).await;
    handle.shutdown();
    let start = Instant::now();
    let report = life.run().await;
    assert_eq!(start.elapsed(), 8 * S);
    let named: Vec<_> = report
        .aborted
        .iter()
        .map(|ended| (named(&ended.work), ended.age))
        .collect();
    assert_eq!(named[0], ("task stuck".to_owned(), 9 * S));
    assert_eq!(named[1].0, "detached mail");
    assert_eq!(named[2].0, "task child of task stuck");
    assert!(report.stuck.is_empty(), "{report}");
    assert_eq!(stuck.await.unwrap_err().reason(), Some(Cancelled::ShuttingDown));
    assert!(detached.await.is_err());
}

#[tokio::test(crate = "leakless")]
async fn code_that_blocks_is_left_behind_and_named() {
    let life = Lifecycle::builder()
        .budget(Duration::ZERO)
        .grace(Duration::from_millis(1))
        .build()
        .unwrap();
    let handle = life.handle();
    let (release, held) = std::sync::mpsc::channel::<()>();
    let blocking = handle.context().spawn_blocking("crunch", move |ctx| {
        let _ = held.recv();
        ctx.check()
    });
    handle.shutdown();
    let report = life.run().await;
    assert_eq!(named(&report.stuck[0].work), "blocking crunch");
    release.send(()).unwrap();
    // It was told.
    assert_eq!(blocking.await.unwrap(), Err(Cancelled::ShuttingDown));
}

#[tokio::test(start_paused = true, crate = "leakless")]
async fn what_is_started_too_late_is_not_started() {
    let life = life();
    let handle = life.handle();
    handle.shutdown();
    let _ = life.run().await;
    let late = handle.context().spawn("late", async {});
    assert_eq!(late.await.unwrap_err().reason(), Some(Cancelled::ShuttingDown));
    let late = handle.context().shield("late", S, async {}).await;
    assert_eq!(late, Err(Cancelled::ShuttingDown));
    assert_eq!(handle.phase(), Phase::Ended);
}

#[tokio::test(start_paused = true, crate = "leakless")]
async fn a_process_that_is_dropped_ends_what_belongs_to_it_whoever_has_a_handle() {
    for is_begun in [false, true] {
        let life = life();
        let handle = life.handle();
        life.critical("consumer", std::future::pending());
        let task = handle.context().spawn("task", std::future::pending::<()>());
        let detached = handle.detach("mail", 3_600 * S, std::future::pending::<()>());
        let draining = handle.draining();
        if is_begun {
            handle.shutdown();
            assert!(tokio::time::timeout(S, life.run()).await.is_err());
        } else {
            drop(life);
        }
        assert_eq!(task.await.unwrap_err().reason(), Some(Cancelled::ShuttingDown));
        assert!(detached.await.is_err());
        draining.await;
        assert_eq!(handle.phase(), Phase::Ended);
        assert!(!handle.readiness().is_ready());
        let late = handle.context().spawn("late", async {});
        assert_eq!(late.await.unwrap_err().reason(), Some(Cancelled::ShuttingDown));
    }
}

#[tokio::test(start_paused = true, crate = "leakless")]
async fn two_lifecycles_do_not_meet() {
    let (one, other) = (life(), life());
    let task = other
        .handle()
        .context()
        .spawn("of the other", std::future::pending::<()>());
    one.handle().shutdown();
    assert!(one.run().await.is_clean());
    assert_eq!(other.handle().snapshot().len(), 1);
    drop(task);
}

#[test]
fn settings_that_make_no_sense_are_an_error() {
    let fails = |builder: buttress::lifecycle::LifecycleBuilder| builder.build().unwrap_err();
    assert_eq!(
        fails(Lifecycle::builder().ready_delay(18 * S)),
        InvalidLifecycle::ReadyDelay
    );
    assert_eq!(
        fails(Lifecycle::builder().budget(Duration::MAX)),
        InvalidLifecycle::TooLong
    );
    assert_eq!(fails(Lifecycle::builder().signals()), InvalidLifecycle::Signals);
    let without_io = tokio::runtime::Builder::new_current_thread().enable_time().build();
    without_io.unwrap().block_on(async {
        assert_eq!(fails(Lifecycle::builder().signals()), InvalidLifecycle::Signals);
    });
}

#[test]
fn a_critical_task_that_cannot_be_started_ends_the_process() {
    let life = life();
    life.critical("consumer", std::future::pending());
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let report = runtime.unwrap().block_on(life.run());
    assert!(!report.is_clean());
    assert!(
        matches!(report.cause, Cause::Critical { name: "consumer", .. }),
        "{report}"
    );
}

/// On a real clock: whatever belonged to a process ends with it, by itself or not.
#[test]
fn nothing_outlives_its_process() {
    const MS: Duration = Duration::from_millis(1);
    leak::Check::new().multi_thread(2).assert_none(|| async {
        let life = Lifecycle::builder().budget(40 * MS).grace(400 * MS).build().unwrap();
        let handle = life.handle();
        life.on_close("hangs", std::future::pending());
        life.critical("consumer", std::future::pending());
        drop(handle.context().spawn("stuck", std::future::pending::<()>()));
        drop(handle.detach("mail", 3_600 * S, std::future::pending::<()>()));
        drop(handle.context().spawn_blocking("crunch", |ctx| {
            while ctx.check().is_ok() {
                std::thread::sleep(MS);
            }
        }));
        let mut shield = Box::pin(
            handle
                .context()
                .shield("receipt", 3_600 * S, std::future::pending::<()>()),
        );
        assert!(futures_util::poll!(&mut shield).is_pending());
        // Its caller leaves, and it goes on.
        drop(shield);
        handle.shutdown();
        let report = life.run().await;
        assert!(report.stuck.is_empty(), "{report}");
    });
}

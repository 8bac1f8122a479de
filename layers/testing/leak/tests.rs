#![allow(clippy::disallowed_methods, reason = "a test may")]

use std::{sync::mpsc, time::Duration};

use tokio::time::Instant;

use super::*;
use crate::{Context, Lifecycle, registry::Kind};

const MS: Duration = Duration::from_millis(1);

fn quick() -> Check {
    Check::new().settle(50 * MS)
}

fn names(leaks: &Leaks) -> Vec<&'static str> {
    leaks.works.iter().map(|work| work.name).collect()
}

async fn for_ever() {
    std::future::pending::<()>().await;
}

#[test]
fn nothing_left_is_found_at_once() {
    let start = Instant::now();
    Check::new().settle(60_000 * MS).assert_none(|| async {
        let context = Context::current().child();
        let _ends_with_it = context.spawn("child", for_ever());
        let _ = Context::current().spawn("short", async {}).await;
        let _ = Context::current().spawn_blocking("sum", |_| 1 + 1).await;
        tokio::spawn(async {}).await.unwrap();
    });
    assert!(start.elapsed() < 10_000 * MS);
}

#[test]
fn what_needs_a_moment_has_it() {
    Check::new().settle(60_000 * MS).assert_none(|| async {
        drop(Context::current().detach("mail", 10_000 * MS, tokio::time::sleep(20 * MS)));
        tokio::spawn(tokio::time::sleep(20 * MS));
    });
}

#[test]
fn on_a_paused_clock_a_day_takes_no_time() {
    let start = Instant::now();
    let check = Check::new().settle(86_400_000 * MS).multi_thread(2).paused();
    check.clone().assert_none(|| async {
        drop(Context::current().detach("mail", 80_000_000 * MS, for_ever()));
        tokio::time::sleep(86_400_000 * MS).await;
    });
    let leaks = check.settle(60_000 * MS).run(|| async {
        drop(Context::current().detach("mail", 80_000_000 * MS, for_ever()));
    });
    assert_eq!(names(&leaks.unwrap_err()), ["mail"]);
    assert!(start.elapsed() < 10_000 * MS);
}

#[test]
fn what_lives_is_named_with_its_owner_and_the_foreign_counted() {
    for check in [quick(), quick().multi_thread(2)] {
        let leaks = check.run(|| async {
            // The owner may be gone.
            let parent = Context::current().spawn("parent", async {
                drop(Context::current().spawn("orphan", for_ever()));
            });
            let _ = parent.await;
            drop(Context::current().detach("mail", 60_000 * MS, for_ever()));
            drop(tokio::spawn(for_ever()));
            drop(tokio::spawn(async {
                drop(Context::current().spawn("of a foreign task", for_ever()));
                for_ever().await;
            }));
            tokio::time::sleep(MS).await;
        });
        let leaks = leaks.unwrap_err();
        let mut found = names(&leaks);
        found.sort_unstable();
        assert_eq!(
            (found, leaks.foreign),
            (vec!["mail", "of a foreign task", "orphan"], 2),
            "{leaks}"
        );
        assert!(leaks.to_string().contains("task orphan of task parent"), "{leaks}");
        assert!(!leaks.blocked);
    }
}

#[test]
fn what_belongs_to_a_lifecycle_is_named_too() {
    let leaks = quick().run(|| async {
        let life = Lifecycle::builder().build().unwrap();
        life.critical("consumer", async { std::future::pending().await });
        std::mem::forget(life);
    });
    let leaks = leaks.unwrap_err();
    assert_eq!(
        (leaks.works[0].kind, leaks.works[0].name, leaks.foreign),
        (Kind::Critical, "consumer", 0)
    );
}

#[test]
fn an_entry_without_a_task_is_found() {
    let (keep, kept) = mpsc::channel();
    let leaks = quick().run(|| async move {
        let mut shield = Box::pin(Context::current().shield("receipt", 60_000 * MS, for_ever()));
        assert!(futures_util::poll!(&mut shield).is_pending());
        keep.send(shield).unwrap();
    });
    assert_eq!(names(&leaks.unwrap_err()), ["receipt"]);
    drop(kept);
}

#[test]
fn code_that_blocks_is_found_and_named() {
    for check in [quick(), quick().multi_thread(1)] {
        let (release, held) = mpsc::channel::<()>();
        let leaks = check.run(|| async move {
            drop(Context::current().spawn_blocking("crunch", move |_| held.recv().is_ok()));
        });
        let leaks = leaks.unwrap_err();
        assert_eq!(
            (names(&leaks), leaks.blocked, leaks.foreign),
            (vec!["crunch"], true, 0),
            "{leaks}"
        );
        drop(release);
    }
}

#[test]
fn what_is_allowed_may_live() {
    quick().allow("metrics").allow_foreign(1).assert_none(|| async {
        drop(Context::current().spawn("metrics", for_ever()));
        drop(tokio::spawn(for_ever()));
    });
    let leaks = quick().allow("metrics").allow_foreign(1).run(|| async {
        drop(Context::current().spawn("metrics", for_ever()));
        drop(tokio::spawn(for_ever()));
        drop(tokio::spawn(for_ever()));
    });
    assert_eq!(leaks.unwrap_err().foreign, 1);
}

#[test]
fn the_tests_beside_it_do_not_disturb() {
    let (started, is_started) = mpsc::channel();
    let (release, held) = mpsc::channel::<()>();
    let beside = std::thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        is_started.recv().unwrap();
        runtime.block_on(async {
            drop(Context::default().spawn("beside", for_ever()));
            release.send(()).unwrap();
            std::thread::sleep(100 * MS);
        });
    });
    quick().assert_none(|| async move {
        started.send(()).unwrap();
        held.recv().unwrap();
    });
    beside.join().unwrap();
}

#[test]
#[should_panic(expected = "task leaked of task leak-check")]
fn it_fails_with_the_name() {
    quick().assert_none(|| async { drop(Context::current().spawn("leaked", for_ever())) });
}

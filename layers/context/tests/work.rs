//! Tasks and shields.

use std::{
    future::pending,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    task::Poll,
};

use tokio::{
    sync::oneshot,
    time::{advance, sleep},
};

use super::{super::*, SECOND};
use crate::registry;

#[tokio::test]
async fn a_task_ends_with_its_context_by_its_next_yield() {
    struct Dropped(Option<oneshot::Sender<()>>);
    impl Drop for Dropped {
        fn drop(&mut self) {
            let _ = self.0.take().expect("dropped once").send(());
        }
    }
    let (tell, told) = oneshot::channel();
    let guard = Context::default().child();
    let task = guard.spawn("endless", async move {
        let _dropped = Dropped(Some(tell));
        pending::<()>().await;
    });
    tokio::task::yield_now().await;
    assert!(registry::snapshot().iter().any(|work| work.name == "endless"));
    guard.cancel(Cancelled::Disconnected);
    told.await.expect("it was dropped");
    let error = task.await.expect_err("it did not finish");
    assert_eq!(
        error,
        TaskError::Cancelled {
            name: "endless",
            reason: Cancelled::Disconnected
        }
    );
    assert!(registry::snapshot().iter().all(|work| work.name != "endless"));
}

#[tokio::test(start_paused = true)]
async fn a_task_ends_at_the_deadline() {
    let context = Context::default().with_timeout(SECOND);
    let task = context.spawn("late", sleep(SECOND * 60));
    assert_eq!(
        task.await.expect_err("too late").reason(),
        Some(Cancelled::DeadlineExceeded)
    );
}

#[tokio::test]
async fn a_task_has_its_context_in_scope() {
    let context = Context::default().with_attempt(4);
    assert_eq!(
        context.spawn("reads", async { Context::current().attempt() }).await,
        Ok(4)
    );
}

#[tokio::test]
async fn a_task_that_panics_says_so() {
    let task = Context::default().spawn("bad", async { panic!("as planned") });
    assert_eq!(task.await, Err(TaskError::Panicked { name: "bad" }) as Result<(), _>);
}

#[test]
fn without_a_runtime_a_task_is_refused_and_nothing_panics() {
    let mut task = std::pin::pin!(Context::default().spawn("nowhere", async {}));
    let mut cx = std::task::Context::from_waker(std::task::Waker::noop());
    assert_eq!(
        task.as_mut().poll(&mut cx),
        Poll::Ready(Err(TaskError::NoRuntime { name: "nowhere" }))
    );
    let mut shield = Box::pin(Context::default().shield("nowhere", SECOND, async { Cancelled::Finished }));
    assert_eq!(shield.as_mut().poll(&mut cx), Poll::Ready(Ok(Cancelled::Finished)));
    drop(shield);
}

#[tokio::test(start_paused = true)]
async fn shielded_work_survives_its_caller() {
    let done = Arc::new(AtomicBool::new(false));
    let write = done.clone();
    let guard = Context::default().child();
    let shield = guard.shield("write", SECOND * 10, async move {
        sleep(SECOND * 5).await;
        assert_eq!(Context::current().check(), Ok(()));
        write.store(true, Ordering::SeqCst);
    });
    assert!(tokio::time::timeout(SECOND, shield).await.is_err(), "its caller leaves");
    guard.cancel(Cancelled::Disconnected);
    assert!(
        registry::snapshot()
            .iter()
            .any(|work| work.name == "write" && work.kind == registry::Kind::Shield)
    );
    sleep(SECOND * 5).await;
    assert!(done.load(Ordering::SeqCst));
    assert!(registry::snapshot().iter().all(|work| work.name != "write"));
}

#[tokio::test(start_paused = true)]
async fn shielded_work_never_survives_its_maximum() {
    let shield = Context::default().shield("stuck", SECOND, pending::<()>());
    assert_eq!(shield.await, Err(Cancelled::DeadlineExceeded));

    let left = Context::default().shield("left-and-stuck", SECOND * 2, pending::<()>());
    assert!(tokio::time::timeout(SECOND, left).await.is_err());
    assert!(registry::snapshot().iter().any(|work| work.name == "left-and-stuck"));
    advance(SECOND * 2).await;
    tokio::task::yield_now().await;
    assert!(registry::snapshot().iter().all(|work| work.name != "left-and-stuck"));
}

#[tokio::test]
async fn a_shield_that_was_never_polled_does_not_start() {
    let started = Arc::new(AtomicBool::new(false));
    let start = started.clone();
    drop(Context::default().shield("never", SECOND, async move { start.store(true, Ordering::SeqCst) }));
    tokio::task::yield_now().await;
    assert!(!started.load(Ordering::SeqCst));
}

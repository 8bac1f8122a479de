#![allow(
    clippy::disallowed_methods,
    reason = "a foreign spawn is what some of these are about"
)]

use std::{
    future::{pending, poll_fn},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    task::Poll,
    time::Duration,
};

use proptest::prelude::*;
use tokio::{
    sync::oneshot,
    time::{Instant, advance, sleep},
};

use super::*;
use crate::registry;

const SECOND: Duration = Duration::from_secs(1);

#[tokio::test(start_paused = true)]
async fn a_child_deadline_never_grows() {
    let parent = Context::default().with_timeout(SECOND);
    assert_eq!(parent.with_timeout(SECOND * 2).deadline(), parent.deadline());
    assert_eq!(parent.child().with_timeout(Duration::MAX).deadline(), parent.deadline());
    assert_eq!(parent.with_timeout(SECOND / 2).remaining(), Some(SECOND / 2));
}

proptest! {
    #[test]
    fn no_chain_of_children_outlives_any_parent(timeouts in prop::collection::vec(0u64..10_000, 1..20)) {
        let start = Instant::now();
        let mut context = Context::default();
        let mut least = u64::MAX;
        for millis in timeouts {
            context = context.child().with_deadline(start + Duration::from_millis(millis));
            least = least.min(millis);
            prop_assert_eq!(context.deadline(), Some(start + Duration::from_millis(least)));
        }
    }
}

#[tokio::test]
async fn a_child_ends_with_its_parent_and_its_reason() {
    let parent = Context::default().child();
    let below = parent.child();
    let deepest = below.child();
    parent.cancel(Cancelled::Disconnected);
    assert_eq!(deepest.cancelled().await, Cancelled::Disconnected);
    assert_eq!(below.check(), Err(Cancelled::Disconnected));
}

#[tokio::test]
async fn a_parent_does_not_end_with_its_child() {
    let parent = Context::default().child();
    let sibling = parent.child();
    parent.child().cancel(Cancelled::Superseded);
    assert_eq!((parent.check(), sibling.check()), (Ok(()), Ok(())));
}

#[tokio::test]
async fn the_first_reason_stays() {
    let guard = Context::default().child();
    let context = guard.clone();
    guard.cancel(Cancelled::ShuttingDown); // and is then dropped, which would say `Finished`
    assert_eq!(context.check(), Err(Cancelled::ShuttingDown));
}

#[tokio::test]
async fn a_child_of_what_has_ended_is_born_ended() {
    let guard = Context::default().child();
    let context = guard.clone();
    drop(guard);
    assert_eq!(context.child().check(), Err(Cancelled::Finished));
}

#[test]
fn a_grandchild_hears_though_every_handle_on_its_parent_is_gone() {
    let root = Node::new(None);
    let middle = Node::new(Some(&root));
    let leaf = Node::new(Some(&middle));
    drop(middle);
    root.cancel(Cancelled::Disconnected);
    assert_eq!(leaf.reason(), Some(Cancelled::Disconnected));
}

#[test]
fn a_chain_of_a_million_contexts_is_taken_down_without_recursion() {
    let root = Context::default().child();
    let mut node = Node::new(root.node.as_ref());
    for _ in 0..1_000_000 {
        node = Node::new(Some(&node));
    }
    root.cancel(Cancelled::Finished);
    assert_eq!(node.reason(), Some(Cancelled::Finished));
}

#[tokio::test(start_paused = true)]
async fn the_deadline_ends_a_context_without_any_owner() {
    let context = Context::default().with_timeout(SECOND);
    assert_eq!(context.check(), Ok(()));
    assert_eq!(context.cancelled().await, Cancelled::DeadlineExceeded);
    assert_eq!(context.check(), Err(Cancelled::DeadlineExceeded));
    assert_eq!(context.remaining(), Some(Duration::ZERO));
}

#[tokio::test]
async fn current_is_what_the_nearest_scope_says() {
    assert!(Context::current().deadline().is_none());
    let outer = Context::default().with_attempt(2);
    outer
        .scope(async {
            assert_eq!(Context::current().attempt(), 2);
            let inner = Context::current().with_attempt(3);
            inner.scope(async { assert_eq!(Context::current().attempt(), 3) }).await;
            assert_eq!(Context::current().attempt(), 2);
        })
        .await;
    assert_eq!(Context::current().attempt(), 1);
}

#[tokio::test]
async fn two_futures_polled_in_turn_keep_their_own_contexts() {
    let count = |attempt| {
        Context::default().with_attempt(attempt).scope(async move {
            for _ in 0..10 {
                assert_eq!(Context::current().attempt(), attempt);
                tokio::task::yield_now().await;
            }
        })
    };
    tokio::join!(count(1), count(2), count(3));
}

#[test]
fn a_panic_leaves_the_scope() {
    let context = Context::default().with_attempt(7);
    let mut frame = Frame::from(context);
    let caught = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| frame.enter(|| panic!("as planned"))));
    assert!(caught.is_err());
    assert_eq!(Context::current().attempt(), 1);
    assert_eq!(frame.enter(Context::current).attempt(), 7);
}

#[test]
fn an_unasked_scope_allocates_nothing_and_an_asked_one_once() {
    let unasked = allocation_counter::measure(|| {
        let mut scope = Scope::child();
        scope.enter(|| assert!(Context::current_deadline().is_none()));
        scope.end(Cancelled::Finished);
    });
    assert_eq!(unasked.count_total, 0);
    let asked = allocation_counter::measure(|| {
        let mut scope = Scope::child();
        scope.enter(|| drop((Context::current(), Context::current())));
        drop(scope);
    });
    assert_eq!(asked.count_total, 1);
}

#[test]
fn who_asks_after_the_end_hears_the_reason() {
    let mut scope = Scope::child();
    scope.end(Cancelled::Superseded);
    assert_eq!(scope.enter(Context::current).check(), Err(Cancelled::Superseded));
}

#[tokio::test]
async fn a_context_made_in_a_scope_is_ended_by_its_owner() {
    let mut scope = Scope::child();
    let (mine, childs) = scope.enter(|| {
        let mut child = Scope::child(); // as a layer below does, before anybody asked
        (Context::current(), child.enter(Context::current))
    });
    drop(scope);
    assert_eq!(
        (mine.check(), childs.check()),
        (Err(Cancelled::Disconnected), Err(Cancelled::Disconnected))
    );
}

#[tokio::test]
async fn a_layers_child_that_moves_to_another_task_still_hears_its_parent() {
    let mut scope = Scope::child();
    let mut frame = scope.enter(|| Frame::until(None));
    let task = tokio::spawn(poll_fn(move |_| Poll::Ready(frame.enter(Context::current))));
    let context = task.await.expect("it does not panic");
    assert_eq!(context.check(), Ok(()));
    drop(scope);
    assert_eq!(context.check(), Err(Cancelled::Disconnected));
}

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

#[test]
fn criticality_reads_what_it_writes() {
    for step in Criticality::ALL {
        assert_eq!(step.as_str().to_uppercase().parse(), Ok(step));
    }
    assert_eq!("urgent".parse::<Criticality>(), Err(UnknownCriticality));
    assert!(Criticality::Sheddable < Criticality::CriticalPlus);
}

/// The race that a shared list of children invites: a child made while its parent ends must not be missed.
#[test]
fn a_child_made_while_its_parent_ends_is_ended() {
    for _ in 0..2_000 {
        let root = Context::default().child();
        let parent = root.node.clone();
        let made = std::thread::spawn(move || Node::new(parent.as_ref()));
        root.cancel(Cancelled::Finished);
        let child = made.join().expect("it does not panic");
        assert_eq!(child.reason(), Some(Cancelled::Finished));
    }
}

#![allow(
    clippy::disallowed_methods,
    reason = "a foreign spawn is what some of these are about"
)]

mod work;

use std::{future::poll_fn, task::Poll, time::Duration};

use proptest::prelude::*;
use tokio::time::Instant;

use super::*;

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
fn a_scope_whose_call_panics_ends_as_one_whose_caller_left() {
    let mut held = None;
    let caught = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
        let _beginning = Scope::begin();
        held = Some(Context::current());
        panic!("as planned");
    }));
    assert!(caught.is_err());
    assert_eq!(held.map(|context| context.check()), Some(Err(Cancelled::Disconnected)));
    assert_eq!(Context::current().check(), Ok(()));
}

#[test]
fn an_unasked_scope_allocates_nothing_and_an_asked_one_once() {
    let unasked = allocation_counter::measure(|| {
        let mut scope = Scope::begin().release();
        scope.enter(|| assert!(Context::current_deadline().is_none()));
        scope.end(Cancelled::Finished);
    });
    assert_eq!(unasked.count_total, 0);
    let asked = allocation_counter::measure(|| {
        let mut scope = Scope::begin().release();
        scope.enter(|| drop((Context::current(), Context::current())));
        drop(scope);
    });
    assert_eq!(asked.count_total, 1);
}

#[test]
fn marks_are_what_was_marked() {
    use marks::{Cancellation, Marks};
    let ended = [
        Cancelled::Disconnected,
        Cancelled::DeadlineExceeded,
        Cancelled::ShuttingDown,
        Cancelled::Superseded,
        Cancelled::Finished,
    ]
    .map(Cancellation::Ended);
    let all = [Cancellation::Never, Cancellation::Unasked, Cancellation::Asked];
    for cancellation in all.into_iter().chain(ended) {
        for criticality in Criticality::ALL {
            for attempt in [1, 2, u32::MAX] {
                let marks = Marks::new(attempt, criticality, Cancellation::Asked).with(cancellation);
                assert_eq!(
                    (marks.attempt(), marks.criticality(), marks.cancellation()),
                    (attempt, criticality, cancellation)
                );
            }
        }
    }
}

#[test]
fn who_asks_after_the_end_hears_the_reason() {
    let mut scope = Scope::begin().release();
    scope.end(Cancelled::Superseded);
    assert_eq!(scope.enter(Context::current).check(), Err(Cancelled::Superseded));
}

#[tokio::test]
async fn a_context_made_in_a_scope_is_ended_by_its_owner() {
    let mut scope = Scope::begin().release();
    let (mine, of_child) = scope.enter(|| {
        let mut child = Scope::begin().release(); // as a layer below does, before anybody asked
        (Context::current(), child.enter(Context::current))
    });
    drop(scope);
    assert_eq!(
        (mine.check(), of_child.check()),
        (Err(Cancelled::Disconnected), Err(Cancelled::Disconnected))
    );
}

#[tokio::test]
async fn a_layers_child_that_moves_to_another_task_still_hears_its_parent() {
    let mut scope = Scope::begin().release();
    let mut frame = scope.enter(|| Frame::until(None));
    let task = tokio::spawn(poll_fn(move |_| Poll::Ready(frame.enter(Context::current))));
    let context = task.await.expect("it does not panic");
    assert_eq!(context.check(), Ok(()));
    drop(scope);
    assert_eq!(context.check(), Err(Cancelled::Disconnected));
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

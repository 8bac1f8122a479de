//! The books of a line, against a model that keeps every job by itself.

use std::{collections::VecDeque, sync::Arc, time::Duration};

use proptest::prelude::*;
use tokio::time::Instant;

use super::{
    QueueStatus,
    line::{Call, Caller, Ended, Line, Next, No, Waiting},
    status::Bounds,
    stretch::Told,
};
use crate::context::Criticality;

const S: Duration = Duration::from_secs(1);

fn waiting<J>(job: J, since: Instant, left: Option<Duration>) -> Waiting<J> {
    Waiting {
        job,
        since,
        deadline: left.map(|left| since + left),
        criticality: Criticality::Critical,
    }
}

fn offer(line: &mut Line<u32>, job: u32, now: Instant, left: Option<Duration>) -> Result<bool, (No, u32)> {
    line.offer(waiting(job, now, left), Caller::New)
}

fn end(line: &mut Line<u32>, how: Ended, each: Duration, now: Instant) {
    line.ended(how);
    let jobs = u32::from(how != Ended::Cut);
    line.told(Told { each, jobs, now });
}

/// A line in which so many jobs took so long.
fn known(capacity: usize, concurrency: usize, took: Duration, now: Instant) -> Line<u32> {
    let mut line = Line::new(capacity, concurrency);
    for _ in 0..20 {
        offer(&mut line, 0, now, None).unwrap();
        assert!(matches!(line.next(now), Next::Run(..)));
        end(&mut line, Ended::Done, took, now);
    }
    line
}

#[test]
fn a_job_is_late_where_those_before_it_take_longer_than_is_left() {
    let now = Instant::now();
    let mut line = known(10, 2, S, now);
    // Nothing is before it.
    assert_eq!(offer(&mut line, 1, now, Some(S / 10)), Ok(false));
    assert_eq!(offer(&mut line, 2, now, None), Ok(false));
    assert_eq!(offer(&mut line, 3, now, None), Ok(false));
    // 3 x 1 s / 2.
    assert_eq!(offer(&mut line, 4, now, Some(S * 14 / 10)), Err((No::Late, 4)));
    assert_eq!(offer(&mut line, 5, now, Some(S * 16 / 10)), Ok(false));
    // What has expired is late wherever it would stand.
    assert_eq!(
        offer(&mut Line::new(1, 1), 6, now, Some(Duration::ZERO)),
        Err((No::Late, 6))
    );
}

/// A caller begins to wait; nobody is to be called.
fn wait(line: &mut Line<u32>) -> Call {
    let call = Call::default();
    assert!(line.caller_waits(call.clone()).is_none());
    call
}

/// Takes a job out. Whether it is this one, and this caller is called for it.
fn takes(line: &mut Line<u32>, now: Instant, job: u32, calls: Option<&Call>) -> bool {
    match line.next(now) {
        Next::Run(waiting, call) => waiting.job == job && call.as_ref().map(Arc::as_ptr) == calls.map(Arc::as_ptr),
        _ => false,
    }
}

#[test]
fn who_waits_for_room_is_in_front_of_who_comes_later() {
    let now = Instant::now();
    let mut line = Line::new(2, 1);
    for job in [1, 2] {
        offer(&mut line, job, now, None).unwrap();
    }
    assert_eq!(offer(&mut line, 3, now, None), Err((No::Full, 3)));
    let [first, second] = [wait(&mut line), wait(&mut line)];
    assert!(takes(&mut line, now, 1, Some(&first)));
    // The room is the first one's, who has been called and has not come yet.
    assert_eq!(offer(&mut line, 4, now, None), Err((No::Full, 4)));
    assert!(takes(&mut line, now, 2, Some(&second)));
    assert_eq!(line.offer(waiting(3, now, None), Caller::Called), Ok(false));
    assert_eq!(offer(&mut line, 4, now, None), Err((No::Full, 4)));
    assert!(line.caller_leaves(&second).is_none());
    assert_eq!(offer(&mut line, 4, now, None), Ok(false));
}

#[test]
fn room_is_passed_on_by_who_does_not_come() {
    let now = Instant::now();
    let mut line = Line::new(1, 1);
    offer(&mut line, 1, now, None).unwrap();
    let [first, second, third] = [wait(&mut line), wait(&mut line), wait(&mut line)];
    // It had not been called.
    assert!(line.caller_leaves(&second).is_none());
    assert!(takes(&mut line, now, 1, Some(&first)));
    // It comes too late.
    let late = line.offer(waiting(2, now, Some(Duration::ZERO)), Caller::Called);
    assert_eq!(late, Err((No::Late, 2)));
    let called = line.caller_leaves(&first).unwrap();
    assert!(Arc::ptr_eq(&called, &third));
    assert!(line.close().is_empty());
    assert!(line.caller_leaves(&third).is_none());
}

#[test]
fn who_waits_for_room_is_called_where_there_is_some_by_then_and_where_there_will_be_none() {
    let mut line = Line::<u32>::new(1, 1);
    let call = Call::default();
    assert!(line.caller_waits(call.clone()).is_some());
    let second = wait(&mut line);
    let called = line.close();
    assert!(called.len() == 1 && Arc::ptr_eq(&called[0], &second));
    assert!(line.caller_waits(Call::default()).is_some());
}

#[test]
fn a_lane_that_waits_is_called_once_for_each_job() {
    let now = Instant::now();
    let mut line = Line::new(9, 2);
    for _ in 0..2 {
        assert!(matches!(line.next_or_idle(now), Next::Wait));
    }
    let called = [1, 2, 3].map(|job| offer(&mut line, job, now, None).unwrap());
    assert_eq!(called, [true, true, false]);
}

#[test]
fn it_is_behind_and_stalled_where_its_bounds_say_so() {
    let bounds = Bounds {
        behind: 10 * S,
        stalled: 60 * S,
    };
    let start = Instant::now();
    let mut line = known(100, 1, S, start);
    let status = |line: &Line<u32>, after: u64| {
        let status = QueueStatus::of(line, bounds, start + Duration::from_secs(after));
        (status.depth, status.oldest, status.behind, status.stalled)
    };
    // With nothing in it, it is neither, for however long.
    assert_eq!(status(&line, 3_600), (0, None, false, false));
    offer(&mut line, 0, start + 100 * S, None).unwrap();
    assert_eq!(status(&line, 110), (1, Some(10 * S), false, false));
    assert_eq!(status(&line, 111), (1, Some(11 * S), true, false));
    assert_eq!(status(&line, 161), (1, Some(61 * S), true, true));
    assert!(matches!(line.next(start + 200 * S), Next::Run(..)));
    for _ in 0..11 {
        offer(&mut line, 0, start + 200 * S, None).unwrap();
    }
    // 11 x 1 s.
    assert_eq!(status(&line, 200), (11, Some(Duration::ZERO), true, false));
}

#[derive(Clone, Debug)]
enum Step {
    Offer {
        left: Option<u64>,
    },
    Wait,
    Leave,
    /// Who is called comes, or does not.
    Next {
        comes: bool,
    },
    End(Ended),
    Pass(u64),
    Close,
    Over,
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        6 => prop::option::of(0..20_u64).prop_map(|left| Step::Offer { left }),
        3 => Just(Step::Wait),
        1 => Just(Step::Leave),
        5 => any::<bool>().prop_map(|comes| Step::Next { comes }),
        4 => prop_oneof![Just(Ended::Done), Just(Ended::Failed), Just(Ended::Cut)].prop_map(Step::End),
        2 => (0..10_u64).prop_map(Step::Pass),
        1 => Just(Step::Close),
        1 => Just(Step::Over),
    ]
}

proptest! {
    #[test]
    fn the_books_balance_after_every_step(
        steps in prop::collection::vec(step(), 1..80), capacity in 1..6_usize, concurrency in 1..4_usize,
    ) {
        let (start, mut passed) = (Instant::now(), 0);
        let mut line = Line::new(capacity, concurrency);
        let (mut queued, mut running, mut callers) = (VecDeque::new(), 0_u64, VecDeque::new());
        let [mut accepted, mut expired, mut ended, mut handed_back] = [0_u64; 4];
        for (id, step) in (0_u32..).zip(steps) {
            let now = start + Duration::from_secs(passed);
            match step {
                Step::Offer { left } => {
                    let left = left.map(Duration::from_secs);
                    match offer(&mut line, id, now, left) {
                        Ok(_) => { queued.push_back((id, left.map(|left| now + left))); accepted += 1; }
                        // It comes back as it was.
                        Err((_, job)) => prop_assert_eq!(job, id),
                    }
                }
                Step::Wait => {
                    let call = Call::default();
                    match line.caller_waits(call.clone()) {
                        None => callers.push_back(call),
                        // There is room, or none any more.
                        Some(called) => {
                            prop_assert!(callers.is_empty() && Arc::ptr_eq(&call, &called));
                            prop_assert!(line.caller_leaves(&call).is_none());
                        }
                    }
                }
                Step::Leave => if let Some(call) = callers.pop_back() {
                    prop_assert!(line.caller_leaves(&call).is_none());
                },
                Step::Next { comes } => {
                    let mut called = match line.next(now) {
                        Next::Run(Waiting { job, .. }, call) => {
                            let (first, deadline) = queued.pop_front().unwrap();
                            prop_assert_eq!(first, job);
                            prop_assert!(deadline.is_none_or(|deadline| deadline > now));
                            running += 1;
                            call
                        }
                        Next::Expired(Waiting { job, .. }, call) => {
                            let (first, deadline) = queued.pop_front().unwrap();
                            prop_assert_eq!((first, true), (job, deadline.unwrap() <= now));
                            expired += 1;
                            call
                        }
                        Next::Wait | Next::Over => { prop_assert!(queued.is_empty()); None }
                    };
                    while let Some(call) = called.take() {
                        // The first who waits is the first to be called.
                        prop_assert!(callers.pop_front().is_some_and(|first| Arc::ptr_eq(&first, &call)));
                        if comes {
                            prop_assert!(line.offer(waiting(id, now, None), Caller::Called).is_ok());
                            queued.push_back((id, None));
                            accepted += 1;
                        } else {
                            called = line.caller_leaves(&call);
                        }
                    }
                }
                Step::End(how) if running > 0 => {
                    end(&mut line, how, S, now);
                    running -= 1;
                    ended += 1;
                }
                Step::End(_) => {}
                Step::Pass(seconds) => passed += seconds,
                Step::Close => prop_assert_eq!(line.close().len(), callers.drain(..).count()),
                Step::Over => {
                    prop_assert_eq!(line.close().len(), callers.drain(..).count());
                    let rest: Vec<_> = line.end().into_iter().map(|waiting| waiting.job).collect();
                    prop_assert_eq!(rest, queued.drain(..).map(|(id, _)| id).collect::<Vec<_>>());
                    handed_back = accepted - expired - ended - running;
                }
            }
            let counts = line.counts();
            prop_assert!(line.depth() <= capacity);
            prop_assert_eq!((counts.accepted, counts.expired, counts.unprocessed), (accepted, expired, handed_back));
            prop_assert_eq!(counts.done + counts.failed, ended);
            let alive = line.depth() as u64 + running;
            prop_assert_eq!(accepted, counts.done + counts.failed + expired + handed_back + alive);
        }
    }
}

//! The concurrency limit: who is let in, who waits, who is turned away, and that nothing is lost on the way.
#![allow(clippy::disallowed_methods, clippy::unwrap_used, reason = "a test may")]

#[path = "support/leakless.rs"]
mod leakless;

use std::{
    convert::Infallible,
    future::Future,
    pin::{Pin, pin},
    task::Poll,
    time::Duration,
};

use buttress::{
    BoxError, CancelLayer, ConcurrencyLimitLayer, Context, Criticality, DeadlineLayer, Rejection,
    admission::{
        Admit, Arrival, Decision, Queued,
        concurrency::{ConcurrencyLimit, HoldUntil, Limit, NotAdmitted, Permit, Span, Waiting, Window},
    },
    context::Head,
    outcome::{Class, Outcome, Settle},
    rejection::Reason,
    testing::leak,
};
use bytes::Bytes;
use futures_util::{FutureExt, poll};
use http::{Request, Response, StatusCode};
use http_body_util::{BodyExt, Channel, Empty, Full};
use tokio::time::{Instant, advance};
use tower::{Layer, Service, ServiceBuilder, ServiceExt, service_fn};

const MS: Duration = Duration::from_millis(1);

type Line = Pin<Box<Queued<Waiting>>>;

/// What became of an arrival.
#[derive(Debug)]
enum Became {
    In(Permit),
    Queued(Line),
    Refused(Rejection),
}

fn arrive_in(limit: &ConcurrencyLimit, context: &Context) -> Became {
    let decide = context.scope(async { limit.admit(&Arrival::new(None)) });
    match decide.now_or_never().unwrap() {
        Decision::Now(permit) => Became::In(permit),
        Decision::Wait(wait) => Became::Queued(Box::pin(wait)),
        Decision::No(rejection) => Became::Refused(rejection),
    }
}

fn arrive(limit: &ConcurrencyLimit) -> Became {
    arrive_in(limit, &Context::default())
}

fn enter(limit: &ConcurrencyLimit) -> Permit {
    match arrive(limit) {
        Became::In(permit) => permit,
        other => panic!("not let in: {other:?}"),
    }
}

fn queue(limit: &ConcurrencyLimit) -> Line {
    queue_in(limit, Criticality::default())
}

fn queue_in(limit: &ConcurrencyLimit, band: Criticality) -> Line {
    match arrive_in(limit, &Context::default().with_criticality(band)) {
        Became::Queued(line) => line,
        other => panic!("does not wait: {other:?}"),
    }
}

fn refused(limit: &ConcurrencyLimit) -> Rejection {
    match arrive(limit) {
        Became::Refused(rejection) => rejection,
        other => panic!("not refused: {other:?}"),
    }
}

fn settle_all(permits: Vec<Permit>) {
    for permit in permits {
        permit.settle(Outcome::Success);
    }
}

async fn served(line: &mut Line) -> Option<Permit> {
    match poll!(line) {
        Poll::Ready(Ok(permit)) => Some(permit),
        Poll::Ready(Err(rejection)) => panic!("sent away: {rejection}"),
        Poll::Pending => None,
    }
}

async fn sent_away(line: &mut Line) -> Option<Rejection> {
    match poll!(line) {
        Poll::Ready(Ok(permit)) => panic!("served: {permit:?}"),
        Poll::Ready(Err(rejection)) => Some(rejection),
        Poll::Pending => None,
    }
}

fn limit(limit: usize, queue: usize) -> ConcurrencyLimit {
    ConcurrencyLimitLayer::new(limit).queue(queue).limit()
}

/// How many of a band were turned away for this.
fn count(limit: &ConcurrencyLimit, why: NotAdmitted) -> u64 {
    limit.snapshot().rejected(Criticality::Critical, why)
}

mod places {
    use super::*;

    #[tokio::test(start_paused = true, crate = "leakless")]
    async fn as_many_as_the_limit_are_let_in_and_the_next_when_one_has_ended() {
        let limit = limit(2, 0);
        let (first, _second) = (enter(&limit), enter(&limit));
        assert_eq!(refused(&limit).reason(), Reason::Overloaded);
        first.settle(Outcome::Success);
        let _third = enter(&limit);
        assert_eq!(limit.snapshot().in_flight, 2);
        assert_eq!(count(&limit, NotAdmitted::Full), 1);
    }

    #[tokio::test(start_paused = true, crate = "leakless")]
    async fn a_permit_comes_back_however_it_ends() {
        let limit = limit(1, 0);
        enter(&limit).settle(Outcome::Success);
        enter(&limit).settle(Outcome::failure(Class::Transport));
        enter(&limit).settle(Outcome::Rejected(Rejection::new(Reason::Draining, "further in")));
        drop(enter(&limit));
        assert_eq!(limit.snapshot().in_flight, 0);
    }

    #[tokio::test(start_paused = true, crate = "leakless")]
    async fn a_limit_of_none_rejects_all() {
        let none = limit(0, 0);
        refused(&none);
        // At once, though there is a queue: nobody gives a place back for which it could wait.
        let queued = limit(0, 8);
        refused(&queued);
        let turned_off = limit(1, 8);
        turned_off.set(Some(0));
        refused(&turned_off);
        turned_off.set(None);
        drop(enter(&turned_off));
    }

    #[tokio::test(start_paused = true, crate = "leakless")]
    async fn a_permit_taken_on_one_thread_is_given_back_on_another() {
        let limit = limit(64, 0);
        for _ in 0..4 {
            let permits: Vec<_> = (0..64).map(|_| enter(&limit)).collect();
            refused(&limit);
            std::thread::scope(|scope| {
                for permit in permits {
                    scope.spawn(move || drop(permit));
                }
            });
        }
        assert_eq!(limit.snapshot().in_flight, 0);
    }

    #[tokio::test(start_paused = true, crate = "leakless")]
    async fn the_user_s_word_is_above_the_law() {
        let layer = ConcurrencyLimitLayer::new(2).queue(8);
        let limit = layer.limit();
        let (first, second) = (enter(&limit), enter(&limit));
        limit.set(Some(1));
        assert_eq!((limit.snapshot().limit, limit.snapshot().in_flight), (1, 2));
        let mut waits = queue(&limit);
        drop(first);
        assert!(served(&mut waits).await.is_none(), "one is still inside");
        drop(second);
        let third = served(&mut waits).await.unwrap();
        assert_eq!(limit.snapshot().in_flight, 1);

        let mut waits = queue(&limit);
        limit.set(None);
        assert_eq!(limit.snapshot().limit, 2);
        let _fourth = served(&mut waits).await.unwrap();
        drop(third);
        limit.set(Some(0));
        let _waits = queue(&limit);
    }

    #[tokio::test(start_paused = true, crate = "leakless")]
    async fn services_of_one_layer_share_it_unless_told_otherwise() {
        let handler = || service_fn(async |_: Request<()>| Ok::<_, BoxError>(Response::new(Full::from("hello"))));
        let shared = ConcurrencyLimitLayer::new(1).queue(0);
        let held = shared.layer(handler()).oneshot(Request::new(())).await.unwrap();
        let other = shared.clone().layer(handler()).oneshot(Request::new(())).await.unwrap();
        assert_eq!((held.status(), other.status().as_u16()), (StatusCode::OK, 503));

        let each = ConcurrencyLimitLayer::new(1).queue(0).per_service();
        let held = each.layer(handler()).oneshot(Request::new(())).await.unwrap();
        let other = each.layer(handler()).oneshot(Request::new(())).await.unwrap();
        assert_eq!((held.status(), other.status()), (StatusCode::OK, StatusCode::OK));
    }
}

mod line {
    use super::*;

    #[tokio::test(start_paused = true, crate = "leakless")]
    async fn first_come_first_served() {
        let limit = limit(1, 8);
        let inside = enter(&limit);
        let (mut first, mut second) = (queue(&limit), queue(&limit));
        assert_eq!(limit.snapshot().queued, 2);
        drop(inside);
        assert!(served(&mut second).await.is_none());
        let inside = served(&mut first).await.unwrap();
        drop(inside);
        assert!(served(&mut second).await.is_some());
    }

    #[tokio::test(start_paused = true, crate = "leakless")]
    async fn who_comes_while_others_wait_lines_up() {
        let limit = limit(1, 8);
        let inside = enter(&limit);
        let mut first = queue(&limit);
        drop(inside);
        // Its permit is the first's by now, polled or not.
        let _second = queue(&limit);
        assert!(served(&mut first).await.is_some());
    }

    #[tokio::test(start_paused = true, crate = "leakless")]
    async fn it_is_bounded_in_length() {
        let limit = limit(1, 2);
        let _inside = enter(&limit);
        let _line = (queue(&limit), queue(&limit));
        assert_eq!(refused(&limit).reason(), Reason::Overloaded);
        assert_eq!((limit.snapshot().queued, count(&limit, NotAdmitted::Full)), (2, 1));
    }

    #[tokio::test(start_paused = true, crate = "leakless")]
    async fn it_is_bounded_in_time() {
        let limit = limit(1, 2);
        let _inside = enter(&limit);
        let mut line = queue(&limit);
        assert!(sent_away(&mut line).await.is_none());
        let began = Instant::now();
        let rejection = line.await.unwrap_err();
        assert_eq!(began.elapsed().as_millis(), 100);
        assert_eq!(
            (rejection.reason(), rejection.was_executed()),
            (Reason::Overloaded, false)
        );
        assert_eq!((limit.snapshot().queued, count(&limit, NotAdmitted::Overdue)), (0, 1));
    }

    #[tokio::test(start_paused = true, crate = "leakless")]
    async fn who_leaves_is_gone() {
        let limit = limit(1, 8);
        let inside = enter(&limit);
        let (first, mut second) = (queue(&limit), queue(&limit));
        drop(first);
        assert_eq!(limit.snapshot().queued, 1);
        drop(inside);
        // One that was granted a permit and never looked gives it on.
        let third = queue(&limit);
        let granted = served(&mut second).await.unwrap();
        drop(granted);
        drop(third);
        assert_eq!((limit.snapshot().queued, limit.snapshot().in_flight), (0, 0));
        let _fourth = enter(&limit);
    }

    #[tokio::test(start_paused = true, crate = "leakless")]
    async fn a_line_that_stands_is_served_from_its_other_end() {
        let limit = ConcurrencyLimitLayer::new(1).queue(8).max_wait(1_000 * MS).limit();
        let inside = enter(&limit);
        let mut first = queue(&limit);
        // A twentieth of the longest wait is 50 ms.
        advance(51 * MS).await;
        let (mut oldest, mut older) = (queue(&limit), queue(&limit));
        drop(inside);
        let inside = served(&mut first).await.expect("it does not stand yet");
        advance(100 * MS).await;
        let mut newest = queue(&limit);
        drop(inside);
        let inside = served(&mut newest).await.expect("it can still be in time");
        assert!(sent_away(&mut oldest).await.is_none(), "it may still wait");
        advance(901 * MS).await;
        let mut newest = queue(&limit);
        drop(inside);
        let _inside = served(&mut newest).await.expect("it stands until it is empty");
        for line in [&mut oldest, &mut older] {
            assert_eq!(sent_away(line).await.unwrap().reason(), Reason::Overloaded);
        }
    }

    #[tokio::test(start_paused = true, crate = "leakless")]
    async fn a_line_whose_oldest_has_just_come_does_not_stand() {
        let limit = ConcurrencyLimitLayer::new(1).queue(8).max_wait(1_000 * MS).limit();
        let mut inside = enter(&limit);
        let mut oldest = queue(&limit);
        // A twentieth of the longest wait is 50 ms.
        for _ in 0..10 {
            advance(40 * MS).await;
            let next = queue(&limit);
            drop(inside);
            inside = served(&mut oldest).await.expect("first in, first out");
            oldest = next;
        }
    }

    #[tokio::test(start_paused = true, crate = "leakless")]
    async fn a_line_that_was_empty_for_a_moment_does_not_stand() {
        let limit = ConcurrencyLimitLayer::new(1).queue(8).max_wait(1_000 * MS).limit();
        let inside = enter(&limit);
        let mut first = queue(&limit);
        advance(99 * MS).await;
        drop(inside);
        let inside = served(&mut first).await.unwrap();
        let mut second = queue(&limit);
        advance(MS).await;
        let mut third = queue(&limit);
        drop(inside);
        assert!(served(&mut third).await.is_none());
        assert!(served(&mut second).await.is_some());
    }

    #[tokio::test(start_paused = true, crate = "leakless")]
    async fn the_more_critical_are_served_first() {
        let limit = limit(1, 8);
        let mut inside = enter(&limit);
        let mut lines = Criticality::ALL.map(|band| queue_in(&limit, band));
        for line in lines.iter_mut().rev() {
            drop(inside);
            inside = served(line).await.unwrap();
        }
    }

    #[tokio::test(start_paused = true, crate = "leakless")]
    async fn the_more_critical_do_not_wait_for_the_less() {
        let limit = limit(1, 8);
        let inside = enter(&limit);
        let mut sheddable = queue_in(&limit, Criticality::Sheddable);
        let mut critical = queue_in(&limit, Criticality::Critical);
        drop(inside);
        assert!(served(&mut sheddable).await.is_none());
        assert!(served(&mut critical).await.is_some());
    }

    #[tokio::test(start_paused = true, crate = "leakless")]
    async fn where_it_is_full_the_oldest_of_the_least_critical_gives_way() {
        let limit = limit(1, 3);
        let _inside = enter(&limit);
        let mut plus = queue_in(&limit, Criticality::SheddablePlus);
        let (mut older, mut newer) = (
            queue_in(&limit, Criticality::Sheddable),
            queue_in(&limit, Criticality::Sheddable),
        );
        let _critical = queue_in(&limit, Criticality::Critical);
        assert_eq!(sent_away(&mut older).await.unwrap().reason(), Reason::Overloaded);
        assert!(sent_away(&mut newer).await.is_none() && sent_away(&mut plus).await.is_none());
        let snapshot = limit.snapshot();
        assert_eq!(snapshot.rejected(Criticality::Sheddable, NotAdmitted::Evicted), 1);
        let queued = Criticality::ALL.map(|band| snapshot.queued_in(band));
        assert_eq!((queued, snapshot.queued), ([1, 1, 1, 0], 3));

        let least = arrive_in(&limit, &Context::default().with_criticality(Criticality::Sheddable));
        assert!(matches!(least, Became::Refused(_)), "nobody is less critical");
    }

    #[tokio::test(start_paused = true, crate = "leakless")]
    async fn a_standing_line_that_is_full_takes_the_newest_for_the_oldest() {
        let limit = ConcurrencyLimitLayer::new(1).queue(1).max_wait(1_000 * MS).limit();
        let _inside = enter(&limit);
        let mut oldest = queue(&limit);
        // A twentieth of the longest wait is 50 ms.
        advance(51 * MS).await;
        refused(&limit);
        advance(99 * MS).await;
        refused(&limit);
        advance(MS).await;
        let _newest = queue(&limit);
        assert!(sent_away(&mut oldest).await.is_some());
    }

    #[tokio::test(start_paused = true, crate = "leakless")]
    async fn a_wait_without_a_bound_ends_when_its_turn_comes() {
        let limit = ConcurrencyLimitLayer::new(1).queue(8).max_wait(Duration::MAX).limit();
        let inside = enter(&limit);
        let mut line = queue(&limit);
        assert!(sent_away(&mut line).await.is_none());
        advance(3_600_000 * MS).await;
        assert!(sent_away(&mut line).await.is_none());
        drop(inside);
        assert!(served(&mut line).await.is_some());
    }

    #[tokio::test(start_paused = true, crate = "leakless")]
    async fn a_waiter_is_woken_when_its_turn_comes() {
        let limit = limit(1, 8);
        let inside = enter(&limit);
        let line = queue(&limit);
        let waiting = tokio::spawn(line);
        tokio::task::yield_now().await;
        drop(inside);
        tokio::task::yield_now().await;
        assert!(waiting.is_finished(), "not by its timer");
        assert!(waiting.await.unwrap().is_ok());
    }
}

mod deadlines {
    use super::*;

    /// A limit under which 100 calls took so long each.
    async fn used_to(took: Duration, limit: ConcurrencyLimit) -> ConcurrencyLimit {
        for _ in 0..4 {
            let permits: Vec<_> = (0..50).map(|_| enter(&limit)).collect();
            advance(took).await;
            settle_all(permits);
        }
        limit
    }

    fn within(left: Duration) -> Context {
        Context::default().with_timeout(left)
    }

    #[tokio::test(start_paused = true, crate = "leakless")]
    async fn what_cannot_be_met_is_refused_on_arrival() {
        let limit = used_to(100 * MS, limit(50, 0)).await;
        let Became::Refused(rejection) = arrive_in(&limit, &within(50 * MS)) else {
            panic!()
        };
        assert_eq!(
            (rejection.reason(), rejection.was_executed()),
            (Reason::DeadlineExceeded, false)
        );
        assert_eq!(count(&limit, NotAdmitted::Unmeetable), 1);
        assert!(matches!(arrive_in(&limit, &within(150 * MS)), Became::In(_)));
        assert!(
            matches!(arrive(&limit), Became::In(_)),
            "one without a deadline has all the time"
        );
    }

    #[tokio::test(start_paused = true, crate = "leakless")]
    async fn before_a_hundred_calls_nothing_is_known() {
        let limit = limit(50, 0);
        let permits: Vec<_> = (0..50).map(|_| enter(&limit)).collect();
        advance(1_000 * MS).await;
        settle_all(permits);
        assert!(matches!(arrive_in(&limit, &within(50 * MS)), Became::In(_)));
    }

    #[tokio::test(start_paused = true, crate = "leakless")]
    async fn one_of_sixteen_is_tried_all_the_same() {
        let limit = used_to(100 * MS, limit(50, 0)).await;
        let tried = (0..160).filter(|_| matches!(arrive_in(&limit, &within(50 * MS)), Became::In(_)));
        assert_eq!(tried.count(), 10);
        assert_eq!(count(&limit, NotAdmitted::Unmeetable), 150);
    }

    #[tokio::test(start_paused = true, crate = "leakless")]
    async fn failures_and_departures_teach_nothing() {
        let limit = limit(50, 0);
        for _ in 0..10 {
            let permits: Vec<_> = (0..50).map(|_| enter(&limit)).collect();
            advance(100 * MS).await;
            for (n, permit) in permits.into_iter().enumerate() {
                match n % 2 {
                    0 => permit.settle(Outcome::failure(Class::Transport)),
                    _ => drop(permit),
                }
            }
        }
        assert!(matches!(arrive_in(&limit, &within(50 * MS)), Became::In(_)));
    }

    #[tokio::test(start_paused = true, crate = "leakless")]
    async fn who_can_no_longer_make_it_is_sent_away_in_the_queue() {
        let limit = used_to(100 * MS, limit(50, 8)).await;
        let mut inside: Vec<_> = (0..50).map(|_| enter(&limit)).collect();
        let Became::Queued(mut late) = arrive_in(&limit, &within(120 * MS)) else {
            panic!()
        };
        let Became::Queued(mut early) = arrive_in(&limit, &within(190 * MS)) else {
            panic!()
        };
        advance(50 * MS).await;
        inside.pop();
        assert_eq!(sent_away(&mut late).await.unwrap().reason(), Reason::DeadlineExceeded);
        assert!(served(&mut early).await.is_some());
        assert_eq!(count(&limit, NotAdmitted::Unmeetable), 1);
    }

    #[tokio::test(start_paused = true, crate = "leakless")]
    async fn a_wait_ends_when_the_work_can_no_longer_be_done_in_time() {
        let layer = ConcurrencyLimitLayer::new(50).queue(8).max_wait(10_000 * MS);
        let limit = used_to(100 * MS, layer.limit()).await;
        let _inside: Vec<_> = (0..50).map(|_| enter(&limit)).collect();
        let start = Instant::now();
        let Became::Queued(line) = arrive_in(&limit, &within(300 * MS)) else {
            panic!()
        };
        assert_eq!(line.await.unwrap_err().reason(), Reason::DeadlineExceeded);
        // What 95 of 100 take is known to within some percent.
        assert!(
            (180..=205).contains(&start.elapsed().as_millis()),
            "{:?}",
            start.elapsed()
        );
        assert_eq!(count(&limit, NotAdmitted::Unmeetable), 1);
        assert_eq!(limit.snapshot().queued, 0);
    }

    #[tokio::test(start_paused = true, crate = "leakless")]
    async fn each_route_has_its_own_measure() {
        let layer = ConcurrencyLimitLayer::new(50)
            .queue(0)
            .route(|head| Some(head.uri.path()));
        let limit = layer.limit();
        let come = |path: &str, context: &Context| {
            let request = Request::get(path).body(()).unwrap();
            let head = Head::from(&request);
            let decide = context.scope(async { limit.admit(&Arrival::new(Some(head))) });
            decide.now_or_never().unwrap()
        };
        for _ in 0..8 {
            for (path, took) in [("/slow", 100 * MS), ("/quick", MS)] {
                let permits: Vec<_> = (0..25).map(|_| come(path, &Context::default())).collect();
                advance(took).await;
                for decision in permits {
                    let Decision::Now(permit) = decision else { panic!() };
                    permit.settle(Outcome::Success);
                }
            }
        }
        assert!(matches!(come("/slow", &within(50 * MS)), Decision::No(_)));
        assert!(matches!(come("/quick", &within(50 * MS)), Decision::Now(_)));
        assert!(matches!(come("/new", &within(50 * MS)), Decision::Now(_)));
    }
}

mod laws {
    use super::*;

    /// Says something else after every call.
    #[derive(Clone, Debug)]
    struct Fickle(usize);

    impl Limit for Fickle {
        fn limit(&self) -> usize {
            self.0
        }

        fn update(&mut self, _: &Window<'_>) {
            self.0 ^= 3;
        }

        fn span(&self) -> Span {
            Span {
                duration: Duration::ZERO,
                successes: 1,
            }
        }
    }

    fn call(limit: &ConcurrencyLimit) {
        if let Became::In(permit) = arrive(limit) {
            permit.settle(Outcome::Success);
        }
    }

    #[test]
    fn a_users_word_stands_though_the_law_speaks_at_the_same_moment() {
        for _ in 0..500 {
            let limit = ConcurrencyLimitLayer::with_law(Fickle(101)).queue(0).limit();
            let calling = limit.clone();
            let calls = std::thread::spawn(move || (0..200).for_each(|_| call(&calling)));
            for word in 1..50 {
                limit.set(Some(word));
                limit.set(None);
            }
            limit.set(Some(7));
            calls.join().unwrap();
            assert_eq!(limit.snapshot().limit, 7);
        }
    }

    /// A law that learns nothing, and never wants to.
    #[derive(Clone, Debug)]
    struct Settled;

    impl Limit for Settled {
        fn limit(&self) -> usize {
            1
        }

        fn update(&mut self, _: &Window<'_>) {}

        fn span(&self) -> Span {
            Span {
                duration: Duration::MAX,
                successes: 0,
            }
        }
    }

    #[tokio::test(start_paused = true, crate = "leakless")]
    async fn a_window_may_last_for_ever() {
        let limit = ConcurrencyLimitLayer::with_law(Settled).queue(0).limit();
        call(&limit);
        assert!(matches!(arrive(&limit), Became::In(_)));
    }
}

mod bodies {
    use super::*;

    fn answering<B, F>(
        layer: &ConcurrencyLimitLayer,
        answer: F,
    ) -> impl Service<
        Request<()>,
        Response = Response<impl http_body::Body<Data = Bytes, Error = BoxError>>,
        Error = BoxError,
    > + Clone
    where
        B: http_body::Body<Data = Bytes>,
        B::Error: Into<BoxError>,
        F: Fn() -> Response<B> + Clone,
    {
        let handler = service_fn(move |_: Request<()>| {
            let response = answer();
            async move { Ok::<_, BoxError>(response) }
        });
        DeadlineLayer::new(200 * MS).layer(layer.layer(handler))
    }

    #[tokio::test(start_paused = true, crate = "leakless")]
    async fn a_place_is_held_to_the_end_of_the_body() {
        let layer = ConcurrencyLimitLayer::new(1).queue(0);
        let service = answering(&layer, || Response::new(Full::<Bytes>::from("hello")));
        let response = service.clone().oneshot(Request::new(())).await.unwrap();
        let second = service.clone().oneshot(Request::new(())).await.unwrap();
        assert_eq!(second.status(), 503);
        response.into_body().collect().await.unwrap();
        assert_eq!(service.oneshot(Request::new(())).await.unwrap().status(), 200);
    }

    #[tokio::test(start_paused = true, crate = "leakless")]
    async fn an_answer_without_a_body_gives_its_place_back_at_its_head() {
        let layer = ConcurrencyLimitLayer::new(1).queue(0);
        let service = answering(&layer, || Response::new(Empty::<Bytes>::new()));
        let _response = service.oneshot(Request::new(())).await.unwrap();
        assert_eq!(layer.limit().snapshot().in_flight, 0);
    }

    #[tokio::test(start_paused = true, crate = "leakless")]
    async fn it_can_be_given_back_at_the_head_and_is_for_event_streams_and_upgrades() {
        let body = || Full::<Bytes>::from("hello");
        let at_head = ConcurrencyLimitLayer::new(1).hold_until(HoldUntil::Head);
        let _held = answering(&at_head, move || Response::new(body()))
            .oneshot(Request::new(()))
            .await
            .unwrap();
        assert_eq!(at_head.limit().snapshot().in_flight, 0);

        for (status, content_type, held) in [
            (200, "text/event-stream", 0),
            (200, "Text/Event-Stream; charset=utf-8", 0),
            (200, "text/event", 1),
            (101, "text/plain", 0),
        ] {
            let layer = ConcurrencyLimitLayer::new(1);
            let answer = move || {
                Response::builder()
                    .status(status)
                    .header("content-type", content_type)
                    .body(body())
            };
            let service = answering(&layer, move || answer().unwrap());
            let _response = service.oneshot(Request::new(())).await.unwrap();
            assert_eq!(layer.limit().snapshot().in_flight, held, "{status} {content_type}");
        }
    }

    /// Nobody polls a body whose reader stalls, so its deadline ends nothing: whoever finds the limit full does.
    #[tokio::test(start_paused = true, crate = "leakless")]
    async fn a_reader_who_stalls_beyond_its_deadline_loses_its_place() {
        for queue in [0, 8] {
            let layer = ConcurrencyLimitLayer::new(1).queue(queue).max_wait(MS);
            let service = answering(&layer, || Response::new(Full::<Bytes>::from("hello")));
            let stalled = service.clone().oneshot(Request::new(())).await.unwrap();
            advance(1_199 * MS).await;
            let second = service.clone().oneshot(Request::new(())).await.unwrap();
            assert_eq!(second.status(), 503, "within its deadline, and a second of grace");
            advance(MS).await;
            let second = service.clone().oneshot(Request::new(())).await.unwrap();
            assert_eq!(second.status(), 200);
            assert_eq!(layer.limit().snapshot().in_flight, 1);
            // Its place is another's now: its end gives nothing back.
            drop(stalled);
            assert_eq!(layer.limit().snapshot().in_flight, 1);
            drop(second);
            assert_eq!(layer.limit().snapshot().in_flight, 0);
        }
    }

    #[tokio::test(start_paused = true, crate = "leakless")]
    async fn who_waits_already_has_the_place_of_a_reader_who_stalls() {
        let layer = ConcurrencyLimitLayer::new(1).max_wait(60_000 * MS);
        let service = answering(&layer, || Response::new(Full::<Bytes>::from("hello")));
        let stalled = service.clone().oneshot(Request::new(())).await.unwrap();
        let start = Instant::now();
        let line = queue(&layer.limit());
        let _place = line.await.unwrap();
        // A deadline of 200 ms, a second of grace, and who waits looks once in a second.
        assert!(start.elapsed() <= 2_200 * MS, "{:?}", start.elapsed());
        drop(stalled);
        assert_eq!(layer.limit().snapshot().in_flight, 1);
    }

    #[tokio::test(start_paused = true, crate = "leakless")]
    async fn a_typed_service_answers_with_an_error() {
        let layer = ConcurrencyLimitLayer::new(1).queue(0).typed();
        let (_send, receive) = tokio::sync::oneshot::channel::<u32>();
        let receive = std::sync::Arc::new(std::sync::Mutex::new(Some(receive)));
        let service = layer.layer(service_fn(move |_: u32| {
            let receive = receive.lock().unwrap().take();
            async move { receive.unwrap().await.map_err(BoxError::from) }
        }));
        let mut first = pin!(service.clone().oneshot(1));
        assert!(poll!(&mut first).is_pending());
        let error = service.oneshot(2).await.unwrap_err();
        assert_eq!(error.downcast::<Rejection>().unwrap().reason(), Reason::Overloaded);
    }
}

/// Whatever a request is dropped at, nothing of it remains.
mod drops {
    use super::*;

    /// A future that is pending so many times.
    struct Steps(usize);

    impl Future for Steps {
        type Output = ();

        fn poll(mut self: Pin<&mut Self>, cx: &mut std::task::Context<'_>) -> Poll<()> {
            if self.0 == 0 {
                return Poll::Ready(());
            }
            self.0 -= 1;
            cx.waker().wake_by_ref();
            Poll::Pending
        }
    }

    /// A request that waits in the queue, then in its handler, then in its body.
    async fn request(layer: ConcurrencyLimitLayer) -> Result<(), BoxError> {
        let handler = service_fn(async |_: Request<()>| {
            Steps(3).await;
            let (mut send, body) = Channel::<Bytes, BoxError>::new(1);
            tokio::spawn(async move {
                for _ in 0..3 {
                    Steps(2).await;
                    let _ = send.send_data(Bytes::from_static(b"part")).await;
                }
            });
            Ok::<_, BoxError>(Response::new(body))
        });
        let service = DeadlineLayer::new(1_000 * MS).layer(layer.layer(handler));
        let response = service.oneshot(Request::new(())).await?;
        response.into_body().collect().await?;
        Ok(())
    }

    #[tokio::test(start_paused = true, crate = "leakless")]
    async fn a_request_can_be_dropped_after_any_poll() {
        let mut polls = 0;
        loop {
            let layer = ConcurrencyLimitLayer::new(1).queue(8);
            let limit = layer.limit();
            let mut inside = Some(enter(&limit));
            let mut request = Box::pin(request(layer));
            let mut done = false;
            for poll in 0..polls {
                if poll == 2 {
                    inside = None;
                }
                done = poll!(&mut request).is_ready();
                tokio::task::yield_now().await;
                if done {
                    break;
                }
            }
            drop(request);
            drop(inside);
            let snapshot = limit.snapshot();
            assert_eq!(
                (snapshot.in_flight, snapshot.queued),
                (0, 0),
                "dropped after {polls} polls"
            );
            if done {
                break;
            }
            polls += 1;
        }
        assert!(polls > 8, "through queue, handler and body: {polls}");
    }
}

/// Callers that leave, from the queue and from within, on more than one thread.
#[test]
fn a_queue_that_its_callers_leave_leaves_nothing() {
    leak::Check::new().multi_thread(2).assert_none(|| async {
        let limit = ConcurrencyLimitLayer::new(2);
        let handler = |_: Request<Empty<Bytes>>| async {
            drop(Context::current().spawn("of a request", std::future::pending::<()>()));
            tokio::time::sleep(MS).await;
            Ok::<_, Infallible>(Response::new(Full::<Bytes>::from("body")))
        };
        let service = ServiceBuilder::new()
            .layer(CancelLayer::new())
            .layer(limit.clone())
            .service_fn(handler);
        let callers: Vec<_> = (0..64)
            .map(|_| tokio::spawn(service.clone().oneshot(Request::new(Empty::new()))))
            .collect();
        tokio::time::sleep(3 * MS).await;
        for caller in &callers {
            caller.abort();
        }
        for caller in callers {
            let _ = caller.await;
        }
        let now = limit.limit().snapshot();
        assert_eq!((now.in_flight, now.queued), (0, 0));
    });
}

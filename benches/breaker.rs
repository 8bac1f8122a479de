//! What a circuit breaker and a client throttle cost per call, beside what others offer for the same; and what two threads at
//! once make of one.
//!
//! All calls succeed, or all are rejected by an open circuit. The peers judge a call at its head, by the service's own result; ours
//! follow it to the end of its body, read a gRPC status and answer in the caller's protocol. The aims say that they cost less all the
//! same. How it is measured stands in [`support`]. seatbelt and ours look back over time, tower-resilience's over the last hundred
//! calls: its window of time keeps every call in a list.

#![allow(
    clippy::disallowed_methods,
    clippy::disallowed_types,
    reason = "a bench reads the real clock and starts processes"
)]

#[allow(dead_code, unused_imports, reason = "each bench uses its part of it")]
mod support;

use std::{
    convert::Infallible,
    future::{Ready, ready},
    hint::black_box,
    pin::Pin,
    sync::{Arc, Barrier, LazyLock},
    task::{Context, Poll, Waker},
    thread,
    time::{Duration, Instant},
};

use buttress::{AdmissionLayer, BreakerLayer, Rejection, ThrottleLayer, admission::drain::Drain};
use bytes::Bytes;
use http::{Request, Response};
use http_body::Body;
use http_body_util::Full;
use pin_project::pin_project;
use seatbelt::{RecoveryInfo, ResilienceContext, breaker::Breaker};
use tokio::runtime::Runtime;
use tower::{Layer, Service};
use tower_resilience_circuitbreaker::CircuitBreakerLayer;

use self::support::{Aim, BARE, Drive, End, Handler, Requests, Results, Suite, Wheel, drive};

const SEATBELT: &str = "seatbelt";
const RESILIENCE: &str = "tower-resilience";
/// What follows a call to its end, for a policy that says nothing.
const ENGINE: &str = "the engine, no policy";
const OURS: &str = "breaker";
const EACH: &str = "breaker, per destination";
const TYPED: &str = "breaker, typed";
const THROTTLE: &str = "throttle";

const SUCCESS: &str = "closed, all succeed";
const REJECTED: &str = "open, all are rejected";

type Answer = Response<Full<Bytes>>;

/// seatbelt's, over 10 s as ours, and open for good once it is.
fn seatbelt<E: Send + 'static>(
    rejected: fn() -> E,
) -> seatbelt::breaker::BreakerLayer<
    Request<Full<Bytes>>,
    Result<Answer, E>,
    seatbelt::typestates::Set,
    seatbelt::typestates::Set,
> {
    // Its clock wants a runtime that is there when it is made; it is asked for nothing else.
    static RUNTIME: LazyLock<Runtime> = LazyLock::new(|| Runtime::new().expect("a runtime"));
    let _entered = RUNTIME.enter();
    let context = ResilienceContext::new(tick::Clock::new_tokio());
    Breaker::layer("bench", &context)
        .recovery_with(|result: &Result<Answer, E>, _| match result {
            Ok(answer) if answer.status().is_server_error() => RecoveryInfo::retry(),
            Ok(_) => RecoveryInfo::never(),
            Err(_) => RecoveryInfo::retry(),
        })
        .rejected_input_error(move |_, _| rejected())
        .failure_threshold(0.5)
        .min_throughput(20)
        .sampling_duration(Duration::from_secs(10))
        .break_duration(Duration::from_secs(3_600))
}

fn suite() -> Suite {
    let (mut suite, drive) = (Suite::default(), Drive::new(Wheel::Busy));
    success(&mut suite, &drive);
    rejected(&mut suite, &drive);
    suite
}

fn success(suite: &mut Suite, drive: &Drive) {
    let handler = Handler::immediate;
    let mut add = |name, run| suite.case(SUCCESS, name, BARE, run);
    let plain = |service| drive.requests(service, Requests::plain(), End::Head);
    add(BARE, plain(handler()));
    let seatbelt = seatbelt(|| -> Infallible { unreachable!("all succeed") });
    add(
        SEATBELT,
        drive.requests(seatbelt.layer(handler()), Requests::plain(), End::Head),
    );
    let resilience = CircuitBreakerLayer::builder().build().expect("a breaker");
    add(
        RESILIENCE,
        drive.requests(resilience.layer(handler()), Requests::plain(), End::Head),
    );
    let failsafe = Arc::new(failsafe::Config::new().build());
    add(
        "failsafe, by hand",
        drive.requests(Failsafe(handler(), failsafe), Requests::plain(), End::Head),
    );
    let ours = |layer: BreakerLayer| drive.requests(layer.layer(handler()), Requests::json(), End::Head);
    let plain = |layer: BreakerLayer| drive.requests(layer.layer(handler()), Requests::plain(), End::Head);
    let engine = AdmissionLayer::new(None::<Drain>).layer(handler());
    add(ENGINE, drive.requests(engine, Requests::plain(), End::Head));
    add(OURS, plain(BreakerLayer::new()));
    add("breaker, window of calls", plain(BreakerLayer::new().window_calls(100)));
    let slow = BreakerLayer::new().slow_call(Duration::from_secs(1), 0.5);
    add("breaker, slow calls", plain(slow));
    let throttle = ThrottleLayer::new().layer(handler());
    add(THROTTLE, drive.requests(throttle, Requests::plain(), End::Head));
    // With the headers of a call, its `host` among them.
    suite.case(
        SUCCESS,
        "bare, JSON",
        BARE,
        drive.requests(handler(), Requests::json(), End::Head),
    );
    suite.case(SUCCESS, EACH, "bare, JSON", ours(BreakerLayer::new().per_destination()));
    let throttle = ThrottleLayer::new().per_destination().layer(handler());
    let run = drive.requests(throttle, Requests::json(), End::Head);
    suite.case(SUCCESS, "throttle, per destination", "bare, JSON", run);
}

fn rejected(suite: &mut Suite, drive: &Drive) {
    let mut add = |name, run| suite.case(REJECTED, name, BARE, run);
    add(BARE, drive.requests(Fails, Requests::plain(), End::Rejected));
    add(
        SEATBELT,
        drive.requests(seatbelt(|| None).layer(Fails), Requests::plain(), End::Rejected),
    );
    let resilience = CircuitBreakerLayer::builder().wait_duration_in_open(Duration::from_secs(3_600));
    let resilience = resilience.build().expect("a breaker").layer(Fails);
    add(RESILIENCE, drive.requests(resilience, Requests::plain(), End::Rejected));
    let ours = BreakerLayer::new().open_for(Duration::from_secs(3_600));
    add(
        OURS,
        drive.requests(ours.layer(Fails), Requests::plain(), End::Rejected),
    );
    let typed = ours.per_service().typed();
    add(
        TYPED,
        drive.requests(typed.layer(Fails), Requests::plain(), End::Rejected),
    );
}

/// What a rejection is counted over.
#[derive(Clone)]
struct Fails;

impl Service<Request<Full<Bytes>>> for Fails {
    type Response = Answer;
    type Error = Option<Rejection>;
    type Future = Ready<Result<Answer, Option<Rejection>>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Option<Rejection>>> {
        Poll::Ready(Ok(()))
    }

    #[inline(never)]
    fn call(&mut self, request: Request<Full<Bytes>>) -> Self::Future {
        drop(black_box(request));
        ready(Err(None))
    }
}

/// failsafe knows no tower: its circuit asked and told by hand.
struct Failsafe<S, B>(S, Arc<B>);

impl<S: Clone, B> Clone for Failsafe<S, B> {
    fn clone(&self) -> Self {
        Self(self.0.clone(), self.1.clone())
    }
}

#[pin_project]
struct FailsafeFuture<F, B>(#[pin] F, Arc<B>);

impl<S, B> Service<Request<Full<Bytes>>> for Failsafe<S, B>
where
    S: Service<Request<Full<Bytes>>>,
    B: failsafe::CircuitBreaker,
{
    type Response = S::Response;
    type Error = S::Error;
    type Future = FailsafeFuture<S::Future, B>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.0.poll_ready(cx)
    }

    fn call(&mut self, request: Request<Full<Bytes>>) -> Self::Future {
        assert!(black_box(self.1.is_call_permitted()), "all succeed");
        FailsafeFuture(self.0.call(request), self.1.clone())
    }
}

impl<F, T, E, B> Future for FailsafeFuture<F, B>
where
    F: Future<Output = Result<T, E>>,
    B: failsafe::CircuitBreaker,
{
    type Output = F::Output;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<F::Output> {
        let this = self.project();
        this.0.poll(cx).map(|result| match this.1.call(|| result) {
            Ok(answer) => Ok(answer),
            Err(failsafe::Error::Inner(error)) => Err(error),
            Err(failsafe::Error::Rejected) => unreachable!("all succeed"),
        })
    }
}

// === two threads ===

/// How often each is timed, alone and together in turn. The best of each counts: a neighbour only ever takes away.
const ROUNDS: usize = 12;
const CALLS: u32 = 100_000;

/// Without tower-resilience, whose lock is asynchronous: it wants to be woken, and here nobody sleeps.
fn threads() -> Vec<Aim> {
    println!("\ntwo threads on one service, as a multiple of one, with no work to do");
    gain(BARE, &Handler::immediate());
    gain(
        SEATBELT,
        &seatbelt(|| -> Infallible { unreachable!() }).layer(Handler::immediate()),
    );
    let breaker = gain(OURS, &BreakerLayer::new().layer(Handler::immediate()));
    let calls = BreakerLayer::new().window_calls(100);
    gain("breaker, window of calls", &calls.layer(Handler::immediate()));
    let each = gain(EACH, &BreakerLayer::new().per_destination().layer(Handler::immediate()));
    let throttle = gain(THROTTLE, &ThrottleLayer::new().layer(Handler::immediate()));
    let aim = |(name, gain): (&str, f64)| Aim {
        what: format!("{name}: one thread / two, no work"),
        value: Some(1.0 / gain),
        most: 1.0 / 0.95,
    };
    [(OURS, breaker), (EACH, each), (THROTTLE, throttle)].map(aim).into()
}

/// What two threads get done, as a multiple of what one does.
fn gain<S, B>(name: &str, service: &S) -> f64
where
    S: Service<Request<Full<Bytes>>, Response = Response<B>> + Clone + Send,
    B: Body,
{
    let mut best = [0_f64; 2];
    for _ in 0..ROUNDS {
        for threads in [1, 2] {
            let best = &mut best[threads - 1];
            *best = best.max(rate(service, threads));
        }
    }
    let gain = best[1] / best[0];
    println!("{name:42}  {gain:>6.2}");
    gain
}

/// Calls a second of so many threads.
fn rate<S, B>(service: &S, threads: usize) -> f64
where
    S: Service<Request<Full<Bytes>>, Response = Response<B>> + Clone + Send,
    B: Body,
{
    let ready = Barrier::new(threads);
    let work = |mut service: S| {
        let requests = Requests::plain();
        let mut cx = Context::from_waker(Waker::noop());
        ready.wait();
        let start = Instant::now();
        for _ in 0..CALLS {
            drive(&mut cx, &mut service, requests.one(), End::Head);
        }
        start.elapsed()
    };
    let took = thread::scope(|scope| {
        let work = &work;
        let clones = (0..threads).map(|_| service.clone());
        let running: Vec<_> = clones.map(|service| scope.spawn(move || work(service))).collect();
        let took = running.into_iter().map(|thread| thread.join().expect("it ends"));
        took.max().unwrap_or_default()
    });
    f64::from(CALLS) * if threads == 2 { 2.0 } else { 1.0 } / took.as_secs_f64()
}

fn aims(results: &Results) -> Vec<Aim> {
    let mut aims = vec![
        Aim {
            what: format!("{SUCCESS}: {OURS} / {SEATBELT}"),
            value: results.ratio(SUCCESS, OURS, SEATBELT),
            most: 0.4,
        },
        Aim {
            what: format!("{REJECTED}: {TYPED} / {SEATBELT}"),
            value: results.ratio(REJECTED, TYPED, SEATBELT),
            most: 1.0,
        },
    ];
    for name in [OURS, EACH, THROTTLE] {
        aims.push(Aim {
            what: format!("{SUCCESS}: {name}, allocations"),
            value: results.over(SUCCESS, name).map(|cost| cost.allocations),
            most: 0.0,
        });
    }
    aims.extend(threads());
    aims
}

fn main() {
    support::main(suite(), &[SEATBELT, RESILIENCE], aims);
}

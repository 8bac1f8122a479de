//! How a request is driven through a service: by hand, inside of a runtime whose timers are as a busy server's.

use std::{
    cell::RefCell,
    hint::black_box,
    iter,
    pin::{Pin, pin},
    rc::Rc,
    sync::Arc,
    task::{Context, Poll, Wake, Waker},
    time::{Duration, Instant},
};

use bytes::Bytes;
use http::{Request, Response};
use http_body::Body;
use http_body_util::Full;
use tokio::{
    runtime::{Builder, Runtime},
    task::{unconstrained, yield_now},
    time::Sleep,
};
use tower::Service;

use super::{Requests, Run};

/// What else the runtime's timer wheel holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Wheel {
    /// A timer that fires before any of the requests' would, as on a server that does other things too.
    Busy,
    /// Nothing: then each timer that is armed wakes the driver, by a write to its eventfd.
    Empty,
}

/// Before the nearest deadline of any request, after the end of any batch.
const NEAR: Duration = Duration::from_millis(900);

/// How far a request gets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum End {
    /// To the head of its response, which is dropped with its body unread.
    Head,
    /// To the end of its response's body.
    Body,
    /// Nowhere: it is rejected, by an error or by a response that says so.
    Rejected,
}

/// Drives requests, in one runtime for all cases.
#[derive(Clone)]
pub(crate) struct Drive {
    runtime: Rc<Runtime>,
    near: Option<Rc<RefCell<Pin<Box<Sleep>>>>>,
}

impl Drive {
    /// A runtime of one thread, with its timers and its reactor.
    pub(crate) fn new(wheel: Wheel) -> Self {
        let runtime = Builder::new_current_thread().enable_all().build().expect("a runtime");
        let near = (wheel == Wheel::Busy).then(|| {
            let _entered = runtime.enter();
            Rc::new(RefCell::new(Box::pin(tokio::time::sleep(NEAR))))
        });
        Self {
            runtime: Rc::new(runtime),
            near,
        }
    }

    /// A case's run: each request waits for readiness, is called, polled to its response, and that is dropped.
    pub(crate) fn requests<S, B>(&self, mut service: S, requests: Requests, end: End) -> Run
    where
        S: Service<Request<Full<Bytes>>, Response = Response<B>> + 'static,
        B: Body,
    {
        let drive = self.clone();
        Box::new(move |count| drive.run(|cx| batch(cx, count, &mut service, &requests, end)))
    }

    /// Has so many requests begun and never ended: what they hold of the service's limits stays held.
    pub(crate) fn hold<S, B>(&self, service: &S, requests: &Requests, count: usize)
    where
        S: Service<Request<Full<Bytes>>, Response = Response<B>> + Clone + 'static,
    {
        self.run(|cx| {
            for _ in 0..count {
                let mut service = service.clone();
                let _ = service.poll_ready(cx);
                let mut call = Box::pin(service.call(requests.one()));
                assert!(call.as_mut().poll(cx).is_pending(), "the handler is pending once");
                Box::leak(Box::new(call));
            }
            Duration::ZERO
        });
    }

    /// Runs a batch within the runtime.
    ///
    /// It polls by hand and never returns to the runtime: a turn of that costs an `epoll_wait`, which is not what is measured
    /// here. `unconstrained`, because a timer would otherwise be told to yield after some polls.
    fn run(&self, run: impl FnOnce(&mut Context<'_>) -> Duration) -> Duration {
        self.runtime.block_on(unconstrained(async {
            if let Some(near) = &self.near {
                let mut near = near.borrow_mut();
                near.as_mut().reset(tokio::time::Instant::now() + NEAR);
                let _ = near.as_mut().poll(&mut Context::from_waker(Waker::noop()));
            }
            // One turn, in which the driver learns when its next timer is.
            yield_now().await;
            let waker = Waker::from(Arc::new(Unheard));
            let mut cx = Context::from_waker(&waker);
            run(&mut cx)
        }))
    }
}

/// A waker that costs what a task's does to keep, an atomic count, and wakes nobody.
struct Unheard;

impl Wake for Unheard {
    fn wake(self: Arc<Self>) {}
}

/// Runs what is driven otherwise than by [`drive`], so that its instructions are counted: those of this thread.
#[inline(never)]
pub(crate) fn counted<T>(run: impl FnOnce() -> T) -> T {
    black_box(run())
}

/// As many requests as fit in the nearest cache beside what the layers need.
const QUEUE: usize = 64;

/// Runs the requests, and says how long they took from the moment each was at hand.
///
/// They are built before the clock starts, some at a time: on a server a head was parsed long before a layer sees it, and one
/// that was written a moment ago is slow to read, which would be counted to whichever layer reads it first.
#[inline(never)]
fn batch<S, B>(cx: &mut Context<'_>, count: u64, service: &mut S, requests: &Requests, end: End) -> Duration
where
    S: Service<Request<Full<Bytes>>, Response = Response<B>>,
    B: Body,
{
    let mut queue = Vec::with_capacity(QUEUE);
    let mut took = Duration::ZERO;
    let mut left = usize::try_from(count).unwrap_or(usize::MAX);
    while left > 0 {
        queue.extend(iter::repeat_with(|| requests.one()).take(left.min(QUEUE)));
        left -= queue.len();
        let start = Instant::now();
        for request in queue.drain(..) {
            drive(cx, service, request, end);
        }
        took += start.elapsed();
    }
    took
}

/// Drives one request.
///
/// # Panics
///
/// Where it does not end like this.
#[inline]
pub(crate) fn drive<S, B>(cx: &mut Context<'_>, service: &mut S, mut request: Request<Full<Bytes>>, end: End)
where
    S: Service<Request<Full<Bytes>>, Response = Response<B>>,
    B: Body,
{
    // Out of the optimizer's sight: it must not know the settings, the request or the response.
    let service = black_box(service);
    black_box(&mut request);
    assert!(
        matches!(service.poll_ready(cx), Poll::Ready(Ok(()))),
        "the service is ready"
    );
    let mut output = {
        let mut call = pin!(service.call(request));
        loop {
            if let Poll::Ready(output) = call.as_mut().poll(cx) {
                break output;
            }
        }
    };
    black_box(&mut output);
    match (end, output) {
        (End::Rejected, Err(_)) => {}
        (End::Rejected, Ok(response)) => assert!(!response.status().is_success(), "the service rejects"),
        (_, Err(_)) => panic!("the service answers"),
        (End::Head, Ok(response)) => drop(response),
        (End::Body, Ok(response)) => {
            let mut body = pin!(response.into_body());
            // As hyper reads: not past an end that is known.
            while !body.is_end_stream() {
                match body.as_mut().poll_frame(cx) {
                    Poll::Ready(Some(Ok(frame))) => drop(black_box(frame)),
                    Poll::Ready(None) => break,
                    Poll::Ready(Some(Err(_))) | Poll::Pending => panic!("the body has a frame"),
                }
            }
        }
    }
}

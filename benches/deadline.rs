//! What deadlines and cancellation cost per request, beside what others offer for the same.
//!
//! Our layers do more than the peers: they read the caller's deadline, hold the body to it, answer in the caller's protocol and
//! end the work of a caller who left. The aims say that they cost less all the same; the table says whether they do. How it is
//! measured stands in [`support`].
//!
//! "Both" is [`DeadlineLayer`] around [`CancelLayer`], as the README has them, with a default deadline: so a request without a
//! header has one too, and its one clock read. `from_headers` is the same without a default.

#![allow(
    clippy::disallowed_methods,
    clippy::disallowed_types,
    reason = "a bench reads the real clock and starts processes"
)]

#[allow(dead_code, unused_imports, reason = "each bench uses its part of it")]
mod support;

use std::{
    hint::black_box,
    pin::Pin,
    task::{Context, Poll},
    time::Duration,
};

use buttress::{CancelLayer, DeadlineLayer, PropagateDeadlineLayer};
use bytes::Bytes;
use http::{Request, Response, StatusCode};
use http_body::Body;
use http_body_util::Full;
use pin_project::pin_project;
use tokio_util::sync::{CancellationToken, DropGuard};
use tower::{Layer, Service};
use tower_http::timeout::{ResponseBodyDeadlineLayer, TimeoutLayer};
use tower_resilience_timelimiter::TimeLimiterLayer;

use self::support::{Aim, BARE, Drive, End, Handler, Requests, Results, Suite, Wheel};

/// Every layer's limit: longer than any batch, and than the deadlines in the headers.
const LIMIT: Duration = Duration::from_secs(10);

const TOWER: &str = "tower Timeout";
const TOWER_HTTP: &str = "tower-http TimeoutLayer";
const BOTH: &str = "deadline + cancel";
const FROM_HEADERS: &str = "both, from_headers";
const ASKED: &str = "both, context asked for";
const CLIENT: &str = "bare, with a client call";
const FULL_PATH: &str = "both, propagated on a client call";

/// A service and what is asked of it.
#[derive(Clone)]
struct Scenario {
    group: &'static str,
    drive: Drive,
    requests: Requests,
    handler: Handler,
    end: End,
}

impl Scenario {
    fn add<S, B>(&self, suite: &mut Suite, name: &'static str, service: S)
    where
        S: Service<Request<Full<Bytes>>, Response = Response<B>> + 'static,
        B: Body,
    {
        self.add_over(suite, name, BARE, service);
    }

    fn add_over<S, B>(&self, suite: &mut Suite, name: &'static str, over: &'static str, service: S)
    where
        S: Service<Request<Full<Bytes>>, Response = Response<B>> + 'static,
        B: Body,
    {
        let run = self.drive.requests(service, self.requests.clone(), self.end);
        suite.case(self.group, name, over, run);
    }

    /// What everything is compared with.
    fn references(&self, suite: &mut Suite) {
        let handler = || self.handler.clone();
        self.add(suite, BARE, handler());
        self.add(suite, TOWER, tower::timeout::Timeout::new(handler(), LIMIT));
        self.add(suite, TOWER_HTTP, tower_http().layer(handler()));
    }

    fn all(&self, suite: &mut Suite) {
        let handler = || self.handler.clone();
        self.references(suite);
        let limiter = TimeLimiterLayer::builder().timeout_duration(LIMIT).build();
        self.add(suite, "tower-resilience TimeLimiter", limiter.layer(handler()));
        self.add(suite, "CancellationToken per request", Token(handler()));
        self.add(suite, "deadline alone", DeadlineLayer::new(LIMIT).layer(handler()));
        self.add(suite, "cancel alone", CancelLayer::new().layer(handler()));
        self.add(suite, BOTH, both(handler()));
        let from_headers = DeadlineLayer::from_headers().layer(CancelLayer::new().layer(handler()));
        self.add(suite, FROM_HEADERS, from_headers);
        self.add(suite, ASKED, both(handler().asks()));
        self.add(suite, CLIENT, Calling(handler()));
        let client = PropagateDeadlineLayer::new().layer(handler());
        self.add_over(suite, FULL_PATH, CLIENT, both(Calling(client)));
    }

    fn body(&self, suite: &mut Suite) {
        let handler = || self.handler.clone();
        self.references(suite);
        // The other way round does not compile: tower-http's timeout wants a body that is `Default`.
        let bounded = ResponseBodyDeadlineLayer::new(LIMIT).layer(tower_http().layer(handler()));
        self.add(suite, "tower-http, body deadline too", bounded);
        self.add(suite, BOTH, both(handler()));
    }
}

fn tower_http() -> TimeoutLayer {
    TimeoutLayer::with_status_code(StatusCode::GATEWAY_TIMEOUT, LIMIT)
}

fn both<S>(inner: S) -> <DeadlineLayer as Layer<<CancelLayer as Layer<S>>::Service>>::Service {
    DeadlineLayer::new(LIMIT).layer(CancelLayer::new().layer(inner))
}

/// A handler that makes one call through a client.
#[derive(Clone)]
struct Calling<C>(C);

impl<C: Service<Request<Full<Bytes>>>> Service<Request<Full<Bytes>>> for Calling<C> {
    type Response = C::Response;
    type Error = C::Error;
    type Future = C::Future;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), C::Error>> {
        self.0.poll_ready(cx)
    }

    fn call(&mut self, request: Request<Full<Bytes>>) -> C::Future {
        drop(black_box(request));
        let mut outgoing = Request::new(Full::default());
        black_box(&mut outgoing);
        self.0.call(outgoing)
    }
}

/// Cancellation as an application writes it by hand: a token for the request, a child of it for the handler's work, and a
/// guard in the response future.
#[derive(Clone)]
struct Token<S>(S);

#[pin_project]
struct TokenFuture<F> {
    _guard: DropGuard,
    _child: CancellationToken,
    #[pin]
    inner: F,
}

impl<S: Service<Request<Full<Bytes>>>> Service<Request<Full<Bytes>>> for Token<S> {
    type Response = S::Response;
    type Error = S::Error;
    type Future = TokenFuture<S::Future>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.0.poll_ready(cx)
    }

    fn call(&mut self, request: Request<Full<Bytes>>) -> Self::Future {
        let token = CancellationToken::new();
        TokenFuture {
            _child: token.child_token(),
            _guard: token.drop_guard(),
            inner: self.0.call(request),
        }
    }
}

impl<F: Future> Future for TokenFuture<F> {
    type Output = F::Output;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<F::Output> {
        self.project().inner.poll(cx)
    }
}

const IMMEDIATE: [&str; 5] = [
    "immediate, no header",
    "immediate, x-request-timeout-ms",
    "immediate, grpc-timeout",
    "immediate, a POST of JSON",
    "immediate, a browser's ten headers",
];
const PENDING: [&str; 5] = [
    "pending once, no header",
    "pending once, x-request-timeout-ms",
    "pending once, grpc-timeout",
    "pending once, a POST of JSON",
    "pending once, a browser's ten headers",
];

fn suite() -> Suite {
    let mut suite = Suite::default();
    let busy = Drive::new(Wheel::Busy);
    let requests = [
        Requests::plain(),
        Requests::with_deadline(),
        Requests::grpc(),
        Requests::json(),
        Requests::browser(),
    ];
    let scenario = |group, requests: &Requests, handler: Handler| Scenario {
        group,
        drive: busy.clone(),
        requests: requests.clone(),
        handler,
        end: End::Head,
    };
    for (group, requests) in IMMEDIATE.into_iter().zip(&requests) {
        scenario(group, requests, Handler::immediate()).all(&mut suite);
    }
    for (group, requests) in PENDING.into_iter().zip(&requests) {
        scenario(group, requests, Handler::immediate().pending_once()).all(&mut suite);
    }
    let mut empty = scenario(
        "pending once, no header, on an empty timer wheel",
        &requests[0],
        Handler::immediate().pending_once(),
    );
    empty.drive = Drive::new(Wheel::Empty);
    empty.references(&mut suite);
    empty.add(&mut suite, BOTH, both(empty.handler.clone()));
    let mut body = scenario(
        "immediate, no header, a body of one frame read to its end",
        &requests[0],
        Handler::immediate().body(b"hello, world"),
    );
    body.end = End::Body;
    body.body(&mut suite);
    suite
}

fn aims(results: &Results) -> Vec<Aim> {
    let mut aims = Vec::new();
    let mut ratio = |group: &'static str, reference, most| {
        aims.push(Aim {
            what: format!("{group}: ours / {reference}"),
            value: results.ratio(group, BOTH, reference),
            most,
        });
    };
    let [none, header, grpc, json, browser] = IMMEDIATE;
    ratio(none, TOWER_HTTP, 0.6);
    ratio(json, TOWER_HTTP, 0.6);
    ratio(browser, TOWER_HTTP, 0.6);
    ratio(header, TOWER_HTTP, 1.0);
    ratio(grpc, TOWER_HTTP, 1.0);
    for group in PENDING {
        ratio(group, TOWER, 1.5);
    }
    for group in IMMEDIATE.into_iter().chain(PENDING) {
        let cost = results.over(group, BOTH);
        aims.push(Aim {
            what: format!("{group}: allocations"),
            value: cost.map(|cost| cost.allocations),
            most: 0.0,
        });
        aims.push(Aim {
            what: format!("{group}: clock reads"),
            value: cost.and_then(|cost| cost.clock_reads),
            most: 1.0,
        });
    }
    aims
}

fn main() {
    support::main(suite(), &[TOWER_HTTP, TOWER], aims);
}

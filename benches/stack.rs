//! What a whole stack costs a request, beside the same layers by hand, and beside what one would stack of tower's and tower-http's.
//!
//! The peers do less: tower's limit lets go at the head, its timeout covers neither readiness nor body, and none of them sees the caller leave,
//! reads a deadline, or keeps a budget. The rows of one side only are for seeing what a part of the stack costs: one that is left out is
//! there and switched off. How it is measured stands in [`support`].

#![allow(
    clippy::disallowed_methods,
    clippy::disallowed_types,
    reason = "a bench reads the real clock and starts processes"
)]

#[allow(dead_code, unused_imports, reason = "each bench uses its part of it")]
mod support;

use std::time::Duration;

use buttress::{
    CancelLayer, ConcurrencyLimitLayer, CriticalityLayer, DeadlineLayer, LoadShedLayer, RetryLayer, TimeoutLayer,
    body::replay::Replay,
};
use bytes::Bytes;
use http::{Request, Response, StatusCode};
use http_body::Body;
use http_body_util::Full;
use tower::{Service, ServiceBuilder, service_fn};
use tower_http::timeout::TimeoutLayer as TowerHttpTimeout;

use self::support::{Aim, BARE, Drive, End, Handler, Requests, Results, Suite, Wheel};

const LIMIT: Duration = Duration::from_secs(10);

const SERVER: &str = "a server, immediate";
const PENDING: &str = "a server, pending once";
const CLIENT: &str = "a client, immediate";
const TOWER: &str = "tower and tower-http";
const OURS: &str = "the stack";
const BY_HAND: &str = "the same by hand";
const LEFT_OUT: &str = "all left out";
const LEAST: &str = "the deadline and the context alone";

fn server(suite: &mut Suite, drive: &Drive, group: &'static str, handler: &Handler) {
    let mut add = |name, run| suite.case(group, name, BARE, run);
    let requests = Requests::plain();
    add(BARE, drive.requests(handler.clone(), requests.clone(), End::Head));
    let tower = ServiceBuilder::new()
        .layer(TowerHttpTimeout::with_status_code(StatusCode::GATEWAY_TIMEOUT, LIMIT))
        .load_shed()
        .concurrency_limit(1_000)
        .service(handler.clone());
    add(TOWER, drive.requests(tower, requests.clone(), End::Head));
    let stack = buttress::server(LIMIT);
    add(
        OURS,
        drive.requests(stack.service(handler.clone()), requests.clone(), End::Head),
    );
    let by_hand = ServiceBuilder::new()
        .layer(CriticalityLayer::new())
        .layer(DeadlineLayer::new(LIMIT))
        .layer(CancelLayer::new())
        .layer(LoadShedLayer::new())
        .layer(ConcurrencyLimitLayer::adaptive())
        .service(handler.clone());
    add(BY_HAND, drive.requests(by_hand, requests.clone(), End::Head));
    let least = stack.clone().criticality(None).shed(None).limit(None);
    add(
        LEAST,
        drive.requests(least.service(handler.clone()), requests.clone(), End::Head),
    );
    let none = least.deadline(None).cancel(None);
    add(
        LEFT_OUT,
        drive.requests(none.service(handler.clone()), requests, End::Head),
    );
}

/// A transport that takes what retries send.
fn transport<B: Body<Data = Bytes>>(
    handler: &Handler,
) -> impl Service<Request<B>, Response = Response<Full<Bytes>>, Error = <Handler as Service<Request<Full<Bytes>>>>::Error>
+ Clone
+ 'static {
    let handler = handler.clone();
    service_fn(move |request: Request<B>| handler.clone().call(request.map(|_| Full::default())))
}

fn client(suite: &mut Suite, drive: &Drive, handler: &Handler) {
    let mut add = |name, run| suite.case(CLIENT, name, BARE, run);
    let requests = Requests::plain();
    add(
        BARE,
        drive.requests(transport::<Full<Bytes>>(handler), requests.clone(), End::Head),
    );
    let tower = ServiceBuilder::new()
        .layer(TowerHttpTimeout::with_status_code(StatusCode::GATEWAY_TIMEOUT, LIMIT))
        .load_shed()
        .concurrency_limit(1_000)
        .service(transport::<Full<Bytes>>(handler));
    add(TOWER, drive.requests(tower, requests.clone(), End::Head));
    let stack = buttress::client(LIMIT);
    let ours = stack.service(transport::<Replay<Replay<Full<Bytes>>>>(handler));
    add(OURS, drive.requests(ours, requests.clone(), End::Head));
    let by_hand = ServiceBuilder::new()
        .layer(TimeoutLayer::new(LIMIT))
        .layer(RetryLayer::new())
        .layer(buttress::BreakerLayer::new().per_destination())
        .layer(buttress::ThrottleLayer::new().per_destination())
        .layer(buttress::PropagateDeadlineLayer::new())
        .layer(buttress::PropagateCriticalityLayer::new())
        .service(transport::<Replay<Full<Bytes>>>(handler));
    add(BY_HAND, drive.requests(by_hand, requests.clone(), End::Head));
    let none = stack
        .timeout(None)
        .retry(None)
        .breaker(None)
        .throttle(None)
        .deadline(None)
        .criticality(None);
    let none = none.service(transport::<Replay<Replay<Full<Bytes>>>>(handler));
    add(LEFT_OUT, drive.requests(none, requests, End::Head));
}

fn suite() -> Suite {
    let mut suite = Suite::default();
    let drive = Drive::new(Wheel::Busy);
    server(&mut suite, &drive, SERVER, &Handler::immediate());
    server(&mut suite, &drive, PENDING, &Handler::immediate().pending_once());
    client(&mut suite, &drive, &Handler::immediate());
    suite
}

fn aims(results: &Results) -> Vec<Aim> {
    let allocations = |group, name| results.over(group, name).map(|cost| cost.allocations);
    let ratio = |group: &str, most| Aim {
        what: format!("{group}: {OURS} / {BY_HAND}"),
        value: results.ratio(group, OURS, BY_HAND),
        most,
    };
    vec![
        Aim {
            what: format!("{SERVER}: allocations of {OURS}"),
            value: allocations(SERVER, OURS),
            most: 0.0,
        },
        ratio(SERVER, 1.1),
        ratio(PENDING, 1.1),
        ratio(CLIENT, 1.1),
    ]
}

fn main() {
    support::main(suite(), &[TOWER], aims);
}

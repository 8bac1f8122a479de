//! What it costs to carry faults that are switched off, and a fallback that is not needed; and what they cost when they are.
//!
//! A layer that is for the bad day must be next to free on all others. It is held against the service without any layer, and against
//! the peers that do the like: `tower-resilience-chaos`, which is never off but at a rate of 0, and `tower-resilience-fallback`.
//!
//! The answer's body is of another type, that could be slow or broken, and to move an answer into its place is most of what is left. So
//! the aim is told by what it costs to leave the layer out at run time, which changes the type as well: `optional(None)`. How it is measured
//! stands in [`support`].

#![allow(
    clippy::disallowed_methods,
    clippy::disallowed_types,
    reason = "a bench reads the real clock and starts processes"
)]

#[allow(dead_code, unused_imports, reason = "each bench uses its part of it")]
mod support;

use std::convert::Infallible;

use buttress::{FallbackLayer, FaultLayer, body::replay::Replay, fault::Rule, optional};
use bytes::Bytes;
use http::{Request, Response, StatusCode};
use http_body::Body;
use http_body_util::Full;
use tower::{Layer, Service, util::MapRequest};
use tower_resilience_chaos::ChaosLayer;
use tower_resilience_fallback::FallbackLayer as PeerFallback;

use self::support::{Aim, BARE, Drive, End, Handler, Requests, Results, Suite, Wheel};

const OFF: &str = "faults, off";
const ABSENT: &str = "faults, left out by `optional`";
const ON: &str = "faults, on, of a share of 0";
const CHAOS: &str = "tower-resilience-chaos, at a rate of 0";
const VALUE: &str = "fallback to a value, not needed";
const SERVICE: &str = "fallback to a service, not needed";
const PEER_VALUE: &str = "tower-resilience-fallback, a value";
const PEER_SERVICE: &str = "tower-resilience-fallback, a service";
const ABORT: &str = "an abort";
const FELL_BACK: &str = "an abort, and a value in its place";

const EMPTY: &str = "an empty answer";
const BODY: &str = "a body of one frame";
const JSON: &str = "a POST of JSON";
const GROUPS: [&str; 3] = [EMPTY, BODY, JSON];
const BAD_DAY: &str = "on a bad day";

type Outgoing = Request<Full<Bytes>>;
type Incoming = Response<Full<Bytes>>;

/// What a service is asked whose request may be asked again.
type Recorded = Request<Replay<Full<Bytes>>>;

fn without_body(request: Recorded) -> Outgoing {
    request.map(|_| Full::default())
}

/// What is asked of a service.
struct Scenario {
    group: &'static str,
    drive: Drive,
    requests: Requests,
    handler: Handler,
    end: End,
}

impl Scenario {
    fn new(group: &'static str, drive: &Drive) -> Self {
        Self {
            group,
            drive: drive.clone(),
            requests: if group == JSON {
                Requests::json()
            } else {
                Requests::plain()
            },
            handler: Handler::immediate().body(if group == BODY { b"hello, world" } else { b"" }),
            end: if group == BODY { End::Body } else { End::Head },
        }
    }

    fn add<S, B>(&self, suite: &mut Suite, name: &'static str, service: S)
    where
        S: Service<Outgoing, Response = Response<B>> + 'static,
        B: Body,
    {
        self.ends(suite, name, service, self.end);
    }

    fn ends<S, B>(&self, suite: &mut Suite, name: &'static str, service: S, end: End)
    where
        S: Service<Outgoing, Response = Response<B>> + 'static,
        B: Body,
    {
        let run = self.drive.requests(service, self.requests.clone(), end);
        suite.case(self.group, name, BARE, run);
    }

    fn good_day(&self, suite: &mut Suite) {
        let handler = || self.handler.clone();
        self.add(suite, BARE, handler());
        self.add(suite, ABSENT, optional(None::<FaultLayer>).layer(handler()));
        self.add(suite, OFF, faults().layer(handler()));
        let share = FaultLayer::new().rule(Rule::abort(StatusCode::BAD_GATEWAY).share(0.0));
        self.add(suite, ON, share.enabled(true).layer(handler()));
        let chaos = ChaosLayer::builder().latency_rate(0.0).build();
        self.add(suite, CHAOS, chaos.layer(handler()));
        self.add(
            suite,
            VALUE,
            FallbackLayer::value(Response::new(Bytes::new())).layer(handler()),
        );
        let any_body = || MapRequest::new(handler(), without_body as fn(Recorded) -> Outgoing);
        self.add(suite, SERVICE, FallbackLayer::service(any_body()).layer(any_body()));
        let value = PeerFallback::<Outgoing, Incoming, Infallible>::value(Response::default());
        self.add(suite, PEER_VALUE, value.layer(handler()));
        let service = PeerFallback::<Outgoing, Incoming, Infallible>::tower_service(handler());
        self.add(suite, PEER_SERVICE, service.layer(handler()));
    }

    fn bad_day(&self, suite: &mut Suite) {
        self.add(suite, BARE, self.handler.clone());
        let aborts = faults().enabled(true).layer(self.handler.clone());
        self.ends(suite, ABORT, aborts.clone(), End::Rejected);
        let fallback = FallbackLayer::value(Response::new(Bytes::new()));
        self.add(suite, FELL_BACK, fallback.layer(aborts));
    }
}

fn faults() -> FaultLayer {
    FaultLayer::new()
        .rule(Rule::abort(StatusCode::BAD_GATEWAY))
        .rule(Rule::slow_body(1_000))
        .seed(7)
}

fn suite() -> Suite {
    let mut suite = Suite::default();
    let drive = Drive::new(Wheel::Busy);
    for group in GROUPS {
        Scenario::new(group, &drive).good_day(&mut suite);
    }
    Scenario::new(BAD_DAY, &drive).bad_day(&mut suite);
    suite
}

fn aims(results: &Results) -> Vec<Aim> {
    let mut aims = Vec::new();
    for group in GROUPS {
        let over = |name| results.over(group, name);
        let mut most = |what: String, value, most| {
            aims.push(Aim {
                what: format!("{group}: {what}"),
                value,
                most,
            });
        };
        let left_out = over(ABSENT).and_then(|cost| cost.instructions);
        let off = over(OFF).and_then(|cost| cost.instructions);
        let beyond = off.zip(left_out).map(|(off, left_out)| off - left_out);
        most(format!("{OFF}, instructions beyond {ABSENT}"), beyond, 100.0);
        for name in [OFF, ON, VALUE] {
            let allocations = over(name).map(|cost| cost.allocations);
            most(format!("{name}, allocations"), allocations, 0.0);
        }
        for (ours, theirs) in [(ON, CHAOS), (VALUE, PEER_VALUE), (SERVICE, PEER_SERVICE)] {
            let ratio = results.ratio_of_instructions(group, ours, theirs);
            most(format!("{ours} / {theirs}, instructions"), ratio, 1.0);
        }
    }
    aims
}

fn main() {
    support::main(suite(), &[CHAOS, PEER_VALUE], aims);
}

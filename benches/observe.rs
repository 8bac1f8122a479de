//! What it costs to observe each call, and to record it.
//!
//! An observer that wants to be told nothing must cost nothing: `()` is held against the service without any layer. (A body costs a
//! little all the same: it is of another type, that could be followed.)
//!
//! The cost of one that is told is in two parts, and each is counted over the one before. That a call is followed to the end of
//! its answer, which takes two reads of the clock, is what a function that does nothing costs; what metrics add to it is theirs. With
//! `no recorder` that is this crate's own part. With the Prometheus exporter's recorder most of it is the exporter's: a gauge goes up
//! and down, and a histogram keeps each value, with the time of its own clock, until it is read; every 64th makes it allocate.
//!
//! How it is measured stands in [`support`].

#![allow(
    clippy::disallowed_methods,
    clippy::disallowed_types,
    reason = "a bench reads the real clock and starts processes"
)]

#[allow(dead_code, unused_imports, reason = "each bench uses its part of it")]
mod support;

use std::time::Duration;

use buttress::{
    DeadlineLayer, ObserveLayer,
    metrics::CallMetrics,
    observe::{Ended, Observer, SECONDS},
};
use bytes::Bytes;
use http::{Request, Response};
use http_body::Body;
use http_body_util::Full;
use metrics::NoopRecorder;
use metrics_exporter_prometheus::{PrometheusBuilder, PrometheusHandle, PrometheusRecorder};
use tower::{Layer, Service};

use self::support::{Aim, BARE, Drive, End, Handler, Requests, Results, Run, Suite, Wheel};

const UNIT: &str = "told nothing: ()";
const TOLD: &str = "told, and does nothing";
const NO_RECORDER: &str = "metrics, no recorder";
const PROMETHEUS: &str = "metrics, to Prometheus";

const EMPTY: &str = "an empty answer";
const BODY: &str = "a body of one frame";
const ROUTE: &str = "an empty answer, by its route";
const RPC: &str = "gRPC without a body";
const DEADLINE: &str = "an empty answer, with a deadline to tell of";
const GROUPS: [&str; 5] = [EMPTY, BODY, ROUTE, RPC, DEADLINE];

/// Longer than any batch.
const LIMIT: Duration = Duration::from_secs(10);

/// What is asked of a service that is observed.
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
            requests: if group == RPC {
                Requests::grpc()
            } else {
                Requests::plain()
            },
            handler: Handler::immediate().body(if group == BODY { b"hello, world" } else { b"" }),
            end: if group == BODY { End::Body } else { End::Head },
        }
    }

    /// What is observed.
    fn add<S, B>(&self, suite: &mut Suite, service: &S)
    where
        S: Service<Request<Full<Bytes>>, Response = Response<B>> + Clone + 'static,
        B: Body<Data = Bytes, Error: Into<buttress::BoxError>> + 'static,
    {
        let run = |service| self.drive.requests(service, self.requests.clone(), self.end);
        suite.case(self.group, BARE, BARE, run(service.clone()));
        suite.case(self.group, UNIT, BARE, self.observed((), service));
        suite.case(self.group, TOLD, BARE, self.observed(|_: &Ended| {}, service));
        let silent = CallMetrics::with_recorder(NoopRecorder);
        suite.case(self.group, NO_RECORDER, TOLD, self.observed(silent, service));
        let (recorder, handle) = prometheus();
        let run = self.observed(CallMetrics::with_recorder(recorder), service);
        suite.case(self.group, PROMETHEUS, TOLD, kept_up(run, handle));
    }

    fn observed<O, S, B>(&self, observer: O, service: &S) -> Run
    where
        O: Observer + 'static,
        S: Service<Request<Full<Bytes>>, Response = Response<B>> + Clone + 'static,
        B: Body<Data = Bytes, Error: Into<buttress::BoxError>> + 'static,
    {
        let layer = ObserveLayer::server(observer);
        let layer = if self.group == ROUTE {
            layer.route(|head| Some(head.uri.path()))
        } else {
            layer
        };
        let service = layer.layer(service.clone());
        self.drive.requests(service, self.requests.clone(), self.end)
    }
}

fn prometheus() -> (PrometheusRecorder, PrometheusHandle) {
    let builder = PrometheusBuilder::new().set_buckets(&SECONDS).expect("buckets");
    let recorder = builder.build_recorder();
    let handle = recorder.handle();
    (recorder, handle)
}

/// What a batch left is put into its buckets behind it, as an exporter does every few seconds.
fn kept_up(mut run: Run, handle: PrometheusHandle) -> Run {
    Box::new(move |count| {
        let took = run(count);
        handle.run_upkeep();
        took
    })
}

fn suite() -> Suite {
    let mut suite = Suite::default();
    let drive = Drive::new(Wheel::Busy);
    for group in GROUPS {
        let scenario = Scenario::new(group, &drive);
        if group == DEADLINE {
            let service = DeadlineLayer::new(LIMIT).layer(scenario.handler.clone());
            scenario.add(&mut suite, &service);
        } else {
            scenario.add(&mut suite, &scenario.handler);
        }
    }
    suite
}

fn aims(results: &Results) -> Vec<Aim> {
    let mut aims = Vec::new();
    let mut most = |what: &str, group: &str, value, most| {
        aims.push(Aim {
            what: format!("{group}: {what}"),
            value,
            most,
        });
    };
    for group in GROUPS {
        let over = |name| results.over(group, name);
        let told = over(TOLD).map(|cost| cost.least);
        // As good as nothing, where times differ by as much.
        most("(), ns", group, over(UNIT).map(|cost| cost.least), 3.0);
        for (name, ns) in [(NO_RECORDER, 20.0), (PROMETHEUS, 100.0)] {
            let cost = over(name).map(|cost| cost.least);
            most(&format!("{name}, ns"), group, cost, ns);
            let whole = cost.zip(told).map(|(cost, told)| cost + told);
            most(&format!("{name}, ns over bare"), group, whole, ns);
        }
        let allocations = over(NO_RECORDER).map(|cost| cost.allocations);
        most("metrics, allocations", group, allocations, 0.0);
    }
    aims
}

fn main() {
    support::main(suite(), &[TOLD], aims);
}

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
//! Spans are told of nothing where no subscriber is: that case is held against the service without any layer, as `()` is. With one, what
//! they cost is the subscriber's, and so they stand beside tower-http's `TraceLayer` with the same one: the registry, which keeps spans and
//! shows them to nobody, and a log that writes into nowhere. Beside metrics stands `axum-prometheus`, on the same facade and recorder.
//!
//! How it is measured stands in [`support`].

#![allow(
    clippy::disallowed_methods,
    clippy::disallowed_types,
    reason = "a bench reads the real clock and starts processes"
)]

#[allow(dead_code, unused_imports, reason = "each bench uses its part of it")]
mod support;

use std::{convert::Infallible, fmt::Display, io, time::Duration};

use axum_prometheus::PrometheusMetricLayer;
use buttress::{
    DeadlineLayer, ObserveLayer,
    metrics::CallMetrics,
    observe::{Ended, Observer, SECONDS},
    tracing::CallSpans,
};
use bytes::Bytes;
use http::{Request, Response};
use http_body::Body;
use http_body_util::Full;
use metrics::NoopRecorder;
use metrics_exporter_prometheus::{PrometheusBuilder, PrometheusHandle, PrometheusRecorder};
use tower::{Layer, Service};
use tower_http::trace::{DefaultMakeSpan, TraceLayer};
use tracing::{Dispatch, Level, callsite::rebuild_interest_cache, dispatcher, subscriber::NoSubscriber};

use self::support::{Aim, BARE, Drive, End, Handler, Requests, Results, Run, Suite, Wheel};

const UNIT: &str = "told nothing: ()";
const TOLD: &str = "told, and does nothing";
const NO_RECORDER: &str = "metrics, no recorder";
const PROMETHEUS: &str = "metrics, to Prometheus";
const AXUM_PROMETHEUS: &str = "axum-prometheus, to Prometheus";
const NO_SUBSCRIBER: &str = "spans, no subscriber";
const REGISTRY: &str = "spans, to a registry";
const LOG: &str = "spans, to a log";
const TRACE_LAYER: &str = "TraceLayer, no subscriber";
const TRACE_REGISTRY: &str = "TraceLayer, to a registry";
const TRACE_LOG: &str = "TraceLayer, to a log";

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
        S: Service<Request<Full<Bytes>>, Response = Response<B>, Error = Infallible> + Clone + 'static,
        B: Body<Data = Bytes, Error: Into<buttress::BoxError> + Display> + 'static,
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
        if self.group == EMPTY || self.group == BODY {
            let (recorder, handle) = prometheus();
            let peer = PrometheusMetricLayer::new().layer(service.clone());
            let mut run = self.drive.requests(peer, self.requests.clone(), self.end);
            let run = Box::new(move |count| metrics::with_local_recorder(&recorder, || run(count)));
            suite.case(self.group, AXUM_PROMETHEUS, BARE, kept_up(run, handle));
        }
        self.add_spans(suite, service);
    }

    /// With each of the subscribers, and the peer with the same.
    fn add_spans<S, B>(&self, suite: &mut Suite, service: &S)
    where
        S: Service<Request<Full<Bytes>>, Response = Response<B>, Error = Infallible> + Clone + 'static,
        B: Body<Data = Bytes, Error: Into<buttress::BoxError> + Display> + 'static,
    {
        for (ours, theirs, subscriber) in [
            (NO_SUBSCRIBER, TRACE_LAYER, None),
            (REGISTRY, TRACE_REGISTRY, Some(registry as fn() -> Dispatch)),
            (LOG, TRACE_LOG, Some(log)),
        ] {
            let run = self.observed(CallSpans::new(), service);
            let over = if subscriber.is_some() { TOLD } else { BARE };
            suite.case(self.group, ours, over, heard(run, subscriber));
            // Spans on the same level as ours.
            let peer = TraceLayer::new_for_http().make_span_with(DefaultMakeSpan::new().level(Level::INFO));
            let run = self
                .drive
                .requests(peer.layer(service.clone()), self.requests.clone(), self.end);
            suite.case(self.group, theirs, BARE, heard(run, subscriber));
        }
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

fn registry() -> Dispatch {
    tracing_subscriber::registry().into()
}

fn log() -> Dispatch {
    tracing_subscriber::fmt().with_writer(io::sink).into()
}

/// A subscriber is there for a batch, and gone behind it: whether there is one is the whole process' to know.
fn heard(mut run: Run, subscriber: Option<fn() -> Dispatch>) -> Run {
    Box::new(move |count| {
        let Some(subscriber) = subscriber else {
            assert!(!CallSpans::new().listens(), "nobody is there");
            return run(count);
        };
        // A first one beside it: where there was never more than one, it is not noticed that none is left.
        let first = Dispatch::new(NoSubscriber::new());
        let subscriber = subscriber();
        drop(first);
        rebuild_interest_cache();
        let took = dispatcher::with_default(&subscriber, || run(count));
        drop(subscriber);
        rebuild_interest_cache();
        took
    })
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
        let cost = over(NO_SUBSCRIBER).map(|cost| cost.least);
        most("spans, no subscriber, ns over bare", group, cost, 10.0);
        let allocations = over(NO_SUBSCRIBER).map(|cost| cost.allocations);
        most("spans, no subscriber, allocations", group, allocations, 0.0);
        let allocations = over(NO_RECORDER).map(|cost| cost.allocations);
        most("metrics, allocations", group, allocations, 0.0);
    }
    aims
}

fn main() {
    support::main(suite(), &[TOLD], aims);
}

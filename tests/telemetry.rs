//! The example `telemetry` as a process, and what of it reaches an OpenTelemetry collector: this one.
#![cfg(unix)]
#![allow(clippy::disallowed_methods, clippy::unwrap_used, reason = "a test may")]

#[path = "support/leakless.rs"]
mod leakless;

use std::{
    collections::BTreeMap,
    env::consts::EXE_SUFFIX,
    process::Stdio,
    sync::{Arc, Mutex},
    time::Duration,
};

use buttress::{observe::SECONDS, telemetry::INSTRUMENTS};
use opentelemetry_proto::tonic::{
    collector::{
        metrics::v1::{
            ExportMetricsServiceRequest, ExportMetricsServiceResponse,
            metrics_service_server::{MetricsService, MetricsServiceServer},
        },
        trace::v1::{
            ExportTraceServiceRequest, ExportTraceServiceResponse,
            trace_service_server::{TraceService, TraceServiceServer},
        },
    },
    common::v1::{KeyValue, any_value::Value},
    metrics::v1::{HistogramDataPoint, Metric, metric::Data},
    trace::v1::{Span, span::SpanKind, status::StatusCode},
};
use tokio::{net::TcpListener, process::Command, time::timeout};
use tonic::{
    Request, Response, Status,
    transport::{Server, server::TcpIncoming},
};

/// All that was received. What is metered is told again and again: the last counts.
#[derive(Clone, Default)]
struct Collector(Arc<Mutex<Received>>);

#[derive(Default)]
struct Received {
    spans: Vec<Span>,
    metrics: BTreeMap<String, Metric>,
}

#[tonic::async_trait]
impl TraceService for Collector {
    async fn export(
        &self,
        request: Request<ExportTraceServiceRequest>,
    ) -> Result<Response<ExportTraceServiceResponse>, Status> {
        let spans = request.into_inner().resource_spans.into_iter();
        let spans = spans.flat_map(|of| of.scope_spans).flat_map(|of| of.spans);
        self.0.lock().unwrap().spans.extend(spans);
        Ok(Response::new(ExportTraceServiceResponse::default()))
    }
}

#[tonic::async_trait]
impl MetricsService for Collector {
    async fn export(
        &self,
        request: Request<ExportMetricsServiceRequest>,
    ) -> Result<Response<ExportMetricsServiceResponse>, Status> {
        let metrics = request.into_inner().resource_metrics.into_iter();
        let metrics = metrics.flat_map(|of| of.scope_metrics).flat_map(|of| of.metrics);
        let metrics = metrics.map(|metric| (metric.name.clone(), metric));
        self.0.lock().unwrap().metrics.extend(metrics);
        Ok(Response::new(ExportMetricsServiceResponse::default()))
    }
}

/// Runs the example to its end, and gives what it sent until then.
async fn received() -> Received {
    let collector = Collector::default();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let endpoint = format!("http://{}", listener.local_addr().unwrap());
    let serving = Server::builder()
        .add_service(TraceServiceServer::new(collector.clone()))
        .add_service(MetricsServiceServer::new(collector.clone()))
        .serve_with_incoming(TcpIncoming::from(listener));
    let serving = tokio::spawn(serving);

    let test = std::env::current_exe().unwrap();
    let profile = test.ancestors().nth(2).unwrap();
    let example = profile.join("examples").join(format!("telemetry{EXE_SUFFIX}"));
    assert!(example.exists(), "first: cargo build --example telemetry");
    let mut command = Command::new(example);
    command
        .env("OTEL_EXPORTER_OTLP_ENDPOINT", endpoint)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .kill_on_drop(true);
    let output = timeout(Duration::from_secs(60), command.output())
        .await
        .unwrap()
        .unwrap();
    assert!(output.status.success(), "{output:?}");
    let said = String::from_utf8(output.stdout).unwrap();
    assert_eq!(said, "teapot: 200 OK\nkettle: 404 Not Found\nteapot: 200 OK\n");
    serving.abort();
    std::mem::take(&mut *collector.0.lock().unwrap())
}

fn text(value: Option<Value>) -> String {
    match value {
        Some(Value::StringValue(text)) => text,
        Some(Value::IntValue(number)) => number.to_string(),
        Some(Value::DoubleValue(number)) => number.to_string(),
        other => format!("{other:?}"),
    }
}

fn attributes(all: &[KeyValue]) -> BTreeMap<&str, String> {
    let pair = |pair: &'_ KeyValue| text(pair.value.clone().and_then(|any| any.value));
    all.iter().map(|each| (each.key.as_str(), pair(each))).collect()
}

/// The points of a histogram.
fn points<'a>(received: &'a Received, name: &str) -> &'a [HistogramDataPoint] {
    let metric = received.metrics.get(name).unwrap_or_else(|| panic!("no {name}"));
    let known = INSTRUMENTS.iter().find(|instrument| instrument.name == name).unwrap();
    assert_eq!((&*metric.unit, &*metric.description), ("s", known.description));
    match &metric.data {
        Some(Data::Histogram(histogram)) => &histogram.data_points,
        other => panic!("{name} is {other:?}"),
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2, crate = "leakless")]
async fn traces_and_metrics_reach_a_collector_under_their_names() {
    let received = received().await;

    // One trace for each order: shop, its call, stock.
    let of_kind = |kind: SpanKind| received.spans.iter().filter(move |span| span.kind() == kind);
    let roots: Vec<_> = of_kind(SpanKind::Server)
        .filter(|span| span.parent_span_id.is_empty())
        .collect();
    assert_eq!((roots.len(), received.spans.len()), (3, 9), "{:#?}", received.spans);
    for shop in roots {
        let child = |kind, of: &Span| {
            let mut children = of_kind(kind).filter(|span| span.parent_span_id == of.span_id);
            let child = children.next().unwrap();
            assert_eq!((children.count(), &child.trace_id), (0, &of.trace_id));
            child
        };
        let call = child(SpanKind::Client, shop);
        let stock = child(SpanKind::Server, call);
        let names = [shop, call, stock].map(|span| span.name.as_str());
        assert_eq!(names, ["GET /orders/{item}", "GET", "GET /items/{item}"]);

        let [of_shop, of_call, of_stock] = [shop, call, stock].map(|span| attributes(&span.attributes));
        let status = &of_stock["http.response.status_code"];
        assert!(status == "200" || status == "404", "{of_stock:?}");
        assert_eq!(
            (
                &of_call["http.response.status_code"],
                &of_shop["http.response.status_code"]
            ),
            (status, status)
        );
        assert_eq!(
            (&*of_shop["http.route"], &*of_shop["http.request.method"]),
            ("/orders/{item}", "GET")
        );
        assert_eq!(
            (&*of_shop["buttress.outcome"], &*of_shop["buttress.attempts"]),
            ("success", "1")
        );
        assert!(of_call.contains_key("buttress.deadline.remaining"), "{of_call:?}");
        // What was not found is the caller's mistake: an error of the client's span, and of no server's.
        let missing = status == "404";
        let is_error = |span: &Span| {
            span.status
                .as_ref()
                .is_some_and(|status| status.code() == StatusCode::Error)
        };
        assert_eq!([shop, call, stock].map(is_error), [false, missing, false]);
        assert_eq!(of_call.get("error.type").map(String::as_str), missing.then_some("404"));
    }

    let server = points(&received, "http.server.request.duration");
    let counts: BTreeMap<_, _> = server
        .iter()
        .map(|point| {
            assert_eq!(point.explicit_bounds, SECONDS);
            let told = attributes(&point.attributes);
            (
                (told["http.route"].clone(), told["http.response.status_code"].clone()),
                point.count,
            )
        })
        .collect();
    let series = |route: &str, status: &str| counts[&(route.to_owned(), status.to_owned())];
    assert_eq!(
        (series("/orders/{item}", "200"), series("/orders/{item}", "404")),
        (2, 1)
    );
    assert_eq!((series("/items/{item}", "200"), series("/items/{item}", "404")), (2, 1));
    let client = points(&received, "http.client.request.duration");
    assert_eq!(client.iter().map(|point| point.count).sum::<u64>(), 3);
    points(&received, "buttress.deadline.remaining");
    for name in ["buttress.limit.concurrency", "buttress.task.count", "tokio.task.count"] {
        assert!(received.metrics.contains_key(name), "no {name}");
    }
}

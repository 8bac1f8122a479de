//! Metrics and traces of two services, in an OpenTelemetry collector: no call is lost from sight, and one trace shows all of its way.
//!
//! ```text
//! docker run --rm -p 4317:4317 otel/opentelemetry-collector      or whatever else takes OTLP
//! cargo run --example telemetry
//! ```
//!
//! `shop` takes an order and asks `stock` for what is in it; both live in this process and talk over sockets. The one observer that
//! each server and the client have is two: `CallMetrics` and `CallSpans`. Neither knows of OpenTelemetry. The metrics go through the facade
//! `metrics` to a recorder that is an OpenTelemetry meter, the spans through `tracing` to a layer that is an OpenTelemetry tracer; the header
//! `traceparent` makes one trace of the spans of client and server. Where it all goes is told by OpenTelemetry's own variables:
//! `OTEL_EXPORTER_OTLP_ENDPOINT`, `OTEL_SERVICE_NAME`, `OTEL_METRIC_EXPORT_INTERVAL`.
//!
//! It orders three times, one of them what there is not, ends as a service should, and has sent it all by then.

use std::time::Duration;

use axum::{
    Router,
    body::Body,
    extract::{MatchedPath, Path, State},
    http::{Request, Response, StatusCode},
    routing::get,
};
use buttress::{
    BoxError, ConcurrencyLimitLayer, Context, DeadlineLayer, Lifecycle, ObserveLayer, PropagateDeadlineLayer,
    RetryLayer,
    body::replay::Replay,
    metrics::{CallMetrics, Collector, Runtime},
    observe::{Began, SECONDS},
    telemetry::{INSTRUMENTS, InstrumentKind},
    tracing::{CallSpans, MakeSpan, Standard},
};
use hyper_util::{
    client::legacy::{Client, connect::HttpConnector},
    rt::TokioExecutor,
};
use metrics_opentelemetry::{OpenTelemetryMetrics, OpenTelemetryRecorder};
use opentelemetry::{global, metrics::MeterProvider, trace::TracerProvider};
use opentelemetry_http::{HeaderExtractor, HeaderInjector};
use opentelemetry_otlp::{MetricExporter, SpanExporter};
use opentelemetry_sdk::{
    metrics::{PeriodicReader, SdkMeterProvider},
    propagation::TraceContextPropagator,
    trace::SdkTracerProvider,
};
use tokio::net::TcpListener;
use tower::{Service, ServiceBuilder, ServiceExt, util::BoxCloneSyncService};
use tracing::{Level, Span};
use tracing_opentelemetry::OpenTelemetrySpanExt;
use tracing_subscriber::{Layer, filter::Targets, layer::SubscriberExt, util::SubscriberInitExt};

/// The two who are told of each call, and of the process.
type Told = (CallMetrics, CallSpans<fn(&Began<'_>) -> Span>);

/// What has to be told at the end that there is no more.
struct Telemetry {
    metrics: SdkMeterProvider,
    traces: SdkTracerProvider,
}

impl Telemetry {
    /// Installs it: before anything is recorded.
    fn install() -> Result<Self, BoxError> {
        let exporter = MetricExporter::builder().with_tonic().build()?;
        let reader = PeriodicReader::builder(exporter).build();
        let metrics = SdkMeterProvider::builder().with_reader(reader).build();
        let mut recorder = OpenTelemetryRecorder::new(OpenTelemetryMetrics::new(metrics.meter("buttress")));
        let histograms = INSTRUMENTS.iter().filter(|it| it.kind == InstrumentKind::Histogram);
        recorder.set_histogram_bounds_mut(histograms.map(|it| it.name), &SECONDS);
        metrics::set_global_recorder(recorder)?;

        let exporter = SpanExporter::builder().with_tonic().build()?;
        let traces = SdkTracerProvider::builder().with_batch_exporter(exporter).build();
        global::set_text_map_propagator(TraceContextPropagator::new());
        let spans = tracing_opentelemetry::layer().with_tracer(traces.tracer("buttress"));
        // What the exporter itself does would otherwise be exported, too.
        let ours = Targets::new().with_target("buttress", Level::INFO);
        tracing_subscriber::registry()
            .with(spans.with_filter(ours))
            .try_init()?;
        Ok(Self { metrics, traces })
    }

    /// Sends what is left. It blocks until it is sent.
    fn close(&self) -> Result<(), BoxError> {
        self.traces.shutdown()?;
        Ok(self.metrics.shutdown()?)
    }
}

/// A span below the one that the caller named, if it did.
fn span(began: &Began<'_>) -> Span {
    let span = Standard.make_span(began);
    if let Some(head) = began.head {
        let headers = HeaderExtractor(head.headers);
        let parent = global::get_text_map_propagator(|propagator| propagator.extract(&headers));
        // There is none where this span is not wanted.
        let _ = span.set_parent(parent);
    }
    span
}

/// Names the span that it is called in to whoever is called.
fn named<B>(mut request: Request<B>) -> Request<B> {
    let context = Span::current().context();
    global::get_text_map_propagator(|propagator| {
        propagator.inject_context(&context, &mut HeaderInjector(request.headers_mut()));
    });
    request
}

type Stock = BoxCloneSyncService<Request<Body>, Response<Body>, BoxError>;

/// A client of `stock`, with all that should be around one.
fn client(observer: Told) -> Stock {
    let transport: Client<HttpConnector, Replay<Body>> = Client::builder(TokioExecutor::new()).build_http();
    let client = ServiceBuilder::new()
        .layer(ObserveLayer::client(observer))
        .layer(RetryLayer::http())
        .layer(PropagateDeadlineLayer::new())
        .map_request(named)
        .service(transport);
    BoxCloneSyncService::new(client.map_response(|answer| answer.map(Body::new)).map_err(Into::into))
}

async fn order(State((mut stock, at)): State<(Stock, String)>, Path(item): Path<String>) -> Result<String, StatusCode> {
    let request = Request::get(format!("{at}/items/{item}")).body(Body::empty());
    let request = request.map_err(|_| StatusCode::BAD_REQUEST)?;
    let called = async { stock.ready().await?.call(request).await };
    match called.await.map(|answer| answer.status()) {
        Ok(StatusCode::OK) => Ok(format!("ordered: {item}\n")),
        Ok(status) => Err(status),
        Err(_) => Err(StatusCode::BAD_GATEWAY),
    }
}

async fn item(Path(item): Path<String>) -> StatusCode {
    if item == "teapot" {
        StatusCode::OK
    } else {
        StatusCode::NOT_FOUND
    }
}

/// A server's stack around an app of axum's. The innermost layer of axum's is the one that knows the route.
fn served(app: Router, limit: ConcurrencyLimitLayer, observer: Told) -> Router {
    app.layer(limit)
        .layer(DeadlineLayer::new(Duration::from_secs(10)))
        .layer(
            ObserveLayer::server(observer).route(|head| head.extensions.get::<MatchedPath>().map(MatchedPath::as_str)),
        )
}

#[tokio::main]
async fn main() -> Result<(), BoxError> {
    let telemetry = Telemetry::install()?;
    let observer: Told = (CallMetrics::new(), CallSpans::with(span));
    let life = Lifecycle::builder().signals().observe(observer.clone()).build()?;
    // It is closed when all else is, and its own end is bounded, too.
    life.on_close("telemetry", async move {
        let flush = Context::current().spawn_blocking("flush", move |_| telemetry.close());
        flush.await?
    });

    let (shop, stock) = (
        TcpListener::bind("127.0.0.1:0").await?,
        TcpListener::bind("127.0.0.1:0").await?,
    );
    let [shop_url, stock_url] = [shop.local_addr()?, stock.local_addr()?].map(|address| format!("http://{address}"));
    let limit = ConcurrencyLimitLayer::new(100).name("shop");
    let collector = Collector::new()
        .watch("shop", limit.limit())
        .watch("shop", life.handle())
        .watch("shop", Runtime::current());
    life.critical("metrics", async move { collector.run(Duration::from_secs(1)).await });

    let orders = Router::new()
        .route("/orders/{item}", get(order))
        .with_state((client(observer.clone()), stock_url));
    life.serve(shop, served(orders, limit, observer.clone()));
    let items = Router::new().route("/items/{item}", get(item));
    life.serve(
        stock,
        served(items, ConcurrencyLimitLayer::new(100).name("stock"), observer),
    );

    let (customer, handle) = (
        Client::builder(TokioExecutor::new()).build_http::<Body>(),
        life.handle(),
    );
    let orders = async move {
        for item in ["teapot", "kettle", "teapot"] {
            let request = Request::get(format!("{shop_url}/orders/{item}")).body(Body::empty())?;
            println!("{item}: {}", customer.request(request).await?.status());
        }
        Ok::<_, BoxError>(())
    };
    let ordered = async {
        let ordered = orders.await;
        handle.shutdown(); // however that was
        ordered
    };
    let (report, ordered) = tokio::join!(life.run(), ordered);
    ordered?;
    report.exit()
}

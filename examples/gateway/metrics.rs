//! What is told of it all: calls as they end, and how the layers stand when somebody asks.

use std::{
    io::{self, IsTerminal},
    time::Duration,
};

use buttress::{
    BoxError, ConcurrencyLimitLayer, RateLimitLayer,
    lifecycle::Handle,
    metrics::{CallMetrics, Collector, Runtime},
    observe::SECONDS,
    telemetry::ByDestination,
    tracing::CallSpans,
};
use metrics_exporter_prometheus::{PrometheusBuilder, PrometheusHandle};
use tokio::time::interval;
use tracing_subscriber::fmt::format::FmtSpan;

use crate::layers::Layers;

/// What all here is called, where a name tells one of its kind from another.
pub(crate) const NAME: &str = "gateway";

/// How often what was recorded is put into its buckets. Until then, each duration takes up memory.
const UPKEEP: Duration = Duration::from_secs(5);

/// Who is told of calls, and of the process: spans cost nothing where nobody [logs] them.
///
/// [logs]: log
pub(crate) type Calls = (CallMetrics, CallSpans);

/// The recorder of this process.
#[derive(Clone)]
pub(crate) struct Metrics {
    pub(crate) calls: Calls,
    prometheus: PrometheusHandle,
}

/// Has each span written down when it ends, and each event in it.
pub(crate) fn log() {
    tracing_subscriber::fmt()
        .with_writer(io::stderr)
        .with_ansi(io::stderr().is_terminal())
        .with_span_events(FmtSpan::CLOSE)
        .init();
}

/// The page that is scraped.
pub(crate) struct Page {
    metrics: Metrics,
    collector: Collector,
}

impl Metrics {
    /// Installs it: before anything is recorded.
    pub(crate) fn install() -> Result<Self, BoxError> {
        let prometheus = PrometheusBuilder::new()
            .with_recommended_naming(true)
            .set_buckets(&SECONDS)?
            .install_recorder()?;
        Ok(Self {
            calls: (CallMetrics::new(), CallSpans::new()),
            prometheus,
        })
    }

    /// Keeps its memory small, for ever.
    pub(crate) async fn upkeep(self) -> Result<(), BoxError> {
        let mut ticks = interval(UPKEEP);
        loop {
            ticks.tick().await;
            self.prometheus.run_upkeep();
        }
    }

    /// The page, of all that is there. What is off tells nothing.
    pub(crate) fn page(self, layers: &Layers, life: Handle) -> Page {
        let collector = Collector::new()
            .watch(NAME, layers.criticality.clone())
            .watch(NAME, layers.deadline.clone())
            .watch(NAME, layers.limit.as_ref().map(ConcurrencyLimitLayer::limit))
            .watch(NAME, layers.rate.as_ref().map(RateLimitLayer::policy))
            .watch(NAME, layers.retry.clone())
            .watch(NAME, layers.hedge.clone())
            .watch(NAME, layers.budget.clone())
            // By the addresses that the command line gave them: they are few.
            .watch(
                NAME,
                layers.breaker.as_ref().map(|layer| ByDestination(layer.breaker())),
            )
            .watch(NAME, layers.propagate.clone())
            .watch(NAME, life)
            .watch(NAME, Runtime::current());
        Page {
            metrics: self,
            collector,
        }
    }
}

impl Page {
    /// How it all stands now, in Prometheus' text format.
    pub(crate) fn render(&self) -> String {
        self.collector.collect();
        self.metrics.prometheus.render()
    }
}

//! The admin address.

use std::io;

use axum::{Router, http::header::CONTENT_TYPE, routing::get};
use buttress::{
    ConcurrencyLimitLayer, Criticality, RateLimitLayer,
    admission::concurrency::Refusal,
    registry::{self, Kind},
};
use tokio::net::TcpListener;

use super::{Metrics, page::Page};
use crate::layers::Layers;

/// Everything that `/metrics` tells.
#[derive(Clone)]
pub(crate) struct Admin {
    pub(crate) metrics: Metrics,
    pub(crate) layers: Layers,
}

impl Admin {
    /// Serves `/live`, `/ready` and `/metrics` for ever.
    pub(crate) async fn serve(self, listener: TcpListener) -> io::Result<()> {
        let metrics = move || {
            let page = self.exposition();
            async { ([(CONTENT_TYPE, "text/plain; version=0.0.4")], page) }
        };
        let app = Router::new()
            .route("/live", get(|| async { "live\n" }))
            .route("/ready", get(|| async { "ready\n" }))
            .route("/metrics", get(metrics));
        axum::serve(listener, app).await
    }

    /// The counts in Prometheus' text format, under OpenTelemetry's names with underscores for dots.
    fn exposition(&self) -> String {
        let mut page = Page::default();
        self.metrics.write(&mut page);
        deadlines(&mut page, &self.layers);
        if let Some(limit) = &self.layers.limit {
            concurrency(&mut page, limit);
        }
        if let Some(rate) = &self.layers.rate {
            rates(&mut page, rate);
        }
        work(&mut page);
        page.text
    }
}

fn deadlines(page: &mut Page, layers: &Layers) {
    let arrivals = layers.deadline.snapshot();
    page.family(
        "buttress_deadline_invalid_total",
        "counter",
        "Requests with an unreadable deadline.",
    );
    page.sample("", arrivals.invalid);
    page.family(
        "buttress_deadline_expired_on_arrival_total",
        "counter",
        "Requests that came too late.",
    );
    page.sample("", arrivals.expired_on_arrival);
    page.family(
        "buttress_propagate_not_sent_total",
        "counter",
        "Calls not sent for want of time.",
    );
    page.sample("", layers.propagate.snapshot().not_sent);
}

fn concurrency(page: &mut Page, layer: &ConcurrencyLimitLayer) {
    let now = layer.limit().snapshot();
    page.family("buttress_limit_concurrency", "gauge", "How many may be in flight.");
    page.sample("", now.limit);
    page.family("buttress_limit_in_flight", "gauge", "How many are.");
    page.sample("", now.in_flight);
    page.family("buttress_limit_queued", "gauge", "How many wait, by criticality.");
    for band in Criticality::ALL {
        page.sample(format_args!("{{criticality=\"{band}\"}}"), now.queued_in(band));
    }
    page.family(
        "buttress_limit_rejected_total",
        "counter",
        "Requests the limit turned away, by criticality and why.",
    );
    for band in Criticality::ALL {
        for why in Refusal::ALL {
            let labels = format_args!("{{criticality=\"{band}\",reason=\"{}\"}}", why.as_str());
            page.sample(labels, now.refused(band, why));
        }
    }
}

fn rates(page: &mut Page, layer: &RateLimitLayer) {
    let now = layer.snapshot();
    page.family("buttress_rate_allowed_total", "counter", "Requests within their rate.");
    page.sample("", now.allowed);
    page.family("buttress_rate_rejected_total", "counter", "Requests over their rate.");
    page.sample("", now.rejected);
    page.family("buttress_rate_keys", "gauge", "Clients that are remembered.");
    page.sample("", now.keys);
    page.family(
        "buttress_rate_evicted_total",
        "counter",
        "Clients that were forgotten for want of room.",
    );
    page.sample("", now.evicted);
}

fn work(page: &mut Page) {
    let alive = registry::snapshot();
    page.family("buttress_task_count", "gauge", "Work that runs on its own, by kind.");
    for (kind, label) in [(Kind::Task, "task"), (Kind::Shield, "shield")] {
        let count = alive.iter().filter(|work| work.kind == kind).count();
        page.sample(format_args!("{{kind=\"{label}\"}}"), count);
    }
}

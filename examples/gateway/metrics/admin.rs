//! The admin address.

use std::io;

use axum::{Router, http::header::CONTENT_TYPE, routing::get};
use buttress::{
    BreakerLayer, ConcurrencyLimitLayer, Criticality, RateLimitLayer,
    admission::{breaker::CircuitState, concurrency::Refusal},
    lifecycle::Handle,
    registry::{self, Kind},
    retry::Kept,
};
use tokio::net::TcpListener;

use super::{Metrics, page::Page};
use crate::layers::Layers;

/// Everything that `/metrics` tells.
#[derive(Clone)]
pub(crate) struct Admin {
    pub(crate) metrics: Metrics,
    pub(crate) layers: Layers,
    pub(crate) life: Handle,
}

impl Admin {
    /// Serves `/live`, `/ready`, `/metrics` and `/debug/work` for ever.
    pub(crate) async fn serve(self, listener: TcpListener) -> io::Result<()> {
        let (ready, work) = (self.life.readiness(), self.life.debug_view());
        let metrics = move || {
            let page = self.exposition();
            async { ([(CONTENT_TYPE, "text/plain; version=0.0.4")], page) }
        };
        let app = Router::new()
            .route("/live", get(|| async { "live\n" }))
            .route_service("/ready", ready)
            .route_service("/debug/work", work)
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
        retries(&mut page, &self.layers);
        if let Some(breaker) = &self.layers.breaker {
            circuits(&mut page, breaker);
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

fn retries(page: &mut Page, layers: &Layers) {
    let now = layers.retry.snapshot();
    page.family(
        "buttress_retry_attempts_total",
        "counter",
        "Attempts, by whether they were the first.",
    );
    page.sample("{attempt=\"first\"}", now.requests);
    page.sample("{attempt=\"retry\"}", now.retries);
    page.family(
        "buttress_retry_recovered_total",
        "counter",
        "Requests that a retry saved.",
    );
    page.sample("", now.recovered);
    page.family(
        "buttress_retry_kept_total",
        "counter",
        "Failures that were passed up, by why there was no other attempt.",
    );
    for why in Kept::ALL {
        page.sample(format_args!("{{reason=\"{}\"}}", why.as_str()), now.kept(why));
    }
    let now = layers.hedge.snapshot();
    page.family("buttress_hedge_attempts_total", "counter", "Attempts beside the first.");
    page.sample("", now.hedges);
    page.family(
        "buttress_hedge_won_total",
        "counter",
        "Those of them that answered first.",
    );
    page.sample("", now.won);
    let now = layers.budget.snapshot();
    page.family(
        "buttress_budget_tokens",
        "gauge",
        "Retries and hedges that could be paid for.",
    );
    page.sample("", now.tokens.unwrap_or_default());
    page.family(
        "buttress_budget_decisions_total",
        "counter",
        "Retries and hedges, by what the budget said.",
    );
    for (decision, count) in [
        ("granted", now.granted),
        ("rejected", now.rejected),
        ("returned", now.returned),
    ] {
        page.sample(format_args!("{{decision=\"{decision}\"}}"), count);
    }
}

fn circuits(page: &mut Page, layer: &BreakerLayer) {
    let circuits = layer.breaker().destinations();
    page.family(
        "buttress_breaker_state",
        "gauge",
        "1 where the circuit of an upstream stands so.",
    );
    for circuit in &circuits {
        let name = circuit.name.as_deref().unwrap_or_default();
        for state in [CircuitState::Closed, CircuitState::HalfOpen, CircuitState::Open] {
            let labels = format_args!("{{destination=\"{name}\",state=\"{}\"}}", state.as_str());
            page.sample(labels, u8::from(circuit.circuit.state == state));
        }
    }
    page.family(
        "buttress_breaker_rejected_total",
        "counter",
        "Attempts that were not made at an upstream that keeps failing.",
    );
    for circuit in &circuits {
        let name = circuit.name.as_deref().unwrap_or_default();
        page.sample(format_args!("{{destination=\"{name}\"}}"), circuit.circuit.rejected);
    }
}

fn work(page: &mut Page) {
    let alive = registry::snapshot();
    page.family("buttress_task_count", "gauge", "Work that runs on its own, by kind.");
    for kind in [
        Kind::Connection,
        Kind::Task,
        Kind::Shield,
        Kind::Detached,
        Kind::Blocking,
    ] {
        let count = alive.iter().filter(|work| work.kind == kind).count();
        page.sample(format_args!("{{kind=\"{kind}\"}}"), count);
    }
}

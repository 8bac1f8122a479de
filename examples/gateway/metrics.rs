//! What happened, counted; and the admin address that tells.

use std::{
    collections::BTreeMap,
    fmt::{Display, Write},
    io,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
};

use axum::{Router, http::header::CONTENT_TYPE, routing::get};
use buttress::{
    DeadlineLayer, PropagateDeadlineLayer,
    observe::Observer,
    outcome::{Class, Outcome},
    registry::{self, Kind},
};
use tokio::net::TcpListener;

/// Counts of how requests ended. Clones share them.
#[derive(Clone, Default)]
pub(crate) struct Metrics(Arc<Counts>);

#[derive(Default)]
struct Counts {
    started: AtomicU64,
    succeeded: AtomicU64,
    // A request that succeeds, as most do, takes no lock. The keys of the rest are few, whatever a peer sends.
    otherwise: Mutex<Otherwise>,
}

#[derive(Clone, Default)]
struct Otherwise {
    failed: BTreeMap<(&'static str, String), u64>,
    rejected: BTreeMap<(&'static str, &'static str), u64>,
    cancelled: BTreeMap<&'static str, u64>,
}

impl Metrics {
    /// A request arrived. Its [end](Observer::ended) follows, whatever happens to it.
    pub(crate) fn started(&self) {
        self.0.started.fetch_add(1, Ordering::Relaxed);
    }

    fn otherwise(&self) -> MutexGuard<'_, Otherwise> {
        self.0.otherwise.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Observer for Metrics {
    fn ended(&self, outcome: &Outcome) {
        let mut otherwise = match outcome {
            Outcome::Success => {
                self.0.succeeded.fetch_add(1, Ordering::Relaxed);
                return;
            }
            _ => self.otherwise(),
        };
        let count = match outcome {
            Outcome::Rejected(rejection) => {
                let key = (rejection.layer(), rejection.reason().as_str());
                otherwise.rejected.entry(key).or_default()
            }
            Outcome::Cancelled(why) => otherwise.cancelled.entry(why.as_str()).or_default(),
            Outcome::Failure(failure) => otherwise.failed.entry(labels(failure.class)).or_default(),
            _ => otherwise.failed.entry(("other", String::new())).or_default(),
        };
        *count += 1;
    }
}

/// A failure's class and status. What a peer invents shares one label.
fn labels(class: Class) -> (&'static str, String) {
    match class {
        Class::Http(status) => ("http", status.as_str().to_owned()),
        Class::Grpc(status @ 0..=16) => ("grpc", status.to_string()),
        Class::Grpc(_) => ("grpc", "other".to_owned()),
        Class::MissingStatus => ("missing_status", String::new()),
        Class::Transport => ("transport", String::new()),
        Class::Body => ("body", String::new()),
        _ => ("other", String::new()),
    }
}

/// Everything that `/metrics` tells.
#[derive(Clone)]
pub(crate) struct Admin {
    pub(crate) metrics: Metrics,
    pub(crate) deadline: DeadlineLayer,
    pub(crate) propagate: PropagateDeadlineLayer,
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
        // The ends before the starts: what begins in between is in flight, and the difference is never below zero.
        let otherwise = self.metrics.otherwise().clone();
        let succeeded = self.metrics.0.succeeded.load(Ordering::Relaxed);
        let started = self.metrics.0.started.load(Ordering::Relaxed);
        let failed: u64 = otherwise.failed.values().sum();
        let rejected: u64 = otherwise.rejected.values().sum();
        let cancelled: u64 = otherwise.cancelled.values().sum();
        let ended = succeeded + failed + rejected + cancelled;
        let outcomes = [
            ("success", succeeded),
            ("failure", failed),
            ("rejected", rejected),
            ("cancelled", cancelled),
        ];

        let mut page = Page::default();
        page.family("buttress_requests_total", "counter", "Requests, by how they ended.");
        for (outcome, count) in outcomes {
            page.sample(format_args!("{{outcome=\"{outcome}\"}}"), count);
        }
        page.family(
            "buttress_request_failed_total",
            "counter",
            "Upstream failures, by class.",
        );
        for ((class, status), count) in &otherwise.failed {
            page.sample(format_args!("{{class=\"{class}\",status=\"{status}\"}}"), *count);
        }
        page.family("buttress_rejected_total", "counter", "Requests that a layer answered.");
        for ((layer, reason), count) in &otherwise.rejected {
            page.sample(format_args!("{{layer=\"{layer}\",reason=\"{reason}\"}}"), *count);
        }
        page.family(
            "buttress_request_cancelled_total",
            "counter",
            "Requests nobody waited for.",
        );
        for (reason, count) in &otherwise.cancelled {
            page.sample(format_args!("{{reason=\"{reason}\"}}"), *count);
        }
        page.family("http_server_active_requests", "gauge", "Requests in flight.");
        page.sample("", started.saturating_sub(ended));

        let arrivals = self.deadline.snapshot();
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
        page.sample("", self.propagate.snapshot().not_sent);

        let alive = registry::snapshot();
        page.family("buttress_task_count", "gauge", "Work that runs on its own, by kind.");
        for (kind, label) in [(Kind::Task, "task"), (Kind::Shield, "shield")] {
            let count = alive.iter().filter(|work| work.kind == kind).count();
            page.sample(format_args!("{{kind=\"{label}\"}}"), count);
        }
        page.text
    }
}

/// A page of metrics, written family by family.
#[derive(Default)]
struct Page {
    text: String,
    family: &'static str,
}

impl Page {
    fn family(&mut self, name: &'static str, kind: &str, help: &str) {
        self.family = name;
        // Writing to a string does not fail.
        let _ = write!(self.text, "# HELP {name} {help}\n# TYPE {name} {kind}\n");
    }

    fn sample(&mut self, labels: impl Display, value: impl Display) {
        let _ = writeln!(self.text, "{}{labels} {value}", self.family);
    }
}

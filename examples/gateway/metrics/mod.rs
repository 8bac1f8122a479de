//! What happened, counted; and the admin address that tells.

mod admin;
mod page;

use std::{
    collections::BTreeMap,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
};

use buttress::{
    observe::{Began, Ended, Observer},
    outcome::{Class, Outcome},
};

pub(crate) use self::admin::Admin;
use self::page::Page;

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
    fn write(&self, page: &mut Page) {
        // The ends before the starts: what begins in between is in flight, and the difference is never below zero.
        let otherwise = self.otherwise().clone();
        let succeeded = self.0.succeeded.load(Ordering::Relaxed);
        let started = self.0.started.load(Ordering::Relaxed);
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
    }

    fn otherwise(&self) -> MutexGuard<'_, Otherwise> {
        self.0.otherwise.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Observer for Metrics {
    type Call = ();

    fn began(&self, _: &Began<'_>) {
        self.0.started.fetch_add(1, Ordering::Relaxed);
    }

    fn ended(&self, (): (), ended: &Ended) {
        let mut otherwise = match &ended.outcome {
            Outcome::Success => {
                self.0.succeeded.fetch_add(1, Ordering::Relaxed);
                return;
            }
            _ => self.otherwise(),
        };
        let count = match &ended.outcome {
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
        Class::Panic => ("panic", String::new()),
        _ => ("other", String::new()),
    }
}

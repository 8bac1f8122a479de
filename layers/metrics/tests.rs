use std::{collections::HashMap, time::Duration};

use http::StatusCode;
use metrics_exporter_prometheus::PrometheusBuilder;

use super::{
    CallMetrics,
    names::Names,
    series::{Kind, Spoken},
};
use crate::{
    context::Cancelled,
    observe::{At, Ended, ErrorType, Observer, Side, method::METHODS},
    outcome::Outcome,
    rejection::Reason,
    telemetry::ProcessEvent,
};

const SECOND: Duration = Duration::from_secs(1);

fn job(worker: &str, took: Option<Duration>) -> ProcessEvent<'_> {
    let outcome = if took.is_some() { "done" } else { "unprocessed" };
    ProcessEvent::JobEnded { worker, outcome, took }
}

#[test]
fn what_happens_to_the_process_is_recorded() {
    let recorder = PrometheusBuilder::new().with_recommended_naming(true).build_recorder();
    let page = recorder.handle();
    let calls = CallMetrics::with_recorder(recorder);
    for event in [
        job("mail", Some(SECOND)),
        job("mail", Some(SECOND)),
        job("mail", None),
        ProcessEvent::PhaseEnded {
            phase: "drain",
            took: 3 * SECOND,
        },
        ProcessEvent::Aborted {
            kind: "task",
            name: "secret",
            age: SECOND,
        },
        ProcessEvent::WorkerRestarted {
            worker: "mail",
            wait: SECOND,
        },
    ] {
        calls.process(&event);
    }
    let page = page.render();
    for line in [
        r#"buttress_job_duration_seconds_count{worker="mail",outcome="done"} 2"#,
        r#"buttress_shutdown_duration_seconds_sum{phase="drain"} 3"#,
        r#"buttress_shutdown_aborted_total{kind="task"} 1"#,
    ] {
        assert!(page.lines().any(|each| each == line), "{line} is not in {page}");
    }
    assert!(!page.contains("secret") && !page.contains("unprocessed"), "{page}");
}

fn ended(status: Option<u16>, grpc_status: Option<i32>, error: Option<ErrorType>) -> Ended {
    Ended {
        outcome: Outcome::Success,
        at: At::Head,
        status: status.and_then(|status| StatusCode::from_u16(status).ok()),
        grpc_status,
        error,
        took: SECOND,
    }
}

#[test]
fn a_word_stands_for_one_series() {
    let routes = Names::new();
    let known: Vec<_> = (0..1_001).map(|route| Some(routes.id(&route.to_string()))).collect();
    let http = |status| StatusCode::from_u16(status).map(ErrorType::Http).ok();
    let errors = [
        None,
        http(404),
        http(504),
        http(600),
        http(999),
        Some(ErrorType::Rejected(Reason::Overloaded)),
        Some(ErrorType::Rejected(Reason::Unreachable)),
        Some(ErrorType::Cancelled(Cancelled::Disconnected)),
        Some(ErrorType::Cancelled(Cancelled::Finished)),
        Some(ErrorType::Grpc(-1)),
        Some(ErrorType::Grpc(16)),
        Some(ErrorType::MissingStatus),
        Some(ErrorType::Transport),
        Some(ErrorType::Body),
        Some(ErrorType::Panic),
    ];
    let mut ends = Vec::new();
    for error in errors {
        let statuses = [None, Some(100), Some(200), Some(503), Some(600), Some(999)];
        ends.extend(statuses.map(|status| ended(status, None, error)));
        let statuses = [-1, 0, 1, 16, 17, i32::MAX];
        ends.extend(statuses.map(|status| ended(Some(200), Some(status), error)));
    }
    let mut all = HashMap::new();
    for (side, spoken) in [
        (Side::Server, Spoken::Http),
        (Side::Client, Spoken::Http),
        (Side::Server, Spoken::Grpc),
        (Side::Server, Spoken::Connect),
    ] {
        for method in [0, 1, METHODS.len() - 1] {
            for route in [None, known[0], known[1], known[999], known[1_000]] {
                let method = u8::try_from(method).expect("there are ten");
                let kind = Kind {
                    side,
                    spoken,
                    method,
                    route,
                };
                for ended in &ends {
                    let series = format!("{} {:?}", kind.duration(), kind.labels(ended, &routes));
                    let first = all.entry(kind.packed(ended)).or_insert_with(|| series.clone());
                    assert_eq!(*first, series);
                }
            }
        }
    }
}

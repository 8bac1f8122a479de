use std::time::Duration;

use metrics_exporter_prometheus::PrometheusBuilder;

use super::CallMetrics;
use crate::{observe::Observer, telemetry::ProcessEvent};

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

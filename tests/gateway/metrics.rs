//! What the gateway tells of itself: a page that Prometheus reads, with names, units and labels that are known beforehand.

use std::collections::BTreeSet;

use buttress::telemetry::{INSTRUMENTS, Instrument, InstrumentKind};
use http::{Method, Request, Response, StatusCode};
use hyper::body::Incoming;
use prometheus_parse::SampleType;
use tokio::task::JoinSet;

use crate::gateway_process::{Gateway, Page, client, dead, empty, http1, http2, read, soon, text, upstream};

/// Answers with the status that the path ends with, if it ends with one; `/never` never.
async fn answering() -> String {
    let address = upstream(|request: Request<Incoming>| async move {
        if request.uri().path() == "/never" {
            std::future::pending::<()>().await;
        }
        let mut response = Response::new(text("here"));
        let status = request.uri().path().rsplit('/').next();
        if let Some(Ok(status)) = status.map(str::parse) {
            *response.status_mut() = StatusCode::from_u16(status).unwrap();
        }
        response
    })
    .await;
    format!("http://{address}")
}

#[tokio::test(crate = "crate::gateway_process::leakless")]
async fn each_ending_is_counted_once() {
    let upstream = answering().await;
    let (_socket, dead) = dead();
    let gateway = Gateway::with(&["--upstream", &upstream, "--upstream", &dead, "--retry", "1"]).await;
    http1(gateway.get("/")).await;
    http1(gateway.get("/").method(Method::HEAD)).await;
    http1(gateway.get("/503")).await;
    http1(gateway.get("/").header("x-request-timeout-ms", "soon")).await;
    http1(gateway.get("/").header("x-request-timeout-ms", "0")).await;

    gateway
        .tells(&[
            "http_server_request_duration_seconds_count 5",
            r#"http_server_request_duration_seconds_count{http_response_status_code="200"} 1"#,
            r#"http_server_request_duration_seconds_count{http_response_status_code="503",error_type="503"} 1"#,
            r#"http_server_request_duration_seconds_count{http_response_status_code="502",error_type="unreachable"} 2"#,
            r#"http_server_request_duration_seconds_count{http_request_method="HEAD",error_type="unreachable"} 1"#,
            r#"http_server_request_duration_seconds_count{http_response_status_code="504",error_type="deadline"} 1"#,
            r#"http_client_request_duration_seconds_count{http_response_status_code="200"} 1"#,
            r#"http_client_request_duration_seconds_count{error_type="transport"} 2"#,
            r#"buttress_rejected_total{layer="gateway",reason="unreachable",criticality="critical"} 2"#,
            r#"buttress_rejected_total{layer="deadline",reason="deadline"} 1"#,
            "http_server_active_requests 0",
            r#"buttress_task_count{kind="critical"} 1"#,
            r#"buttress_task_count{kind="shield"} 0"#,
            "buttress_deadline_invalid_total 1",
            "buttress_deadline_expired_total 1",
            r#"buttress_deadline_remaining_seconds_count{stage="arrival"} 5"#,
            r#"buttress_deadline_remaining_seconds_count{stage="call"} 4"#,
        ])
        .await;
}

/// A gateway with all that it can have, after something of everything was asked of it.
pub(crate) async fn under_load() -> (Gateway, Vec<String>) {
    let (one, (socket, two)) = (answering().await, dead());
    let mut args = vec!["--upstream", &one, "--upstream", &two, "--breaker", "--hedge", "1ms"];
    args.extend(["--limit", "fixed:2", "--queue", "4", "--rate", "1000/s"]);
    args.extend(["--criticality-header", "x-criticality"]);
    let gateway = Gateway::with(&args).await;
    let client = client(false);

    // One that leaves, from the upstream whose turn is first.
    let never = gateway.get("/never").method(Method::POST).body(empty()).unwrap();
    let leaving = tokio::spawn(client.request(never));
    soon(async { while !gateway.page().await.has("http_server_active_requests 1") {} }).await;
    leaving.abort();
    soon(async {
        while gateway
            .page()
            .await
            .value("buttress_request_cancelled_total", &[])
            .is_none()
        {}
    })
    .await;

    let mut calls = JoinSet::new();
    for number in 0..200 {
        let path = ["/secret/200", "/secret/404", "/secret/503", "/secret/799"][number % 4];
        let method = [Method::GET, Method::PUT, Method::from_bytes(b"SECRET").unwrap()][number % 3].clone();
        let request = gateway
            .get(&format!("{path}?token=secret"))
            .method(method)
            .header("x-criticality", ["sheddable", "secret"][number % 2])
            .header("x-request-timeout-ms", ["100", "5000", "secret", "0"][number % 4])
            .header("x-forwarded-for", "192.0.2.7")
            .header("host", "secret.example");
        let answer = client.request(request.body(empty()).unwrap());
        calls.spawn(async move { drop(read(soon(answer).await.unwrap()).await) });
        if number % 8 == 0 {
            let grpc = gateway.grpc();
            calls.spawn(async move { drop(http2(grpc).await) });
        }
    }
    calls.join_all().await;
    // Of those, it is chance whether one of gRPC's found a place.
    drop(http2(gateway.grpc()).await);
    // Its name is all that a page may say of a machine.
    let upstreams = [one, two].map(|url| url.strip_prefix("http://").unwrap().to_owned());
    drop(socket);
    (gateway, upstreams.to_vec())
}

/// The name under which Prometheus has an instrument. What the facade counts in seconds is a gauge.
pub(crate) fn family(instrument: &Instrument) -> (String, SampleType) {
    let seconds = instrument.unit == "s";
    let mut name = instrument.name.replace('.', "_");
    if seconds {
        name += "_seconds";
    }
    match instrument.kind {
        InstrumentKind::Counter if !seconds => (name + "_total", SampleType::Counter),
        InstrumentKind::Histogram => (name, SampleType::Histogram),
        _ => (name, SampleType::Gauge),
    }
}

#[tokio::test(crate = "crate::gateway_process::leakless")]
async fn the_page_is_what_the_table_says_and_no_more() {
    let (gateway, upstreams) = under_load().await;
    let page: Page = gateway.page().await;
    assert!(page.types().len() > 30, "{:?}", page.types());
    for (name, kind) in page.types() {
        let known = |instrument: &&&Instrument| family(instrument) == (name.clone(), *kind);
        let instrument = INSTRUMENTS.iter().find(known);
        let instrument = instrument.unwrap_or_else(|| panic!("{name} is a {kind:?} of no instrument"));
        assert_eq!(page.help(name), Some(instrument.description));
        let attributes: BTreeSet<_> = instrument.attributes.iter().map(|key| key.replace('.', "_")).collect();
        let strange: Vec<_> = page.label_names(name).difference(&attributes).cloned().collect();
        assert!(strange.is_empty(), "{name} has {strange:?}");
    }

    // A stranger's word is not repeated, and no address but those of the command line is said.
    for (label, values) in page.labels() {
        assert!(values.len() <= 30, "{label}: {values:?}");
        for value in values {
            let known = label == "target" && upstreams.contains(&value);
            let says = |what: &str| value.contains(what);
            assert!(
                known || !(says("secret") || says("127.") || says("192.") || says("/")),
                "{label}: {value}"
            );
        }
    }
    let names: Vec<_> = page.labels().remove("name").into_iter().flatten().collect();
    assert_eq!(names, ["gateway"]);
    assert!(page.has("http_server_active_requests 0"), "{page:#?}");
}

#[tokio::test(crate = "crate::gateway_process::leakless")]
async fn a_log_has_a_line_for_each_end_and_each_event() {
    let (_socket, dead) = dead();
    let (mut gateway, mut log) = Gateway::logging(&["--log", "--upstream", &dead, "--retry", "1"]).await;
    http1(gateway.get("/secret?token=secret")).await;
    gateway.signal("TERM").await;
    let mut lines = Vec::new();
    while let Some(line) = soon(log.next_line()).await.unwrap() {
        lines.push(line);
    }
    assert_eq!(gateway.exit_code().await, Some(0));
    for words in [
        &[
            "request{otel.name=GET otel.kind=\"server\"",
            "rejected layer=\"gateway\"",
        ][..],
        &[
            "call{otel.name=GET otel.kind=\"client\"",
            "error.type=transport",
            "close",
        ],
        &[
            "request{otel.name=GET",
            "error.type=unreachable",
            "buttress.outcome=\"rejected\"",
            "close",
        ],
        &["phase ended", "phase=\"draining\""],
    ] {
        let said = |line: &String| words.iter().all(|word| line.contains(word));
        assert!(lines.iter().any(said), "{words:?} are not in {lines:#?}");
    }
    assert!(!lines.iter().any(|line| line.contains("secret")), "{lines:#?}");
}

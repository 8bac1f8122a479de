//! What the gateway turns away: beyond its limit, beyond a client's rate, by how much it matters.

use std::convert::Infallible;

use bytes::Bytes;
use http::{Request, Response, StatusCode, request};
use http_body_util::channel::{Channel, Sender};
use hyper::body::Incoming;
use tokio::sync::mpsc;

use crate::gateway_process::{Answer, Gateway, client, empty, fails, header, http1, http2, read, soon, text, upstream};

// === the command line ===

#[tokio::test(crate = "crate::gateway_process::leakless")]
async fn an_option_that_makes_no_sense_is_an_error_that_names_it() {
    for (option, value) in [
        ("--limit", "some"),
        ("--limit", "fixed"),
        ("--limit", "fixed:"),
        ("--limit", "fixed:0"),
        ("--limit", "fixed:+1"),
        ("--queue", "all"),
        ("--queue", "1.5"),
        ("--rate", ""),
        ("--rate", "5"),
        ("--rate", "5/"),
        ("--rate", "5/d"),
        ("--rate", "0/s"),
        ("--rate", "+5/s"),
        ("--rate", "5/s:"),
        ("--rate", "5/s:0"),
        ("--rate", "4294967296/s"),
        ("--trusted-hops", "few"),
        ("--criticality-header", "how much"),
        ("--criticality-header", ""),
    ] {
        let (code, message) = fails(&[option, value]).await;
        assert_eq!(code, Some(2), "{option} {value}");
        assert!(message.contains(option), "{message}");
    }
}

#[tokio::test(crate = "crate::gateway_process::leakless")]
async fn an_option_without_the_one_it_is_for_is_an_error_that_names_both() {
    for (args, both) in [
        (&["--limit", "off", "--queue", "1"][..], ["--limit", "--queue"]),
        (&["--trusted-hops", "1"], ["--trusted-hops", "--rate"]),
    ] {
        let (code, message) = fails(args).await;
        assert_eq!(code, Some(2));
        assert!(both.iter().all(|option| message.contains(option)), "{message}");
    }
}

// === the limit ===

/// An upstream whose answers have begun and end when their sender is dropped; they come out of the receiver in turn.
async fn streaming() -> (String, mpsc::Receiver<Sender<Bytes, Infallible>>) {
    let (tell, senders) = mpsc::channel(8);
    let address = upstream(move |_: Request<Incoming>| {
        let tell = tell.clone();
        async move {
            let (mut sender, body) = Channel::<Bytes, Infallible>::new(1);
            sender.send_data("begun".into()).await.unwrap();
            tell.send(sender).await.unwrap();
            Response::new(body)
        }
    })
    .await;
    (format!("http://{address}"), senders)
}

/// Sends a request, and waits for the head of its answer alone.
async fn begin(request: request::Builder) -> Response<Incoming> {
    soon(client(false).request(request.body(empty()).unwrap()))
        .await
        .unwrap()
}

#[tokio::test(crate = "crate::gateway_process::leakless")]
async fn a_place_is_held_until_the_body_has_ended() {
    let (url, mut senders) = streaming().await;
    let gateway = Gateway::with(&["--upstream", &url, "--limit", "fixed:1", "--queue", "0"]).await;
    let first = begin(gateway.get("/")).await;
    assert_eq!(first.status(), 200);
    let sender = soon(senders.recv()).await.unwrap();

    let second = http1(gateway.get("/")).await;
    assert_eq!(second.head.status, 503);
    assert!(
        header(&second.head.headers, "retry-after").is_some(),
        "{:?}",
        second.head
    );
    let grpc = http2(gateway.grpc()).await;
    assert_eq!(grpc.head.status, 200);
    assert_eq!(grpc.head.headers["grpc-status"], "14");

    drop(sender);
    assert_eq!(read(first).await.text, "begun");
    assert_eq!(begin(gateway.get("/")).await.status(), 200);
}

#[tokio::test(crate = "crate::gateway_process::leakless")]
async fn what_is_off_limits_nothing_and_tells_nothing() {
    let (url, _senders) = streaming().await;
    let gateway = Gateway::with(&["--upstream", &url, "--limit", "off"]).await;
    let begun = [begin(gateway.get("/")).await, begin(gateway.get("/")).await];
    assert!(begun.iter().all(|answer| answer.status() == 200));
    let names = gateway.page().await.names();
    let off = ["buttress_limit", "buttress_rate", "buttress_breaker"];
    assert!(
        names.iter().all(|name| !off.iter().any(|off| name.starts_with(off))),
        "{names:#?}"
    );
}

#[tokio::test(crate = "crate::gateway_process::leakless")]
async fn a_criticality_is_believed_where_its_header_is_named() {
    for (named, counts_as) in [(true, "sheddable"), (false, "critical")] {
        let (url, _senders) = streaming().await;
        let mut args = vec!["--upstream", &url, "--limit", "fixed:1", "--queue", "0"];
        if named {
            args.extend(["--criticality-header", "x-weight"]);
        }
        let gateway = Gateway::with(&args).await;
        let _first = begin(gateway.get("/")).await;
        assert_eq!(
            http1(gateway.get("/").header("x-weight", "sheddable"))
                .await
                .head
                .status,
            503
        );
        gateway
            .tells(&[
                "buttress_limit_concurrency 1",
                "buttress_limit_in_flight 1",
                r#"buttress_limit_queued{band="critical"} 0"#,
                &format!(r#"buttress_limit_rejected_total{{band="{counts_as}",reason="full"}} 1"#),
                &format!(
                    r#"buttress_rejected_total{{layer="concurrency",reason="overloaded",criticality="{counts_as}"}} 1"#
                ),
            ])
            .await;
    }
}

// === the rate ===

/// A gateway that lets each client through at this rate.
async fn at(rate: &str, options: &[&str]) -> Gateway {
    let address = upstream(|_| async { Response::new(text("here")) }).await;
    let url = format!("http://{address}");
    Gateway::with(&[&["--upstream", &url, "--rate", rate], options].concat()).await
}

/// Asks in the name of these addresses.
async fn forwarded(gateway: &Gateway, addresses: &str) -> Answer {
    http1(gateway.get("/").header("x-forwarded-for", addresses)).await
}

#[tokio::test(crate = "crate::gateway_process::leakless")]
async fn who_asks_too_often_is_told_when_to_come_back() {
    let gateway = at("1/h", &[]).await;
    assert_eq!(http1(gateway.get("/")).await.head.status, 200);

    let second = http1(gateway.get("/")).await;
    assert_eq!(second.head.status, StatusCode::TOO_MANY_REQUESTS);
    let wait: u64 = header(&second.head.headers, "retry-after").unwrap().parse().unwrap();
    assert!(wait > 3000, "{wait} s");
    let policy = header(&second.head.headers, "ratelimit-policy");
    assert_eq!(policy, Some(r#""per-hour";q=1;w=3600"#));
    let left = header(&second.head.headers, "ratelimit").unwrap();
    assert!(left.starts_with(r#""per-hour";r=0;t="#), "{left}");
    let grpc = http2(gateway.grpc()).await;
    assert_eq!(grpc.head.headers["grpc-status"], "8");
    gateway
        .tells(&[
            r#"buttress_rate_requests_total{decision="allowed"} 1"#,
            r#"buttress_rate_requests_total{decision="rejected"} 2"#,
            "buttress_rate_keys 1",
            r#"buttress_rejected_total{layer="rate",reason="quota"} 2"#,
        ])
        .await;
}

#[tokio::test(crate = "crate::gateway_process::leakless")]
async fn a_burst_is_what_may_come_at_once() {
    let gateway = at("9/h:2", &[]).await;
    let mut statuses = Vec::new();
    for _ in 0..3 {
        statuses.push(http1(gateway.get("/")).await.head.status.as_u16());
    }
    assert_eq!(statuses, [200, 200, 429]);
}

#[tokio::test(crate = "crate::gateway_process::leakless")]
async fn a_forged_address_changes_nothing() {
    let gateway = at("1/h", &[]).await;
    assert_eq!(forwarded(&gateway, "192.0.2.1").await.head.status, 200);
    assert_eq!(forwarded(&gateway, "192.0.2.2").await.head.status, 429);
}

#[tokio::test(crate = "crate::gateway_process::leakless")]
async fn behind_a_trusted_hop_a_client_is_whom_that_one_names() {
    let gateway = at("1/h", &["--trusted-hops", "1"]).await;
    assert_eq!(forwarded(&gateway, "192.0.2.1").await.head.status, 200);
    assert_eq!(forwarded(&gateway, "192.0.2.2").await.head.status, 200);
    assert_eq!(forwarded(&gateway, "192.0.2.3, 192.0.2.2").await.head.status, 429);
}

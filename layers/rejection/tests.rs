use std::time::Duration;

use bytes::Bytes;
use http::{Request, Response, StatusCode};
use http_body_util::{BodyExt, Full};
use proptest::prelude::*;
use tower::{ServiceBuilder, ServiceExt};

use super::*;
use crate::BoxError;

fn protocol(content_type: &str) -> Protocol {
    Protocol::of(
        &Request::post("/p.S/M")
            .header("content-type", content_type)
            .body(())
            .unwrap(),
    )
}

const SECOND: Duration = Duration::from_secs(1);

#[test]
fn protocol_of_a_request() {
    let name = |protocol: Protocol| match protocol {
        Protocol::Http => "http",
        Protocol::HttpHead => "head",
        Protocol::Grpc(_) => "grpc",
        Protocol::GrpcWeb(_) => "web",
        Protocol::GrpcWebText(_) => "web-text",
        Protocol::ConnectUnary => "connect",
        Protocol::ConnectStreaming(_) => "connect-stream",
    };
    for (content_type, expected) in [
        ("application/grpc", "grpc"),
        ("application/grpc+proto", "grpc"),
        ("application/grpc+x-own", "grpc"),
        ("application/grpc;charset=utf-8", "grpc"),
        ("Application/gRPC", "grpc"),
        ("application/grpc-web", "web"),
        ("application/grpc-web+proto", "web"),
        ("application/grpc-web-text", "web-text"),
        ("application/grpc-web-text+proto", "web-text"),
        ("application/grpc-website", "http"),
        ("application/grpcish", "http"),
        ("application/connect+json", "connect-stream"),
        ("application/connect", "http"),
        ("application/json", "http"),
        ("application/gr", "http"),
        ("", "http"),
    ] {
        assert_eq!(name(protocol(content_type)), expected, "{content_type:?}");
    }
    let request = |method: &str, uri: &str| Request::builder().method(method).uri(uri);
    for (builder, expected) in [
        (request("GET", "/"), "http"),
        (request("HEAD", "/"), "head"),
        (request("GET", "/p.S/M?connect=v1&encoding=json"), "connect"),
        (request("GET", "/p.S/M?xconnect=v1"), "http"),
        (request("PUT", "/").header("content-type", "application/grpc"), "http"),
        (request("POST", "/").header("connect-protocol-version", "1"), "connect"),
        (request("POST", "/").header("connect-protocol-version", "2"), "http"),
        (
            request("POST", "/")
                .header("content-type", "application/proto")
                .header("connect-protocol-version", "1"),
            "connect",
        ),
    ] {
        let request = builder.body(()).unwrap();
        assert_eq!(name(Protocol::of(&request)), expected, "{request:?}");
    }
}

#[test]
fn every_reason_in_every_protocol() {
    use Reason::{
        BreakerOpen, Cancelled, DeadlineExceeded, Draining, InvalidDeadline, MissingDeadline, Overloaded, Quota, Shed,
        Unreachable,
    };
    for (reason, status, grpc, connect) in [
        (Overloaded, 503, "14", "unavailable"),
        (Shed, 503, "14", "unavailable"),
        (BreakerOpen, 503, "14", "unavailable"),
        (Draining, 503, "14", "unavailable"),
        (Quota, 429, "8", "resource_exhausted"),
        (DeadlineExceeded, 504, "4", "deadline_exceeded"),
        (Cancelled, 499, "1", "canceled"),
        (InvalidDeadline, 400, "13", "invalid_argument"),
        (MissingDeadline, 500, "13", "internal"),
        (Unreachable, 502, "14", "unavailable"),
    ] {
        let rejection = Rejection::new(reason, "test");
        assert_eq!(
            rejection.clone().into_answer(&Protocol::Http).status(),
            status,
            "{reason:?}"
        );
        for content_type in [
            "application/grpc",
            "application/grpc-web+proto",
            "application/grpc-web-text",
        ] {
            let response = rejection.clone().into_answer(&protocol(content_type));
            assert_eq!(response.status(), 200);
            assert_eq!(response.headers()["grpc-status"], grpc, "{reason:?}");
            assert_eq!(response.headers()["content-type"], content_type);
            assert!(response.body().is_empty());
        }
        let unary = rejection.clone().into_answer(&Protocol::ConnectUnary);
        assert_eq!(unary.headers()["content-type"], "application/json");
        let expected = format!("{{\"code\":\"{connect}\",\"message\":\"{}\"}}", reason.message());
        assert_eq!(unary.body(), expected.as_bytes());
        assert_eq!(
            unary.status().as_u16(),
            if reason == Unreachable { 503 } else { status }
        );

        let stream = rejection.clone().into_answer(&protocol("application/connect+proto"));
        assert_eq!(
            (stream.status(), &stream.headers()["content-type"]),
            (StatusCode::OK, &"application/connect+proto".parse().unwrap())
        );
        let (prefix, json) = stream.body().split_at(5);
        assert_eq!(prefix, [2, 0, 0, 0, u8::try_from(json.len()).unwrap()]);
        assert_eq!(json, format!("{{\"error\":{expected}}}").as_bytes());
        assert_eq!(stream.extensions().get(), Some(&rejection));
    }
}

#[test]
fn an_unusual_content_type_comes_back_as_it_was() {
    let response = Rejection::new(Reason::Shed, "test").into_answer(&protocol("application/grpc+my-codec; v=1"));
    assert_eq!(response.headers()["content-type"], "application/grpc+my-codec; v=1");
}

#[test]
fn head_is_answered_without_a_body() {
    let response = Rejection::new(Reason::Shed, "test").into_answer(&Protocol::HttpHead);
    assert_eq!(
        (response.status(), response.body().len()),
        (StatusCode::SERVICE_UNAVAILABLE, 0)
    );
}

#[test]
fn want_of_capacity_says_when_to_come_back_and_the_rest_does_not() {
    assert_eq!(Rejection::new(Reason::Overloaded, "test").wait(), Some(SECOND));
    let late = Rejection::new(Reason::DeadlineExceeded, "test");
    assert_eq!((late.wait(), late.may_retry()), (None, false));
    assert!(!late.into_answer(&Protocol::Http).headers().contains_key("retry-after"));
}

#[test]
fn do_not_retry_is_said_in_each_protocol() {
    let rejection = Rejection::new(Reason::Draining, "test").do_not_retry();
    assert!(!rejection.may_retry());
    let http = rejection.clone().into_answer(&Protocol::Http);
    assert_eq!(http.headers()["x-should-retry"], "false");
    assert!(!http.headers().contains_key("retry-after"));
    assert_eq!(
        rejection.into_answer(&protocol("application/grpc")).headers()["grpc-retry-pushback-ms"],
        "-1"
    );
}

proptest! {
    /// Rounded up, never 0, and spread: never sooner than asked, and not much later.
    #[test]
    fn a_hint_is_never_early_and_never_zero(millis in 0u64..100_000_000) {
        let wait = Duration::from_millis(millis);
        let rejection = Rejection::new(Reason::Overloaded, "test").retry_after(wait);
        let most = wait + (wait / 4).max(SECOND);
        let http = rejection.clone().into_answer(&Protocol::Http);
        let told: u64 = http.headers()["retry-after"].to_str().unwrap().parse().unwrap();
        prop_assert!(told >= 1 && Duration::from_secs(told) >= wait && Duration::from_secs(told) <= most + SECOND);
        let grpc = rejection.into_answer(&protocol("application/grpc"));
        let told: i32 = grpc.headers()["grpc-retry-pushback-ms"].to_str().unwrap().parse().unwrap();
        let told = Duration::from_millis(told.try_into().unwrap());
        prop_assert!(told > Duration::ZERO && told >= wait && told <= most + Duration::from_millis(1));
    }

    /// Whatever the message is, the answer is well-formed and the message comes back.
    #[test]
    fn no_message_breaks_an_answer(message in "\\PC*|[\\x00-\\x7f]*") {
        let rejection = Rejection::new(Reason::Overloaded, "test").with_message(message.clone());
        let grpc = rejection.clone().into_answer(&protocol("application/grpc"));
        let encoded = grpc.headers()["grpc-message"].as_bytes();
        prop_assert!(encoded.iter().all(|byte| (0x20..0x7f).contains(byte)));
        prop_assert_eq!(percent_encoding::percent_decode(encoded).decode_utf8().unwrap(), message.as_str());
        let connect = rejection.clone().into_answer(&Protocol::ConnectUnary);
        let json: serde_json::Value = serde_json::from_slice(connect.body()).unwrap();
        prop_assert_eq!(&json["message"], &message);
        let problem: serde_json::Value = serde_json::from_str(&rejection.problem()).unwrap();
        prop_assert_eq!(&problem["detail"], &message);
    }
}

/// Those who are turned away together would return together.
#[test]
fn even_a_short_hint_is_spread() {
    for wait in [Duration::ZERO, SECOND / 2, SECOND, 4 * SECOND] {
        let rejection = Rejection::new(Reason::Overloaded, "test").retry_after(wait);
        let told = |_| rejection.clone().into_answer(&Protocol::Http).headers()["retry-after"].clone();
        let all: std::collections::HashSet<_> = (0..100).map(told).collect();
        assert!(all.len() > 1, "all are told {all:?}, for {wait:?}");
    }
}

#[test]
fn the_largest_wait_does_not_overflow() {
    let rejection = Rejection::new(Reason::Overloaded, "test").retry_after(Duration::MAX);
    rejection.clone().into_answer(&Protocol::Http);
    let grpc = rejection.into_answer(&protocol("application/grpc"));
    assert_eq!(grpc.headers()["grpc-retry-pushback-ms"], i32::MAX.to_string());
}

#[test]
fn a_context_that_ended_is_a_rejection() {
    use crate::Cancelled;
    for (why, reason) in [
        (Cancelled::DeadlineExceeded, Reason::DeadlineExceeded),
        (Cancelled::ShuttingDown, Reason::Draining),
        (Cancelled::Disconnected, Reason::Cancelled),
        (Cancelled::Superseded, Reason::Cancelled),
    ] {
        let rejection = Rejection::from(why);
        assert_eq!((rejection.reason(), rejection.was_executed()), (reason, true));
    }
}

async fn rendered(layer: RenderLayer, request: Request<()>) -> Response<Bytes> {
    let service = ServiceBuilder::new()
        .layer(layer)
        .service_fn(|request: Request<()>| async move {
            let rejection = Rejection::new(Reason::Overloaded, "limit").with_message("say \"please\"");
            Ok::<_, BoxError>(rejection.into_answer(&Protocol::of(&request)).map(Full::new))
        });
    let (head, body) = service.oneshot(request).await.unwrap().into_parts();
    Response::from_parts(head, body.collect().await.unwrap().to_bytes())
}

#[tokio::test]
async fn problem_details_are_rendered_once_for_all_layers() {
    let response = rendered(RenderLayer::new(Render::Problem), Request::new(())).await;
    assert_eq!(response.headers()["content-type"], "application/problem+json");
    assert!(
        response.headers().contains_key("retry-after"),
        "what else was said stays"
    );
    assert_eq!(
        response.body(),
        r#"{"title":"overloaded","status":503,"detail":"say \"please\""}"#
    );
}

#[tokio::test]
async fn a_renderer_of_ones_own_changes_what_it_likes() {
    let layer = RenderLayer::with(|rejection, response| {
        *response.status_mut() = StatusCode::IM_A_TEAPOT;
        *response.body_mut() = rejection.layer().into();
    })
    .rejected_by("edge-1".parse().unwrap());
    let response = rendered(layer.clone(), Request::new(())).await;
    assert_eq!(
        (response.status(), response.body()),
        (StatusCode::IM_A_TEAPOT, &Bytes::from("limit"))
    );
    assert_eq!(response.headers()["x-rejected-by"], "edge-1");

    let grpc = Request::post("/p.S/M")
        .header("content-type", "application/grpc")
        .body(())
        .unwrap();
    let response = rendered(layer, grpc).await;
    assert_eq!(
        (response.status(), &response.headers()["grpc-status"]),
        (StatusCode::OK, &"14".parse().unwrap())
    );
}

/// As an answer of axum's has it, that has passed a router.
#[tokio::test]
async fn a_length_that_was_declared_is_not_that_of_another_body() {
    let with = RenderLayer::with(|_, response| *response.body_mut() = "another".into());
    for layer in [RenderLayer::new(Render::Problem), with] {
        let service = ServiceBuilder::new()
            .layer(layer)
            .service_fn(|request: Request<()>| async move {
                let rejection = Rejection::new(Reason::Overloaded, "handler");
                let mut answer = rejection.into_answer(&Protocol::of(&request)).map(Full::new);
                answer.headers_mut().insert("content-length", 10.into());
                Ok::<_, BoxError>(answer)
            });
        let answer = service.clone().oneshot(Request::new(())).await.unwrap();
        let (head, body) = answer.into_parts();
        let length = body.collect().await.unwrap().to_bytes().len().to_string();
        let declared = |headers: &HeaderMap| headers.get("content-length").cloned();
        assert!(declared(&head.headers).is_none_or(|declared| declared == length));

        let answer = service.oneshot(Request::head("/").body(()).unwrap()).await.unwrap();
        assert!(declared(answer.headers()).is_none_or(|declared| declared == length));
    }
}

#[tokio::test]
async fn an_answer_made_without_knowing_the_protocol_is_made_anew_in_it() {
    for render in [Render::Text, Render::Problem] {
        an_unknowing_answer_is_made_anew(RenderLayer::new(render)).await;
    }
}

async fn an_unknowing_answer_is_made_anew(layer: RenderLayer) {
    let unknowing = ServiceBuilder::new().layer(layer).service_fn(|_: Request<()>| async {
        let rejection = Rejection::new(Reason::Quota, "handler").do_not_retry();
        let mut answer = rejection.into_answer(&Protocol::Http).map(Full::new);
        for value in ["stays", "too"] {
            answer.headers_mut().append("x-own", value.parse().unwrap());
        }
        answer.extensions_mut().insert("stays");
        Ok::<_, BoxError>(answer)
    });
    let ask = |content_type: &str| {
        let request = Request::post("/p.S/M").header("content-type", content_type);
        unknowing.clone().oneshot(request.body(()).unwrap())
    };
    let grpc = ask("application/grpc+proto").await.unwrap();
    assert_eq!(grpc.status(), 200);
    assert!(grpc.extensions().get::<Rejection>().is_some());
    assert_eq!(grpc.extensions().get(), Some(&"stays"));
    assert_eq!(grpc.headers().get_all("x-own").iter().count(), 2);
    for (name, value) in [
        ("content-type", "application/grpc+proto"),
        ("grpc-status", "8"),
        ("grpc-retry-pushback-ms", "-1"),
        ("x-own", "stays"),
    ] {
        assert_eq!(grpc.headers()[name], value);
    }
    assert!(http_body::Body::is_end_stream(grpc.body()));
    let plain = ask("application/json").await.unwrap();
    assert_eq!(
        (plain.status().as_u16(), &plain.headers()["x-should-retry"]),
        (429, &"false".parse().unwrap())
    );
}

use std::sync::{Arc, Mutex};

use bytes::Bytes;
use http::{HeaderMap, Request, Response};
use http_body::{Body, Frame};
use http_body_util::{BodyExt, Empty, Full, StreamBody};

use super::*;
use crate::{
    BoxError,
    rejection::{Protocol, Reason},
};

#[derive(Clone, Default)]
struct Heard(Arc<Mutex<Vec<Outcome>>>);

impl Settle for Heard {
    fn settle(self, outcome: Outcome) {
        self.0.lock().unwrap().push(outcome);
    }
}

impl Heard {
    fn only(&self) -> Outcome {
        let heard = self.0.lock().unwrap();
        assert_eq!(heard.len(), 1, "told exactly once");
        heard[0].clone()
    }
}

fn grpc() -> Protocol {
    Protocol::of(
        &Request::post("/p.S/M")
            .header("content-type", "application/grpc")
            .body(())
            .unwrap(),
    )
}

async fn outcome<B>(protocol: &Protocol, response: Response<B>) -> Outcome
where
    B: Body<Data = Bytes>,
    B::Error: Into<BoxError>,
{
    let heard = Heard::default();
    let _ = Classified::follow(response, protocol, heard.clone())
        .into_body()
        .collect()
        .await;
    heard.only()
}

fn http(status: u16) -> Response<Empty<Bytes>> {
    Response::builder().status(status).body(Empty::new()).unwrap()
}

fn frames(frames: Vec<Result<Frame<Bytes>, BoxError>>) -> Response<impl Body<Data = Bytes, Error = BoxError> + Unpin> {
    Response::new(StreamBody::new(futures_util::stream::iter(frames)))
}

fn trailers(status: &'static str) -> Frame<Bytes> {
    Frame::trailers(HeaderMap::from_iter([(
        "grpc-status".parse().unwrap(),
        status.parse().unwrap(),
    )]))
}

#[tokio::test]
async fn http_is_judged_by_its_status() {
    for status in [200, 204, 302, 304, 400, 401, 404, 409] {
        assert_eq!(
            outcome(&Protocol::Http, http(status)).await,
            Outcome::Success,
            "{status}"
        );
    }
    for status in [408, 421, 425, 429, 500, 502, 503, 504] {
        let class = Class::Http(status.try_into().unwrap());
        assert_eq!(
            outcome(&Protocol::Http, http(status)).await,
            Outcome::failure(class),
            "{status}"
        );
    }
}

#[tokio::test]
async fn a_failure_brings_its_hint() {
    let response = Response::builder()
        .status(503)
        .header("retry-after", "7")
        .body(Empty::<Bytes>::new())
        .unwrap();
    let Outcome::Failure(failure) = outcome(&Protocol::Http, response).await else {
        panic!("a failure")
    };
    assert_eq!(failure.hint, Some(Hint::After(std::time::Duration::from_secs(7))));
}

#[tokio::test]
async fn grpc_is_judged_by_its_trailers() {
    let message = || Ok(Frame::data(Bytes::from_static(b"\0\0\0\0\0")));
    for status in ["0", "3", "5", "6", "7", "9", "10", "11", "16"] {
        let response = frames(vec![message(), Ok(trailers(status))]);
        assert_eq!(outcome(&grpc(), response).await, Outcome::Success, "{status}");
    }
    for status in [2, 4, 8, 12, 13, 14, 15, 99] {
        let text: &'static str = status.to_string().leak();
        let response = frames(vec![message(), Ok(trailers(text))]);
        assert_eq!(
            outcome(&grpc(), response).await,
            Outcome::failure(Class::Grpc(status)),
            "{status}"
        );
    }
    let cancelled = frames(vec![Ok(trailers("1"))]);
    assert_eq!(
        outcome(&grpc(), cancelled).await,
        Outcome::Cancelled(Cancelled::Disconnected)
    );
}

#[tokio::test]
async fn a_grpc_response_without_a_status_is_a_failure() {
    let missing = Outcome::failure(Class::MissingStatus);
    assert_eq!(outcome(&grpc(), http(200)).await, missing);
    assert_eq!(outcome(&grpc(), Response::new(Full::from("message"))).await, missing);
    assert_eq!(
        outcome(&grpc(), frames(vec![Ok(Frame::trailers(HeaderMap::new()))])).await,
        missing
    );
    assert_eq!(outcome(&grpc(), frames(vec![Ok(trailers("fourteen"))])).await, missing);
}

#[tokio::test]
async fn a_trailers_only_grpc_response_is_judged_at_its_head() {
    let response = Response::builder()
        .header("grpc-status", "14")
        .header("grpc-retry-pushback-ms", "-1")
        .body(Empty::<Bytes>::new())
        .unwrap();
    let failure = Failure {
        class: Class::Grpc(14),
        hint: Some(Hint::DoNotRetry),
    };
    assert_eq!(outcome(&grpc(), response).await, Outcome::Failure(failure));
}

/// Its trailers are a frame of its body, which nobody reads here; but not where there is no body.
#[tokio::test]
async fn grpc_web_is_judged_by_its_head() {
    let answer = |status: &str| {
        let response = Response::builder().header("grpc-status", status);
        response.body(Empty::<Bytes>::new()).unwrap()
    };
    for content_type in ["application/grpc-web", "application/grpc-web-text"] {
        let request = Request::post("/p.S/M").header("content-type", content_type).body(());
        let web = Protocol::of(&request.unwrap());
        assert_eq!(outcome(&web, answer("14")).await, Outcome::failure(Class::Grpc(14)));
        assert_eq!(outcome(&web, answer("5")).await, Outcome::Success);
        assert_eq!(outcome(&web, http(200)).await, Outcome::Success);
        let class = Class::Http(StatusCode::BAD_GATEWAY);
        assert_eq!(outcome(&web, http(502)).await, Outcome::failure(class));
    }
}

#[tokio::test]
async fn a_proxy_that_answers_grpc_with_http_is_judged_by_that() {
    assert_eq!(
        outcome(&grpc(), http(502)).await,
        Outcome::failure(Class::Http(StatusCode::BAD_GATEWAY))
    );
}

#[tokio::test]
async fn what_one_of_us_said_is_rejected() {
    let rejection = Rejection::new(Reason::Overloaded, "limit");
    for protocol in [Protocol::Http, grpc()] {
        let response = rejection.clone().into_answer(&protocol).map(Full::new);
        assert_eq!(outcome(&protocol, response).await, Outcome::Rejected(rejection.clone()));
    }
    let cut = frames(vec![Err(rejection.clone().into())]);
    assert_eq!(outcome(&Protocol::Http, cut).await, Outcome::Rejected(rejection));
}

#[tokio::test]
async fn a_rejection_because_the_caller_left_is_a_departure() {
    let left = Rejection::new(Reason::Cancelled, "test").into_answer(&Protocol::Http);
    assert_eq!(
        outcome(&Protocol::Http, left.map(Full::new)).await,
        Outcome::Cancelled(Cancelled::Disconnected)
    );
}

#[tokio::test]
async fn a_body_that_breaks_is_a_failure_whatever_its_head_said() {
    let response = frames(vec![Ok(Frame::data(Bytes::from_static(b"half"))), Err("reset".into())]);
    assert_eq!(outcome(&Protocol::Http, response).await, Outcome::failure(Class::Body));
}

#[tokio::test]
async fn a_body_that_nobody_reads_is_cancelled() {
    let heard = Heard::default();
    drop(Classified::follow(
        Response::new(Full::from("unread")),
        &Protocol::Http,
        heard.clone(),
    ));
    assert_eq!(heard.only(), Outcome::Cancelled(Cancelled::Disconnected));
}

/// Clients that look at the status do not read on: reqwest's `error_for_status`, for one.
#[test]
fn a_failure_that_nobody_reads_is_a_failure() {
    let heard = Heard::default();
    let mut response = Response::new(Full::from("unread"));
    *response.status_mut() = StatusCode::SERVICE_UNAVAILABLE;
    drop(Classified::follow(response, &Protocol::Http, heard.clone()));
    assert_eq!(
        heard.only(),
        Outcome::failure(Class::Http(StatusCode::SERVICE_UNAVAILABLE))
    );
}

#[test]
fn what_is_held_is_settled_once_whatever_happens() {
    let heard = Heard::default();
    let mut held = Held::new(heard.clone());
    held.settle(Outcome::Success);
    held.settle(Outcome::failure(Class::Body));
    drop(held);
    assert_eq!(heard.only(), Outcome::Success);

    let heard = Heard::default();
    drop(Held::new(heard.clone()));
    assert_eq!(heard.only(), Outcome::Cancelled(Cancelled::Disconnected));
}

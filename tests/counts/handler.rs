use std::{
    convert::Infallible,
    future::{Future, pending},
    pin::Pin,
    task::{Context, Poll},
    time::Duration,
};

use buttress::{
    Rejection,
    rejection::{Protocol, Reason},
    telemetry::rejected,
};
use bytes::Bytes;
use futures_util::{StreamExt, stream};
use http::{Request, Response, StatusCode};
use http_body::Frame;
use http_body_util::{BodyExt, Full, StreamBody, combinators::UnsyncBoxBody};
use tokio::time::sleep;
use tower::Service;

use crate::Ending;

/// There is no error: what fails answers.
pub(crate) type Broken = Infallible;

type Body = UnsyncBoxBody<Bytes, Infallible>;

/// Answers so that the call ends so.
#[derive(Clone)]
pub(crate) struct Handler(pub(crate) Ending);

const HOUR: Duration = Duration::from_secs(3_600);

fn full(status: u16) -> Response<Body> {
    let mut response = Response::new(Full::from("yes").boxed_unsync());
    *response.status_mut() = StatusCode::from_u16(status).unwrap();
    response
}

/// A frame, and then nothing until that is over.
fn stalls(until: impl Future<Output = ()> + Send + 'static) -> Response<Body> {
    let frame = || Ok(Frame::data(Bytes::from("yes")));
    let first = stream::iter([frame()]);
    let last = stream::once(async move {
        until.await;
        frame()
    });
    Response::new(StreamBody::new(first.chain(last)).boxed_unsync())
}

/// Without a word.
fn panics<T>() -> T {
    std::panic::resume_unwind(Box::new(()))
}

impl<B> Service<Request<B>> for Handler {
    type Response = Response<Body>;
    type Error = Infallible;
    type Future = Pin<Box<dyn Future<Output = Result<Response<Body>, Infallible>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, _: Request<B>) -> Self::Future {
        let ending = self.0;
        Box::pin(async move {
            Ok(match ending {
                Ending::Success => full(200),
                Ending::Failure => full(503),
                Ending::Rejected => {
                    let rejection = Rejection::new(Reason::Unreachable, "handler");
                    rejected(&rejection);
                    rejection
                        .into_answer(&Protocol::Http)
                        .map(|body| Full::from(body).boxed_unsync())
                }
                Ending::Late => {
                    sleep(HOUR).await;
                    full(200)
                }
                Ending::LateInBody => stalls(sleep(HOUR)),
                Ending::LeftAtHead => pending().await,
                Ending::LeftInBody => stalls(pending()),
                Ending::Panic => panics(),
            })
        })
    }
}

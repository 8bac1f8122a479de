//! An upstream that answers as a script says, and remembers what it was sent.

#![allow(dead_code, reason = "each test binary uses its part")]

use std::{
    collections::VecDeque,
    future::Future,
    pin::Pin,
    sync::{Arc, Mutex},
    task::{Context as Poller, Poll},
    time::Duration,
};

use buttress::{BoxError, Context};
use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, Request, Response};
use http_body_util::{BodyExt, Full};
use tokio::time::{Instant, sleep};
use tower::Service;

/// What an attempt is answered.
pub(crate) enum Answer {
    Response(Response<Full<Bytes>>),
    Error(BoxError),
    /// Never.
    Hang,
    /// The answer, after this long.
    Late(Duration, Box<Answer>),
    /// The answer, to a request of which the body is not read.
    Early(Box<Answer>),
}

/// An attempt, as the upstream saw it.
#[derive(Debug)]
pub(crate) struct Seen {
    /// When it came, since the script began.
    pub(crate) at: Duration,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Bytes,
    pub(crate) trailers: Option<HeaderMap>,
    pub(crate) context: Context,
}

/// Answers attempts in turn, and with 200 once the script is over. Clones read the same script.
#[derive(Clone)]
pub(crate) struct Script {
    answers: Arc<Mutex<VecDeque<Answer>>>,
    seen: Arc<Mutex<Vec<Seen>>>,
    start: Instant,
    /// After so many calls it is not ready any more.
    ready_for: Arc<Mutex<usize>>,
}

/// An answer with this status, and headers as `name: value` a line.
pub(crate) fn status(status: u16, headers: &str) -> Answer {
    let mut response = Response::new(Full::from(format!("{status}")));
    *response.status_mut() = status.try_into().unwrap();
    for line in headers.lines() {
        let (name, value) = line.split_once(": ").unwrap();
        let name: HeaderName = name.parse().unwrap();
        response.headers_mut().append(name, value.parse().unwrap());
    }
    Answer::Response(response)
}

/// A gRPC answer that ends with its head, and more headers.
pub(crate) fn grpc(code: i32, headers: &str) -> Answer {
    let Answer::Response(response) = status(200, headers) else {
        unreachable!()
    };
    let mut response = response.map(|_| Full::default());
    let headers = response.headers_mut();
    headers.insert("content-type", HeaderValue::from_static("application/grpc"));
    headers.insert("grpc-status", code.into());
    Answer::Response(response)
}

pub(crate) fn late(wait: Duration, answer: Answer) -> Answer {
    Answer::Late(wait, Box::new(answer))
}

pub(crate) fn early(answer: Answer) -> Answer {
    Answer::Early(Box::new(answer))
}

pub(crate) fn broken() -> Answer {
    Answer::Error("broken".into())
}

impl Script {
    pub(crate) fn new(answers: impl IntoIterator<Item = Answer>) -> Self {
        Self {
            answers: Arc::new(Mutex::new(answers.into_iter().collect())),
            seen: Arc::default(),
            start: Instant::now(),
            ready_for: Arc::new(Mutex::new(usize::MAX)),
        }
    }

    /// It is ready for so many calls.
    pub(crate) fn ready_for(self, calls: usize) -> Self {
        *self.ready_for.lock().unwrap() = calls;
        self
    }

    pub(crate) fn set_ready_for(&self, calls: usize) {
        *self.ready_for.lock().unwrap() = calls;
    }

    pub(crate) fn seen(&self) -> Vec<Seen> {
        std::mem::take(&mut self.seen.lock().unwrap())
    }

    /// How many attempts there were since this was last asked.
    pub(crate) fn attempts(&self) -> usize {
        self.seen().len()
    }
}

impl<B> Service<Request<B>> for Script
where
    B: http_body::Body<Data = Bytes> + Send + 'static,
    B::Error: Into<BoxError>,
{
    type Response = Response<Full<Bytes>>;
    type Error = BoxError;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, BoxError>> + Send>>;

    fn poll_ready(&mut self, _: &mut Poller<'_>) -> Poll<Result<(), BoxError>> {
        match *self.ready_for.lock().unwrap() {
            0 => Poll::Pending,
            _ => Poll::Ready(Ok(())),
        }
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        *self.ready_for.lock().unwrap() -= 1;
        let mut answer = self
            .answers
            .lock()
            .unwrap()
            .pop_front()
            .unwrap_or_else(|| status(200, ""));
        let (seen, at) = (self.seen.clone(), self.start.elapsed());
        let context = Context::current();
        Box::pin(async move {
            let (head, body) = request.into_parts();
            let place = {
                let mut seen = seen.lock().unwrap();
                seen.push(Seen {
                    at,
                    headers: head.headers,
                    body: Bytes::new(),
                    trailers: None,
                    context,
                });
                seen.len() - 1
            };
            if let Answer::Early(early) = answer {
                drop(body);
                answer = *early;
            } else {
                let body = body.collect().await.map_err(Into::into)?;
                if let Some(seen) = seen.lock().unwrap().get_mut(place) {
                    seen.trailers = body.trailers().cloned();
                    seen.body = body.to_bytes();
                }
            }
            loop {
                match answer {
                    Answer::Response(response) => return Ok(response),
                    Answer::Error(error) => return Err(error),
                    Answer::Hang => std::future::pending().await,
                    Answer::Late(wait, after) => {
                        sleep(wait).await;
                        answer = *after;
                    }
                    Answer::Early(after) => answer = *after,
                }
            }
        })
    }
}

//! Bodies that end in every way, and a server that tells how they ended.

use std::{
    net::SocketAddr,
    pin::{Pin, pin},
    sync::Arc,
    task::{Context as Poller, Poll},
    time::Duration,
};

use buttress::{BoxError, CancelLayer, Cancelled, Context, DeadlineLayer, ObserveLayer, outcome::Outcome};
use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Method, Request, Response};
use http_body::{Body as HttpBody, Frame, SizeHint};
use http_body_util::BodyExt;
use hyper::body::Incoming;
use tower::{ServiceBuilder, service_fn};

use super::{Heard, log, serve_hyper, soon};

/// A whole gRPC message: a prefix of five bytes, and what it announces.
pub(crate) const CHUNK: usize = 16 * 1024;

/// A body of that many chunks, each of which is there at once, and then its end.
#[derive(Clone, Debug)]
pub(crate) struct Chunks {
    left: usize,
    end: End,
    exact: bool,
}

#[derive(Clone, Copy, Debug)]
enum End {
    Clean,
    Broken,
    Never,
}

impl Chunks {
    pub(crate) const fn new(left: usize) -> Self {
        Self {
            left,
            end: End::Clean,
            exact: false,
        }
    }

    /// Its length is known.
    pub(crate) const fn exact(self) -> Self {
        Self { exact: true, ..self }
    }

    /// More is promised after its last chunk, and it breaks.
    pub(crate) const fn broken(self) -> Self {
        Self {
            end: End::Broken,
            ..self
        }
    }

    /// More is promised after its last chunk, and never comes.
    pub(crate) const fn endless(self) -> Self {
        Self {
            end: End::Never,
            ..self
        }
    }
}

impl HttpBody for Chunks {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(mut self: Pin<&mut Self>, _: &mut Poller<'_>) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        if self.left > 0 {
            self.left -= 1;
            let mut chunk = vec![0; CHUNK];
            let length = u32::try_from(CHUNK - 5).expect("it is small");
            chunk[1..5].copy_from_slice(&length.to_be_bytes());
            return Poll::Ready(Some(Ok(Frame::data(chunk.into()))));
        }
        match self.end {
            End::Clean => Poll::Ready(None),
            End::Broken => Poll::Ready(Some(Err("as planned".into()))),
            End::Never => Poll::Pending,
        }
    }

    fn size_hint(&self) -> SizeHint {
        let more = if matches!(self.end, End::Clean) { 0 } else { CHUNK };
        if self.exact {
            SizeHint::with_exact((self.left * CHUNK + more) as u64)
        } else {
            SizeHint::default()
        }
    }
}

/// The ways to say how long a body is: not at all, by its hint, by its header.
pub(crate) const LENGTHS: [(bool, bool); 3] = [(false, false), (true, false), (false, true)];

/// A server on hyper whose every call is observed.
pub(crate) struct Watched {
    pub(crate) address: SocketAddr,
    pub(crate) outcomes: Heard<Outcome>,
    pub(crate) contexts: Heard<Cancelled>,
}

impl Watched {
    /// Its handler answers so, at once.
    pub(crate) async fn serve(answer: impl Fn() -> Result<Response<Chunks>, BoxError> + Send + Sync + 'static) -> Self {
        let (outcome, outcomes) = log();
        let (end, contexts) = log();
        let answer = Arc::new(answer);
        let handler = service_fn(move |_: Request<Incoming>| {
            let (context, end) = (Context::current(), end.clone());
            tokio::spawn(async move { end.tell(context.cancelled().await) });
            std::future::ready(answer())
        });
        let service = ServiceBuilder::new()
            .layer(ObserveLayer::server(outcome))
            .layer(DeadlineLayer::new(Duration::from_secs(20)))
            .layer(CancelLayer::new())
            .service(handler);
        Self {
            address: serve_hyper(service).await,
            outcomes,
            contexts,
        }
    }

    /// It answers with 16 MiB: more than all buffers between a handler and a client that does not read.
    pub(crate) async fn large(exact: bool, declared: bool) -> Self {
        Self::serve(move || {
            let body = Chunks::new(1024);
            let mut response = Response::new(if exact { body.exact() } else { body });
            if declared {
                response.headers_mut().insert("content-length", (1024 * CHUNK).into());
            }
            Ok(response)
        })
        .await
    }

    /// How the next call ended, and why its context did.
    pub(crate) async fn end(&mut self) -> (Outcome, Cancelled) {
        (self.outcomes.next().await, self.contexts.next().await)
    }
}

/// A request that gives its answer 200 ms.
pub(crate) fn in_time(mut request: Request<axum::body::Body>) -> Request<axum::body::Body> {
    let timeout = HeaderValue::from_static("200");
    request.headers_mut().insert("x-request-timeout-ms", timeout);
    request
}

/// The same, for a stream of messages.
pub(crate) fn streaming(request: Request<axum::body::Body>, content_type: &'static str) -> Request<axum::body::Body> {
    let (mut head, body) = in_time(request).into_parts();
    head.method = Method::POST;
    let content_type = HeaderValue::from_static(content_type);
    head.headers.insert("content-type", content_type);
    Request::from_parts(head, body)
}

/// What a reader got of a body: so much, and then its trailers (if it has any) or an error.
pub(crate) async fn read<B>(body: B) -> (usize, Result<Option<HeaderMap>, B::Error>)
where
    B: HttpBody<Data = Bytes>,
{
    let mut body = pin!(body);
    let mut length = 0;
    while let Some(frame) = soon(body.frame()).await {
        match frame.map(Frame::into_data) {
            Ok(Ok(data)) => length += data.len(),
            Ok(Err(frame)) => return (length, Ok(frame.into_trailers().ok())),
            Err(error) => return (length, Err(error)),
        }
    }
    (length, Ok(None))
}

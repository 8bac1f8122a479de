//! Bodies of any length through a retry layer, over a real socket, and what memory that takes.

#![allow(dead_code, reason = "each binary uses its part")]
#![allow(clippy::disallowed_methods, reason = "a test may spawn")]

use std::{
    convert::Infallible,
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    task::{Context, Poll},
};

use buttress::{RetryLayer, body::replay, retry::RetrySnapshot};
use bytes::Bytes;
use http::{Request, Response, StatusCode};
use http_body::{Body, Frame, SizeHint};
use http_body_util::{BodyExt, Empty};
use hyper::{body::Incoming, service::service_fn};
use hyper_util::{
    client::legacy::Client,
    rt::{TokioExecutor, TokioIo},
    server::conn::auto,
};
use tokio::net::TcpListener;
use tower::{Layer, ServiceExt};

/// How much of a body is kept to be sent again.
pub(crate) const KEPT: usize = 64 << 10;

const FRAME: usize = 16 << 10;

/// What is sent.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Upload {
    pub(crate) http2: bool,
    /// In bytes.
    pub(crate) length: u64,
    /// It says beforehand how long it is.
    pub(crate) says: bool,
}

/// What became of it.
#[derive(Debug)]
pub(crate) struct Uploaded {
    pub(crate) status: StatusCode,
    /// What the server was sent, by all attempts.
    pub(crate) received: u64,
    pub(crate) attempts: usize,
    /// The most that all records of the process took, while it was sent.
    pub(crate) recorded: usize,
    pub(crate) snapshot: RetrySnapshot,
}

impl Upload {
    /// To a server that reads all of it and is busy. On this thread alone, so that all of the memory is this thread's.
    pub(crate) fn send(self) -> Uploaded {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        runtime.expect("a runtime").block_on(self.send_here())
    }

    async fn send_here(self) -> Uploaded {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let to = listener.local_addr().expect("an address");
        let server = tokio::spawn(busy(listener));
        let client = Client::builder(TokioExecutor::new())
            .http2_only(self.http2)
            .build_http();
        let layer = RetryLayer::http().body_limit(KEPT);
        let recorded = Arc::new(AtomicUsize::new(0));
        let body = Lazy {
            left: self.length,
            says: self.says,
            recorded: recorded.clone(),
        };
        let request = Request::put(format!("http://{to}/")).body(body).expect("a request");
        let answer = layer.layer(client).oneshot(request).await.expect("an answer");
        let number = |name: &str| {
            let value = answer.headers().get(name).and_then(|value| value.to_str().ok());
            value.and_then(|value| value.parse().ok()).unwrap_or(0)
        };
        let uploaded = Uploaded {
            status: answer.status(),
            received: number("x-received"),
            attempts: usize::try_from(number("x-attempts")).unwrap_or(usize::MAX),
            recorded: recorded.load(Ordering::Relaxed),
            snapshot: layer.snapshot(),
        };
        let _ = answer.into_body().collect().await;
        server.abort();
        uploaded
    }
}

/// Reads all that it is sent, says how much that was, and that it is busy: what else would be sent again.
async fn busy(listener: TcpListener) {
    let received = Arc::new([AtomicUsize::new(0), AtomicUsize::new(0)]);
    while let Ok((socket, _)) = listener.accept().await {
        let received = received.clone();
        let service = service_fn(move |request: Request<Incoming>| {
            let received = received.clone();
            async move {
                let [bytes, attempts] = &*received;
                attempts.fetch_add(1, Ordering::Relaxed);
                let mut body = request.into_body();
                while let Some(Ok(frame)) = body.frame().await {
                    bytes.fetch_add(frame.data_ref().map_or(0, Bytes::len), Ordering::Relaxed);
                }
                let answer = Response::builder()
                    .status(StatusCode::SERVICE_UNAVAILABLE)
                    .header("x-received", bytes.load(Ordering::Relaxed))
                    .header("x-attempts", attempts.load(Ordering::Relaxed));
                Ok::<_, Infallible>(answer.body(Empty::<Bytes>::new()).expect("an answer"))
            }
        });
        tokio::spawn(async move {
            let server = auto::Builder::new(TokioExecutor::new());
            // A connection that breaks is seen by its client.
            let _ = server.serve_connection(TokioIo::new(socket), service).await;
        });
    }
}

/// Makes each frame when it is asked for, in memory of its own: whoever keeps it, keeps that.
struct Lazy {
    left: u64,
    says: bool,
    recorded: Arc<AtomicUsize>,
}

impl Body for Lazy {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        self.recorded.fetch_max(replay::process_usage(), Ordering::Relaxed);
        let length = usize::try_from(self.left).unwrap_or(usize::MAX).min(FRAME);
        if length == 0 {
            return Poll::Ready(None);
        }
        self.left -= length as u64;
        Poll::Ready(Some(Ok(Frame::data(Bytes::from(vec![0; length])))))
    }

    fn size_hint(&self) -> SizeHint {
        if self.says {
            SizeHint::with_exact(self.left)
        } else {
            SizeHint::default()
        }
    }
}

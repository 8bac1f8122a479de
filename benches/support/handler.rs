//! What stands below every layer that is measured, and what comes in above.

use std::{
    cell::Cell,
    convert::Infallible,
    hint::black_box,
    pin::Pin,
    task::{Context, Poll},
};

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, Method, Request, Response};
use http_body_util::Full;
use tower::Service;

/// The service under the layers: no closure, no box, a future with a name.
///
/// Never inlined, as a handler that does something would not be. Else the compiler takes the bare case apart, and what is
/// counted over it depends on its mood.
#[derive(Clone, Debug, Default)]
pub(crate) struct Handler {
    pending: bool,
    asks: bool,
    work: u32,
    body: Bytes,
}

impl Handler {
    /// Answers at once, with an empty body.
    pub(crate) fn immediate() -> Self {
        Self::default()
    }

    /// Is pending once: a layer that has a timer arms it.
    pub(crate) fn pending_once(mut self) -> Self {
        self.pending = true;
        self
    }

    /// Asks for its context, once, and drops it.
    pub(crate) fn asks(mut self) -> Self {
        self.asks = true;
        self
    }

    /// Works for so many turns of a loop, which no other thread disturbs.
    pub(crate) fn works(mut self, turns: u32) -> Self {
        self.work = turns;
        self
    }

    /// Answers with a body of one frame.
    pub(crate) fn body(mut self, body: &'static [u8]) -> Self {
        self.body = Bytes::from_static(body);
        self
    }
}

impl Service<Request<Full<Bytes>>> for Handler {
    type Response = Response<Full<Bytes>>;
    type Error = Infallible;
    type Future = HandlerFuture;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    #[inline(never)]
    fn call(&mut self, request: Request<Full<Bytes>>) -> HandlerFuture {
        drop(black_box(request));
        HandlerFuture { handler: self.clone() }
    }
}

/// The response future of [`Handler`].
#[derive(Debug)]
pub(crate) struct HandlerFuture {
    handler: Handler,
}

impl Future for HandlerFuture {
    type Output = Result<Response<Full<Bytes>>, Infallible>;

    #[inline(never)]
    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let handler = &mut self.get_mut().handler;
        if handler.pending {
            handler.pending = false;
            cx.waker().wake_by_ref();
            return Poll::Pending;
        }
        for turn in 0..handler.work {
            black_box(turn);
        }
        if handler.asks {
            black_box(buttress::Context::current());
        }
        Poll::Ready(Ok(Response::new(Full::new(std::mem::take(&mut handler.body)))))
    }
}

/// Requests of one kind, as many as are wanted.
#[derive(Clone, Debug)]
pub(crate) struct Requests {
    method: Method,
    headers: HeaderMap,
    callers: Option<Cell<u32>>,
}

/// Who sends a request, of [`Requests::by_callers`]: in its extensions.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Caller(pub(crate) u32);

impl Requests {
    /// `GET` without a header.
    pub(crate) fn plain() -> Self {
        Self::with(Method::GET, [])
    }

    /// `GET` with a deadline of one second.
    pub(crate) fn with_deadline() -> Self {
        Self::with(Method::GET, [("x-request-timeout-ms", "1000")])
    }

    /// gRPC with a deadline of one second.
    pub(crate) fn grpc() -> Self {
        Self::with(
            Method::POST,
            [
                ("content-type", "application/grpc"),
                ("te", "trailers"),
                ("grpc-timeout", "1S"),
            ],
        )
    }

    /// A call of an API: `POST` of JSON, without a deadline.
    pub(crate) fn json() -> Self {
        Self::with(
            Method::POST,
            [
                ("host", "api.example.org"),
                ("user-agent", "example-client/1.4.2"),
                ("accept", "application/json"),
                ("content-type", "application/json"),
                ("content-length", "27"),
                ("authorization", "Bearer 0123456789abcdef0123456789abcdef"),
            ],
        )
    }

    /// What a browser sends: ten headers, none of them a deadline.
    pub(crate) fn browser() -> Self {
        Self::with(
            Method::GET,
            [
                ("host", "www.example.org"),
                (
                    "user-agent",
                    "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0",
                ),
                (
                    "accept",
                    "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8",
                ),
                ("accept-language", "en-US,en;q=0.5"),
                ("accept-encoding", "gzip, deflate, br, zstd"),
                ("cookie", "session=0123456789abcdef; theme=dark"),
                ("referer", "https://www.example.org/"),
                ("sec-fetch-dest", "document"),
                ("sec-fetch-mode", "navigate"),
                ("sec-fetch-site", "same-origin"),
            ],
        )
    }

    fn with<const N: usize>(method: Method, headers: [(&'static str, &'static str); N]) -> Self {
        let header = |(name, value)| (HeaderName::from_static(name), HeaderValue::from_static(value));
        Self {
            method,
            headers: headers.into_iter().map(header).collect(),
            callers: None,
        }
    }

    /// How many callers there are, where there are any: about a million.
    pub(crate) const CALLERS: u32 = 1 << 20;

    /// `GET` from each caller in turn, in no order that memory would like.
    pub(crate) fn by_callers() -> Self {
        let callers = Some(Cell::new(0));
        Self {
            callers,
            ..Self::plain()
        }
    }

    /// Builds one.
    pub(crate) fn one(&self) -> Request<Full<Bytes>> {
        let mut request = Request::new(Full::default());
        *request.method_mut() = self.method.clone();
        if !self.headers.is_empty() {
            *request.headers_mut() = self.headers.clone();
        }
        if let Some(turn) = &self.callers {
            turn.set(turn.get().wrapping_add(1));
            let caller = turn.get().wrapping_mul(0x9E37_79B1) % Self::CALLERS;
            request.extensions_mut().insert(Caller(caller));
        }
        request
    }
}

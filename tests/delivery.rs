//! What the errors of real clients over real sockets say of how far the request got.
#![cfg(feature = "hyper")]
#![allow(
    clippy::disallowed_methods,
    clippy::disallowed_types,
    clippy::unwrap_used,
    reason = "a test may spawn, queue without bound and fail by unwrap"
)]

mod support;

use std::{
    error::Error,
    io,
    net::SocketAddr,
    pin::Pin,
    task::{Context, Poll},
};

use axum::body::Body;
use buttress::{BoxError, hyper::ReuseLayer, outcome::Delivery};
use bytes::Bytes;
use http::{Method, Request, Version as HttpVersion};
use http_body::Frame;
use hyper_util::{
    client::legacy::{Client, connect::HttpConnector},
    rt::TokioExecutor,
};
use support::{Connection, VERSIONS, Version, get, listener, soon};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    task::yield_now,
};
use tower::{Layer, Service, ServiceExt, service_fn};

fn of(error: &(dyn Error + 'static)) -> Delivery {
    Delivery::of(error)
}

/// How a pooling client's request fails, through [`ReuseLayer`].
async fn fails(client: &impl Pooled, request: Request<Body>) -> Delivery {
    let failed = soon(client.send(request)).await;
    of(failed.unwrap_err().as_ref())
}

trait Pooled {
    fn send(&self, request: Request<Body>) -> impl Future<Output = Result<(), BoxError>>;
}

impl<C> Pooled for Client<C, Body>
where
    C: Service<http::Uri, Response: Send + 'static> + Clone + Send + Sync + 'static,
    Self: Clone + Service<Request<Body>, Error: Into<BoxError>>,
{
    async fn send(&self, request: Request<Body>) -> Result<(), BoxError> {
        self.clone().oneshot(request).await.map(drop).map_err(Into::into)
    }
}

fn pooled(version: Version) -> impl Pooled {
    Client::builder(TokioExecutor::new())
        .http2_only(version == Version::Http2)
        .build::<_, Body>(ReuseLayer::new().layer(HttpConnector::new()))
}

// === no connection ===

#[tokio::test(crate = "support::leakless")]
async fn a_refused_connection_sends_nothing() {
    let (listener, address) = listener().await;
    drop(listener);
    for version in VERSIONS {
        assert_eq!(fails(&pooled(version), get(address, "/")).await, Delivery::NotSent);
    }
    // And where no client says so.
    let error = TcpStream::connect(address).await.unwrap_err();
    assert_eq!(of(&error), Delivery::NotSent);
    assert_eq!(of(&io::Error::other(error)), Delivery::NotSent);
}

#[tokio::test(crate = "support::leakless")]
async fn a_name_that_is_not_found_sends_nothing() {
    let nowhere = service_fn(|_| async { Err::<std::iter::Empty<SocketAddr>, _>(io::Error::other("no such name")) });
    let connector = ReuseLayer::new().layer(HttpConnector::new_with_resolver(nowhere));
    let client = Client::builder(TokioExecutor::new()).build::<_, Body>(connector);
    let request = Request::get("http://nowhere.example/").body(Body::empty()).unwrap();
    assert_eq!(fails(&client, request).await, Delivery::NotSent);
}

#[tokio::test(crate = "support::leakless")]
async fn a_request_on_a_connection_that_was_closed_before_sends_nothing() {
    for version in VERSIONS {
        let address = serve(|mut socket| async move {
            _ = socket.shutdown().await;
        })
        .await;
        let mut connection = Connection::open(address, version).await;
        // Until it has seen the end.
        while !is_closed(&connection) {
            yield_now().await;
        }
        let error = soon(connection.send(get(address, "/"))).await.unwrap_err();
        assert_eq!(of(&error), Delivery::NotSent, "{error:?}");
    }
}

fn is_closed(connection: &Connection) -> bool {
    match connection {
        Connection::Http1(sender) => sender.is_closed(),
        Connection::Http2(sender) => sender.is_closed(),
    }
}

// === HTTP/1 ===

const ANSWER: &str = "HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n";

/// How a connection ends.
#[derive(Clone, Copy, Debug)]
enum Ending {
    Close,
    Reset,
}

const ENDINGS: [Ending; 2] = [Ending::Close, Ending::Reset];

/// Answers so many requests, and to the next says this and ends the connection.
async fn breaks_after(answers: usize, last_words: &'static str, ending: Ending) -> SocketAddr {
    serve(move |mut socket| async move {
        let mut read = vec![0; 64 * 1024];
        for _ in 0..answers {
            assert_ne!(socket.read(&mut read).await.unwrap(), 0);
            socket.write_all(ANSWER.as_bytes()).await.unwrap();
        }
        if socket.read(&mut read).await.unwrap_or(0) == 0 {
            return;
        }
        if !last_words.is_empty() {
            socket.write_all(last_words.as_bytes()).await.unwrap();
            // They arrive before a reset would overtake them.
            tokio::time::sleep(std::time::Duration::from_millis(50)).await;
        }
        if let Ending::Reset = ending {
            socket.set_zero_linger().unwrap();
        }
    })
    .await
}

fn post(address: SocketAddr, bytes: usize) -> Request<Body> {
    let mut request = get(address, "/");
    *request.method_mut() = Method::POST;
    *request.body_mut() = Body::from(vec![7; bytes]);
    request
}

#[tokio::test(crate = "support::leakless")]
async fn a_connection_that_had_answered_and_breaks_was_reused() {
    for ending in ENDINGS {
        for bytes in [0, 100, 8 << 20] {
            let address = breaks_after(2, "", ending).await;
            let client = pooled(Version::Http1);
            client.send(get(address, "/")).await.unwrap();
            client.send(get(address, "/")).await.unwrap();
            assert_eq!(
                fails(&client, post(address, bytes)).await,
                Delivery::Reused,
                "{ending:?} {bytes}"
            );
        }
    }
}

#[tokio::test(crate = "support::leakless")]
async fn a_fresh_connection_that_breaks_may_have_been_heard() {
    for ending in ENDINGS {
        for bytes in [0, 100, 8 << 20] {
            let address = breaks_after(0, "", ending).await;
            let failed = fails(&pooled(Version::Http1), post(address, bytes)).await;
            assert_eq!(failed, Delivery::Unknown, "{ending:?} {bytes}");
        }
    }
}

#[tokio::test(crate = "support::leakless")]
async fn a_connection_that_breaks_in_its_answer_was_heard() {
    for ending in ENDINGS {
        for last_words in ["H", "HTTP/1.1 200 OK\r\ncontent-le", "HTTP/1.1 100 Continue\r\n\r\n"] {
            let address = breaks_after(1, last_words, ending).await;
            let client = pooled(Version::Http1);
            client.send(get(address, "/")).await.unwrap();
            assert_eq!(
                fails(&client, get(address, "/")).await,
                Delivery::Unknown,
                "{ending:?} {last_words}"
            );
        }
    }
}

#[tokio::test(crate = "support::leakless")]
async fn without_the_layer_nothing_is_known_of_a_connection() {
    let address = breaks_after(1, "", Ending::Close).await;
    let client = support::client::<Body>(Version::Http1);
    client.request(get(address, "/")).await.unwrap();
    let error = soon(client.request(get(address, "/"))).await.unwrap_err();
    assert_eq!(of(&error), Delivery::Unknown);
}

#[tokio::test(crate = "support::leakless")]
async fn reuse_does_not_keep_a_request_from_its_answer() {
    let address =
        support::serve(axum::Router::new().fallback(|body: Bytes| async move { body.len().to_string() })).await;
    for version in VERSIONS {
        let client = Client::builder(TokioExecutor::new())
            .http2_only(version == Version::Http2)
            .build::<_, Body>(ReuseLayer::new().layer(HttpConnector::new()));
        for bytes in [0, 1, 1 << 20] {
            let said = support::said(client.request(post(address, bytes)).await.unwrap()).await;
            assert_eq!(said.text, bytes.to_string());
        }
    }
}

// === HTTP/2 ===

const RST_STREAM: u8 = 3;
const GOAWAY: u8 = 7;

/// A server of HTTP/2 that says this to the first request, in frames, and closes.
async fn answers_frames(frames: Vec<(u8, u32, Vec<u8>)>) -> SocketAddr {
    const SETTINGS: u8 = 4;
    const HEADERS: u8 = 1;
    serve(move |mut socket| {
        let frames = frames.clone();
        async move {
            socket.read_exact(&mut [0; 24]).await.unwrap();
            socket.write_all(&frame(SETTINGS, 0, &[])).await.unwrap();
            loop {
                let mut head = [0; 9];
                socket.read_exact(&mut head).await.unwrap();
                let length = u32::from_be_bytes([0, head[0], head[1], head[2]]);
                let mut payload = vec![0; length as usize];
                socket.read_exact(&mut payload).await.unwrap();
                if head[3] == HEADERS {
                    break;
                }
            }
            for (kind, stream, payload) in frames {
                socket.write_all(&frame(kind, stream, &payload)).await.unwrap();
            }
            socket.shutdown().await.unwrap();
            // What else the client says must not reset the connection.
            tokio::io::copy(&mut socket, &mut tokio::io::sink()).await.unwrap();
        }
    })
    .await
}

/// RFC 9113, section 4.1.
fn frame(kind: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let length = u32::try_from(payload.len()).unwrap().to_be_bytes();
    let mut frame = length[1..].to_vec();
    frame.extend([kind, 0]);
    frame.extend(stream.to_be_bytes());
    frame.extend(payload);
    frame
}

fn goaway(last: u32, code: u32) -> (u8, u32, Vec<u8>) {
    (GOAWAY, 0, [last.to_be_bytes(), code.to_be_bytes()].concat())
}

fn reset(code: u32) -> (u8, u32, Vec<u8>) {
    (RST_STREAM, 1, code.to_be_bytes().to_vec())
}

#[tokio::test(crate = "support::leakless")]
async fn http2_says_what_was_not_processed() {
    const NO_ERROR: u32 = 0;
    const INTERNAL_ERROR: u32 = 2;
    const REFUSED_STREAM: u32 = 7;
    const CANCEL: u32 = 8;
    const ENHANCE_YOUR_CALM: u32 = 11;
    let table = [
        (vec![reset(REFUSED_STREAM)], Delivery::NotSent),
        (vec![reset(CANCEL)], Delivery::Unknown),
        (vec![reset(INTERNAL_ERROR)], Delivery::Unknown),
        (vec![goaway(0, NO_ERROR)], Delivery::NotSent),
        (vec![goaway(0, ENHANCE_YOUR_CALM)], Delivery::NotSent),
        // The first of the two steps of an orderly shutdown, and the second.
        (
            vec![goaway(i32::MAX as u32, NO_ERROR), goaway(0, NO_ERROR)],
            Delivery::NotSent,
        ),
        // The request is not above the last stream: it may have been processed.
        (vec![goaway(1, NO_ERROR)], Delivery::Unknown),
        (vec![goaway(1, ENHANCE_YOUR_CALM)], Delivery::Unknown),
        (vec![goaway(i32::MAX as u32, NO_ERROR)], Delivery::Unknown),
        (vec![goaway(1, NO_ERROR), reset(REFUSED_STREAM)], Delivery::NotSent),
        // It closes without a word.
        (vec![], Delivery::Unknown),
    ];
    for (frames, expected) in table {
        for bytes in [0, 100, 8 << 20] {
            let address = answers_frames(frames.clone()).await;
            let failed = fails(&pooled(Version::Http2), post(address, bytes)).await;
            assert_eq!(failed, expected, "{frames:?} {bytes}");
        }
        // hyper's own connection, without a pool.
        let address = answers_frames(frames.clone()).await;
        let mut connection = Connection::open(address, Version::Http2).await;
        let error = soon(connection.send(get(address, "/"))).await.unwrap_err();
        assert_eq!(of(&error), expected, "{frames:?}");
    }
}

#[tokio::test(crate = "support::leakless")]
async fn a_request_after_a_goaway_is_not_sent() {
    let address = answers_frames(vec![goaway(0, 0)]).await;
    let mut connection = Connection::open(address, Version::Http2).await;
    soon(connection.send(get(address, "/one"))).await.unwrap_err();
    let error = soon(connection.send(get(address, "/two"))).await.unwrap_err();
    assert_eq!(of(&error), Delivery::NotSent, "{error:?}");
}

#[tokio::test(crate = "support::leakless")]
async fn h2_itself_says_the_same() {
    let address = answers_frames(vec![goaway(0, 0)]).await;
    let socket = TcpStream::connect(address).await.unwrap();
    let (sender, connection) = h2::client::handshake(socket).await.unwrap();
    tokio::spawn(connection);
    let mut sender = sender.ready().await.unwrap();
    let request = Request::get(format!("http://{address}/"))
        .version(HttpVersion::HTTP_2)
        .body(())
        .unwrap();
    let (answer, _) = sender.send_request(request, true).unwrap();
    let error = soon(answer).await.unwrap_err();
    assert_eq!(of(&error), Delivery::NotSent);
}

// === what is not about this request ===

/// Fails as one does that is read from an upstream which cannot be reached.
struct Unreachable;

impl http_body::Body for Unreachable {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, io::Error>>> {
        Poll::Ready(Some(Err(io::ErrorKind::ConnectionRefused.into())))
    }
}

#[tokio::test(crate = "support::leakless")]
async fn a_body_that_fails_says_nothing_of_its_request() {
    let address = support::serve(axum::Router::new().fallback(|_: Bytes| async {})).await;
    for version in VERSIONS {
        let mut request = get(address, "/");
        *request.method_mut() = Method::POST;
        *request.body_mut() = Body::new(Unreachable);
        assert_eq!(fails(&pooled(version), request).await, Delivery::Unknown, "{version:?}");
    }
}

/// Serves each connection like this.
async fn serve<F>(connection: impl Fn(TcpStream) -> F + Send + 'static) -> SocketAddr
where
    F: Future<Output = ()> + Send + 'static,
{
    let (listener, address) = listener().await;
    support::leakless::serves(async move {
        while let Ok((socket, _)) = listener.accept().await {
            tokio::spawn(connection(socket));
        }
    });
    address
}

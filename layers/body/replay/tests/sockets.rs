//! Replays in the hands of a real client.

use std::{convert::Infallible, net::SocketAddr, time::Duration};

use http::{Request, Response};
use http_body_util::{BodyExt, Full, channel::Channel};
use hyper::{body::Incoming, service::service_fn};
use hyper_util::{
    client::legacy::{Client, connect::HttpConnector},
    rt::{TokioExecutor, TokioIo},
    server::conn::auto,
};
use tokio::{net::TcpListener, time::timeout};

use super::*;

type Http<B> = Client<HttpConnector, Replay<B>>;

/// Of HTTP/1 and HTTP/2.
fn clients<B>() -> [Http<B>; 2]
where
    B: Body<Data = Bytes> + Send + Unpin + 'static,
    B::Error: Into<BoxError>,
{
    let mut connector = HttpConnector::new();
    connector.set_nodelay(true);
    [false, true].map(|http2| {
        Client::builder(TokioExecutor::new())
            .http2_only(http2)
            .build(connector.clone())
    })
}

fn post<B>(to: SocketAddr, body: Replay<B>) -> Request<Replay<B>> {
    let request = Request::post(format!("http://{to}/")).header("trailer", "etag");
    request.body(body).unwrap()
}

async fn serve<F>(answer: fn(Request<Incoming>) -> F) -> SocketAddr
where
    F: Future<Output = Response<Full<Bytes>>> + Send + 'static,
{
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((socket, _)) = listener.accept().await {
            let service = service_fn(move |request| async move { Ok::<_, Infallible>(answer(request).await) });
            let server = auto::Builder::new(TokioExecutor::new());
            tokio::spawn(async move { server.serve_connection(TokioIo::new(socket), service).await });
        }
    });
    address
}

/// What came, and its trailer.
async fn echo(request: Request<Incoming>) -> Response<Full<Bytes>> {
    let came = request.into_body().collect().await.unwrap();
    let etag = came.trailers().and_then(|trailers| trailers.get("etag")).cloned();
    let mut response = Response::new(Full::new(came.to_bytes()));
    if let Some(etag) = etag {
        response.headers_mut().insert("etag", etag);
    }
    response
}

/// An answer that does not wait for the request.
async fn busy(request: Request<Incoming>) -> Response<Full<Bytes>> {
    // The body is kept, or HTTP/2 would reset the upload.
    tokio::spawn(async move {
        let _body = request.into_body();
        tokio::time::sleep(FOREVER).await;
    });
    let mut response = Response::new(Full::default());
    *response.status_mut() = http::StatusCode::SERVICE_UNAVAILABLE;
    response
}

const FOREVER: Duration = Duration::from_secs(30);

async fn soon<F: Future>(future: F) -> F::Output {
    timeout(FOREVER, future).await.unwrap()
}

#[tokio::test]
async fn whether_or_not_a_client_polls_to_the_end_every_attempt_sends_the_same() {
    let address = serve(echo).await;
    let steps = || (0..20).map(|at| Step::Data(Bytes::from(vec![at; 1_000])));
    for client in clients() {
        for end in [false, true] {
            for with_trailers in [false, true] {
                for size in [false, true] {
                    let mut body = script(steps().chain(with_trailers.then(trailers)));
                    (body.knows_its_end, body.knows_its_size) = (end, size);
                    let bytes = body.size();
                    let (first, recording) = Recording::begin_in(room(usize::MAX), body, MOST);
                    let mut said = Vec::new();
                    for replay in [Some(first), None, None] {
                        let replay = match replay {
                            Some(first) => first,
                            // hyper drops a body a moment after its last frame.
                            None => soon(until_free(&recording)).await,
                        };
                        let answer = soon(client.request(post(address, replay))).await.unwrap();
                        let etag = answer.headers().get("etag").cloned();
                        said.push((answer.into_body().collect().await.unwrap().to_bytes(), etag));
                    }
                    assert_eq!(said[0].0.len() as u64, bytes);
                    assert_eq!(said[0], said[1]);
                    assert_eq!(said[0], said[2]);
                }
            }
        }
    }
}

async fn until_free<B>(recording: &Recording<B>) -> Replay<B>
where
    B: Body<Data = Bytes>,
    B::Error: Into<BoxError>,
{
    poll_fn(|cx| recording.poll_back(cx)).await;
    recording.again().unwrap()
}

#[tokio::test]
async fn a_refused_connection_leaves_the_body_whole() {
    let nobody = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
    let address = serve(echo).await;
    for client in clients() {
        let (first, recording) = Recording::begin(Full::<Bytes>::from("hello"), MOST);
        soon(client.request(post(nobody, first))).await.unwrap_err();
        let answer = soon(client.request(post(address, recording.again().unwrap()))).await;
        let said = answer.unwrap().into_body().collect().await.unwrap().to_bytes();
        assert_eq!(said, "hello");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stream_that_is_refused_gives_its_body_back() {
    let refuses = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let refusing = refuses.local_addr().unwrap();
    tokio::spawn(async move {
        let socket = refuses.accept().await.unwrap().0;
        let mut connection = h2::server::handshake(socket).await.unwrap();
        while let Some(Ok((_, mut respond))) = connection.accept().await {
            respond.send_reset(h2::Reason::REFUSED_STREAM);
        }
    });
    let address = serve(echo).await;
    let [_, client] = clients();
    for _ in 0..50 {
        let (mut sender, body) = Channel::<Bytes>::new(1);
        sender.send_data(Bytes::from_static(b"hel")).await.unwrap();
        let (first, recording) = Recording::begin(body, MOST);
        soon(client.request(post(refusing, first))).await.unwrap_err();
        let again = soon(until_free(&recording)).await;
        let answer = client.request(post(address, again));
        sender.send_data(Bytes::from_static(b"lo")).await.unwrap();
        drop(sender);
        let said = soon(answer).await.unwrap().into_body().collect().await.unwrap();
        assert_eq!(said.to_bytes(), "hello");
    }
}

#[tokio::test]
async fn an_answer_that_comes_early_finds_the_body_uploading() {
    let (early, address) = (serve(busy).await, serve(echo).await);
    for client in clients() {
        let (mut sender, body) = Channel::<Bytes>::new(1);
        let (first, recording) = Recording::begin(body, MOST);
        let answer = client.request(post(early, first));
        sender.send_data(Bytes::from_static(b"hel")).await.unwrap();
        assert_eq!(soon(answer).await.unwrap().status(), 503);
        assert_eq!(recording.again().unwrap_err(), NotReplayable::Uploading);
        // The upload ends, and there is all of it.
        sender.send_data(Bytes::from_static(b"lo")).await.unwrap();
        drop(sender);
        let again = soon(until_free(&recording)).await;
        let answer = soon(client.request(post(address, again))).await;
        let said = answer.unwrap().into_body().collect().await.unwrap().to_bytes();
        assert_eq!(said, "hello");
    }
}

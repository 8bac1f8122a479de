//! gRPC without generated code: strings over tonic's codec.

use std::{convert::Infallible, net::SocketAddr, pin::Pin, time::Duration};

use http::{HeaderMap, Request, Response, uri::PathAndQuery};
use tonic::{
    Code, Status,
    body::Body,
    client::GrpcService,
    codegen::tokio_stream::{Stream, StreamExt},
    server::NamedService,
    transport::{Channel, Endpoint, Server, server::TcpIncoming},
};
use tonic_prost::ProstCodec;
use tower::{BoxError, Layer, Service};

use super::listener;

pub(crate) const UNARY: &str = "/test.Words/Say";
pub(crate) const STREAM: &str = "/test.Words/List";

pub(crate) type Words = Pin<Box<dyn Stream<Item = Result<String, Status>> + Send>>;

pub(crate) fn codec() -> ProstCodec<String, String> {
    ProstCodec::default()
}

/// tonic's own client.
pub(crate) async fn channel(address: SocketAddr) -> Channel {
    let endpoint = Endpoint::from_shared(format!("http://{address}")).expect("an address is a host");
    endpoint.connect().await.expect("the server listens")
}

/// A unary call; its deadline, if any, in `grpc-timeout`.
pub(crate) async fn unary<S>(service: S, address: SocketAddr, timeout: Option<Duration>) -> Result<String, Status>
where
    S: GrpcService<Body>,
    S::ResponseBody: http_body::Body + Send + 'static,
    <S::ResponseBody as http_body::Body>::Error: Into<BoxError>,
{
    let mut grpc = tonic::client::Grpc::with_origin(service, origin(address));
    let ready = grpc.ready().await;
    ready.map_err(|error| Status::from_error(error.into()))?;
    let answer = grpc.unary(request(timeout), PathAndQuery::from_static(UNARY), codec());
    answer.await.map(tonic::Response::into_inner)
}

/// A server-streaming call, read to its end: the words, and how they ended.
pub(crate) async fn list<S>(service: S, address: SocketAddr, timeout: Option<Duration>) -> (Vec<String>, Code)
where
    S: GrpcService<Body>,
    S::ResponseBody: http_body::Body + Send + 'static,
    <S::ResponseBody as http_body::Body>::Error: Into<BoxError>,
{
    let mut grpc = tonic::client::Grpc::with_origin(service, origin(address));
    assert!(grpc.ready().await.is_ok(), "the client is ready");
    let answer = grpc.server_streaming(request(timeout), PathAndQuery::from_static(STREAM), codec());
    let mut words = match answer.await {
        Ok(answer) => answer.into_inner(),
        Err(status) => return (Vec::new(), status.code()),
    };
    let mut heard = Vec::new();
    loop {
        match words.message().await {
            Ok(Some(word)) => heard.push(word),
            Ok(None) => return (heard, Code::Ok),
            Err(status) => return (heard, status.code()),
        }
    }
}

fn origin(address: SocketAddr) -> http::Uri {
    format!("http://{address}").parse().expect("an address is a host")
}

fn request(timeout: Option<Duration>) -> tonic::Request<String> {
    let mut request = tonic::Request::new("hello".to_owned());
    if let Some(timeout) = timeout {
        request.set_timeout(timeout);
    }
    request
}

/// A tonic service written by hand: `F` says one word, and lists words.
#[derive(Clone)]
pub(crate) struct Speaker<F>(pub(crate) F);

pub(crate) trait Speech: Clone + Send + Sync + 'static {
    fn say(&self, headers: HeaderMap) -> impl Future<Output = Result<String, Status>> + Send;
    fn list(&self) -> Words;
}

impl<F> NamedService for Speaker<F> {
    const NAME: &'static str = "test.Words";
}

impl<F: Speech> Service<Request<Body>> for Speaker<F> {
    type Response = Response<Body>;
    type Error = Infallible;
    type Future = Pin<Box<dyn Future<Output = Result<Response<Body>, Infallible>> + Send>>;

    fn poll_ready(&mut self, _: &mut std::task::Context<'_>) -> std::task::Poll<Result<(), Infallible>> {
        std::task::Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<Body>) -> Self::Future {
        let speech = self.0.clone();
        Box::pin(async move {
            let mut grpc = tonic::server::Grpc::new(codec());
            let headers = request.headers().clone();
            if request.uri().path() == STREAM {
                let list = tower::service_fn(move |_: tonic::Request<String>| {
                    let words = speech.list();
                    async move { Ok::<_, Status>(tonic::Response::new(words)) }
                });
                return Ok(grpc.server_streaming(list, request).await);
            }
            let say = tower::service_fn(move |_: tonic::Request<String>| {
                let (speech, headers) = (speech.clone(), headers.clone());
                async move { speech.say(headers).await.map(tonic::Response::new) }
            });
            Ok(grpc.unary(say, request).await)
        })
    }
}

/// Words, and then nothing, for ever.
pub(crate) fn words_without_end(words: &'static [&'static str]) -> Words {
    use tonic::codegen::tokio_stream;
    Box::pin(
        tokio_stream::iter(words)
            .map(|word| Ok((*word).to_owned()))
            .chain(tokio_stream::pending()),
    )
}

/// tonic's own server with these layers, and one service.
pub(crate) async fn serve<L, F, ResBody>(server: Server<L>, speech: F) -> SocketAddr
where
    F: Speech,
    L: Layer<tonic::service::Routes> + Clone + Send + 'static,
    L::Service: Service<Request<Body>, Response = Response<ResBody>> + Clone + Send + 'static,
    <L::Service as Service<Request<Body>>>::Future: Send,
    <L::Service as Service<Request<Body>>>::Error: Into<BoxError> + Send + 'static,
    ResBody: http_body::Body<Data = bytes::Bytes> + Send + 'static,
    ResBody::Error: Into<BoxError>,
{
    let (listener, address) = listener().await;
    let mut server = server;
    let router = server.add_service(Speaker(speech));
    super::leakless::serves(async move { router.serve_with_incoming(TcpIncoming::from(listener)).await });
    address
}

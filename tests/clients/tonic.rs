//! A generated gRPC client over the layers, over tonic's channel.

use std::{
    future::pending,
    io,
    net::SocketAddr,
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use buttress::{
    AdmissionLayer, CancelLayer, Cancelled, ConcurrencyLimitLayer, Context, ObserveLayer, PropagateDeadlineLayer,
    RetryLayer,
    admission::{Admit, Arrival, Decision, Never},
    context::ScopeLayer,
    observe::{Began, Ended, Observer},
    rejection::{Reason, Rejection},
    telemetry::Event,
    tonic::TransportLayer,
};
use bytes::Bytes;
use http::{HeaderMap, Request, Response};
use http_body_util::{BodyExt, Full};
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;
use tonic::{
    Code, Status,
    body::Body,
    service::InterceptorLayer,
    transport::{Channel, Endpoint, Server, server::TcpIncoming},
};
use tonic_health::{
    ServingStatus,
    pb::{HealthCheckRequest, health_client::HealthClient},
    server::health_reporter,
};
use tower::{BoxError, ServiceBuilder, buffer::BufferLayer, service_fn};

use crate::support::{Guard, Heard, Tell, grpc, listener, log};

const LONG: Duration = Duration::from_secs(20);
const SHORT: Duration = Duration::from_millis(20);

/// Remembers what calls said, and turns the first of them away.
#[derive(Clone, Default)]
struct Door {
    seen: Arc<Mutex<Vec<HeaderMap>>>,
    first: usize,
}

impl Admit for Door {
    type Permit = ();
    type Wait = Never<()>;

    fn admit(&self, arrival: &Arrival<'_>) -> Decision<(), Never<()>> {
        let mut seen = self.seen.lock().unwrap();
        seen.extend(arrival.head().map(|head| head.headers.clone()));
        if seen.len() <= self.first {
            let rejection = Rejection::new(Reason::Overloaded, "door");
            return Decision::No(rejection.retry_after(Duration::from_millis(30)));
        }
        Decision::Now(())
    }
}

impl Door {
    /// What remains in `grpc-timeout`, call by call.
    fn remaining(&self) -> Vec<Duration> {
        let seen = self.seen.lock().unwrap();
        let remaining = seen.iter().map(|headers| {
            let micros = headers["grpc-timeout"].to_str().unwrap().strip_suffix('u').unwrap();
            Duration::from_micros(micros.parse().unwrap())
        });
        remaining.collect()
    }
}

/// A server that knows that one service is well.
async fn health(door: Door) -> SocketAddr {
    let (listener, address) = listener().await;
    let (reporter, service) = health_reporter();
    reporter.set_service_status("well", ServingStatus::Serving).await;
    let router = Server::builder().layer(AdmissionLayer::new(door)).add_service(service);
    crate::support::leakless::serves(async move { router.serve_with_incoming(TcpIncoming::from(listener)).await });
    address
}

/// A server that never answers, and tells when a call of it was dropped.
async fn never(tell: Tell<Option<Cancelled>>) -> SocketAddr {
    grpc::serve(Server::builder().layer(CancelLayer::new()), Silent(tell)).await
}

#[derive(Clone)]
struct Silent(Tell<Option<Cancelled>>);

impl grpc::Speech for Silent {
    async fn say(&self, _: HeaderMap) -> Result<String, Status> {
        let tell = self.0.clone();
        let _guard = Guard::new(move |why| tell.tell(why));
        self.0.tell(None);
        pending().await
    }

    fn list(&self) -> grpc::Words {
        grpc::words_without_end(&["one"])
    }
}

fn ask() -> HealthCheckRequest {
    HealthCheckRequest {
        service: "well".to_owned(),
    }
}

fn endpoint(address: SocketAddr) -> Endpoint {
    Endpoint::from_shared(format!("http://{address}")).unwrap()
}

fn lazy(address: SocketAddr) -> Channel {
    endpoint(address).connect_lazy()
}

#[tokio::test(crate = "crate::support::leakless")]
async fn a_generated_client_tries_again_with_the_same_message_and_less_time() {
    let door = Door {
        first: 1,
        ..Door::default()
    };
    let address = health(door.clone()).await;
    let stack = ServiceBuilder::new()
        .layer(RetryLayer::grpc())
        .layer(ConcurrencyLimitLayer::new(10))
        .layer(PropagateDeadlineLayer::new())
        .layer(TransportLayer::new())
        .service(lazy(address));
    let mut client = HealthClient::new(stack);
    let call = Context::current().with_timeout(LONG).scope(client.check(ask()));
    assert_eq!(call.await.unwrap().into_inner().status, 1);
    let remaining = door.remaining();
    assert!(
        remaining[0] >= remaining[1] + Duration::from_millis(30),
        "{remaining:?}"
    );
    assert_eq!(door.seen.lock().unwrap()[1]["grpc-previous-rpc-attempts"], "1");
}

#[tokio::test(crate = "crate::support::leakless")]
async fn a_stream_goes_through_and_so_does_its_status() {
    let address = health(Door::default()).await;
    let stack = ServiceBuilder::new()
        .layer(RetryLayer::grpc())
        .layer(TransportLayer::new())
        .service(lazy(address));
    let mut client = HealthClient::new(stack);
    let mut watch = client.watch(ask()).await.unwrap().into_inner();
    assert_eq!(watch.message().await.unwrap().unwrap().status, 1);
    let unknown = HealthCheckRequest {
        service: "unheard of".to_owned(),
    };
    assert_eq!(client.check(unknown).await.unwrap_err().code(), Code::NotFound);
}

#[tokio::test(crate = "crate::support::leakless")]
async fn a_limit_that_is_full_is_unavailable() {
    let address = health(Door::default()).await;
    let stack = ServiceBuilder::new()
        .layer(RetryLayer::grpc())
        .layer(ConcurrencyLimitLayer::new(0))
        .layer(TransportLayer::new())
        .service(lazy(address));
    let status = HealthClient::new(stack).check(ask()).await.unwrap_err();
    assert_eq!(status.code(), Code::Unavailable);
    assert!(status.metadata().contains_key("grpc-retry-pushback-ms"));
}

/// By itself tonic's channel says CANCELLED, and is first: the header is rounded down.
#[tokio::test(crate = "crate::support::leakless")]
async fn a_call_that_is_late_has_exceeded_its_deadline_whoever_notices() {
    let address = never(log().0).await;
    let stack = ServiceBuilder::new()
        .layer(RetryLayer::grpc())
        .layer(PropagateDeadlineLayer::new())
        .layer(TransportLayer::new())
        .service(grpc::channel(address).await);
    for _ in 0..20 {
        let call = grpc::unary(stack.clone(), address, None);
        let late = Context::current().with_timeout(SHORT).scope(call).await;
        assert_eq!(late.unwrap_err().code(), Code::DeadlineExceeded);
    }
    // The header alone, and the endpoint's own timeout.
    let alone = ServiceBuilder::new().layer(TransportLayer::new());
    let late = grpc::unary(alone.service(lazy(address)), address, Some(SHORT)).await;
    assert_eq!(late.unwrap_err().code(), Code::DeadlineExceeded);
    let alone = ServiceBuilder::new().layer(TransportLayer::new());
    let impatient = endpoint(address).timeout(SHORT).connect_lazy();
    let late = grpc::unary(alone.service(impatient), address, None).await;
    assert_eq!(late.unwrap_err().code(), Code::DeadlineExceeded);
}

/// Counts the rejections that are told.
#[derive(Clone, Default)]
struct Told(Arc<AtomicUsize>);

impl Observer for Told {
    type Call = ();

    fn began(&self, _: &Began<'_>) {}

    fn event(&self, (): &mut (), event: &Event) {
        let is_late = matches!(event, Event::Rejected { layer: "transport", .. });
        self.0.fetch_add(is_late.into(), Ordering::Relaxed);
    }

    fn ended(&self, (): (), _: &Ended) {}
}

#[tokio::test(crate = "crate::support::leakless")]
async fn a_call_that_the_channel_gives_up_is_told_of() {
    let address = never(log().0).await;
    let told = Told::default();
    let stack = ServiceBuilder::new()
        .layer(ObserveLayer::client(told.clone()))
        .layer(TransportLayer::new())
        .service(endpoint(address).timeout(SHORT).connect_lazy());
    let late = grpc::unary(stack, address, None).await;
    assert_eq!(late.unwrap_err().code(), Code::DeadlineExceeded);
    assert_eq!(told.0.load(Ordering::Relaxed), 1);
}

#[tokio::test(crate = "crate::support::leakless")]
async fn a_stream_that_is_late_has_exceeded_its_deadline() {
    let address = never(log().0).await;
    let stack = ServiceBuilder::new()
        .layer(RetryLayer::grpc())
        .layer(PropagateDeadlineLayer::new())
        .layer(TransportLayer::new())
        .service(grpc::channel(address).await);
    let call = grpc::list(stack, address, None);
    let (words, code) = Context::current().with_timeout(5 * SHORT).scope(call).await;
    assert_eq!((words, code), (vec!["one".to_owned()], Code::DeadlineExceeded));
}

#[tokio::test(crate = "crate::support::leakless")]
async fn dropping_a_call_resets_its_stream() {
    let (tell, mut told) = log();
    let address = never(tell).await;
    let stack = ServiceBuilder::new()
        .layer(RetryLayer::grpc())
        .layer(PropagateDeadlineLayer::new())
        .layer(TransportLayer::new())
        .service(lazy(address));
    let call = tokio::spawn(grpc::unary(stack, address, None));
    assert_eq!(told.next().await, None); // it is being answered
    call.abort();
    assert_eq!(told.next().await, Some(Cancelled::Disconnected));
}

/// Refuses the first connection, and tells of each whether there was a deadline in scope.
fn connector(address: SocketAddr) -> (Endpoint, impl Connects, Heard<bool>) {
    let (tell, told) = log();
    let refused = Arc::new(Mutex::new(false));
    let connect = service_fn(move |_: http::Uri| {
        tell.tell(Context::current_deadline().is_some());
        let refuse = !std::mem::replace(&mut *refused.lock().unwrap(), true);
        async move {
            if refuse {
                return Err(io::Error::from(io::ErrorKind::HostUnreachable));
            }
            TcpStream::connect(address).await.map(TokioIo::new)
        }
    });
    (endpoint(address), connect, told)
}

trait Connects: tower::Service<http::Uri, Response = TokioIo<TcpStream>, Error = io::Error, Future: Send> + Send {}
impl<C> Connects for C where
    C: tower::Service<http::Uri, Response = TokioIo<TcpStream>, Error = io::Error, Future: Send> + Send
{
}

/// The connector of a channel runs in the channel's own task: it sees no context, whatever layers are around the channel.
#[tokio::test(crate = "crate::support::leakless")]
async fn a_connection_that_failed_is_tried_again_and_nobodys_context_is_in_scope_there() {
    let door = Door::default();
    let (endpoint, connect, mut told) = connector(health(door.clone()).await);
    let retry = RetryLayer::grpc();
    let stack = ServiceBuilder::new()
        .layer(retry.clone())
        .layer(PropagateDeadlineLayer::new())
        .layer(TransportLayer::new().in_extensions())
        .service(endpoint.connect_with_connector_lazy(connect));
    let mut client = HealthClient::new(stack);
    let call = Context::current().with_timeout(LONG).scope(client.check(ask()));
    assert_eq!(call.await.unwrap().into_inner().status, 1);
    assert_eq!(retry.snapshot().retries, 1);
    assert_eq!(told.so_far(), [false, false]);
    assert!(door.remaining()[0] <= LONG);
}

/// Behind a buffer of one's own there can be services, and so a layer that takes the context up again.
#[tokio::test(crate = "crate::support::leakless")]
async fn a_context_in_the_extensions_crosses_a_buffer_of_ones_own() {
    for in_extensions in [true, false] {
        let (tell, mut told) = log();
        let upstream = service_fn(move |_: Request<Body>| {
            let tell = tell.clone();
            tell.tell((Context::current_deadline().is_some(), None));
            async move {
                let context = Context::current();
                let _guard = Guard::new(move |_| tell.tell((false, context.check().err())));
                pending::<Result<Response<Full<Bytes>>, BoxError>>().await
            }
        });
        let mut transport = TransportLayer::new();
        if in_extensions {
            transport = transport.in_extensions();
        }
        let stack = ServiceBuilder::new()
            .layer(RetryLayer::grpc())
            .layer(PropagateDeadlineLayer::new())
            .layer(transport)
            .layer(BufferLayer::new(8))
            .layer(ScopeLayer::new())
            .service(upstream);
        let address = SocketAddr::from(([127, 0, 0, 1], 9));
        let call = Context::current()
            .with_timeout(5 * SHORT)
            .scope(grpc::unary(stack, address, None));
        assert_eq!(call.await.unwrap_err().code(), Code::DeadlineExceeded);
        assert_eq!(told.next().await, (in_extensions, None));
        let why = in_extensions.then_some(Cancelled::DeadlineExceeded);
        assert_eq!(told.next().await, (false, why));
    }
}

/// A body that is none of tonic's goes down as it is, trailers and all.
#[tokio::test(crate = "crate::support::leakless")]
async fn any_body_goes_down() {
    let upstream = service_fn(|request: Request<Body>| async {
        let body = request.into_body().collect().await.unwrap();
        Ok::<_, BoxError>(Response::new(Full::from(body.to_bytes())))
    });
    let stack = ServiceBuilder::new().layer(TransportLayer::new()).service(upstream);
    let request = Request::post("/").body(Full::from("hello")).unwrap();
    let answer = tower::ServiceExt::oneshot(stack, request).await.unwrap();
    assert_eq!(answer.into_body().collect().await.unwrap().to_bytes(), "hello");
}

/// `with_interceptor` of a generated client wants a response body with a `Default`; what it makes does not.
#[tokio::test(crate = "crate::support::leakless")]
async fn an_interceptor_goes_above_the_layers_and_below_them() {
    let door = Door::default();
    let address = health(door.clone()).await;
    let sign = |name: &'static str| {
        move |mut request: tonic::Request<()>| {
            request.metadata_mut().insert(name, "signed".parse().unwrap());
            Ok(request)
        }
    };
    let stack = ServiceBuilder::new()
        .layer(InterceptorLayer::new(sign("above")))
        .layer(RetryLayer::grpc())
        .layer(PropagateDeadlineLayer::new())
        .layer(TransportLayer::new())
        .layer(InterceptorLayer::new(sign("below")))
        .service(lazy(address));
    let answer = HealthClient::new(stack).check(ask()).await;
    assert_eq!(answer.unwrap().into_inner().status, 1);
    let seen = door.seen.lock().unwrap();
    assert!(["above", "below"].iter().all(|name| seen[0].contains_key(*name)));
}

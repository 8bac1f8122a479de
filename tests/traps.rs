//! The traps of stacking layers, each with six of ours on axum, tonic, hyper and reqwest. That it compiles is what it shows; that it works
//! too is in `axum` and `clients`, and what the compiler says of what must not compile in `compile`.

#![allow(clippy::disallowed_methods, clippy::unwrap_used, reason = "a test may")]

mod support;

use std::{
    cell::Cell,
    convert::Infallible,
    marker::{PhantomData, PhantomPinned},
    pin::Pin,
    task::{Context, Poll},
    time::Duration,
};

use axum::{Router, body::Body, handler::Handler, routing::get};
use buttress::{
    BreakerLayer, CancelLayer, ConcurrencyLimitLayer, CriticalityLayer, DeadlineLayer, FallbackLayer, FaultLayer,
    ObserveLayer, PropagateCriticalityLayer, PropagateDeadlineLayer, RetryLayer, ShieldLayer, ThrottleLayer,
    TimeoutLayer,
    observe::Ended,
    optional,
    rejection::{Render, RenderLayer},
    reqwest::{ClientLayer, TransportLayer as ReqwestLayer},
    tonic::TransportLayer as TonicLayer,
};
use bytes::Bytes;
use http::{Request, Response, StatusCode};
use http_body::Frame;
use hyper::body::Incoming;
use support::{
    VERSIONS, client,
    six::{ClientSix, Six, client_six, six},
};
use tonic::transport::{Channel, Endpoint, Server};
use tonic_health::{pb::health_client::HealthClient, server::health_reporter};
use tower::{Layer, Service, ServiceBuilder, ServiceExt, service_fn};

const LONG: Duration = Duration::from_secs(20);

fn server() -> Six {
    six(LONG).0
}

fn outbound() -> ClientSix {
    client_six(LONG).0
}

fn observed(_: &Ended) {}

/// A service that can be put anywhere: its calls, too.
fn anywhere<R, S>(service: S) -> S
where
    S: Service<R> + Clone + Send + Sync + 'static,
    S::Future: Send + 'static,
{
    service
}

/// The same, and its error is this one.
fn with_error<E, R, S>(service: S) -> S
where
    S: Service<R, Error = E> + Clone + Send + Sync + 'static,
    S::Future: Send + 'static,
{
    anywhere(service)
}

async fn hello(_: Request<Incoming>) -> Result<Response<Body>, Infallible> {
    Ok(Response::default())
}

/// A body that has no default, is not `Unpin`, and not `Sync`.
struct Bare(PhantomPinned, PhantomData<Cell<()>>);

impl http_body::Body for Bare {
    type Data = Bytes;
    type Error = std::io::Error;

    fn poll_frame(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Self::Error>>> {
        Poll::Ready(None)
    }
}

// === a layer that changes the error's type: axum wants `Into<Infallible>` of every one ===

#[test]
fn in_axum_the_error_stays_infallible() {
    let layered = get(hello_axum).layer(server());
    let handled = hello_axum.layer(server());
    let _: Router = Router::new()
        .route("/", layered)
        .route_service("/handler", handled.with_state(()))
        .route_layer(server())
        .layer(server());
}

/// tower-http's layers that answer by themselves want a default of the body: its timeout, CORS.
#[tokio::test(start_paused = true, crate = "support::leakless")]
async fn outside_of_ours_one_may_stand_that_wants_a_default_of_the_body() {
    let timeout = tower_http::timeout::TimeoutLayer::with_status_code(StatusCode::REQUEST_TIMEOUT, LONG / 2);
    let all = ServiceBuilder::new()
        .layer(timeout)
        .layer(optional(Some(DeadlineLayer::new(LONG))))
        .layer(FallbackLayer::value(Response::new(Bytes::new())))
        .layer(FaultLayer::new())
        .layer(buttress::server(LONG));
    let app: Router = Router::new()
        .route("/", get(std::future::pending::<&'static str>))
        .layer(all);
    let request = Request::get("/").body(Body::empty()).unwrap();
    assert_eq!(app.oneshot(request).await.unwrap().status(), 408);
}

async fn hello_axum() -> &'static str {
    "hello"
}

#[tokio::test(crate = "support::leakless")]
async fn in_tonic_the_error_stays_the_channels() {
    let stack = ServiceBuilder::new().layer(outbound()).layer(TonicLayer::new());
    let stack = with_error::<tonic::transport::Error, Request<tonic::body::Body>, _>(stack.service(nowhere()));
    let _ = anywhere_client(HealthClient::new(stack));
    let (_reporter, health) = health_reporter();
    let _ = Server::builder().layer(server()).add_service(health);
}

fn nowhere() -> Channel {
    Endpoint::from_static("http://127.0.0.1:9").connect_lazy()
}

fn anywhere_client<T: Clone + Send + Sync + 'static>(client: T) -> T {
    client
}

#[test]
fn around_hyper_the_error_stays_its_own() {
    let _ = with_error::<Infallible, Request<Incoming>, _>(server().layer(service_fn(hello)));
    let stack = outbound().layer(client(VERSIONS[0]));
    let _ = with_error::<hyper_util::client::legacy::Error, Request<Body>, _>(stack);
}

#[test]
fn around_reqwest_the_error_stays_its_own() {
    let stack = ServiceBuilder::new().layer(outbound()).layer(ReqwestLayer::new());
    let _ = with_error::<reqwest::Error, Request<Body>, _>(stack.service(reqwest::Client::new()));
}

// === `option_layer`, whose two sides must agree in the response, too ===

macro_rules! optional_server {
    () => {
        (
            optional(Some(ObserveLayer::server(observed))),
            optional(Some(RenderLayer::new(Render::Problem))),
            optional(Some(DeadlineLayer::new(LONG))),
            optional(Some(CancelLayer::new())),
            optional(Some(ConcurrencyLimitLayer::adaptive())),
            optional(None::<ShieldLayer>),
        )
    };
}

macro_rules! optional_client {
    () => {
        (
            optional(Some(ObserveLayer::client(observed))),
            optional(Some(BreakerLayer::new())),
            optional(Some(ThrottleLayer::new())),
            optional(Some(TimeoutLayer::new(LONG))),
            optional(Some(PropagateDeadlineLayer::new())),
            optional(None::<PropagateCriticalityLayer>),
        )
    };
}

#[test]
fn in_axum_each_of_six_is_optional() {
    let _: Router = Router::new()
        .route("/", get(hello_axum).layer(optional_server!()))
        .layer(optional_server!());
}

#[tokio::test(crate = "support::leakless")]
async fn in_tonic_each_of_six_is_optional() {
    let (_reporter, health) = health_reporter();
    let _ = Server::builder().layer(optional_server!()).add_service(health);
    let stack = ServiceBuilder::new().layer(optional_client!()).layer(TonicLayer::new());
    let _ = anywhere_client(HealthClient::new(stack.service(nowhere())));
}

#[test]
fn around_hyper_each_of_six_is_optional() {
    let _ = with_error::<Infallible, Request<Incoming>, _>(optional_server!().layer(service_fn(hello)));
    let _ = anywhere::<Request<Body>, _>(optional_client!().layer(client(VERSIONS[0])));
}

#[test]
fn around_reqwest_each_of_six_is_optional() {
    let stack = ServiceBuilder::new()
        .layer(ClientLayer::new())
        .layer(optional_client!())
        .layer(ReqwestLayer::new());
    let _ = with_error::<reqwest::Error, reqwest::Request, _>(stack.service(reqwest::Client::new()));
}

/// A retry asks its inner service to take a body of its own, which one that is optional gives it in one of two ways.
#[test]
fn a_retry_is_optional_where_the_client_below_takes_any_body() {
    let stack = ServiceBuilder::new()
        .layer(ClientLayer::new())
        .layer(optional(Some(RetryLayer::new())))
        .layer(ReqwestLayer::new());
    let _ = anywhere::<reqwest::Request, _>(stack.service(reqwest::Client::new()));
}

// === a body that must have a default, to be put where a layer answers itself ===

#[test]
fn no_layer_wants_a_body_that_has_a_default() {
    let bare =
        service_fn(|_: Request<Body>| async { Ok::<_, Infallible>(Response::new(Bare(PhantomPinned, PhantomData))) });
    let criticality = (CriticalityLayer::new(), PropagateCriticalityLayer::new());
    let _ = anywhere::<Request<Body>, _>((server(), criticality).layer(bare));
    let bare =
        service_fn(|_: Request<_>| async { Ok::<_, Infallible>(Response::new(Bare(PhantomPinned, PhantomData))) });
    let _ = anywhere::<Request<Body>, _>(outbound().layer(bare));
}

// === `reqwest::Request` against `http::Request` ===

#[test]
fn a_stack_around_reqwest_takes_requests_of_either_kind() {
    let stack = ServiceBuilder::new().layer(outbound()).layer(ReqwestLayer::new());
    let stack = stack.service(reqwest::Client::new());
    let _ = anywhere::<Request<String>, _>(stack.clone());
    let _ = anywhere::<Request<Body>, _>(stack.clone());
    let _ = anywhere::<reqwest::Request, _>(ClientLayer::new().layer(stack));
}

//! Six layers around each client, in the order of the documentation, and six around its server.

use std::{future::pending, net::SocketAddr, time::Duration};

use axum::{Router, body::Body, routing::get as on_get};
use buttress::{
    CancelLayer, ConcurrencyLimitLayer, Context, CriticalityLayer, DeadlineLayer, HedgeLayer, ObserveLayer, RetryLayer,
    observe::Ended,
    rejection::{Render, RenderLayer},
    reqwest::{ClientLayer, TransportLayer as ReqwestLayer},
    tonic::TransportLayer,
};
use http::Request;
use reqwest::Client;
use tonic::{
    Code,
    transport::{Server, server::TcpIncoming},
};
use tonic_health::{
    pb::{HealthCheckRequest, health_client::HealthClient},
    server::health_reporter,
};
use tower::{ServiceBuilder, ServiceExt, service_fn};

use crate::support::{
    VERSIONS, client, get, grpc, listener, said, serve, serve_hyper,
    six::{client_six, is_late, six},
};

const SHORT: Duration = Duration::from_millis(100);
const LONG: Duration = Duration::from_secs(20);

/// What a service must be to be put anywhere.
fn anywhere<T: Clone + Send + Sync + 'static>(service: T) -> T {
    service
}

/// `/` answers, in six layers; `/late` never does, in none: who calls it keeps the time.
async fn app() -> SocketAddr {
    let app = Router::new()
        .route("/", on_get(|| async { "hello" }))
        .layer(six(LONG).0);
    serve(app.route("/late", on_get(pending::<()>))).await
}

#[tokio::test(crate = "crate::support::leakless")]
async fn six_layers_around_a_client_of_hyper_util() {
    let address = app().await;
    for version in VERSIONS {
        let (six, mut outcomes) = client_six(SHORT);
        let client = anywhere(ServiceBuilder::new().layer(six).service(client(version)));
        let answer = tokio::spawn(client.clone().oneshot(get(address, "/"))).await.unwrap();
        assert_eq!(said(answer.unwrap()).await.text, "hello");
        let late = client.oneshot(get(address, "/late")).await.unwrap();
        assert_eq!(said(late).await.text, "deadline exceeded");
        assert!(outcomes.next().await.is_success());
        assert!(is_late(&outcomes.next().await));
    }
}

#[tokio::test(crate = "crate::support::leakless")]
async fn six_layers_around_a_client_of_reqwest() {
    let address = app().await;
    let (six, mut outcomes) = client_six(SHORT);
    let http = Client::builder().no_proxy().build().unwrap();
    let stack = ServiceBuilder::new()
        .layer(ClientLayer::new())
        .layer(six)
        .layer(ReqwestLayer::new())
        .service(http.clone());
    let stack = anywhere(stack);
    let request = |path| http.get(format!("http://{address}{path}")).build().unwrap();
    let (client, hello) = (stack.clone(), request("/"));
    let answer = tokio::spawn(async move { client.send(hello).await }).await.unwrap();
    assert_eq!(answer.unwrap().text().await.unwrap(), "hello");
    let late = stack.send(request("/late")).await.unwrap();
    assert_eq!(late.text().await.unwrap(), "deadline exceeded");
    assert!(outcomes.next().await.is_success());
    assert!(is_late(&outcomes.next().await));
}

#[tokio::test(crate = "crate::support::leakless")]
async fn six_layers_around_a_generated_client_and_its_server() {
    let (listener, address) = listener().await;
    let (_reporter, health) = health_reporter();
    let router = Server::builder().layer(six(LONG).0).add_service(health);
    crate::support::leakless::serves(async move { router.serve_with_incoming(TcpIncoming::from(listener)).await });

    let (six, mut outcomes) = client_six(LONG);
    let channel = grpc::channel(address).await;
    let stack = anywhere(
        ServiceBuilder::new()
            .layer(six)
            .layer(TransportLayer::new())
            .service(channel),
    );
    let client = anywhere(HealthClient::new(stack));
    let mut one = client.clone();
    let answer = tokio::spawn(async move { one.check(HealthCheckRequest::default()).await })
        .await
        .unwrap();
    assert_eq!(answer.unwrap().into_inner().status, 1);
    assert!(outcomes.next().await.is_success());
    let mut other = client;
    let late = other.check(HealthCheckRequest::default());
    let late = Context::current().with_timeout(Duration::ZERO).scope(late).await;
    assert_eq!(late.unwrap_err().code(), Code::DeadlineExceeded);
    assert!(is_late(&outcomes.next().await));
}

/// A server on hyper which is a client itself: the deadline that came goes out again.
#[tokio::test(crate = "crate::support::leakless")]
async fn six_layers_around_a_service_on_hyper_that_calls_another() {
    let upstream = app().await;
    let (outbound, mut outcomes) = client_six(LONG);
    let outbound = ServiceBuilder::new().layer(outbound).service(client(VERSIONS[0]));
    let handler = service_fn(move |_: Request<hyper::body::Incoming>| outbound.clone().oneshot(get(upstream, "/late")));
    let inbound = ServiceBuilder::new()
        .layer(ObserveLayer::client(|_: &Ended| {}))
        .layer(RenderLayer::new(Render::Problem))
        .layer(CriticalityLayer::new())
        .layer(DeadlineLayer::new(SHORT))
        .layer(CancelLayer::new())
        .layer(ConcurrencyLimitLayer::adaptive());
    let address = serve_hyper(anywhere(inbound.service(handler))).await;
    let answer = client::<Body>(VERSIONS[1]).oneshot(get(address, "/")).await.unwrap();
    assert_eq!(answer.status(), 504);
    assert!(!outcomes.next().await.is_success());
}

/// Both that send again, one in the other.
#[tokio::test(crate = "crate::support::leakless")]
async fn a_hedge_below_a_retry_around_every_client() {
    let address = app().await;
    let layers = (RetryLayer::new(), HedgeLayer::after(LONG));
    let hyper = ServiceBuilder::new().layer(&layers).service(client(VERSIONS[0]));
    assert_eq!(hyper.oneshot(get(address, "/")).await.unwrap().status(), 200);

    let http = Client::builder().no_proxy().build().unwrap();
    let stack = ServiceBuilder::new()
        .layer(ClientLayer::new())
        .layer(&layers)
        .layer(ReqwestLayer::new())
        .service(http.clone());
    let request = http.get(format!("http://{address}/")).build().unwrap();
    assert_eq!(stack.send(request).await.unwrap().status().as_u16(), 200);

    let nobody = tonic::transport::Endpoint::from_static("http://127.0.0.1:9").connect_lazy();
    let tonic = ServiceBuilder::new()
        .layer(&layers)
        .layer(TransportLayer::new())
        .service(nobody);
    let failed = HealthClient::new(tonic).check(HealthCheckRequest::default()).await;
    assert_eq!(failed.unwrap_err().code(), Code::Unavailable);
}

//! The layers where people put them: in axum, around hyper's and tonic's servers and clients, through a buffer. That most of
//! this compiles is what it shows: no `HandleErrorLayer`, no turbofish, no boxed service.

#![allow(
    clippy::disallowed_methods,
    clippy::disallowed_types,
    clippy::unwrap_used,
    reason = "a test may spawn, queue without bound and fail by unwrap"
)]

#[path = "axum/handlers.rs"]
mod handlers;
mod support;

use std::{future::pending, time::Duration};

use axum::{
    Router,
    body::Body,
    handler::Handler,
    routing::{get as on_get, method_routing::MethodRouter},
};
use buttress::{
    BoxError, CancelLayer, Cancelled, Context, DeadlineLayer, ObserveLayer, ShieldLayer, TimeoutLayer,
    context::{ScopeLayer, wire::DeadlineHeader},
    optional,
    outcome::Outcome,
    rejection::{Render, RenderLayer},
};
use http::{HeaderMap, Method, Request, Response};
use http_body::Body as _;
use hyper::body::Incoming;
use support::{
    Connection, Heard, Said, VERSIONS, Version, call, client, get, grpc, log, said, serve, serve_hyper,
    six::{PROBLEM, is_late, six},
};
use tonic::{Code, Status, transport::Server};
use tower::{Layer, ServiceBuilder, ServiceExt, buffer::BufferLayer, service_fn};

const SHORT: Duration = Duration::from_millis(100);
const LONG: Duration = Duration::from_secs(20);

/// `/late` never answers; `/` says whether it has a deadline.
fn app() -> Router {
    Router::new().route("/late", late()).route("/", on_get(has_deadline))
}

fn late() -> MethodRouter {
    on_get(pending::<()>)
}

async fn has_deadline() -> String {
    Context::current_deadline().is_some().to_string()
}

/// What `app` answers.
async fn ask(app: Router, path: &str) -> Said {
    said(call(serve(app).await, Version::Http1, Method::GET, path).await).await
}

// === wherever axum takes a layer ===

#[tokio::test(crate = "support::leakless")]
async fn a_deadline_goes_wherever_axum_takes_a_layer() {
    let short = DeadlineLayer::new(SHORT);
    let routers = [
        app().layer(short.clone()),
        app().route_layer(short.clone()),
        app().layer(ServiceBuilder::new().layer(short.clone()).layer(CancelLayer::new())),
        app().layer(optional(Some(short.clone()))),
        app().layer(optional((!SHORT.is_zero()).then(|| DeadlineLayer::new(SHORT)))),
        Router::new().route("/late", late().layer(short.clone())),
        Router::new().route("/late", late().route_layer(short.clone())),
        Router::new().route("/late", on_get(pending::<()>.layer(short.clone()))),
        Router::new().route_service("/late", short.layer(late())),
        Router::new().fallback_service(app().layer(short.clone())),
        Router::new().merge(app().layer(short.clone())),
        Router::new().fallback(pending::<()>).layer(short),
    ];
    for router in routers {
        let late = ask(router, "/late").await;
        assert_eq!((late.status, late.text.as_str()), (504, "deadline exceeded"));
    }
}

#[tokio::test(crate = "support::leakless")]
async fn a_layer_can_be_left_out() {
    let absent = app()
        .layer(optional(None::<DeadlineLayer>))
        .layer(optional(None::<CancelLayer>));
    assert_eq!(ask(absent, "/").await.text, "false");
    assert_eq!(
        ask(app().layer(optional(Some(DeadlineLayer::new(LONG)))), "/")
            .await
            .text,
        "true"
    );
}

#[tokio::test(crate = "support::leakless")]
async fn a_nested_router_can_only_be_stricter() {
    let nest = |outer, inner| {
        let inner = app().layer(DeadlineLayer::new(inner));
        Router::new().nest("/in", inner).layer(DeadlineLayer::new(outer))
    };
    assert_eq!(ask(nest(LONG, SHORT), "/in/late").await.status, 504);
    assert_eq!(ask(nest(SHORT, LONG), "/in/late").await.status, 504);
}

// === six layers ===

/// Both endings of an app in six layers.
async fn answers_and_is_late(app: Router, mut outcomes: Heard<Outcome>) {
    assert_eq!(ask(app.clone(), "/").await.text, "true");
    let late = ask(app, "/late").await;
    assert_eq!((late.status, late.text.as_str()), (504, PROBLEM));
    assert_eq!(late.content_type, "application/problem+json");
    assert!(outcomes.next().await.is_success() && is_late(&outcomes.next().await));
}

#[tokio::test(crate = "support::leakless")]
async fn six_layers_in_axum_one_by_one() {
    let (tell, outcomes) = log();
    let six = app()
        .layer(ShieldLayer::new("six", SHORT * 4))
        .layer(TimeoutLayer::new(SHORT))
        .layer(CancelLayer::new())
        .layer(DeadlineLayer::new(LONG))
        .layer(RenderLayer::new(Render::Problem))
        .layer(ObserveLayer::server(tell));
    answers_and_is_late(six, outcomes).await;
}

#[tokio::test(crate = "support::leakless")]
async fn six_layers_in_axum_at_once() {
    let (tell, outcomes) = log();
    let six = ServiceBuilder::new()
        .layer(ObserveLayer::server(tell))
        .layer(RenderLayer::new(Render::Problem))
        .layer(DeadlineLayer::new(LONG))
        .layer(CancelLayer::new())
        .layer(TimeoutLayer::new(SHORT))
        .layer(ShieldLayer::new("six", SHORT * 4));
    answers_and_is_late(app().layer(six), outcomes).await;
}

#[tokio::test(crate = "support::leakless")]
async fn an_answer_to_head_is_complete_at_its_head() {
    let (six, mut outcomes) = six(SHORT);
    let address = serve(app().layer(six)).await;
    for version in VERSIONS {
        for path in ["/", "/late"] {
            assert_eq!(said(call(address, version, Method::HEAD, path).await).await.text, "");
        }
        assert!(outcomes.next().await.is_success() && is_late(&outcomes.next().await));
    }
}

/// RFC 9110, section 8.6: a `content-length` in an answer to HEAD is that of the answer to GET.
#[tokio::test(crate = "support::leakless")]
async fn an_answer_to_head_declares_the_length_of_the_answer_to_get() {
    let app = app().layer(DeadlineLayer::new(SHORT));
    for app in [app.clone(), app.layer(RenderLayer::new(Render::Problem))] {
        let address = serve(app).await;
        for path in ["/", "/late"] {
            let got = call(address, Version::Http1, Method::GET, path).await;
            let length = got.into_body().size_hint().exact().unwrap().to_string();
            let head = call(address, Version::Http1, Method::HEAD, path).await;
            let declared = head.headers().get("content-length");
            assert!(
                declared.is_none_or(|declared| *declared == length),
                "{declared:?}, not {length}"
            );
        }
    }
}

#[tokio::test(crate = "support::leakless")]
async fn six_layers_around_a_service_on_hyper() {
    let (six, mut outcomes) = six(SHORT);
    let late = service_fn(|_: Request<Incoming>| pending::<Result<Response<Body>, BoxError>>());
    let address = serve_hyper(six.layer(late)).await;
    for version in VERSIONS {
        let answer = call(address, version, Method::GET, "/").await;
        assert_eq!(said(answer).await.text, PROBLEM);
        assert!(is_late(&outcomes.next().await));
    }
}

#[tokio::test(crate = "support::leakless")]
async fn six_layers_around_a_client_of_hyper_util() {
    let (six, mut outcomes) = six(SHORT);
    let address = serve(app()).await;
    for version in VERSIONS {
        let client = ServiceBuilder::new().layer(&six).service(client(version));
        let answer = client.clone().oneshot(get(address, "/")).await.unwrap();
        assert_eq!(said(answer).await.text, "false");
        let answer = client.oneshot(get(address, "/late")).await.unwrap();
        assert_eq!(said(answer).await.text, PROBLEM);
        assert!(outcomes.next().await.is_success() && is_late(&outcomes.next().await));
    }
}

/// Says a word at once where it is asked for one in time, and else never.
#[derive(Clone)]
struct Speech;

impl grpc::Speech for Speech {
    async fn say(&self, headers: HeaderMap) -> Result<String, Status> {
        match headers.get(DeadlineHeader::GrpcTimeout.name()) {
            Some(_) => Ok("hello".to_owned()),
            None => pending().await,
        }
    }

    fn list(&self) -> grpc::Words {
        grpc::words_without_end(&[])
    }
}

#[tokio::test(crate = "support::leakless")]
async fn six_layers_around_a_tonic_server_and_a_tonic_channel() {
    let (served, mut server_outcomes) = six(SHORT);
    let (called, mut client_outcomes) = six(SHORT);
    let layered = grpc::serve(Server::builder().layer(served), Speech).await;
    let plain = grpc::serve(Server::builder(), Speech).await;
    let bare = grpc::channel(layered).await;
    let wrapped = called.layer(grpc::channel(plain).await);
    assert_eq!(grpc::unary(bare.clone(), layered, Some(LONG)).await.unwrap(), "hello");
    assert_eq!(grpc::unary(wrapped.clone(), plain, Some(LONG)).await.unwrap(), "hello");
    let late = [
        grpc::unary(bare, layered, None).await,
        grpc::unary(wrapped, plain, None).await,
    ];
    for status in late {
        assert_eq!(status.unwrap_err().code(), Code::DeadlineExceeded);
    }
    for outcomes in [&mut server_outcomes, &mut client_outcomes] {
        assert!(outcomes.next().await.is_success() && is_late(&outcomes.next().await));
    }
}

// === through a buffer ===

/// A service behind a buffer, whose caller leaves: it tells whether it was called with a deadline, and how its context ended.
macro_rules! behind_a_buffer {
    ($($layer:expr),*) => {{
        let (tell, mut told) = log();
        let handler = service_fn(move |_: Request<Incoming>| {
            let (context, tell) = (Context::current(), tell.clone());
            tokio::spawn(async move {
                tell.tell(Ok(context.deadline().is_some()));
                tell.tell(Err(context.cancelled().await));
            });
            pending::<Result<Response<Body>, BoxError>>()
        });
        let service = ServiceBuilder::new()$(.layer($layer))*.service(handler);
        let address = serve_hyper(service).await;
        let mut connection = Connection::open(address, Version::Http2).await;
        let call = tokio::spawn(async move { connection.send(get(address, "/")).await });
        let has_deadline = told.next().await;
        call.abort();
        (has_deadline, told)
    }};
}

#[tokio::test(crate = "support::leakless")]
async fn a_context_in_the_extensions_crosses_a_buffer() {
    let (has_deadline, mut told) = behind_a_buffer! {
        DeadlineLayer::new(LONG),
        CancelLayer::new().in_extensions(),
        BufferLayer::new(8),
        ScopeLayer::new()
    };
    assert_eq!(has_deadline, Ok(true));
    assert_eq!(told.next().await, Err(Cancelled::Disconnected));
}

#[tokio::test(crate = "support::leakless")]
async fn a_deadline_in_the_extensions_crosses_a_buffer() {
    let (has_deadline, mut told) = behind_a_buffer! {
        DeadlineLayer::new(SHORT).in_extensions(),
        BufferLayer::new(8),
        ScopeLayer::new()
    };
    assert_eq!(has_deadline, Ok(true));
    assert_eq!(told.next().await, Err(Cancelled::DeadlineExceeded));
}

/// And so what is behind it lives on: that it does is what is shown.
#[tokio::test]
async fn a_context_does_not_cross_a_buffer_by_itself() {
    let (has_deadline, _) = behind_a_buffer! {
        DeadlineLayer::new(LONG),
        CancelLayer::new(),
        BufferLayer::new(8)
    };
    assert_eq!(has_deadline, Ok(false));
}

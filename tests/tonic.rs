//! tonic's services within the layers, its interceptors among them, and its statuses: `buttress::tonic`. Its clients over them are in
//! `clients`.
#![cfg(feature = "tonic")]
#![allow(
    clippy::disallowed_methods,
    clippy::disallowed_types,
    clippy::unwrap_used,
    reason = "a test may spawn, queue without bound and fail by unwrap"
)]

mod support;

use std::{error::Error, net::SocketAddr, time::Duration};

use buttress::{
    AdmissionLayer, CancelLayer, Cancelled, ConcurrencyLimitLayer, Context, CriticalityLayer, DeadlineLayer,
    HedgeLayer, Lifecycle, LoadShedLayer, ObserveLayer, PropagateCriticalityLayer, PropagateDeadlineLayer, Rejection,
    RetryLayer, ShieldLayer, TimeoutLayer,
    admission::{drain::Drain, shed::ShedUnreadyLayer},
    context::ScopeLayer,
    observe::Ended,
    optional,
    outcome::Outcome,
    rejection::{Reason, Render, RenderLayer, ResponseExt},
    tonic::{ClientLayer, TransportLayer},
};
use http::HeaderMap;
use support::{
    grpc::{self, Speaker, Speech},
    leakless, listener, log,
    six::{is_late, six},
    soon,
};
use tonic::{
    Code, Request, Status,
    metadata::MetadataMap,
    server::NamedService,
    service::{Interceptor, InterceptorLayer, interceptor::InterceptedService},
    transport::{
        Endpoint, Server,
        server::{Router, TcpIncoming},
    },
};
use tonic_health::{
    pb::{HealthCheckRequest, health_client::HealthClient},
    server::health_reporter,
};
use tower::{Layer, ServiceBuilder};

const LONG: Duration = Duration::from_secs(20);

/// Says what the deadline in scope is, and how it went with `f`.
#[derive(Clone)]
struct Says<F>(F);

impl<F> Speech for Says<F>
where
    F: Fn() -> Result<String, Status> + Clone + Send + Sync + 'static,
{
    async fn say(&self, _: HeaderMap) -> Result<String, Status> {
        self.0()
    }

    fn list(&self) -> grpc::Words {
        grpc::words_without_end(&[])
    }
}

fn hello() -> Says<impl Fn() -> Result<String, Status> + Clone + Send + Sync + 'static> {
    Says(|| Ok("hello".to_owned()))
}

async fn up(router: Router) -> SocketAddr {
    let (listener, address) = listener().await;
    leakless::serves(async move { router.serve_with_incoming(TcpIncoming::from(listener)).await });
    address
}

async fn ask(address: SocketAddr, timeout: Option<Duration>) -> Result<String, Status> {
    grpc::unary(grpc::channel(address).await, address, timeout).await
}

// === a service in layers is a service ===

fn name<S: NamedService>(_: &S) -> &'static str {
    S::NAME
}

#[tokio::test(crate = "support::leakless")]
async fn a_service_in_any_of_the_layers_keeps_its_name() {
    let life = Lifecycle::builder().build().unwrap();
    macro_rules! each {
        ($($layer:expr),+ $(,)?) => {
            [$(name(&$layer.layer(Speaker(hello())))),+]
        };
    }
    let names = each![
        AdmissionLayer::new(Drain::new()),
        CancelLayer::new(),
        CancelLayer::new().typed(),
        ClientLayer::new(),
        ConcurrencyLimitLayer::new(1),
        CriticalityLayer::new(),
        DeadlineLayer::new(LONG),
        HedgeLayer::after(LONG),
        LoadShedLayer::new(),
        ObserveLayer::server(|_: &Ended| {}),
        PropagateCriticalityLayer::new(),
        PropagateDeadlineLayer::new(),
        RenderLayer::new(Render::Text),
        RetryLayer::grpc(),
        ScopeLayer::new(),
        ShedUnreadyLayer::new(),
        ShieldLayer::new("name", LONG),
        TimeoutLayer::new(LONG),
        TransportLayer::new(),
        life.layer(),
        optional(Some(CancelLayer::new())),
        ServiceBuilder::new()
            .layer(CancelLayer::new())
            .layer(DeadlineLayer::new(LONG))
            .into_inner(),
    ];
    assert!(names.iter().all(|name| *name == "test.Words"), "{names:?}");
}

/// tonic#1875: a layer around one of the services, and not around all.
#[tokio::test(crate = "support::leakless")]
async fn one_of_several_services_has_layers_of_its_own() {
    let (six, mut outcomes) = six(LONG);
    let (_reporter, health) = health_reporter();
    let words = ConcurrencyLimitLayer::new(0).layer(Speaker(hello()));
    let router = Server::builder()
        .add_service(ServiceBuilder::new().layer(six).service(health))
        .add_service(words);
    let address = up(router).await;
    let mut client = HealthClient::new(grpc::channel(address).await);
    let health = client.check(HealthCheckRequest::default()).await;
    assert_eq!(health.unwrap().into_inner().status, 1);
    assert!(outcomes.next().await.is_success());
    assert_eq!(ask(address, None).await.unwrap_err().code(), Code::Unavailable);
    assert_eq!(outcomes.so_far().len(), 0); // the limit is of the words alone
}

// === handlers ===

#[tokio::test(crate = "support::leakless")]
async fn a_handler_that_stops_early_ends_with_a_question_mark() {
    let stops = Says(|| {
        Context::current().with_timeout(Duration::ZERO).check()?;
        Ok("in time".to_owned())
    });
    let (tell, mut outcomes) = log();
    let layers = ServiceBuilder::new()
        .layer(ObserveLayer::server(tell))
        .layer(CancelLayer::new())
        .layer(DeadlineLayer::new(LONG));
    let address = up(Server::builder().add_service(layers.service(Speaker(stops)))).await;
    let status = ask(address, None).await.unwrap_err();
    assert_eq!(
        (status.code(), status.message()),
        (Code::DeadlineExceeded, "deadline exceeded")
    );
    // Who observes knows that it was said here.
    let outcome = outcomes.next().await;
    assert!(is_late(&outcome), "{outcome:?}");
}

#[tokio::test(crate = "support::leakless")]
async fn a_handlers_rejection_says_when_to_come_back() {
    let rejects = Says(|| {
        let busy = Rejection::new(Reason::Overloaded, "index").with_message("100 % busy: später");
        Err(busy.retry_after(Duration::from_millis(700)))?
    });
    let address = up(Server::builder().add_service(Speaker(rejects))).await;
    let status = ask(address, None).await.unwrap_err();
    assert_eq!(
        (status.code(), status.message()),
        (Code::Unavailable, "100 % busy: später")
    );
    let pushback = status.metadata().get("grpc-retry-pushback-ms").unwrap();
    let pushback: u32 = pushback.to_str().unwrap().parse().unwrap();
    assert!((700..=875).contains(&pushback), "{pushback}");
}

// === interceptors ===

/// Lets in what has a deadline, and tells of it.
#[derive(Clone)]
struct Timed(support::Tell<Option<Duration>>);

impl Interceptor for Timed {
    fn call(&mut self, request: Request<()>) -> Result<Request<()>, Status> {
        let ctx = Context::current();
        self.0.tell(ctx.remaining());
        ctx.check()?;
        match ctx.deadline() {
            Some(_) => Ok(request),
            None => Err(Rejection::new(Reason::MissingDeadline, "interceptor").into()),
        }
    }
}

#[tokio::test(crate = "support::leakless")]
async fn a_servers_interceptor_sees_the_context_of_the_layers_above_it() {
    let layers = || {
        ServiceBuilder::new()
            .layer(DeadlineLayer::new(LONG))
            .layer(CancelLayer::new())
    };
    let (tell, mut told) = log();
    // As generated servers have it, between layers, and around all services.
    let within =
        up(Server::builder()
            .add_service(layers().service(InterceptedService::new(Speaker(hello()), Timed(tell.clone())))))
        .await;
    let between = layers()
        .layer(InterceptorLayer::new(Timed(tell.clone())))
        .layer(ConcurrencyLimitLayer::new(10))
        .service(Speaker(hello()));
    let between = up(Server::builder().add_service(between)).await;
    let around = layers().layer(InterceptorLayer::new(Timed(tell))).into_inner();
    let around = grpc::serve(Server::builder().layer(around), hello()).await;
    for address in [within, between, around] {
        assert_eq!(ask(address, Some(LONG / 2)).await.unwrap(), "hello");
        assert!(told.next().await.unwrap() <= LONG / 2);
    }
}

#[tokio::test(crate = "support::leakless")]
async fn an_interceptor_answers_with_a_rejection() {
    let (tell, mut told) = log();
    let (tell_outcome, mut outcomes) = log();
    let service = ServiceBuilder::new()
        .layer(ObserveLayer::server(tell_outcome))
        .service(InterceptedService::new(Speaker(hello()), Timed(tell)));
    let address = up(Server::builder().add_service(service)).await;
    let status = ask(address, None).await.unwrap_err();
    assert_eq!(
        (status.code(), status.message()),
        (Code::Internal, "call without a deadline")
    );
    assert_eq!(told.next().await, None);
    let outcome = outcomes.next().await;
    assert!(
        matches!(&outcome, Outcome::Rejected(rejection) if rejection.layer() == "interceptor"),
        "{outcome:?}"
    );
}

#[tokio::test(crate = "support::leakless")]
async fn a_clients_interceptor_sees_its_callers_context() {
    let address = up(Server::builder().add_service(Speaker(hello()))).await;
    let (tell, mut told) = log();
    let stack = ServiceBuilder::new()
        .layer(InterceptorLayer::new(Timed(tell)))
        .layer(RetryLayer::grpc())
        .layer(PropagateDeadlineLayer::new())
        .layer(TransportLayer::new())
        .service(grpc::channel(address).await);
    let call = Context::current()
        .with_timeout(LONG)
        .scope(grpc::unary(stack.clone(), address, None));
    assert_eq!(call.await.unwrap(), "hello");
    assert!(told.next().await.unwrap() <= LONG);
    let late = Context::current()
        .with_timeout(Duration::ZERO)
        .scope(grpc::unary(stack, address, None));
    assert_eq!(late.await.unwrap_err().code(), Code::DeadlineExceeded);
}

/// `with_interceptor` wants response bodies with a `Default`.
#[tokio::test(crate = "support::leakless")]
async fn a_generated_client_takes_an_interceptor_over_a_stack() {
    let (_reporter, health) = health_reporter();
    let address = up(Server::builder().add_service(health)).await;
    let (tell, mut told) = log();
    let stack = ServiceBuilder::new()
        .layer(ClientLayer::new())
        .layer(RetryLayer::grpc())
        .layer(TransportLayer::new())
        .service(grpc::channel(address).await);
    let mut client = HealthClient::with_interceptor(stack, Timed(tell));
    let call = client.check(HealthCheckRequest::default());
    assert_eq!(
        Context::current()
            .with_timeout(LONG)
            .scope(call)
            .await
            .unwrap()
            .into_inner()
            .status,
        1
    );
    assert!(told.next().await.is_some());
    let refused = client.check(HealthCheckRequest::default()).await.unwrap_err();
    assert_eq!(refused.code(), Code::Internal);
}

// === statuses ===

#[tokio::test(crate = "support::leakless")]
async fn every_reason_is_a_status_and_a_status_its_reason() {
    for (reason, code) in [
        (Reason::Overloaded, Code::Unavailable),
        (Reason::Shed, Code::Unavailable),
        (Reason::BreakerOpen, Code::Unavailable),
        (Reason::Draining, Code::Unavailable),
        (Reason::Unreachable, Code::Unavailable),
        (Reason::Quota, Code::ResourceExhausted),
        (Reason::DeadlineExceeded, Code::DeadlineExceeded),
        (Reason::Cancelled, Code::Cancelled),
        (Reason::InvalidDeadline, Code::Internal),
        (Reason::MissingDeadline, Code::Internal),
    ] {
        let rejection = Rejection::new(reason, "test");
        let status = Status::from(rejection.clone());
        assert_eq!((status.code(), status.message()), (code, reason.message()));
        assert_eq!(
            status.metadata().contains_key("grpc-retry-pushback-ms"),
            reason.is_temporary()
        );
        assert_eq!(status.rejection(), Some(&rejection));
        assert_eq!(status.error_for_rejection().unwrap_err(), rejection);
    }
    for (why, code) in [
        (Cancelled::DeadlineExceeded, Code::DeadlineExceeded),
        (Cancelled::Disconnected, Code::Cancelled),
        (Cancelled::ShuttingDown, Code::Unavailable),
    ] {
        assert_eq!(Status::from(why).code(), code);
    }
}

#[tokio::test(crate = "support::leakless")]
async fn what_a_rejection_has_besides_is_metadata() {
    let rejection = Rejection::new(Reason::Quota, "test").do_not_retry();
    let rejection = rejection.with_header("ratelimit".parse().unwrap(), "\"p\";r=0;t=30".parse().unwrap());
    // A header that only looks like the status is not taken for it.
    let rejection = rejection.with_header("grpc-status".parse().unwrap(), "0".parse().unwrap());
    let status = Status::from(rejection);
    assert_eq!(status.code(), Code::ResourceExhausted);
    let mut expected = MetadataMap::new();
    expected.insert("grpc-retry-pushback-ms", "-1".parse().unwrap());
    expected.insert("ratelimit", "\"p\";r=0;t=30".parse().unwrap());
    assert_eq!(status.metadata().clone().into_headers(), expected.into_headers());
}

/// A limit of this process that is full, and one of the server's, are the same code.
#[tokio::test(crate = "support::leakless")]
async fn a_clients_status_knows_who_made_it() {
    let full = || ConcurrencyLimitLayer::new(0);
    let address = up(Server::builder().add_service(full().layer(Speaker(hello())))).await;
    let channel = grpc::channel(address).await;
    let transport = || {
        ServiceBuilder::new()
            .layer(TransportLayer::new())
            .service(channel.clone())
    };
    let (ours, theirs) = (
        ClientLayer::new().layer(full().layer(transport())),
        ClientLayer::new().layer(transport()),
    );
    let ours = grpc::unary(ours, address, None).await.unwrap_err();
    let theirs = grpc::unary(theirs, address, None).await.unwrap_err();
    for status in [&ours, &theirs] {
        assert_eq!(status.code(), Code::Unavailable);
        assert!(status.metadata().contains_key("grpc-retry-pushback-ms"));
    }
    let rejection = ours.rejection().unwrap();
    assert_eq!((rejection.layer(), rejection.was_executed()), ("concurrency", false));
    assert_eq!(theirs.error_for_rejection().unwrap().code(), Code::Unavailable);
    // An interceptor is of this process, too.
    let timed = InterceptorLayer::new(Timed(log().0));
    let turned_away = ClientLayer::new().layer(timed.layer(transport()));
    let turned_away = grpc::unary(turned_away, address, None).await.unwrap_err();
    assert_eq!(turned_away.rejection().map(Rejection::layer), Some("interceptor"));
}

#[tokio::test(crate = "support::leakless")]
async fn what_fails_below_a_clients_layers_is_the_status_that_tonic_makes_of_it() {
    let nobody = Endpoint::from_static("http://127.0.0.1:9").connect_lazy();
    let address = SocketAddr::from(([127, 0, 0, 1], 9));
    let bare = grpc::unary(nobody.clone(), address, None).await.unwrap_err();
    let stack = ServiceBuilder::new()
        .layer(ClientLayer::new())
        .layer(TransportLayer::new());
    let layered = grpc::unary(stack.service(nobody), address, None).await.unwrap_err();
    assert_eq!((layered.code(), layered.message()), (bare.code(), bare.message()));
    assert!(layered.source().is_some() && layered.rejection().is_none());
}

// === the process ===

/// A service below the process, with tonic's own server: it drains, and is late at the end of the drain.
#[tokio::test(crate = "support::leakless")]
async fn a_service_of_tonics_drains_with_the_process() {
    let life = Lifecycle::builder().build().unwrap();
    let (socket, address) = listener().await;
    let (listener, draining) = (life.listener(socket), life.handle().draining());
    let (six, mut outcomes) = six(LONG);
    let service = ServiceBuilder::new()
        .layer(six)
        .layer(life.layer())
        .service(Speaker(hello()));
    let server = Server::builder()
        .add_service(service)
        .serve_with_incoming_shutdown(listener, draining);
    leakless::serves(server);
    assert_eq!(ask(address, Some(LONG)).await.unwrap(), "hello");
    let outcome = outcomes.next().await;
    assert!(outcome.is_success() && !is_late(&outcome));
    life.handle().shutdown();
    let report = soon(life.run()).await;
    assert!(report.is_clean(), "{report}");
}

//! What handlers ask of the layers around them, and what they answer: `buttress::axum`.

use std::{
    future::pending,
    net::SocketAddr,
    sync::{Arc, Mutex},
    time::Duration,
};

use axum::{
    Extension, Json, Router,
    extract::ConnectInfo,
    routing::{get as on_get, post},
};
use buttress::{
    CancelLayer, Cancelled, ConcurrencyLimitLayer, Context, DeadlineLayer, Lifecycle, ObserveLayer, RateLimitLayer,
    Rejection,
    address::{ClientAddress, PeerAddress},
    admission::rate::Quota,
    axum::{ClientIp, Deadline, RouterExt, route},
    observe::{Began, Ended, Observer},
    outcome::Outcome,
    rejection::{Protocol, Reason, Render, RenderLayer},
};
use http::{HeaderMap, Method, Request};
use tower::{Layer, ServiceExt};

use super::support::{
    Connection, Said, VERSIONS, Version, call, client, get, leakless, listener, log, said, serve, serve_hyper, soon,
};

const LONG: Duration = Duration::from_secs(20);

/// What this address answers to a `GET` with this `x-forwarded-for`.
async fn ask(address: SocketAddr, path: &str, forwarded: Option<&str>) -> Said {
    let mut request = get(address, path);
    if let Some(forwarded) = forwarded {
        request
            .headers_mut()
            .insert("x-forwarded-for", forwarded.parse().unwrap());
    }
    said(client(Version::Http1).request(request).await.unwrap()).await
}

// === extractors ===

#[tokio::test(crate = "super::support::leakless")]
async fn a_handlers_context_is_its_requests() {
    let (tell, mut told) = log();
    let handler = async move |ctx: Context, Deadline(at): Deadline| {
        tell.tell(Err(Some(at) == ctx.deadline() && ctx.remaining() <= Some(LONG)));
        let tell = tell.clone();
        tokio::spawn(async move { tell.tell(Ok(ctx.cancelled().await)) });
        pending::<()>().await;
    };
    let app = Router::new()
        .route("/", on_get(handler))
        .layer(CancelLayer::new())
        .layer(DeadlineLayer::new(LONG));
    let address = serve(app).await;
    for version in VERSIONS {
        let mut connection = Connection::open(address, version).await;
        let call = tokio::spawn(async move { connection.send(get(address, "/")).await });
        assert_eq!(told.next().await, Err(true));
        call.abort();
        assert_eq!(told.next().await, Ok(Cancelled::Disconnected));
    }
}

#[tokio::test(crate = "super::support::leakless")]
async fn a_deadline_that_is_relied_on_and_is_not_there_is_a_fault_of_the_servers() {
    let routes = || {
        Router::new()
            .route(
                "/must",
                on_get(async |deadline: Deadline| Json(deadline.remaining() <= LONG)),
            )
            .route(
                "/may",
                on_get(async |deadline: Option<Deadline>| Json(deadline.is_some())),
            )
            .route("/context", on_get(async |ctx: Context| Json(ctx.deadline().is_some())))
    };
    let with = serve(routes().layer(DeadlineLayer::new(LONG))).await;
    for path in ["/must", "/may", "/context"] {
        assert_eq!(ask(with, path, None).await.text, "true");
    }
    let without = serve(routes()).await;
    let must = ask(without, "/must", None).await;
    assert_eq!((must.status, must.text.as_str()), (500, "call without a deadline"));
    for path in ["/may", "/context"] {
        assert_eq!(ask(without, path, None).await.text, "false");
    }
}

#[tokio::test(crate = "super::support::leakless")]
async fn a_handler_can_answer_in_the_protocol_of_its_request() {
    let handler = async |protocol: Protocol| {
        let rejection = Rejection::new(Reason::Quota, "handler");
        rejection.into_answer(&protocol).map(axum::body::Body::from)
    };
    let address = serve(Router::new().route("/", post(handler).get(handler))).await;
    let head = |content_type: &'static str| async move {
        let request = Request::post(format!("http://{address}/")).header("content-type", content_type);
        let request = request.body(axum::body::Body::empty()).unwrap();
        client(Version::Http2).request(request).await.unwrap().into_parts().0
    };
    assert_eq!(head("application/json").await.status, 429);
    assert_eq!(head("application/grpc").await.headers["grpc-status"], "8");
    assert_eq!(ask(address, "/", None).await.status, 429);
}

// === the client's address ===

/// Says who asks.
fn whoami() -> Router {
    async fn must(ClientIp(ip): ClientIp) -> String {
        ip.to_string()
    }
    async fn may(client: Option<ClientIp>) -> Json<bool> {
        Json(client.is_some())
    }
    Router::new().route("/must", on_get(must)).route("/may", on_get(may))
}

#[tokio::test(crate = "super::support::leakless")]
async fn behind_proxies_the_client_is_whom_the_outermost_of_ours_names() {
    let address = serve(whoami().with_client_address(ClientAddress::new().trusted_hops(2))).await;
    let client = ask(address, "/must", Some("1.1.1.1, 203.0.113.7, 10.0.0.1")).await;
    assert_eq!(client.text, "203.0.113.7");
    // Past the proxies, whatever it says.
    for forged in [None, Some("203.0.113.7"), Some("1.1.1.1, unknown, 10.0.0.1")] {
        let stranger = ask(address, "/must", forged).await;
        assert_eq!(stranger.status, 400, "{}", stranger.text);
        assert_eq!(ask(address, "/may", forged).await.text, "false");
    }
}

#[tokio::test(crate = "super::support::leakless")]
async fn without_proxies_the_client_is_the_sockets_other_end() {
    let forged = Some("203.0.113.7");
    // Served by the process.
    let life = Lifecycle::builder().build().unwrap();
    let (socket, address) = listener().await;
    life.serve(socket, whoami());
    assert_eq!(ask(address, "/must", forged).await.text, "127.0.0.1");
    // Served by axum, with its own word.
    let (socket, address) = listener().await;
    let service = whoami().into_make_service_with_connect_info::<SocketAddr>();
    leakless::serves(async move { axum::serve(socket, service).await });
    assert_eq!(ask(address, "/must", forged).await.text, "127.0.0.1");
    // Served by axum, on a listener of the process.
    let listening = life.listener(tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap());
    let address = listening.local_addr().unwrap();
    let routes = whoami().route(
        "/info",
        on_get(async |ConnectInfo(peer): ConnectInfo<SocketAddr>| peer.ip().to_string()),
    );
    let service = routes
        .with_connect_info()
        .into_make_service_with_connect_info::<PeerAddress>();
    let draining = life.handle().draining();
    leakless::serves(async move { axum::serve(listening, service).with_graceful_shutdown(draining).await });
    assert_eq!(ask(address, "/must", forged).await.text, "127.0.0.1");
    assert_eq!(ask(address, "/info", forged).await.text, "127.0.0.1");
    // Served by axum, which says nothing: a fault of the server's.
    let address = serve(whoami()).await;
    assert_eq!(ask(address, "/must", forged).await.status, 500);
    assert_eq!(ask(address, "/may", forged).await.text, "false");
    life.handle().shutdown();
    assert!(soon(life.run()).await.is_clean());
}

/// What was written for `axum::serve` finds it under either.
#[tokio::test(crate = "super::support::leakless")]
async fn who_asks_for_axums_connect_info_is_told_by_the_process() {
    let handler = async |ConnectInfo(peer): ConnectInfo<SocketAddr>| peer.ip().to_string();
    let routes = || Router::new().route("/", on_get(handler));
    let life = Lifecycle::builder().build().unwrap();
    let (socket, address) = listener().await;
    life.serve(socket, routes().with_connect_info());
    assert_eq!(ask(address, "/", None).await.text, "127.0.0.1");
    // axum's own word stays.
    let own = SocketAddr::from(([192, 0, 2, 1], 4711));
    let (socket, address) = listener().await;
    let app = routes().with_connect_info();
    life.serve(socket, app.layer(Extension(ConnectInfo(own))));
    assert_eq!(ask(address, "/", None).await.text, "192.0.2.1");
    // Nobody says it: axum's fault is axum's.
    let address = serve(routes().with_connect_info()).await;
    assert_eq!(ask(address, "/", None).await.status, 500);
    life.handle().shutdown();
    assert!(soon(life.run()).await.is_clean());
}

#[tokio::test(crate = "super::support::leakless")]
async fn a_rate_limit_knows_the_clients_of_axum_by_their_sockets() {
    let limit = RateLimitLayer::new(Quota::per_hour(1)).by_client(ClientAddress::new());
    let (socket, address) = listener().await;
    let app = whoami().layer(limit.clone());
    let service = app.into_make_service_with_connect_info::<SocketAddr>();
    leakless::serves(async move { axum::serve(socket, service).await });
    assert_eq!(ask(address, "/may", Some("1.1.1.1")).await.status, 200);
    assert_eq!(ask(address, "/may", Some("2.2.2.2")).await.status, 429);
    // An address, and not what those share who have none.
    let nobody = Request::get("/may").body(axum::body::Body::empty()).unwrap();
    assert_eq!(limit.layer(whoami()).oneshot(nobody).await.unwrap().status(), 200);
}

// === answers ===

/// Handlers that stop early, in each of the ways there are, within these layers.
fn early() -> Router {
    async fn cancelled(ctx: Context) -> Result<&'static str, Cancelled> {
        ctx.with_timeout(Duration::ZERO).check()?;
        Ok("in time")
    }
    async fn rejected(ctx: Context) -> Result<&'static str, Rejection> {
        ctx.check()?;
        let busy = Rejection::new(Reason::Overloaded, "index").with_message("the index is being built");
        Err(busy.retry_after(Duration::from_secs(7)))
    }
    Router::new()
        .route("/cancelled", on_get(cancelled).post(cancelled))
        .route("/rejected", on_get(rejected).post(rejected))
}

#[tokio::test(crate = "super::support::leakless")]
async fn a_handler_that_stops_early_answers_as_a_layer_does() {
    let (tell, mut outcomes) = log();
    let observed = early()
        .layer(CancelLayer::new())
        .layer(DeadlineLayer::new(LONG))
        .layer(ObserveLayer::server(tell));
    let address = serve(observed).await;
    for (path, status, text, reason) in [
        ("/cancelled", 504, "deadline exceeded", Reason::DeadlineExceeded),
        ("/rejected", 503, "the index is being built", Reason::Overloaded),
    ] {
        let answer = call(address, Version::Http1, Method::GET, path).await;
        let after = answer
            .headers()
            .get("retry-after")
            .map(|after| after.to_str().unwrap().parse::<u32>());
        assert_eq!(after.is_some_and(|after| after.unwrap() >= 7), status == 503);
        let answer = said(answer).await;
        assert_eq!((answer.status, answer.text.as_str()), (status, text));
        // Who observes knows that it was said here.
        let outcome = outcomes.next().await;
        assert!(
            matches!(&outcome, Outcome::Rejected(rejection) if rejection.reason() == reason),
            "{outcome:?}"
        );
    }
}

#[tokio::test(crate = "super::support::leakless")]
async fn a_layer_that_renders_makes_it_one_of_the_requests_protocol() {
    let address = serve(early().layer(RenderLayer::new(Render::Problem))).await;
    let head = |path: &'static str, content_type: &'static str| async move {
        let request = Request::post(format!("http://{address}{path}")).header("content-type", content_type);
        let request = request.body(axum::body::Body::empty()).unwrap();
        client(Version::Http2).request(request).await.unwrap().into_parts().0
    };
    assert_eq!(
        head("/cancelled", "application/grpc+proto").await.headers["grpc-status"],
        "4"
    );
    let rejected = head("/rejected", "application/grpc").await;
    assert_eq!(
        (rejected.status.as_u16(), &rejected.headers["grpc-status"]),
        (200, &"14".parse().unwrap())
    );
    assert_eq!(rejected.headers["grpc-message"], "the index is being built");
    let plain = head("/rejected", "application/json").await;
    assert_eq!(plain.headers["content-type"], "application/problem+json");
}

// === the router ===

/// What calls' routes are called.
#[derive(Clone, Default)]
struct Routes(Arc<Mutex<Vec<Option<String>>>>);

impl Observer for Routes {
    type Call = ();

    fn began(&self, began: &Began<'_>) {
        self.0.lock().unwrap().push(began.route.map(str::to_owned));
    }

    fn ended(&self, (): (), _: &Ended) {}
}

#[tokio::test(crate = "super::support::leakless")]
async fn layers_of_the_router_call_a_request_by_its_route() {
    let routes = Routes::default();
    let app = Router::new()
        .route("/users/{id}", on_get(async || "one"))
        .nest("/api", Router::new().route("/things/{id}", on_get(async || "two")))
        .layer(ConcurrencyLimitLayer::adaptive().route(route))
        .layer(ObserveLayer::server(routes.clone()).route(route));
    let address = serve(app).await;
    for path in ["/users/7", "/users/8", "/api/things/7", "/elsewhere"] {
        ask(address, path, None).await;
    }
    let seen = routes.0.lock().unwrap();
    let seen: Vec<_> = seen.iter().map(Option::as_deref).collect();
    let (user, thing) = (Some("/users/{id}"), Some("/api/things/{id}"));
    assert_eq!(seen, [user, user, thing, None]);
}

#[tokio::test(crate = "super::support::leakless")]
async fn probes_are_outside_of_the_layers_that_were_there_before() {
    let life = Lifecycle::builder().build().unwrap();
    let app = Router::new()
        .route("/", on_get(async || "hello"))
        .layer(ConcurrencyLimitLayer::new(0))
        .with_readiness("/ready", &life)
        .with_debug("/debug/work", &life);
    // Not served by the process, which would end with it.
    let address = serve_hyper(app).await;
    assert_eq!(ask(address, "/", None).await.status, 503);
    let ready = ask(address, "/ready", None).await;
    assert_eq!((ready.status, ready.text.as_str()), (200, "ready"));
    let debug = ask(address, "/debug/work?format=json", None).await;
    assert_eq!((debug.status, debug.content_type.as_str()), (200, "application/json"));
    life.handle().shutdown();
    assert!(soon(life.run()).await.is_clean());
    assert_eq!(ask(address, "/ready", None).await.status, 503);
}

/// A handler may take a context beside what reads the body, and be given to any method.
#[tokio::test(crate = "super::support::leakless")]
async fn extractors_go_with_any_other() {
    async fn all(
        _: Context,
        _: Option<Deadline>,
        _: Option<ClientIp>,
        _: Protocol,
        _: HeaderMap,
        body: String,
    ) -> String {
        body
    }
    let app: Router = Router::new().route("/", post(all));
    let request = Request::post("/").body(axum::body::Body::from("hello")).unwrap();
    assert_eq!(said(app.oneshot(request).await.unwrap()).await.text, "hello");
}

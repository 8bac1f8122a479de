//! Fallbacks: what is answered otherwise, by what, what is not, and what the layers above hear of it.
#![allow(clippy::disallowed_methods, clippy::unwrap_used, reason = "a test may")]

#[path = "support/script.rs"]
mod script;
mod support;

use std::{
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering},
    },
    time::Duration,
};

use axum::{Router, routing::get as on_get};
use buttress::{
    BoxError, Cancelled, ConcurrencyLimitLayer, Context, DeadlineLayer, FallbackLayer, FaultLayer, ObserveLayer,
    RetryLayer, TimeoutLayer,
    body::replay::Replay,
    fallback::{Failed, FellBack, Other},
    fault::Rule,
    outcome::{Class, Delivery, Outcome},
    rejection::{Reason, Rejection, ResponseExt},
    telemetry::{Measure, Measured},
};
use bytes::Bytes;
use http::{Method, Request, Response, StatusCode};
use http_body_util::{BodyExt, Channel, Full};
use tokio::time::Instant;
use tower::{Layer, ServiceBuilder, ServiceExt, service_fn};

use self::{
    script::{Answer, Script, broken, grpc, late, status},
    support::{VERSIONS, call, client, get, log, said, serve, soon},
};

const MS: Duration = Duration::from_millis(1);

fn request(method: &Method) -> Request<Full<Bytes>> {
    let request = Request::builder()
        .method(method)
        .uri("http://upstream/path")
        .header("x-id", "7");
    request.body(Full::from("body")).unwrap()
}

fn page() -> Request<Full<Bytes>> {
    request(&Method::GET)
}

fn rpc() -> Request<Full<Bytes>> {
    let request = Request::post("http://upstream/pkg.Service/Method").header("content-type", "application/grpc");
    request.body(Full::from("body")).unwrap()
}

fn other() -> Response<Bytes> {
    let mut response = Response::new(Bytes::from_static(b"other"));
    *response.status_mut() = StatusCode::NON_AUTHORITATIVE_INFORMATION;
    response.headers_mut().insert("x-stale", "yes".parse().unwrap());
    response
}

/// Whether this answer is replaced by a value.
async fn is_replaced(answer: Answer, request: Request<Full<Bytes>>) -> bool {
    let layer = FallbackLayer::value(other());
    let answered = layer.layer(Script::new([answer])).oneshot(request).await;
    let is_marked = answered
        .as_ref()
        .is_ok_and(|answer| answer.extensions().get::<FellBack>().is_some());
    assert_eq!(layer.snapshot().answered, u64::from(is_marked));
    is_marked
}

// === what is replaced ===

#[tokio::test(start_paused = true, crate = "support::leakless")]
async fn a_value_takes_the_place_of_a_failure() {
    let answer = FallbackLayer::value(other())
        .layer(Script::new([status(503, "x-from: upstream")]))
        .oneshot(page())
        .await;
    let answer = answer.unwrap();
    assert_eq!(answer.status(), StatusCode::NON_AUTHORITATIVE_INFORMATION);
    assert!(answer.headers()["x-stale"] == "yes" && !answer.headers().contains_key("x-from"));
    let from = &answer.extensions().get::<FellBack>().unwrap().outcome;
    assert_eq!(*from, Outcome::failure(Class::Http(StatusCode::SERVICE_UNAVAILABLE)));
    assert_eq!(said(answer).await.text, "other");
}

#[tokio::test(start_paused = true, crate = "support::leakless")]
async fn failures_are_replaced_and_all_else_is_not() {
    for code in [500, 502, 503, 504] {
        assert!(is_replaced(status(code, ""), page()).await, "{code}");
    }
    for code in [200, 204, 304, 400, 404, 408, 425, 429] {
        assert!(!is_replaced(status(code, ""), page()).await, "{code}");
    }
    assert!(is_replaced(broken(), page()).await);
    for code in 0..17 {
        assert_eq!(is_replaced(grpc(code, ""), rpc()).await, code == 14, "{code}");
    }
    // Not known at the head.
    assert!(!is_replaced(status(200, ""), rpc()).await);
}

#[tokio::test(start_paused = true, crate = "support::leakless")]
async fn what_ours_rejected_is_replaced_but_not_for_want_of_time() {
    let full = ServiceBuilder::new()
        .layer(FallbackLayer::value(other()))
        .layer(ConcurrencyLimitLayer::new(0));
    let answer = full.service(Script::new([])).oneshot(page()).await.unwrap();
    let from = answer.extensions().get::<FellBack>().unwrap();
    assert!(matches!(&from.outcome, Outcome::Rejected(rejection) if rejection.reason() == Reason::Overloaded));
    assert!(answer.rejection().is_none(), "it is not what was rejected");

    let late = ServiceBuilder::new()
        .layer(FallbackLayer::value(other()))
        .layer(TimeoutLayer::new(10 * MS));
    let answer = late
        .clone()
        .service(Script::new([Answer::Hang]))
        .oneshot(page())
        .await
        .unwrap();
    assert_eq!(
        answer.rejection().map(Rejection::reason),
        Some(Reason::DeadlineExceeded)
    );

    // Unless it is asked for.
    let asked = FallbackLayer::value(other()).when(|failed: &Failed<'_>| {
        failed
            .rejection()
            .is_some_and(|why| why.reason() == Reason::DeadlineExceeded)
    });
    let asked = ServiceBuilder::new().layer(asked).layer(TimeoutLayer::new(10 * MS));
    let answer = asked
        .service(Script::new([Answer::Hang]))
        .oneshot(page())
        .await
        .unwrap();
    assert!(answer.extensions().get::<FellBack>().is_some());
}

#[tokio::test(start_paused = true, crate = "support::leakless")]
async fn where_the_work_has_ended_nothing_is_replaced() {
    for why in [Cancelled::Disconnected, Cancelled::ShuttingDown, Cancelled::Superseded] {
        let work = Context::current().child();
        let script = Script::new([late(20 * MS, status(503, ""))]);
        let call = tokio::spawn(work.scope(FallbackLayer::value(other()).layer(script).oneshot(page())));
        tokio::time::sleep(10 * MS).await;
        work.cancel(why);
        assert_eq!(
            call.await.unwrap().unwrap().status(),
            StatusCode::SERVICE_UNAVAILABLE,
            "{why:?}"
        );
    }
    // The same where a client fails by the deadline first, by an error of its own.
    let context = Context::current().with_timeout(10 * MS);
    let fallback = FallbackLayer::value(other()).layer(Script::new([late(10 * MS, broken())]));
    assert!(context.scope(fallback.oneshot(page())).await.is_err());
}

#[tokio::test(start_paused = true, crate = "support::leakless")]
async fn a_function_says_which_and_another_whose() {
    let layer = FallbackLayer::value(other())
        .when(|failed: &Failed<'_>| failed.status == Some(StatusCode::NOT_FOUND) || failed.code() == Some(5))
        .only(|head| head.method != Method::PUT);
    let replaced = async |answer, request| {
        let answer = layer.layer(Script::new([answer])).oneshot(request).await.unwrap();
        answer.extensions().get::<FellBack>().is_some()
    };
    assert!(replaced(status(404, ""), page()).await && replaced(grpc(5, ""), rpc()).await);
    assert!(!replaced(status(503, ""), page()).await && !replaced(status(200, ""), page()).await);
    assert!(!replaced(status(404, ""), request(&Method::PUT)).await);
}

#[tokio::test(start_paused = true, crate = "support::leakless")]
async fn a_body_that_breaks_later_is_with_the_caller_already() {
    let faults = FaultLayer::new().enabled(true).rule(Rule::reset_body(1));
    let service = ServiceBuilder::new().layer(FallbackLayer::value(other())).layer(faults);
    let answer = service
        .service(Script::new([status(200, "")]))
        .oneshot(page())
        .await
        .unwrap();
    assert!(answer.into_body().collect().await.is_err());
}

#[tokio::test(start_paused = true, crate = "support::leakless")]
async fn an_answer_to_head_has_no_body() {
    let answer = FallbackLayer::value(other())
        .layer(Script::new([broken()]))
        .oneshot(request(&Method::HEAD))
        .await;
    let answer = answer.unwrap();
    assert_eq!(answer.headers()["content-length"], "5");
    assert_eq!(said(answer).await.text, "");
}

// === by a function ===

#[tokio::test(start_paused = true, crate = "support::leakless")]
async fn a_function_makes_the_answer_of_the_failure_and_of_what_was_kept() {
    let kept = Arc::new(AtomicU32::new(0));
    let count = kept.clone();
    let layer = FallbackLayer::with_kept(
        move |head| {
            count.fetch_add(1, Ordering::Relaxed);
            head.uri.path().to_owned()
        },
        |failed: &Failed<'_>, path: String| {
            let text = format!("{path} {} {:?}", failed.outcome.as_str(), failed.delivery);
            async move {
                tokio::time::sleep(5 * MS).await;
                Response::new(Bytes::from(text))
            }
        },
    );
    let start = Instant::now();
    let answer = layer.layer(Script::new([broken()])).oneshot(page()).await.unwrap();
    assert_eq!(
        said(answer).await.text,
        format!("/path failure {:?}", Some(Delivery::Unknown))
    );
    assert_eq!(start.elapsed(), 5 * MS);
    assert_eq!(kept.load(Ordering::Relaxed), 1);
}

#[tokio::test(start_paused = true, crate = "support::leakless")]
async fn a_function_may_have_no_answer_and_the_failure_is_passed_up() {
    let layer = FallbackLayer::with(|failed: &Failed<'_>| {
        let answer = failed.status.map(|_| other());
        async { answer }
    });
    assert!(layer.layer(Script::new([broken()])).oneshot(page()).await.is_err());
    let answer = layer
        .layer(Script::new([status(500, "x-from: upstream")]))
        .oneshot(page())
        .await
        .unwrap();
    assert_eq!(answer.status(), StatusCode::NON_AUTHORITATIVE_INFORMATION);
    let now = layer.snapshot();
    assert_eq!((now.answered, now.failed, now.not_repeatable), (1, 1, 0));
}

#[tokio::test(start_paused = true, crate = "support::leakless")]
async fn a_fallback_ends_at_the_deadline_of_the_call() {
    let layer = FallbackLayer::with(|_: &Failed<'_>| std::future::pending::<Response<Bytes>>());
    let service = ServiceBuilder::new().layer(DeadlineLayer::new(100 * MS)).layer(layer);
    let start = Instant::now();
    let answer = service.service(Script::new([broken()])).oneshot(page()).await.unwrap();
    assert_eq!(
        (answer.status(), start.elapsed()),
        (StatusCode::GATEWAY_TIMEOUT, 100 * MS)
    );
}

// === by another service ===

#[tokio::test(start_paused = true, crate = "support::leakless")]
async fn another_service_gets_the_same_request() {
    let (first, second) = (
        Script::new([status(503, "")]),
        Script::new([status(201, "x-from: second")]),
    );
    let layer = FallbackLayer::service(second.clone());
    let answer = layer.layer(first.clone()).oneshot(page()).await.unwrap();
    assert!(answer.status() == StatusCode::CREATED && answer.headers()["x-from"] == "second");
    assert!(answer.extensions().get::<FellBack>().is_some());
    for seen in [first.seen().remove(0), second.seen().remove(0)] {
        assert_eq!(
            (&seen.body[..], &seen.headers["x-id"]),
            (&b"body"[..], &"7".parse().unwrap())
        );
    }
    assert_eq!(said(answer).await.text, "201");
}

#[tokio::test(start_paused = true, crate = "support::leakless")]
async fn another_service_gets_what_the_first_cannot_have_acted_on_or_may_twice() {
    let asked = async |layer: FallbackLayer<Other<Script>>, answer, request| {
        let answer = layer.layer(Script::new([answer])).oneshot(request).await;
        answer.is_ok_and(|answer| answer.extensions().get::<FellBack>().is_some())
    };
    let layer = || FallbackLayer::service(Script::new([]));
    let refused = || Answer::Error(std::io::Error::from(std::io::ErrorKind::ConnectionRefused).into());
    let keyed = || {
        let mut request = request(&Method::POST);
        request.headers_mut().insert("idempotency-key", "1".parse().unwrap());
        request
    };
    for method in [Method::GET, Method::PUT, Method::DELETE] {
        assert!(asked(layer(), status(500, ""), request(&method)).await, "{method}");
    }
    for answer in [status(500, ""), broken()] {
        assert!(!asked(layer(), answer, request(&Method::POST)).await);
    }
    assert!(asked(layer(), refused(), request(&Method::POST)).await, "nobody had it");
    assert!(asked(layer(), status(500, ""), keyed()).await);
    assert!(asked(layer().idempotent(|_| true), grpc(14, ""), rpc()).await);

    let layer = layer();
    assert!(!asked(layer.clone(), grpc(14, ""), rpc()).await, "every call is a POST");
    assert_eq!(layer.snapshot().not_repeatable, 1);
    let full = ServiceBuilder::new()
        .layer(layer.clone())
        .layer(ConcurrencyLimitLayer::new(0));
    full.service(Script::new([]))
        .oneshot(request(&Method::POST))
        .await
        .unwrap();
    assert_eq!(layer.snapshot().answered, 1, "our own rejection: it never left");
}

#[tokio::test(start_paused = true, crate = "support::leakless")]
async fn a_body_that_is_too_large_is_not_sent_again() {
    for (limit, replaced) in [(4, true), (3, false)] {
        let second = Script::new([]);
        let layer = FallbackLayer::service(second.clone()).body_limit(limit);
        let answer = layer
            .layer(Script::new([status(503, "")]))
            .oneshot(page())
            .await
            .unwrap();
        assert_eq!(
            (answer.status() == StatusCode::OK, second.attempts() == 1),
            (replaced, replaced)
        );
        assert_eq!(layer.snapshot().not_repeatable, u64::from(!replaced));
    }
}

#[tokio::test(start_paused = true, crate = "support::leakless")]
async fn a_body_that_is_still_being_sent_is_not_sent_again() {
    // Behind an answer it may be, for as long as it likes; behind an error the transport is about to let go of it.
    for (answer, time, replaced, after) in [
        (Ok(StatusCode::SERVICE_UNAVAILABLE), 10 * MS, false, 0),
        (Err("broken pipe"), 10 * MS, true, 10),
        (Err("broken pipe"), 10_000 * MS, false, 1_000),
    ] {
        let (_sender, body) = Channel::<Bytes>::new(1);
        let layer = FallbackLayer::service(service_fn(|_: Request<Replay<Channel<Bytes>>>| async {
            Ok::<_, BoxError>(Response::new(Full::<Bytes>::default()))
        }));
        let start = Instant::now();
        let first = service_fn(move |request: Request<Replay<Channel<Bytes>>>| async move {
            tokio::spawn(async move {
                tokio::time::sleep(time).await;
                drop(request);
            });
            let mut response = Response::new(Full::<Bytes>::default());
            *response.status_mut() = answer?;
            Ok::<_, BoxError>(response)
        });
        let request = Request::get("/").body(body).unwrap();
        let answered = layer.layer(first).oneshot(request).await;
        let is_replaced = answered.is_ok_and(|answer| answer.status() == StatusCode::OK);
        assert_eq!(
            (is_replaced, start.elapsed().as_millis()),
            (replaced, after),
            "{answer:?}"
        );
        assert_eq!(layer.snapshot().not_repeatable, u64::from(!replaced));
        // It lets go of it in the end.
        tokio::time::sleep(time).await;
    }
}

#[tokio::test(start_paused = true, crate = "support::leakless")]
async fn a_fallback_that_fails_leaves_the_first_failure() {
    for second in [broken(), Answer::Error("unready".into())] {
        let layer = FallbackLayer::service(Script::new([second]));
        let answer = layer
            .layer(Script::new([status(502, "x-from: first")]))
            .oneshot(page())
            .await
            .unwrap();
        assert!(answer.status() == StatusCode::BAD_GATEWAY && answer.headers()["x-from"] == "first");
        assert!(answer.extensions().get::<FellBack>().is_none());
        assert_eq!(layer.snapshot().failed, 1);
    }
    // One that answers is believed, whatever it says.
    let layer = FallbackLayer::service(Script::new([status(500, "")]));
    let answer = layer.layer(Script::new([broken()])).oneshot(page()).await.unwrap();
    assert_eq!(
        (answer.status(), layer.snapshot().answered),
        (StatusCode::INTERNAL_SERVER_ERROR, 1)
    );
}

#[tokio::test(start_paused = true, crate = "support::leakless")]
async fn another_service_is_waited_for_until_it_is_ready_and_not_for_ever() {
    let second = Script::new([]);
    let busy = ServiceBuilder::new().concurrency_limit(1).service(second.clone());
    let mut holder = busy.clone();
    ServiceExt::<Request<Full<Bytes>>>::ready(&mut holder).await.unwrap(); // a permit, held
    let service = FallbackLayer::service(busy.clone()).layer(Script::new([broken()]));
    let start = Instant::now();
    let call = tokio::spawn(service.oneshot(page()));
    tokio::time::sleep(300 * MS).await;
    drop(holder);
    assert_eq!(call.await.unwrap().unwrap().status(), StatusCode::OK);
    assert_eq!((start.elapsed(), second.attempts()), (300 * MS, 1));

    let mut holder = busy.clone();
    ServiceExt::<Request<Full<Bytes>>>::ready(&mut holder).await.unwrap(); // a permit, held
    for (deadline, waits) in [
        (None, 1_000 * MS),
        (Some(200 * MS), 200 * MS),
        (Some(5_000 * MS), 5_000 * MS),
    ] {
        let context = deadline.map_or_else(Context::default, |deadline| Context::default().with_timeout(deadline));
        let service = FallbackLayer::service(busy.clone()).layer(Script::new([broken()]));
        let start = Instant::now();
        assert!(context.scope(service.oneshot(page())).await.is_err());
        assert_eq!(start.elapsed(), waits);
    }
}

#[tokio::test(start_paused = true, crate = "support::leakless")]
async fn one_fallback_around_another() {
    let cache = FallbackLayer::service(Script::new([broken()]));
    let chain = ServiceBuilder::new()
        .layer(FallbackLayer::value(other()))
        .layer(cache.clone());
    let answer = chain
        .service(Script::new([status(503, "")]))
        .oneshot(page())
        .await
        .unwrap();
    assert_eq!(
        (answer.status(), cache.snapshot().failed),
        (StatusCode::NON_AUTHORITATIVE_INFORMATION, 1)
    );
}

// === what is above and below ===

#[tokio::test(start_paused = true, crate = "support::leakless")]
async fn retries_come_first_and_who_observes_sees_the_other_answer() {
    let (outcome, mut outcomes) = log();
    let script = Script::new((0..3).map(|_| status(503, "")));
    let client = ServiceBuilder::new()
        .layer(ObserveLayer::client(outcome))
        .layer(FallbackLayer::value(other()))
        .layer(RetryLayer::http());
    let answer = client.service(script.clone()).oneshot(page()).await.unwrap();
    assert_eq!(said(answer).await.text, "other");
    assert_eq!((script.attempts(), outcomes.next().await), (3, Outcome::Success));
}

#[tokio::test(crate = "support::leakless")]
async fn an_axum_app_falls_back_over_sockets() {
    let down = || async { (StatusCode::SERVICE_UNAVAILABLE, "down") };
    let app = Router::new()
        .route("/value", on_get(down).layer(FallbackLayer::value(other())))
        .route("/down", on_get(down));
    let address = serve(app).await;
    for version in VERSIONS {
        let answer = call(address, version, Method::GET, "/value").await;
        assert_eq!(said(answer).await.text, "other");
        // From a client: the other path of another service.
        let backup = client(version);
        let to_value = service_fn(move |request: Request<Replay<axum::body::Body>>| {
            let backup = backup.clone();
            async move {
                backup
                    .request(get(address, "/value"))
                    .await
                    .map(|answer| (drop(request), answer).1)
            }
        });
        let service = FallbackLayer::service(to_value).layer(client(version));
        let answer = soon(service.oneshot(get(address, "/down"))).await.unwrap();
        assert_eq!(said(answer).await.text, "other");
    }
}

/// A call of tonic's, of one server that is down and then of another.
#[cfg(feature = "tonic")]
#[tokio::test(crate = "support::leakless")]
async fn a_client_of_tonic_falls_back_to_another_channel() {
    use buttress::tonic::TransportLayer;
    use support::grpc as rpc;
    use tonic::{Status, transport::Server};

    #[derive(Clone)]
    struct Says(&'static str);

    impl rpc::Speech for Says {
        async fn say(&self, _: http::HeaderMap) -> Result<String, Status> {
            Ok(self.0.to_owned())
        }

        fn list(&self) -> rpc::Words {
            rpc::words_without_end(&[])
        }
    }

    let down = FaultLayer::new()
        .enabled(true)
        .rule(Rule::abort(StatusCode::SERVICE_UNAVAILABLE));
    let first = rpc::serve(Server::builder().layer(down), Says("first")).await;
    let second = rpc::serve(Server::builder(), Says("second")).await;
    let transport = async |address| TransportLayer::new().layer(rpc::channel(address).await);
    let layer = FallbackLayer::service(transport(second).await).idempotent(|head| head.uri.path() == rpc::UNARY);
    let service = layer.layer(transport(first).await);
    assert_eq!(soon(rpc::unary(service, first, None)).await.unwrap(), "second");
    assert_eq!(layer.snapshot().answered, 1);
}

// === not HTTP ===

#[tokio::test(start_paused = true, crate = "support::leakless")]
async fn around_a_service_that_is_not_http_an_error_is_replaced() {
    let down = || service_fn(|_: &'static str| async { Err::<String, BoxError>("down".into()) });
    let up = service_fn(|sql: &'static str| async move { Ok::<_, BoxError>(format!("replica: {sql}")) });
    let value = FallbackLayer::value("stale".to_owned())
        .typed()
        .layer(down())
        .oneshot("select")
        .await;
    assert_eq!(value.unwrap(), "stale");
    let other = FallbackLayer::service(up).typed();
    assert_eq!(other.layer(down()).oneshot("select").await.unwrap(), "replica: select");
    let function = FallbackLayer::on_error(|error: &BoxError| {
        let text = (error.to_string() == "down").then(|| "made up".to_owned());
        async { text }
    });
    assert_eq!(function.layer(down()).oneshot("select").await.unwrap(), "made up");

    // What fails twice is the first failure, and what is not to be replaced is not.
    let twice = FallbackLayer::service(down()).typed();
    assert_eq!(
        twice.layer(down()).oneshot("select").await.unwrap_err().to_string(),
        "down"
    );
    assert_eq!(twice.snapshot().failed, 1);
    let never = FallbackLayer::value("stale".to_owned())
        .when(|_: &Failed<'_>| false)
        .typed();
    never.layer(down()).oneshot("select").await.unwrap_err();
    let late = TimeoutLayer::new(MS).typed().layer(service_fn(|_: &'static str| {
        std::future::pending::<Result<String, BoxError>>()
    }));
    let late = FallbackLayer::value("stale".to_owned())
        .typed()
        .layer(late)
        .oneshot("select")
        .await
        .unwrap_err();
    assert_eq!(
        late.downcast_ref::<Rejection>().unwrap().reason(),
        Reason::DeadlineExceeded
    );
    let well = service_fn(|_: &'static str| async { Ok::<_, BoxError>("fresh".to_owned()) });
    let well = FallbackLayer::value("stale".to_owned())
        .typed()
        .layer(well)
        .oneshot("select")
        .await;
    assert_eq!(well.unwrap(), "fresh");
}

// === told ===

#[tokio::test(start_paused = true, crate = "support::leakless")]
async fn what_fell_back_is_measured() {
    let layer = FallbackLayer::value(other());
    layer
        .clone()
        .layer(Script::new([broken()]))
        .oneshot(page())
        .await
        .unwrap();
    let mut told = Vec::new();
    layer.measure("recommendations", &mut |measure: &Measure<'_>| {
        told.push((
            measure.instrument.name,
            measure.attributes[1].1.to_owned(),
            measure.value,
        ));
    });
    assert_eq!(told[0], ("buttress.fallback.answers", "answered".to_owned(), 1.0));
    assert_eq!(told.len(), 3);
}

/// What a service must be to be put anywhere.
#[test]
fn it_can_be_put_anywhere() {
    fn anywhere<T: Clone + Send + Sync + 'static>(_: &T) {}
    let http = || client::<Replay<axum::body::Body>>(VERSIONS[0]);
    let service = FallbackLayer::service(http())
        .idempotent(|_| true)
        .only(|_| true)
        .layer(http());
    anywhere(&service);
    anywhere(&FallbackLayer::value(other()).when(|_: &Failed<'_>| true).layer(http()));
}

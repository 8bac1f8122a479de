//! How a request's context ends, without sockets. With sockets: `tiers.rs` and `bodies.rs`.
#![allow(clippy::unwrap_used, reason = "a test may")]

#[path = "support/leakless.rs"]
mod leakless;

use std::{
    convert::Infallible,
    future::{Future, pending},
    sync::{Arc, Mutex},
    time::Duration,
};

use buttress::{
    BoxError, CancelLayer, Cancelled, Context, DeadlineLayer, Lifecycle, ObserveLayer, ShieldLayer,
    context::{ScopeLayer, TaskError},
    observe::Ended,
    outcome::{Class, Outcome},
    testing::leak,
};
use bytes::Bytes;
use http::{Request, Response};
use http_body::Frame;
use http_body_util::{BodyExt, Full, StreamBody};
use tokio::time::sleep;
use tower::{ServiceBuilder, ServiceExt, service_fn};

const SECOND: Duration = Duration::from_secs(1);

/// Polls a future once, and gives it up.
async fn poll_once<F: Future>(future: F) {
    let mut future = std::pin::pin!(future);
    assert!(futures_util::poll!(future.as_mut()).is_pending());
}

/// What a handler saw of its context, kept for after its end.
#[derive(Clone, Default)]
struct Seen(Arc<Mutex<Option<Context>>>);

impl Seen {
    fn see(&self) {
        *self.0.lock().unwrap() = Some(Context::current());
    }

    fn ended(&self) -> Result<(), Cancelled> {
        self.0.lock().unwrap().as_ref().expect("the handler ran").check()
    }
}

#[tokio::test(crate = "leakless")]
async fn a_response_future_that_is_dropped_is_a_departure() {
    let seen = Seen::default();
    let handler = seen.clone();
    let service = ServiceBuilder::new()
        .layer(CancelLayer::new())
        .service_fn(move |_: Request<()>| {
            let handler = handler.clone();
            async move {
                handler.see();
                pending::<Result<Response<Full<Bytes>>, Infallible>>().await
            }
        });
    poll_once(service.oneshot(Request::new(()))).await;
    assert_eq!(seen.ended(), Err(Cancelled::Disconnected));
}

#[tokio::test(crate = "leakless")]
async fn the_context_lives_as_long_as_the_body() {
    let seen = Seen::default();
    let handler = seen.clone();
    let service = ServiceBuilder::new()
        .layer(CancelLayer::new())
        .service_fn(move |_: Request<()>| {
            handler.see();
            async { Ok::<_, Infallible>(Response::new(Full::<Bytes>::from("body"))) }
        });
    let response = service.clone().oneshot(Request::new(())).await.unwrap();
    assert_eq!(seen.ended(), Ok(()));
    response.into_body().collect().await.unwrap();
    assert_eq!(seen.ended(), Err(Cancelled::Finished));

    drop(service.oneshot(Request::new(())).await.unwrap());
    assert_eq!(seen.ended(), Err(Cancelled::Disconnected));
}

#[tokio::test(crate = "leakless")]
async fn a_head_without_a_body_is_the_end() {
    let seen = Seen::default();
    let handler = seen.clone();
    let service = ServiceBuilder::new()
        .layer(CancelLayer::new())
        .service_fn(move |_: Request<()>| {
            handler.see();
            async { Ok::<_, Infallible>(Response::new(Full::<Bytes>::from("not sent to HEAD"))) }
        });
    let _response = service.oneshot(Request::head("/").body(()).unwrap()).await.unwrap();
    assert_eq!(seen.ended(), Err(Cancelled::Finished));
}

#[tokio::test(crate = "leakless")]
async fn a_service_that_fails_has_finished() {
    let seen = Seen::default();
    let handler = seen.clone();
    let service = ServiceBuilder::new()
        .layer(CancelLayer::new())
        .service_fn(move |_: Request<()>| {
            handler.see();
            async { Err::<Response<Full<Bytes>>, BoxError>("broken".into()) }
        });
    service.oneshot(Request::new(())).await.unwrap_err();
    assert_eq!(seen.ended(), Err(Cancelled::Finished));
}

#[tokio::test(start_paused = true, crate = "leakless")]
async fn a_deadline_that_takes_the_work_away_is_no_departure() {
    let seen = Seen::default();
    let handler = seen.clone();
    let service = ServiceBuilder::new()
        .layer(DeadlineLayer::new(SECOND))
        .layer(CancelLayer::new())
        .service_fn(move |_: Request<()>| {
            handler.see();
            pending::<Result<Response<Full<Bytes>>, Infallible>>()
        });
    assert_eq!(service.oneshot(Request::new(())).await.unwrap().status(), 504);
    assert_eq!(seen.ended(), Err(Cancelled::DeadlineExceeded));
}

#[tokio::test(crate = "leakless")]
async fn a_body_is_polled_in_its_requests_context() {
    let service = ServiceBuilder::new()
        .layer(CancelLayer::new())
        .service_fn(|_: Request<()>| async {
            let frames = futures_util::stream::once(async {
                Context::current().check()?; // the request's, which lives
                let task = Context::current().spawn("of-the-body", pending::<()>());
                Ok::<_, BoxError>(Frame::data(Bytes::from(task.name())))
            });
            Ok::<_, Infallible>(Response::new(StreamBody::new(Box::pin(frames))))
        });
    let response = service.oneshot(Request::new(())).await.unwrap();
    assert_eq!(response.into_body().collect().await.unwrap().to_bytes(), "of-the-body");
    while buttress::registry::snapshot()
        .iter()
        .any(|work| work.name == "of-the-body")
    {
        tokio::task::yield_now().await;
    }
}

#[tokio::test(crate = "leakless")]
async fn any_service_can_have_a_context() {
    let seen = Seen::default();
    let handler = seen.clone();
    let service = ServiceBuilder::new()
        .layer(CancelLayer::new().typed())
        .service_fn(move |number: u32| {
            let handler = handler.clone();
            async move {
                handler.see();
                if number == 0 {
                    pending().await
                } else {
                    Ok::<_, Infallible>(number)
                }
            }
        });
    assert_eq!(service.clone().oneshot(7).await, Ok(7));
    assert_eq!(seen.ended(), Err(Cancelled::Finished));
    poll_once(service.oneshot(0)).await;
    assert_eq!(seen.ended(), Err(Cancelled::Disconnected));
}

#[tokio::test(start_paused = true, crate = "leakless")]
async fn a_context_in_the_extensions_crosses_a_buffer() {
    let seen = Seen::default();
    let handler = seen.clone();
    let inner = ServiceBuilder::new()
        .layer(ScopeLayer::new())
        .service(service_fn(move |_: Request<()>| {
            handler.see();
            pending::<Result<Response<Full<Bytes>>, BoxError>>()
        }));
    let service = ServiceBuilder::new()
        .layer(DeadlineLayer::new(SECOND))
        .layer(CancelLayer::new().in_extensions())
        .buffer(4)
        .service(inner);
    assert_eq!(service.oneshot(Request::new(())).await.unwrap().status(), 504);
    assert_eq!(seen.ended(), Err(Cancelled::DeadlineExceeded));
}

#[tokio::test(start_paused = true, crate = "leakless")]
async fn a_shielded_service_survives_its_caller_but_not_its_maximum() {
    let done = Arc::new(Mutex::new(Vec::new()));
    let write = done.clone();
    let service = ServiceBuilder::new()
        .layer(CancelLayer::new())
        .layer(ShieldLayer::new("transfer", SECOND * 5))
        .service_fn(move |takes: Request<Duration>| {
            let write = write.clone();
            async move {
                sleep(*takes.body()).await;
                write.lock().unwrap().push((*takes.body(), Context::current().check()));
                Ok::<_, Infallible>(Response::new(Full::<Bytes>::default()))
            }
        });
    poll_once(service.clone().oneshot(Request::new(SECOND))).await;
    poll_once(service.clone().oneshot(Request::new(SECOND * 10))).await;
    sleep(SECOND * 20).await;
    assert_eq!(*done.lock().unwrap(), [(SECOND, Ok(()))]);

    assert_eq!(service.oneshot(Request::new(SECOND * 10)).await.unwrap().status(), 504);
}

#[tokio::test(start_paused = true, crate = "leakless")]
async fn a_shield_around_any_service_fails_with_a_typed_error() {
    let service = ServiceBuilder::new()
        .layer(ShieldLayer::new("stuck", SECOND).typed())
        .service_fn(|(): ()| pending::<Result<(), BoxError>>());
    assert!(service.oneshot(()).await.unwrap_err().is::<buttress::Rejection>());
}

#[tokio::test(start_paused = true, crate = "leakless")]
async fn a_shield_is_not_begun_once_the_process_has_ended() {
    let life = Lifecycle::builder().build().unwrap();
    let context = life.handle().context();
    life.handle().shutdown();
    let _ = life.run().await;
    let service = ServiceBuilder::new()
        .layer(ShieldLayer::new("late", SECOND).typed())
        .service_fn(|(): ()| async { unreachable!("there is no process") as Result<(), BoxError> });
    let error = context.scope(service.oneshot(())).await.unwrap_err();
    let rejection = error.downcast::<buttress::Rejection>().unwrap();
    assert_eq!(rejection.reason(), buttress::rejection::Reason::Draining);
    assert!(!rejection.was_executed());
}

#[tokio::test(start_paused = true, crate = "leakless")]
async fn every_ending_is_observed_once() {
    let heard = Arc::new(Mutex::new(Vec::new()));
    let hear = heard.clone();
    let service = ServiceBuilder::new()
        .layer(ObserveLayer::server(move |Ended { outcome, .. }: &Ended| {
            hear.lock().unwrap().push(outcome.clone());
        }))
        .layer(DeadlineLayer::new(SECOND))
        .layer(CancelLayer::new())
        .service_fn(|request: Request<()>| async move {
            match request.uri().path() {
                "/fail" => Err(BoxError::from("broken")),
                "/wait" => pending().await,
                status => {
                    let status: u16 = status[1..].parse()?;
                    Ok(Response::builder().status(status).body(Full::<Bytes>::from("body"))?)
                }
            }
        });
    let call = |path| service.clone().oneshot(Request::get(path).body(()).unwrap());
    call("/200").await.unwrap().into_body().collect().await.unwrap();
    drop(call("/200").await.unwrap());
    call("/500").await.unwrap().into_body().collect().await.unwrap();
    call("/fail").await.unwrap_err();
    poll_once(call("/wait")).await;
    call("/wait").await.unwrap().into_body().collect().await.unwrap();
    let heard = heard.lock().unwrap();
    assert_eq!(
        heard[..5],
        [
            Outcome::Success,
            Outcome::Cancelled(Cancelled::Disconnected),
            Outcome::failure(Class::Http(http::StatusCode::INTERNAL_SERVER_ERROR)),
            Outcome::failure(Class::Transport),
            Outcome::Cancelled(Cancelled::Disconnected),
        ]
    );
    assert!(matches!(&heard[5..], [Outcome::Rejected(rejection)] if rejection.layer() == "deadline"));
}

/// However a request ends, what it started ends with it; and what is shielded, with itself.
/// One panic on top of another would end the process.
#[tokio::test(crate = "leakless")]
async fn an_observer_that_panics_beside_the_service_does_not_end_the_process() {
    let service = ServiceBuilder::new()
        .layer(ObserveLayer::server(|_: &Ended| panic!("in an observer")))
        .service_fn(|_: Request<()>| async { panic!("in a handler") as Result<Response<Full<Bytes>>, Infallible> });
    let call = Context::current().spawn("call", service.oneshot(Request::new(())));
    assert_eq!(call.await.unwrap_err(), TaskError::Panicked { name: "call" });
}

#[test]
fn nothing_outlives_its_request() {
    leak::assert_none(|| async {
        let handler = |request: Request<()>| async move {
            drop(Context::current().spawn("of a request", pending::<()>()));
            match request.uri().path() {
                "/answers" => Ok::<_, Infallible>(Response::new(Full::<Bytes>::from("body"))),
                "/works" => {
                    sleep(SECOND / 50).await;
                    Ok(Response::new(Full::from("late")))
                }
                _ => pending().await,
            }
        };
        let service = ServiceBuilder::new().layer(CancelLayer::new()).service_fn(handler);
        let shielded = ServiceBuilder::new()
            .layer(ShieldLayer::new("write", SECOND / 20))
            .service(service);
        let to = |path| Request::get(path).body(()).unwrap();
        let response = service.oneshot(to("/answers")).await.unwrap();
        response.into_body().collect().await.unwrap();
        drop(service.oneshot(to("/answers")).await.unwrap());
        poll_once(service.oneshot(to("/hangs"))).await;
        for path in ["/works", "/hangs"] {
            poll_once(shielded.oneshot(to(path))).await;
        }
    });
}

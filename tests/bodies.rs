//! The ends of bodies over real sockets: what the client gets, what the observer is told, why the context ended.

#![allow(
    clippy::disallowed_methods,
    clippy::disallowed_types,
    clippy::unwrap_used,
    reason = "a test may spawn, queue without bound and fail by unwrap"
)]

mod support;

use std::{sync::Arc, time::Duration};

use axum::body::Body;
use buttress::{
    BoxError, CancelLayer, Cancelled, Context, DeadlineLayer, ObserveLayer, ShieldLayer, optional,
    outcome::{Class, Outcome},
};
use http::{Method, Request, Response, StatusCode};
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use support::{
    Connection, Guard, VERSIONS, Version,
    bodies::{CHUNK, Chunks, LENGTHS, Watched, in_time, read, streaming},
    get, log, serve_hyper,
    six::is_late,
};
use tokio::sync::Notify;
use tower::{ServiceBuilder, service_fn};

const LONG: Duration = Duration::from_secs(20);

const SMALL: Chunks = Chunks::new(3);

// === a stream that outlives its deadline ===

#[tokio::test(flavor = "multi_thread", crate = "support::leakless")]
async fn a_stream_that_outlives_its_deadline_is_broken() {
    for version in VERSIONS {
        for body in [SMALL.endless(), SMALL.endless().exact()] {
            let mut watched = Watched::serve(move || Ok(Response::new(body.clone()))).await;
            let mut connection = Connection::open(watched.address, version).await;
            let response = connection.send(in_time(get(watched.address, "/"))).await.unwrap();
            let (length, end) = read(response.into_body()).await;
            assert_eq!(length, 3 * CHUNK);
            end.expect_err("nobody takes half an answer for a whole one");
            let (outcome, why) = watched.end().await;
            assert!(is_late(&outcome), "{outcome:?}");
            assert_eq!(why, Cancelled::DeadlineExceeded);
        }
    }
}

#[tokio::test(flavor = "multi_thread", crate = "support::leakless")]
async fn a_grpc_stream_that_outlives_its_deadline_ends_with_its_status() {
    let mut watched = Watched::serve(|| Ok(Response::new(SMALL.endless()))).await;
    let mut connection = Connection::open(watched.address, Version::Http2).await;
    let request = streaming(get(watched.address, "/words.Words/List"), "application/grpc");
    let response = connection.send(request).await.unwrap();
    let (length, end) = read(response.into_body()).await;
    assert_eq!(length, 3 * CHUNK);
    assert_eq!(end.unwrap().unwrap()["grpc-status"], "4");
    assert_eq!(watched.end().await.1, Cancelled::DeadlineExceeded);
}

#[tokio::test(flavor = "multi_thread", crate = "support::leakless")]
async fn a_stream_that_we_end_is_rejected_in_every_protocol() {
    let mut watched = Watched::serve(|| Ok(Response::new(SMALL.endless()))).await;
    let mut connection = Connection::open(watched.address, Version::Http2).await;
    let mut outcomes = Vec::new();
    for content_type in [
        "application/grpc",
        "application/grpc-web+proto",
        "application/connect+proto",
    ] {
        let request = streaming(get(watched.address, "/words.Words/List"), content_type);
        let response = connection.send(request).await.unwrap();
        read(response.into_body())
            .await
            .1
            .expect("its protocol has a word for it");
        outcomes.push(watched.end().await.0);
    }
    assert!(outcomes.iter().all(is_late), "{outcomes:?}");
}

/// The handler hears of its deadline and answers, while it is taken down: who called it gets one answer or the other, in full.
#[tokio::test(flavor = "multi_thread", crate = "support::leakless")]
async fn an_answer_at_the_deadline_is_whole() {
    let handler = service_fn(|_: Request<Incoming>| async {
        Context::current().cancelled().await;
        Ok::<_, BoxError>(Response::builder().status(504).body(Full::from("too late")).unwrap())
    });
    let service = ServiceBuilder::new()
        .layer(DeadlineLayer::new(LONG))
        .layer(CancelLayer::new())
        .service(handler);
    let address = serve_hyper(service).await;
    for version in VERSIONS {
        let mut connection = Connection::open(address, version).await;
        let response = connection.send(in_time(get(address, "/"))).await.unwrap();
        assert_eq!(response.status(), 504);
        response.into_body().collect().await.unwrap();
    }
}

// === a reader who leaves, and one who does not ===

#[tokio::test(flavor = "multi_thread", crate = "support::leakless")]
async fn who_reads_half_and_leaves_has_cancelled() {
    for version in VERSIONS {
        for (exact, declared) in LENGTHS {
            let mut watched = Watched::large(exact, declared).await;
            let mut connection = Connection::open(watched.address, version).await;
            let mut body = connection.send(get(watched.address, "/")).await.unwrap().into_body();
            let mut length = 0;
            while length < 512 * CHUNK {
                length += body.frame().await.unwrap().unwrap().into_data().unwrap().len();
            }
            drop(body);
            let left = Cancelled::Disconnected;
            assert_eq!(
                watched.end().await,
                (Outcome::Cancelled(left), left),
                "{version:?} {exact} {declared}"
            );
            drop(connection);
        }
    }
}

#[tokio::test(flavor = "multi_thread", crate = "support::leakless")]
async fn who_reads_all_has_not_cancelled() {
    for version in VERSIONS {
        for (exact, declared) in LENGTHS {
            let mut watched = Watched::large(exact, declared).await;
            let mut connection = Connection::open(watched.address, version).await;
            let response = connection.send(get(watched.address, "/")).await.unwrap();
            assert_eq!(response.headers().contains_key("content-length"), exact || declared);
            let (length, end) = read(response.into_body()).await;
            assert_eq!((length, end.unwrap()), (1024 * CHUNK, None));
            assert_eq!(
                watched.end().await,
                (Outcome::Success, Cancelled::Finished),
                "{version:?} {exact} {declared}"
            );
        }
    }
}

/// Nobody writes to it then, so it is the reading that sees it.
#[tokio::test(flavor = "multi_thread", crate = "support::leakless")]
async fn who_leaves_an_idle_stream_has_cancelled() {
    for version in VERSIONS {
        let mut watched = Watched::serve(|| Ok(Response::new(SMALL.endless()))).await;
        let mut connection = Connection::open(watched.address, version).await;
        let mut body = connection.send(get(watched.address, "/")).await.unwrap().into_body();
        for _ in 0..3 {
            body.frame().await.unwrap().unwrap();
        }
        drop(body);
        let left = Cancelled::Disconnected;
        assert_eq!(watched.end().await, (Outcome::Cancelled(left), left), "{version:?}");
    }
}

/// A body is not polled while its peer does not read. The context ends nevertheless; the body, when the peer leaves.
#[tokio::test(flavor = "multi_thread", crate = "support::leakless")]
async fn a_stalled_reader_outlives_the_deadline_and_its_context_does_not() {
    for version in VERSIONS {
        let mut watched = Watched::large(false, false).await;
        let mut connection = Connection::open(watched.address, version).await;
        let body = connection
            .send(in_time(get(watched.address, "/")))
            .await
            .unwrap()
            .into_body();
        assert_eq!(watched.contexts.next().await, Cancelled::DeadlineExceeded);
        assert_eq!(watched.outcomes.so_far(), [], "{version:?}");
        drop((body, connection));
        assert_eq!(
            watched.outcomes.next().await,
            Outcome::Cancelled(Cancelled::Disconnected),
            "{version:?}"
        );
    }
}

// === bodies that hyper does not poll to their end ===

#[tokio::test(flavor = "multi_thread", crate = "support::leakless")]
async fn a_body_that_is_not_sent_is_not_cancelled() {
    let nothing = Chunks::new(0);
    let answers = [
        (Method::HEAD, StatusCode::OK, SMALL),
        (Method::HEAD, StatusCode::OK, SMALL.exact()),
        (Method::HEAD, StatusCode::NOT_FOUND, SMALL.endless()),
        (Method::GET, StatusCode::NO_CONTENT, nothing.clone()),
        (Method::GET, StatusCode::NOT_MODIFIED, nothing.clone()),
        (Method::GET, StatusCode::OK, nothing.clone()),
        (Method::GET, StatusCode::OK, nothing.exact()),
        (Method::GET, StatusCode::OK, SMALL.exact()),
    ];
    for version in VERSIONS {
        for (method, status, body) in answers.clone() {
            let case = format!("{version:?} {method} {status} {body:?}");
            let mut watched = Watched::serve(move || Ok(Response::builder().status(status).body(body.clone())?)).await;
            let mut connection = Connection::open(watched.address, version).await;
            let mut request = get(watched.address, "/");
            *request.method_mut() = method.clone();
            let response = connection.send(request).await.unwrap();
            assert_eq!(response.status(), status);
            let (_, end) = read(response.into_body()).await;
            // hyper does not hold back the body of an answer to HEAD on HTTP/2; its client resets such a stream.
            assert!(
                end.is_ok() || (method, version) == (Method::HEAD, Version::Http2),
                "{end:?}"
            );
            assert_eq!(watched.end().await, (Outcome::Success, Cancelled::Finished), "{case}");
        }
    }
}

// === failures ===

#[tokio::test(flavor = "multi_thread", crate = "support::leakless")]
async fn a_body_that_breaks_is_a_failure_and_no_cancellation() {
    for version in VERSIONS {
        for body in [SMALL.broken(), SMALL.broken().exact()] {
            let mut watched = Watched::serve(move || Ok(Response::new(body.clone()))).await;
            let mut connection = Connection::open(watched.address, version).await;
            // What is broken before it is flushed breaks the head too.
            let broken = match connection.send(get(watched.address, "/")).await {
                Ok(response) => read(response.into_body()).await.1.err(),
                Err(error) => Some(error),
            };
            assert!(broken.is_some(), "nobody takes half an answer for a whole one");
            let failure = Outcome::failure(Class::Body);
            assert_eq!(watched.end().await, (failure, Cancelled::Finished));
        }
    }
}

#[tokio::test(flavor = "multi_thread", crate = "support::leakless")]
async fn a_service_that_fails_is_a_failure_and_no_cancellation() {
    for version in VERSIONS {
        let mut watched = Watched::serve(|| Err("as planned".into())).await;
        let mut connection = Connection::open(watched.address, version).await;
        connection
            .send(get(watched.address, "/"))
            .await
            .expect_err("nothing to answer");
        let failure = Outcome::failure(Class::Transport);
        assert_eq!(watched.end().await, (failure, Cancelled::Finished));
    }
}

// === what must not be half done ===

/// What is told of a handler whose caller leaves it half way, and that is then allowed to go on.
async fn left_half_way(version: Version, shield: Option<ShieldLayer>) -> &'static str {
    let (tell, mut told) = log();
    let (outcome, mut outcomes) = log();
    let gate = Arc::new(Notify::new());
    let open = gate.clone();
    let handler = service_fn(move |_: Request<Incoming>| {
        let (gate, tell) = (gate.clone(), tell.clone());
        async move {
            tell.tell("begun");
            let dropped = tell.clone();
            let _guard = Guard::new(move |why| dropped.tell(why.map_or("dropped", Cancelled::as_str)));
            gate.notified().await;
            tell.tell("done");
            Ok::<_, BoxError>(Response::new(Body::empty()))
        }
    });
    let service = ServiceBuilder::new()
        .layer(ObserveLayer::server(outcome))
        .layer(CancelLayer::new())
        .layer(optional(shield))
        .service(handler);
    let address = serve_hyper(service).await;
    let mut connection = Connection::open(address, version).await;
    let call = tokio::spawn(async move { connection.send(get(address, "/")).await });
    assert_eq!(told.next().await, "begun");
    call.abort();
    assert_eq!(outcomes.next().await, Outcome::Cancelled(Cancelled::Disconnected));
    open.notify_one();
    told.next().await
}

#[tokio::test(flavor = "multi_thread", crate = "support::leakless")]
async fn a_shielded_handler_is_done_although_its_caller_left() {
    for version in VERSIONS {
        let shield = ShieldLayer::new("write", LONG);
        assert_eq!(left_half_way(version, Some(shield)).await, "done");
        assert_eq!(left_half_way(version, None).await, "client_disconnect");
    }
}

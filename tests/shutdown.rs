//! The drill: what it lets pass, and what it finds.
#![allow(clippy::disallowed_methods, clippy::unwrap_used, reason = "a test may")]

#[path = "support/leakless.rs"]
mod leakless;

use std::{convert::Infallible, net::SocketAddr, time::Duration};

use axum::{Router, body::Body, routing::get};
use buttress::{
    BoxError, Lifecycle,
    testing::{
        self,
        shutdown::{Finding, Scenario},
    },
};
use bytes::Bytes;
use http_body::Frame;
use http_body_util::StreamBody;
use tokio::{
    net::TcpListener,
    time::{Instant, sleep},
};

const MS: Duration = Duration::from_millis(1);

fn app() -> Router {
    let slow = || async {
        sleep(300 * MS).await;
        "slow"
    };
    let stream = || async {
        let one = futures_util::stream::iter([Ok::<_, Infallible>(Frame::data(Bytes::from_static(b"data: 1\n\n")))]);
        let endless = futures_util::StreamExt::chain(one, futures_util::stream::pending());
        Body::new(StreamBody::new(endless))
    };
    Router::new()
        .route("/slow", get(slow))
        .route("/quick", get(|| async { "quick" }))
        .route("/stream", get(stream))
        .route("/unavailable", get(|| async { http::StatusCode::SERVICE_UNAVAILABLE }))
}

async fn listen() -> Result<(TcpListener, SocketAddr), BoxError> {
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let address = listener.local_addr()?;
    Ok((listener, address))
}

/// As it should be, but for streams: axum's connections outlive the task that serves them.
async fn graceful(life: &Lifecycle) -> Result<SocketAddr, BoxError> {
    let (listener, address) = listen().await?;
    let serve = axum::serve(listener, app()).with_graceful_shutdown(life.handle().draining());
    drop(life.handle().context().spawn("serve", async { serve.await }));
    Ok(address)
}

/// Ends with the process, and takes what is under way with it.
async fn abrupt(life: &Lifecycle) -> Result<SocketAddr, BoxError> {
    let (listener, address) = listen().await?;
    let draining = life.handle().draining();
    let context = life.handle().context();
    drop(context.clone().spawn("serve", async move {
        let connections = context.child();
        let accept = async {
            while let Ok((socket, _)) = listener.accept().await {
                drop(connections.spawn("connection", serve_one(socket)));
            }
        };
        tokio::select! {
            () = draining => {}
            () = accept => {}
        }
    }));
    Ok(address)
}

async fn serve_one(socket: tokio::net::TcpStream) {
    let io = hyper_util::rt::TokioIo::new(socket);
    let service = hyper_util::service::TowerToHyperService::new(app());
    let _ = hyper::server::conn::http1::Builder::new()
        .serve_connection(io, service)
        .await;
}

/// Knows nothing of the process it is part of.
async fn careless(_: &Lifecycle) -> Result<SocketAddr, BoxError> {
    let (listener, address) = listen().await?;
    tokio::spawn(async { axum::serve(listener, app()).await });
    Ok(address)
}

#[tokio::test(crate = "leakless")]
async fn an_app_that_drains_passes() {
    testing::shutdown(graceful).slow("/slow").assert().await;
}

#[tokio::test(crate = "leakless")]
async fn a_stream_that_outlives_the_process_is_found() {
    let findings = testing::shutdown(graceful)
        .budget(200 * MS)
        .grace(100 * MS)
        .stream("/stream")
        .run()
        .await;
    let of = |scenario| findings.of(scenario).cloned().collect::<Vec<_>>();
    assert_eq!(of(Scenario::StuckStream), [Finding::StillOpen], "{findings}");
    assert_eq!(of(Scenario::SecondSignal), [Finding::StillOpen], "{findings}");
    assert_eq!(findings.found.len(), 2, "{findings}");
}

#[tokio::test(crate = "leakless")]
async fn an_app_that_breaks_what_is_under_way_is_found() {
    let findings = testing::shutdown(abrupt).slow("/slow").run().await;
    let of_slow: Vec<_> = findings.of(Scenario::SlowRequest).collect();
    assert!(matches!(of_slow[..], [Finding::NotAnswered { .. }]), "{findings}");
    assert_eq!(findings.found.len(), 1, "{findings}");
}

/// A stream that is cut with its process passes.
#[tokio::test(crate = "leakless")]
async fn streams_that_end_with_the_process_pass() {
    let drill = testing::shutdown(abrupt)
        .budget(200 * MS)
        .grace(100 * MS)
        .stream("/stream");
    drill.assert().await;
}

/// And what is behind it stays, too.
#[tokio::test]
async fn a_port_that_stays_open_is_found() {
    let findings = testing::shutdown(careless).budget(200 * MS).grace(100 * MS).run().await;
    assert!(
        findings
            .of(Scenario::Idle)
            .any(|finding| *finding == Finding::StillListening),
        "{findings}"
    );
}

#[tokio::test(crate = "leakless")]
async fn an_app_that_holds_the_end_up_is_found() {
    let start = async |life: &Lifecycle| {
        drop(life.handle().context().spawn("hangs", std::future::pending::<()>()));
        graceful(life).await
    };
    let findings = testing::shutdown(start).budget(200 * MS).grace(100 * MS).run().await;
    let [(Scenario::Idle, Finding::NotClean { report })] = &findings.found[..] else {
        panic!("{findings}")
    };
    assert!(report.contains("aborted: task hangs"), "{report}");
}

#[tokio::test(crate = "leakless")]
async fn a_request_that_proves_nothing_is_found() {
    for (path, finding) in [
        ("/quick", vec![Finding::NotSlow]),
        (
            "/unavailable",
            vec![
                Finding::NotSlow,
                Finding::NotAnswered {
                    how: "http/1.1 503 service unavailable".into(),
                },
            ],
        ),
    ] {
        let findings = testing::shutdown(graceful).slow(path).run().await;
        assert_eq!(findings.of(Scenario::SlowRequest).cloned().collect::<Vec<_>>(), finding);
    }
    let start = async |_: &Lifecycle| Err("no database".into());
    let findings = testing::shutdown(start).run().await;
    assert_eq!(
        findings.found[0].1,
        Finding::NotStarted {
            why: "no database".into()
        }
    );
}

#[tokio::test(start_paused = true, crate = "leakless")]
async fn the_handle_goes_straight_to_the_abort() {
    let life = Lifecycle::builder()
        .budget(3_600_000 * MS)
        .ready_delay(60_000 * MS)
        .build()
        .unwrap();
    let handle = life.handle();
    let stuck = handle.context().spawn("stuck", std::future::pending::<()>());
    let start = Instant::now();
    // Before it runs, and so before it has begun to end.
    handle.abort();
    let report = life.run().await;
    assert_eq!((start.elapsed(), report.aborted.len()), (Duration::ZERO, 1), "{report}");
    drop(stuck);
}

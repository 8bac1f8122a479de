//! A request's context, and what is known of it while it is served.

use std::{
    future::pending,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use axum::{Extension, Router, routing::get};
use buttress::{Cancelled, Context, admission::rate::PeerAddress, registry::Kind};
use tokio::{
    io::AsyncReadExt,
    sync::Notify,
    time::{Instant, sleep, timeout},
};
use tonic::Status;

use super::{Up, support};
use support::{
    Connection, Guard, Tell, VERSIONS, call, get as request,
    grpc::{self, Speaker, Speech, Words, words_without_end},
    leakless::named,
    log, said, soon,
};

const HOUR: Duration = Duration::from_secs(3_600);

#[tokio::test(crate = "crate::support::leakless")]
async fn a_router_is_served_on_both_versions_and_knows_its_peer() {
    async fn peer(Extension(PeerAddress(peer)): Extension<PeerAddress>) -> String {
        peer.ip().to_string()
    }
    let up = Up::serve(Router::new().route("/", get(peer))).await;
    for version in VERSIONS {
        let answer = said(call(up.address, version, http::Method::GET, "/").await).await;
        assert_eq!((answer.status, answer.text.as_str()), (200, "127.0.0.1"));
    }
}

/// What a handler leaves behind: it tells how its context had ended when it was dropped. On the one thread of a test nothing ends while
/// it runs, so that it finds its context ended only if it is polled once more.
fn left_behind(tell: &Tell<Result<Option<Cancelled>, RanOn>>) {
    let (context, ran_on) = (Context::current(), tell.clone());
    let tell = tell.clone();
    let guard = Guard::new(move |why| tell.tell(Ok(why)));
    drop(context.clone().spawn("left-behind", async move {
        let _guard = guard;
        while context.check().is_ok() {
            tokio::task::yield_now().await;
        }
        ran_on.tell(Err(RanOn));
        pending::<()>().await;
    }));
}

#[derive(Debug, PartialEq)]
struct RanOn;

/// A handler for gRPC that leaves it behind.
#[derive(Clone)]
struct Leaves(Tell<Result<Option<Cancelled>, RanOn>>);

impl Speech for Leaves {
    async fn say(&self, _: http::HeaderMap) -> Result<String, Status> {
        left_behind(&self.0);
        Ok("done".to_owned())
    }

    fn list(&self) -> Words {
        words_without_end(&[])
    }
}

#[tokio::test(crate = "crate::support::leakless")]
async fn the_end_of_a_request_aborts_its_tasks_by_the_next_yield() {
    let (tell, mut heard) = log();
    let leaves = tell.clone();
    let app = Router::new().route(
        "/",
        get(|| async move {
            left_behind(&leaves);
            "done"
        }),
    );
    let grpc = tonic::service::Routes::new(Speaker(Leaves(tell))).into_axum_router();
    let up = Up::serve(app.merge(grpc)).await;
    // Twice on each: it ends with the request, and not with its connection.
    for version in VERSIONS {
        let mut connection = Connection::open(up.address, version).await;
        for _ in 0..2 {
            let answer = connection.send(request(up.address, "/")).await.unwrap();
            assert_eq!(said(answer).await.text, "done");
            assert_eq!(heard.next().await, Ok(Some(Cancelled::Finished)), "{version:?}");
        }
    }
    let channel = grpc::channel(up.address).await;
    for _ in 0..2 {
        assert_eq!(grpc::unary(channel.clone(), up.address, None).await.unwrap(), "done");
        assert_eq!(heard.next().await, Ok(Some(Cancelled::Finished)), "gRPC");
    }
}

#[tokio::test(crate = "crate::support::leakless")]
async fn shielded_work_survives_a_disconnect_and_never_its_maximum() {
    #[derive(Debug, PartialEq)]
    enum News {
        Called,
        Left(Option<Cancelled>),
        Survived,
        Dropped(Option<Cancelled>),
    }
    for version in VERSIONS {
        let (tell, mut heard) = log();
        let go = Arc::new(Notify::new());
        let wait = go.clone();
        let app = Router::new().route(
            "/",
            get(|| async move {
                let context = Context::current();
                let [left, survived, dropped] = [tell.clone(), tell.clone(), tell.clone()];
                let _left = Guard::new(move |why| left.tell(News::Left(why)));
                let writes = context.shield("survives", Duration::from_secs(3_600), async move {
                    wait.notified().await;
                    survived.tell(News::Survived);
                });
                let hangs = context.shield("hangs", Duration::from_millis(50), async move {
                    let _dropped = Guard::new(move |why| dropped.tell(News::Dropped(why)));
                    pending::<()>().await;
                });
                tell.tell(News::Called);
                let _ = tokio::join!(writes, hangs);
                pending::<&str>().await
            }),
        );
        let up = Up::serve(app).await;
        let mut connection = Connection::open(up.address, version).await;
        {
            let mut call = std::pin::pin!(connection.send(request(up.address, "/")));
            tokio::select! {
                _ = call.as_mut() => panic!("it is never answered"),
                called = heard.next() => assert_eq!(called, News::Called),
            }
        }
        drop(connection);
        // Which of these two comes first is the clock's.
        let mut ends = [heard.next().await, heard.next().await];
        ends.sort_by_key(|end| matches!(end, News::Dropped(_)));
        assert_eq!(ends[0], News::Left(Some(Cancelled::Disconnected)), "{version:?}");
        assert_eq!(ends[1], News::Dropped(Some(Cancelled::DeadlineExceeded)), "{version:?}");
        let alive = up.handle().snapshot();
        assert!(alive.iter().any(|work| work.name == "survives"), "{alive:?}");
        go.notify_one();
        assert_eq!(heard.next().await, News::Survived, "{version:?}");
        let report = up.end().await;
        assert!(report.is_clean(), "{report}");
    }
}

#[tokio::test(crate = "crate::support::leakless")]
async fn a_client_that_leaves_ends_its_request_as_disconnected() {
    for version in VERSIONS {
        let (tell, mut heard) = log();
        let app = Router::new().route(
            "/",
            get(|| async move {
                let guard = Guard::new({
                    let tell = tell.clone();
                    move |why| tell.tell(why)
                });
                tell.tell(None);
                drop(Context::current().spawn("left-behind", async move {
                    let _guard = guard;
                    pending::<()>().await;
                }));
                pending::<&str>().await
            }),
        );
        let up = Up::serve(app).await;
        let mut connection = Connection::open(up.address, version).await;
        {
            let mut call = std::pin::pin!(connection.send(request(up.address, "/")));
            tokio::select! {
                _ = call.as_mut() => panic!("it is never answered"),
                _ = heard.next() => {}
            }
        }
        drop(connection);
        assert_eq!(heard.next().await, Some(Cancelled::Disconnected), "{version:?}");
    }
}

#[tokio::test(crate = "crate::support::leakless")]
async fn connections_are_listed_and_requests_where_they_are_tracked() {
    for version in VERSIONS {
        let (tell, mut heard) = log();
        let app = Router::new().route(
            "/secret/path",
            get(|| async move {
                let task = Context::current().spawn("work", async move {
                    // The second poll of the handler has been.
                    tell.tell(());
                    pending::<()>().await;
                });
                let _ = task.await;
            }),
        );
        let app = app.layer(buttress::server(HOUR));
        let up = Up::serve_within(super::HASTE, app, |server| server.name("admin").track_requests()).await;
        let mut connection = Connection::open(up.address, version).await;
        let mut call = std::pin::pin!(connection.send(request(up.address, "/secret/path")));
        tokio::select! {
            _ = call.as_mut() => panic!("it is never answered"),
            () = heard.next() => {}
        }
        let alive = up.handle().snapshot();
        let request = alive.iter().find(|work| work.kind == Kind::Request).unwrap();
        assert_eq!(request.to_string(), "request GET of connection admin");
        // It is a layer's further in, and stops it.
        let left = request.deadline.unwrap().saturating_duration_since(Instant::now());
        assert!(left > HOUR / 2 && left <= HOUR, "{left:?}");
        assert!(alive.iter().any(|work| named(work) == "connection admin"));
        let report = up.end().await;
        assert_eq!(report.aborted.len(), 3, "{report}");
        soon(call).await.unwrap_err();
    }
}

#[tokio::test(crate = "crate::support::leakless")]
async fn a_panic_where_a_connection_is_set_up_is_that_connections() {
    let panics = AtomicBool::new(true);
    let set = move |_: &mut _| assert!(!panics.swap(false, Ordering::Relaxed), "in a setting");
    let app = Router::new().route("/", get(|| async { "served" }));
    let up = Up::serve_within(super::HASTE, app, |server| server.http(set)).await;
    let broken = tokio::net::TcpStream::connect(up.address).await.unwrap();
    assert_eq!(super::rest(broken).await, "");
    let answer = said(call(up.address, VERSIONS[0], http::Method::GET, "/").await).await;
    assert_eq!(answer.text, "served");
    assert!(up.end().await.is_clean());
}

/// What could still become HTTP/2 is not taken for the beginning of a request either.
#[tokio::test(start_paused = true, crate = "crate::support::leakless")]
async fn a_connection_on_which_nothing_is_said_is_closed() {
    for said in ["", "P", "PRI * HTTP/2.0\r\n"] {
        let up = Up::serve(Router::new()).await;
        let mut silent = support::socket(up.address, said).await;
        let start = Instant::now();
        let closed = timeout(Duration::from_secs(600), silent.read_u8()).await;
        assert!(closed.is_ok_and(|read| read.is_err()), "{said:?} is waited for");
        assert_eq!(start.elapsed().as_secs(), 30, "{said:?}");
        assert!(up.end().await.is_clean());
    }
}

#[tokio::test(start_paused = true, crate = "crate::support::leakless")]
async fn a_connection_of_http2_without_a_stream_is_kept() {
    let up = Up::serve(Router::new().route("/", get(|| async { "kept" }))).await;
    let mut connection = Connection::open(up.address, support::Version::Http2).await;
    sleep(Duration::from_secs(600)).await;
    let answer = said(connection.send(request(up.address, "/")).await.unwrap()).await;
    assert_eq!(answer.text, "kept");
}

#[tokio::test(crate = "crate::support::leakless")]
async fn a_listener_that_is_served_does_not_keep_a_process_that_is_dropped() {
    let Up { life, address } = Up::serve(Router::new()).await;
    let idle = tokio::net::TcpStream::connect(address).await.unwrap();
    drop(life);
    assert_eq!(super::rest(idle).await, "");
    while tokio::net::TcpStream::connect(address).await.is_ok() {
        tokio::task::yield_now().await;
    }
}

//! A request's context, and what is known of it while it is served.

use std::future::pending;

use axum::{Extension, Router, routing::get};
use buttress::{Cancelled, Context, admission::rate::PeerAddress, registry::Kind};

use super::{Up, support};
use support::{Connection, Guard, VERSIONS, call, get as request, log, said, soon};

#[tokio::test]
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

#[tokio::test]
async fn the_end_of_a_request_ends_its_tasks_and_not_its_connection() {
    for version in VERSIONS {
        let (tell, mut heard) = log();
        let app = Router::new().route(
            "/",
            get(|| async move {
                let guard = Guard::new(move |why| tell.tell(why));
                drop(Context::current().spawn("left-behind", async move {
                    let _guard = guard;
                    pending::<()>().await;
                }));
                "done"
            }),
        );
        let up = Up::serve(app).await;
        let mut connection = Connection::open(up.address, version).await;
        for _ in 0..2 {
            let answer = connection.send(request(up.address, "/")).await.unwrap();
            assert_eq!(said(answer).await.text, "done");
            assert_eq!(heard.next().await, Some(Cancelled::Finished), "{version:?}");
        }
    }
}

#[tokio::test]
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

#[tokio::test]
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
        assert!(alive.iter().any(|work| work.to_string() == "connection admin"));
        let report = up.end().await;
        assert_eq!(report.aborted.len(), 3, "{report}");
        soon(call).await.unwrap_err();
    }
}

#[tokio::test]
async fn a_listener_that_is_served_does_not_keep_a_process_that_is_dropped() {
    let Up { life, address } = Up::serve(Router::new()).await;
    let idle = tokio::net::TcpStream::connect(address).await.unwrap();
    drop(life);
    assert_eq!(super::rest(idle).await, "");
    while tokio::net::TcpStream::connect(address).await.is_ok() {
        tokio::task::yield_now().await;
    }
}

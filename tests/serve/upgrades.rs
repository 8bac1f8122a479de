//! What the docs of `buttress::axum` say of upgraded connections and event streams.

use std::{future::pending, pin::pin, time::Duration};

use axum::{
    Router,
    body::Body,
    extract::{Request, State},
    response::Response,
    routing::get,
};
use buttress::{
    BoxError, Cancelled, ConcurrencyLimitLayer, Context, Lifecycle, lifecycle::Handle, registry::Work,
    stack::ServerStack,
};
use bytes::Bytes;
use futures_util::StreamExt;
use http::{Method, StatusCode, header::CONTENT_TYPE};
use http_body::Frame;
use http_body_util::{BodyExt, StreamBody};
use hyper_util::rt::TokioIo;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    time::sleep,
};

use super::{Up, rest, support};
use support::{VERSIONS, call, leakless::named, listener, log, socket, soon};

const SHORT: Duration = Duration::from_millis(200);

/// One at a time, and no longer than `SHORT`.
fn narrow() -> ServerStack {
    buttress::server(SHORT)
        .limit(ConcurrencyLimitLayer::new(1).queue(0))
        .shed(None)
}

#[tokio::test(crate = "crate::support::leakless")]
async fn an_upgraded_connection_belongs_to_the_process_by_a_child_of_its_context() {
    let (tell, mut heard) = log();
    let upgrades = async move |State(process): State<Handle>, mut request: Request| {
        let (before, upgrade) = (Context::current(), hyper::upgrade::on(&mut request));
        let tell = tell.clone();
        tokio::spawn(async move {
            let mut socket = TokioIo::new(upgrade.await.unwrap());
            let ended = before.cancelled().await;
            tell.tell((
                ended,
                Context::current().deadline().is_some(),
                Context::current().check(),
            ));
            sleep(2 * SHORT).await;
            socket.write_all(b"hello").await.unwrap();

            let own = process.context().child();
            let talk = own.scope(async {
                drop(Context::current().spawn("prices", pending::<()>()));
                let (mut draining, mut buffer) = (pin!(process.draining()), [0; 16]);
                loop {
                    tokio::select! {
                        () = draining.as_mut() => return socket.write_all(b"bye").await,
                        read = socket.read(&mut buffer) => match read? {
                            0 => return Ok(()),
                            read => socket.write_all(&buffer[..read]).await?,
                        },
                    }
                }
            });
            talk.await.unwrap();
        });
        Response::builder()
            .status(StatusCode::SWITCHING_PROTOCOLS)
            .header("connection", "upgrade")
            .header("upgrade", "x")
            .body(Body::empty())
            .unwrap()
    };
    let life = Lifecycle::builder().build().unwrap();
    let (listener, address) = listener().await;
    let handle = life.handle();
    let app = Router::new().route("/", get(upgrades)).with_state(handle.clone());
    life.serve(listener, app.layer(narrow()));
    let prices = |many: usize| {
        let is_prices = |work: &Work| named(work) == "task prices";
        let handle = &handle;
        soon(async move {
            while handle.snapshot().iter().filter(|work| is_prices(work)).count() != many {
                tokio::task::yield_now().await;
            }
        })
    };

    // The second is let in although the first is there: an upgrade gives its place back. Both outlive the deadline.
    let mut sockets = Vec::new();
    for _ in 0..2 {
        let upgrade = "GET / HTTP/1.1\r\nhost: x\r\nconnection: upgrade\r\nupgrade: x\r\n\r\n";
        let mut socket = socket(address, upgrade).await;
        let mut said = Vec::new();
        while !said.ends_with(b"hello") {
            said.push(soon(socket.read_u8()).await.unwrap());
        }
        sockets.push(socket);
        // The request's context has ended, and the one in scope is nobody's.
        assert_eq!(heard.next().await, (Cancelled::Finished, false, Ok(())));
    }
    prices(2).await;
    drop(sockets.pop());
    prices(1).await;

    handle.shutdown();
    let report = soon(life.run()).await;
    assert!(report.is_clean(), "{report}");
    assert_eq!(rest(sockets.remove(0)).await, "bye");
}

#[tokio::test(crate = "crate::support::leakless")]
async fn an_event_stream_gives_its_place_back_and_is_cut_at_the_deadline() {
    let events = || async {
        let one = futures_util::stream::iter([Ok::<_, BoxError>(Frame::data(Bytes::from_static(b"data: x\n\n")))]);
        let body = Body::new(StreamBody::new(one.chain(futures_util::stream::pending())));
        Response::builder()
            .header(CONTENT_TYPE, "text/event-stream")
            .body(body)
            .unwrap()
    };
    let up = Up::serve(Router::new().route("/", get(events)).layer(narrow())).await;
    for version in VERSIONS {
        let two = [
            call(up.address, version, Method::GET, "/").await,
            call(up.address, version, Method::GET, "/").await,
        ];
        for answer in two {
            assert_eq!(answer.status(), 200, "{version:?}");
            let mut body = answer.into_body();
            soon(body.frame()).await.unwrap().unwrap();
            soon(body.collect()).await.unwrap_err();
        }
    }
    assert!(up.end().await.is_clean());
}

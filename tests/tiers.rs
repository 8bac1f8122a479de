//! Three tiers over real sockets: what a deadline and a departure do to all of them.

#![allow(
    clippy::disallowed_methods,
    clippy::disallowed_types,
    clippy::unwrap_used,
    reason = "a test may spawn, queue without bound and fail by unwrap"
)]

mod support;

use std::{
    future::{Future, pending},
    net::SocketAddr,
    time::Duration,
};

use axum::{Router, extract::Request, response::Response, routing::any};
use buttress::{CancelLayer, Cancelled, Context, DeadlineLayer, PropagateDeadlineLayer};
use http::HeaderMap;
use hyper::body::Incoming;
use hyper_util::{rt::TokioExecutor, server::conn::auto};
use support::{
    Connection, Guard, Heard, Sure, Tell, Version, client, get, grpc, log, serve_hyper, serve_with, socket,
    tier::{Ended, House, News, Script, Wire},
};
use tokio::task::JoinSet;
use tonic::{Code, Status, transport::Server};
use tower::{Layer, service_fn};

/// What a tier holds back: longer than a call takes on its way, whatever the machine does.
const MARGIN: Duration = Duration::from_millis(100);
const SHORT: Duration = Duration::from_millis(200);
const LONG: Duration = Duration::from_secs(20);

/// Each of these invariants holds on each wire.
macro_rules! on_each_wire {
    ($($invariant:ident),*) => {
        on_each_wire! { on_http1: Http1, $($invariant),* }
        on_each_wire! { on_h2c: Http2, $($invariant),* }
        on_each_wire! { on_grpc: Grpc, $($invariant),* }
    };
    ($module:ident: $wire:ident, $($invariant:ident),*) => {
        mod $module {
            $(#[tokio::test(flavor = "multi_thread", crate = "crate::support::leakless")]
            async fn $invariant() {
                super::$invariant(super::Wire::$wire).await;
            })*
        }
    };
}

on_each_wire! { the_deadline_shrinks_at_each_tier, the_lowest_tier_ends_first, a_deadline_of_all_tiers_is_answered_in_full }

async fn the_deadline_shrinks_at_each_tier(wire: Wire) {
    let mut house = House::build(wire, Script::Answer, Duration::ZERO).await;
    assert_eq!(house.call(LONG).await.text, "done");
    let tiers = house.arrivals().await;
    assert_eq!(tiers.each_ref().map(|tier| tier.name), ['A', 'B', 'C']);
    assert_eq!(tiers[0].header, Some(LONG));
    let seen = tiers.map(|tier| [tier.header.unwrap(), tier.remaining.unwrap()]);
    assert!(seen.concat().is_sorted_by(|above, below| above > below), "{seen:?}");
}

/// With a margin, each tier's own deadline ends it, while those above still wait for it.
async fn the_lowest_tier_ends_first(wire: Wire) {
    let mut house = House::build(wire, Script::Stubborn, MARGIN).await;
    let answer = house.call(MARGIN * 4).await;
    assert_eq!((answer.code, answer.text.as_str()), (wire.late(), "deadline exceeded"));
    house.tell.tell(News::Answered);
    let (mut order, mut tasks) = (String::new(), 0);
    while order.len() < 4 || tasks < 3 {
        match house.news.next().await {
            News::Ended(Ended { part: "call", .. }) | News::Arrived(_) => {}
            News::Ended(Ended { tier, part, why }) => {
                assert_eq!(why, Some(Cancelled::DeadlineExceeded), "the {part} of {tier}");
                tasks += usize::from(part == "task");
                order.extend((part == "handler").then_some(tier));
            }
            News::Answered => order.push('.'),
        }
    }
    assert_eq!(order, "CBA.");
}

/// Without a margin all have the same deadline, and pass on what they get, their own client's rejection included.
async fn a_deadline_of_all_tiers_is_answered_in_full(wire: Wire) {
    let mut house = House::build(wire, Script::Wait, Duration::ZERO).await;
    let answer = house.call(SHORT).await;
    house.ends(8).await;
    assert_eq!((answer.code, answer.text.as_str()), (wire.late(), "deadline exceeded"));
}

// === a caller who leaves ends all tiers ===

/// All parts of all tiers hear it, when the caller leaves while all are at work.
async fn leaving_ends_all_tiers(mut house: House, leave: impl Future<Output = ()>) {
    house.arrivals().await;
    leave.await;
    let ends = house.ends(8).await;
    assert!(
        ends.values().all(|why| *why == Some(Cancelled::Disconnected)),
        "{ends:?}"
    );
}

#[tokio::test(flavor = "multi_thread", crate = "support::leakless")]
async fn a_closed_http1_socket_ends_all_tiers() {
    let house = House::build(Wire::Http1, Script::Wait, Duration::ZERO).await;
    let socket = socket(house.first, "GET / HTTP/1.1\r\nhost: a\r\n\r\n").await;
    leaving_ends_all_tiers(house, async { drop(socket) }).await;
}

#[tokio::test(flavor = "multi_thread", crate = "support::leakless")]
async fn a_reset_http2_stream_ends_all_tiers_and_not_its_connection() {
    let house = House::build(Wire::Http2, Script::Wait, Duration::ZERO).await;
    let address = house.first;
    let mut connection = Connection::open(address, Version::Http2).await;
    let mut shared = connection.shared().expect("HTTP/2");
    let call = tokio::spawn(async move { shared.send(get(address, "/")).await });
    leaving_ends_all_tiers(house, async { call.abort() }).await;
    let elsewhere = connection.send(get(address, "/elsewhere")).await;
    assert_eq!(elsewhere.unwrap().status(), 404);
}

#[tokio::test(flavor = "multi_thread", crate = "support::leakless")]
async fn a_cancelled_grpc_call_ends_all_tiers_and_not_its_channel() {
    let house = House::build(Wire::Grpc, Script::Wait, Duration::ZERO).await;
    let address = house.first;
    let channel = grpc::channel(address).await;
    let call = tokio::spawn(grpc::unary(channel.clone(), address, None));
    leaving_ends_all_tiers(house, async { call.abort() }).await;
    let words = grpc::list(channel, address, Some(SHORT)).await;
    assert_eq!(words.0, ["one", "two", "three"]);
}

// === where HTTP/1 is blind, the deadline ends the work ===

/// Why a handler that never answers ended, if its caller sends this and leaves. It drops the request's body unread, or holds it.
async fn end_of(request: &str, holds: bool, half_close: bool) -> Option<Cancelled> {
    let (tell, mut heard) = log();
    let handler = move |request: Request| async move {
        let ended = tell.clone();
        let _guard = Guard::new(move |why| ended.tell(why));
        let _body = holds.then(|| request.into_body());
        tell.tell(None);
        pending::<()>().await;
    };
    let app = Router::new().route("/", any(handler)).layer(CancelLayer::new());
    let mut server = auto::Builder::new(TokioExecutor::new());
    server.http1().half_close(half_close);
    let address = serve_with(server, app.layer(DeadlineLayer::new(LONG))).await;
    let socket = socket(address, request).await;
    assert_eq!(heard.next().await, None, "it is at work");
    drop(socket);
    heard.next().await
}

const GET: &str = "GET / HTTP/1.1\r\nhost: a\r\n\r\n";
const GET_IN_TIME: &str = "GET / HTTP/1.1\r\nhost: a\r\nx-request-timeout-ms: 200\r\n\r\n";
const POST_IN_TIME: &str = "POST / HTTP/1.1\r\nhost: a\r\nx-request-timeout-ms: 200\r\ncontent-length: ";

#[tokio::test(flavor = "multi_thread", crate = "support::leakless")]
async fn http1_sees_a_close_where_there_is_nothing_left_to_read() {
    let in_one_piece = "POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 5\r\n\r\nhello";
    for (request, holds) in [(GET, true), (in_one_piece, true), (in_one_piece, false)] {
        let why = end_of(request, holds, false).await;
        assert_eq!(why, Some(Cancelled::Disconnected), "{request} {holds}");
    }
}

#[tokio::test(flavor = "multi_thread", crate = "support::leakless")]
async fn a_handler_with_an_unread_body_whose_client_leaves_is_cancelled_by_the_deadline_elsewhere() {
    let large = format!("{POST_IN_TIME}10000000\r\n\r\n{}", "x".repeat(100_000));
    let half = format!("{POST_IN_TIME}10\r\n\r\nhello");
    let none_yet = format!("{POST_IN_TIME}10\r\n\r\n");
    let awaited = format!("{POST_IN_TIME}10\r\nexpect: 100-continue\r\n\r\n");
    for request in [large, half, none_yet, awaited] {
        for holds in [true, false] {
            let why = end_of(&request, holds, false).await;
            assert_eq!(why, Some(Cancelled::DeadlineExceeded), "{} {holds}", request.len());
        }
    }
}

#[tokio::test(flavor = "multi_thread", crate = "support::leakless")]
async fn http1_is_blind_while_pipelined_bytes_are_buffered() {
    for next in [GET, "G"] {
        let why = end_of(&format!("{GET_IN_TIME}{next}"), true, false).await;
        assert_eq!(why, Some(Cancelled::DeadlineExceeded), "{next}");
    }
}

#[tokio::test(flavor = "multi_thread", crate = "support::leakless")]
async fn http1_is_blind_where_half_closed_connections_are_allowed() {
    let why = end_of(GET_IN_TIME, true, true).await;
    assert_eq!(why, Some(Cancelled::DeadlineExceeded));
}

// === tonic ===

/// Says nothing, for ever, and tells why it ended.
#[derive(Clone)]
struct Silent(Tell<Option<Cancelled>>);

impl grpc::Speech for Silent {
    async fn say(&self, _: HeaderMap) -> Result<String, Status> {
        let tell = self.0.clone();
        let _guard = Guard::new(move |why| tell.tell(why));
        pending().await
    }

    fn list(&self) -> grpc::Words {
        grpc::words_without_end(&["one", "two", "three"])
    }
}

async fn silent_tonic(deadline: DeadlineLayer) -> (SocketAddr, Heard<Option<Cancelled>>) {
    let (tell, heard) = log();
    let server = Server::builder().layer(deadline).layer(CancelLayer::new());
    (grpc::serve(server, Silent(tell)).await, heard)
}

/// tonic's server has a timer of its own for `grpc-timeout`, outside of our layers, that would answer CANCELLED.
#[tokio::test(flavor = "multi_thread", crate = "support::leakless")]
async fn a_tonic_server_answers_a_grpc_timeout_with_deadline_exceeded() {
    let (address, mut heard) = silent_tonic(DeadlineLayer::new(LONG)).await;
    let status = grpc::unary(client(Version::Http2), address, Some(SHORT)).await;
    let status = status.expect_err("it is silent");
    assert_eq!(
        (status.code(), status.message()),
        (Code::DeadlineExceeded, "deadline exceeded")
    );
    assert_eq!(heard.next().await, Some(Cancelled::DeadlineExceeded));
}

/// Why ours are needed: without them tonic answers so.
#[tokio::test(flavor = "multi_thread", crate = "support::leakless")]
async fn a_tonic_server_by_itself_answers_a_grpc_timeout_with_cancelled() {
    let (tell, _heard) = log();
    let address = grpc::serve(Server::builder(), Silent(tell)).await;
    let status = grpc::unary(client(Version::Http2), address, Some(SHORT)).await;
    assert_eq!(status.expect_err("it is silent").code(), Code::Cancelled);
}

#[tokio::test(flavor = "multi_thread", crate = "support::leakless")]
async fn a_tonic_channel_hears_the_limit_of_its_server() {
    let (address, mut heard) = silent_tonic(DeadlineLayer::new(LONG).max(SHORT)).await;
    let status = grpc::unary(grpc::channel(address).await, address, Some(LONG)).await;
    assert_eq!(status.expect_err("it is silent").code(), Code::DeadlineExceeded);
    assert_eq!(heard.next().await, Some(Cancelled::DeadlineExceeded));
}

#[tokio::test(flavor = "multi_thread", crate = "support::leakless")]
async fn a_stream_that_outlives_its_deadline_ends_with_a_status_after_whole_messages() {
    let (address, _heard) = silent_tonic(DeadlineLayer::new(LONG)).await;
    let (words, code) = grpc::list(grpc::channel(address).await, address, Some(SHORT)).await;
    assert_eq!(
        (words, code),
        (vec!["one".into(), "two".into(), "three".into()], Code::DeadlineExceeded)
    );
}

/// tonic's channel has a timer of its own for the `grpc-timeout` that we wrote, inside of our layer.
#[tokio::test(flavor = "multi_thread", crate = "support::leakless")]
async fn a_tonic_channel_below_our_layer_fails_with_deadline_exceeded() {
    let silent = service_fn(|_: http::Request<Incoming>| pending::<Sure<Response>>());
    let address = serve_hyper(silent).await;
    let channel = PropagateDeadlineLayer::new().layer(grpc::channel(address).await);
    let mut calls = JoinSet::new();
    for _ in 0..20 {
        let call = grpc::unary(channel.clone(), address, None);
        calls.spawn(Context::default().with_timeout(SHORT).scope(call));
    }
    for status in calls.join_all().await {
        assert_eq!(status.expect_err("it is silent").code(), Code::DeadlineExceeded);
    }
}

//! The layers around real clients, over real sockets: hyper-util's, tonic's and reqwest's. That most of this compiles is half of
//! what it shows: no turbofish, no boxed service, no error type but the client's own.
#![cfg(all(feature = "hyper", feature = "reqwest", feature = "tonic"))]
#![allow(
    clippy::disallowed_methods,
    clippy::disallowed_types,
    clippy::unwrap_used,
    reason = "a test may spawn, queue without bound and fail by unwrap"
)]

#[path = "../support/script.rs"]
mod script;
#[path = "../support/mod.rs"]
mod support;

mod hyper;
mod reqwest;
mod six;
mod tonic;

use std::net::SocketAddr;

use axum::Router;
use http::HeaderMap;
use tokio::net::TcpSocket;

/// What remains, as an upstream is told.
fn remaining_ms(headers: &HeaderMap) -> u64 {
    headers["x-request-timeout-ms"].to_str().unwrap().parse().unwrap()
}

/// A port at which nobody listens yet, and which nobody else gets.
struct Closed {
    socket: TcpSocket,
    address: SocketAddr,
}

impl Closed {
    fn new() -> Self {
        let socket = TcpSocket::new_v4().unwrap();
        socket.bind("127.0.0.1:0".parse().unwrap()).unwrap();
        let address = socket.local_addr().unwrap();
        Self { socket, address }
    }

    fn open(self, app: Router) {
        let listener = self.socket.listen(16).unwrap();
        support::leakless::serves(async move { axum::serve(listener, app).await });
    }
}

//! A service without HTTP whose error has no room for a rejection.

use std::{
    future::{Ready, ready},
    io,
    task::{Context, Poll},
    time::Duration,
};

use buttress::TimeoutLayer;
use tower::{Layer, Service};

struct Store;

impl Service<u64> for Store {
    type Response = String;
    type Error = io::Error;
    type Future = Ready<Result<String, io::Error>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), io::Error>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, _: u64) -> Self::Future {
        ready(Ok("value".to_owned()))
    }
}

fn store() -> impl Service<u64, Response = String> {
    TimeoutLayer::new(Duration::from_secs(1)).typed().layer(Store)
}

fn main() {}

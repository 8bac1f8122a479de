//! An optional layer around a service without HTTP.

use std::{
    future::{Ready, ready},
    task::{Context, Poll},
    time::Duration,
};

use buttress::{BoxError, TimeoutLayer, optional};
use tower::{Layer, Service};

struct Store;

impl Service<u64> for Store {
    type Response = String;
    type Error = BoxError;
    type Future = Ready<Result<String, BoxError>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, _: u64) -> Self::Future {
        ready(Ok("value".to_owned()))
    }
}

fn store() -> impl Service<u64, Response = String> {
    optional(Some(TimeoutLayer::new(Duration::from_secs(1)).typed())).layer(Store)
}

fn main() {}

//! A response whose body's data is not `Bytes`.

use std::{
    collections::VecDeque,
    convert::Infallible,
    future::{Ready, ready},
    task::{Context, Poll},
    time::Duration,
};

use buttress::DeadlineLayer;
use http::{Request, Response};
use http_body_util::Full;
use tower::{Layer, Service};

struct Pages;

impl Service<Request<String>> for Pages {
    type Response = Response<Full<VecDeque<u8>>>;
    type Error = Infallible;
    type Future = Ready<Result<Self::Response, Infallible>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, _: Request<String>) -> Self::Future {
        ready(Ok(Response::new(Full::new(VecDeque::new()))))
    }
}

fn pages() -> impl Service<Request<String>> {
    DeadlineLayer::new(Duration::from_secs(1)).layer(Pages)
}

fn main() {}

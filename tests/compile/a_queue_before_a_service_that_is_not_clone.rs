//! A limit with a queue around a service that is not `Clone`.

use std::{
    convert::Infallible,
    future::{Ready, ready},
    task::{Context, Poll},
};

use axum::body::Body;
use buttress::ConcurrencyLimitLayer;
use http::{Request, Response};
use tower::{Layer, Service};

struct Pipeline;

impl Service<Request<Body>> for Pipeline {
    type Response = Response<Body>;
    type Error = Infallible;
    type Future = Ready<Result<Response<Body>, Infallible>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, _: Request<Body>) -> Self::Future {
        ready(Ok(Response::default()))
    }
}

fn limited() -> impl Service<Request<Body>> {
    ConcurrencyLimitLayer::new(10).layer(Pipeline)
}

fn main() {}

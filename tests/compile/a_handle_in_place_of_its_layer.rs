//! The handle of a breaker where its layer is wanted.

use axum::Router;
use buttress::admission::breaker::Breaker;

fn app(breaker: Breaker) -> Router {
    Router::new().layer(breaker)
}

fn main() {}

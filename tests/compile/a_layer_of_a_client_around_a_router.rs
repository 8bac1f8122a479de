//! A layer that is no layer in a router: its settings.

use axum::Router;
use buttress::admission::breaker::Breaker;

fn app(breaker: Breaker) -> Router {
    Router::new().layer(breaker)
}

fn main() {}

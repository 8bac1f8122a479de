//! tower's `option_layer` around a layer that follows the body: `buttress::optional` is the one for it.

use std::time::Duration;

use axum::Router;
use buttress::DeadlineLayer;
use tower::util::option_layer;

fn app(deadline: Option<Duration>) -> Router {
    Router::new().layer(option_layer(deadline.map(DeadlineLayer::new)))
}

fn main() {}

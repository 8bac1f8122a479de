//! reqwest's client directly below the layers.

use buttress::RetryLayer;
use http::Request;
use tower::{ServiceBuilder, ServiceExt};

fn main() {
    let client = ServiceBuilder::new()
        .layer(RetryLayer::http())
        .service(reqwest::Client::new());
    let _ = client.oneshot(Request::new(reqwest::Body::from("")));
}

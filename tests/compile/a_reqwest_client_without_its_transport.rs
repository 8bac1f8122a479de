//! reqwest's client directly below a retry.

use buttress::RetryLayer;
use http::Request;
use tower::{Layer, Service};

fn client(http: reqwest::Client) -> impl Service<Request<reqwest::Body>> {
    RetryLayer::http().layer(http)
}

fn main() {}

//! A retry of requests whose body's data is not `Bytes`.

use std::collections::VecDeque;

use buttress::RetryLayer;
use http::Request;
use http_body_util::Full;
use tower::{Layer, Service};

fn client(transport: buttress::reqwest::Transport<reqwest::Client>) -> impl Service<Request<Full<VecDeque<u8>>>> {
    RetryLayer::new().layer(transport)
}

fn main() {}

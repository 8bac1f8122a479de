//! A retry of requests whose body's data is not `Bytes`.

use std::collections::VecDeque;

use buttress::{RetryLayer, body::replay::Replay};
use http::Request;
use http_body_util::Full;
use hyper_util::{
    client::legacy::{Client, connect::HttpConnector},
    rt::TokioExecutor,
};
use tower::{Layer, ServiceExt};

fn main() {
    let client: Client<HttpConnector, Replay<Full<VecDeque<u8>>>> = Client::builder(TokioExecutor::new()).build_http();
    let client = RetryLayer::new().layer(client);
    let _ = client.oneshot(Request::new(Full::new(VecDeque::<u8>::new())));
}

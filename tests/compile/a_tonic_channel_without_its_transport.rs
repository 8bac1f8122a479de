//! tonic's channel directly below a retry.

use buttress::RetryLayer;
use tonic::{body::Body, client::GrpcService, transport::Channel};
use tower::Layer;

fn client(channel: Channel) -> impl GrpcService<Body> {
    RetryLayer::grpc().layer(channel)
}

fn main() {}

//! tonic's channel directly below a retry.

use buttress::RetryLayer;
use tonic::transport::Channel;
use tonic_health::pb::{HealthCheckRequest, health_client::HealthClient};
use tower::ServiceBuilder;

async fn check(channel: Channel) {
    let stack = ServiceBuilder::new().layer(RetryLayer::grpc()).service(channel);
    let _ = HealthClient::new(stack).check(HealthCheckRequest::default()).await;
}

fn main() {}

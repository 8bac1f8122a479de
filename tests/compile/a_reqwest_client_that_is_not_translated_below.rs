//! reqwest's own requests above the layers, and its client below them, without a translation there.

use buttress::{PropagateDeadlineLayer, reqwest::ClientLayer};
use tower::ServiceBuilder;

async fn ask(http: reqwest::Client, request: reqwest::Request) {
    let client = ServiceBuilder::new()
        .layer(ClientLayer::new())
        .layer(PropagateDeadlineLayer::new())
        .service(http);
    let _ = client.send(request).await;
}

fn main() {}

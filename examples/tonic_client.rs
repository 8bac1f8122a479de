//! A gRPC client that gives each call a deadline, tries again what may be, and knows who said no.
//!
//! ```text
//! cargo run --example tonic_server       in another terminal
//! cargo run --example tonic_client
//! ```
//!
//! Four calls: one is answered; one is late, on either side; one is known to be late before it is sent; and one finds no
//! place, for two slow ones are out. The last two never left this process.

use std::time::Duration;

use buttress::{BoxError, ConcurrencyLimitLayer, Context, Rejection, RetryLayer, rejection::ResponseExt};
use clap::Parser;
use tonic::{
    Code,
    transport::{Channel, Endpoint},
};
use tonic_health::pb::{HealthCheckRequest, health_client::HealthClient};

#[derive(Parser)]
struct Options {
    #[arg(long, default_value = "http://127.0.0.1:50051")]
    server: Endpoint,
}

/// How a call ended, and which layer of ours said so, if one did.
pub(crate) type Ended = (Code, Option<&'static str>);

pub(crate) async fn calls(channel: Channel) -> Vec<Ended> {
    // Each attempt writes `grpc-timeout`: what is left, of the caller's time or of these ten seconds.
    let stack = buttress::client(Duration::from_secs(10))
        .retry(RetryLayer::grpc()) // UNAVAILABLE, and what was never sent
        .limit(ConcurrencyLimitLayer::new(2).queue(0));
    let client = HealthClient::new(stack.tonic(channel));

    // In a handler, the deadline is its request's, and there is nothing to do.
    let call = async |service: &str, timeout: Duration| {
        let (mut client, service) = (client.clone(), service.to_owned());
        let call = client.check(HealthCheckRequest { service });
        let answer = Context::current().with_timeout(timeout).scope(call).await;
        let Err(status) = answer else {
            return (Code::Ok, None);
        };
        (status.code(), status.rejection().map(Rejection::layer))
    };
    let (long, short) = (Duration::from_secs(5), Duration::from_millis(200));

    let mut ended = vec![
        call("", long).await,
        call("slow", short).await,
        call("", Duration::ZERO).await,
    ];
    let third = async {
        // The two are on their way.
        tokio::task::yield_now().await;
        call("", long).await
    };
    let (.., rejected) = tokio::join!(biased; call("slow", short), call("slow", short), third);
    ended.push(rejected);
    ended
}

#[tokio::main]
async fn main() -> Result<(), BoxError> {
    let channel = Options::parse().server.connect().await?;
    for (code, layer) in calls(channel).await {
        match layer {
            Some(layer) => println!("{code:?}, says the layer `{layer}` of this process"),
            None => println!("{code:?}"),
        }
    }
    Ok(())
}

//! A gRPC server whose service stops when it is late, and drains when the process ends.
//!
//! ```text
//! cargo run --example tonic_server
//! cargo run --example tonic_client       in another terminal
//! kill -TERM %1                          drains: calls at hand are answered, connections end, and the exit code says so
//! ```
//!
//! The service is gRPC's health check, because its code is generated already. Asked for `slow`, it takes twenty seconds.

use std::{net::SocketAddr, time::Duration};

use buttress::{BoxError, ConcurrencyLimitLayer, Context, Lifecycle, ObserveLayer, observe::Ended};
use clap::Parser;
use tokio::{net::TcpListener, time::sleep};
use tonic::{Request, Response, Status, codegen::BoxStream, service::Routes};
use tonic_health::pb::{
    HealthCheckRequest, HealthCheckResponse,
    health_check_response::ServingStatus,
    health_server::{Health, HealthServer},
};
use tower::ServiceBuilder;

#[derive(Parser)]
struct Options {
    #[arg(long, default_value = "127.0.0.1:50051")]
    listen: SocketAddr,
}

struct Checks;

#[tonic::async_trait]
impl Health for Checks {
    async fn check(&self, request: Request<HealthCheckRequest>) -> Result<Response<HealthCheckResponse>, Status> {
        let ctx = Context::current();
        let parts = match request.into_inner().service.as_str() {
            "" => 1,
            "slow" => 1_000,
            other => return Err(Status::not_found(format!("nothing is known of `{other}`"))),
        };
        for _ in 0..parts {
            ctx.check()?; // DEADLINE_EXCEEDED, or CANCELLED, which nobody hears
            sleep(Duration::from_millis(20)).await;
        }
        let status = ServingStatus::Serving.into();
        Ok(Response::new(HealthCheckResponse { status }))
    }

    type WatchStream = BoxStream<HealthCheckResponse>;

    async fn watch(&self, _: Request<HealthCheckRequest>) -> Result<Response<Self::WatchStream>, Status> {
        Err(Status::unimplemented("asked once, answered once"))
    }
}

fn log(ended: &Ended) {
    let took = ended.took.as_millis();
    println!(
        "{} after {took} ms, grpc-status {:?}",
        ended.outcome.as_str(),
        ended.grpc_status
    );
}

/// Serves until the process drains.
pub(crate) fn serve(life: &Lifecycle, listener: TcpListener) {
    // A limit of this service alone: in these layers it is still one that tonic can route to.
    let checks = ServiceBuilder::new()
        .layer(ConcurrencyLimitLayer::new(100))
        .service(HealthServer::new(Checks));
    // Reads `grpc-timeout`, and caps it; takes in no more than it can do.
    let stack = buttress::server(Duration::from_secs(10)).observe(ObserveLayer::server(log));
    // As part of the process: connections drain, and end with it.
    life.serve(listener, stack.service(Routes::new(checks)));
}

#[tokio::main]
async fn main() -> Result<(), BoxError> {
    let options = Options::parse();
    let life = Lifecycle::builder().signals().build()?;
    let listener = TcpListener::bind(options.listen).await?;
    println!("listening on http://{}", listener.local_addr()?);
    serve(&life, listener);
    life.run().await.exit()
}

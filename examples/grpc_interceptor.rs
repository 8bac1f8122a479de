//! Interceptors of tonic's among the layers, on both ends: the client's signs, the server's lets in.
//!
//! ```text
//! cargo run --example grpc_interceptor
//! ```
//!
//! An interceptor runs within the layers that stand above it. So the server's sees the deadline that came with the call, and what it
//! does not let in it turns away with a rejection: a status that tells the client's retry whether to come again.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering},
    },
    time::Duration,
};

use buttress::{
    BoxError, Context, DeadlineLayer, PropagateDeadlineLayer, Rejection, RetryLayer,
    context::wire::DeadlineHeader,
    rejection::Reason,
    tonic::{ClientLayer, TransportLayer},
};
use tokio::net::TcpListener;
use tonic::{
    Code, Request, Status,
    service::{Interceptor, InterceptorLayer},
    transport::{Endpoint, Server, server::TcpIncoming},
};
use tonic_health::{
    pb::{HealthCheckRequest, health_client::HealthClient},
    server::health_reporter,
};
use tower::ServiceBuilder;

/// Lets in who is known, says how long it will be, and has come in time.
#[derive(Clone, Default)]
struct Door {
    asked: Arc<AtomicU32>,
}

impl Interceptor for Door {
    fn call(&mut self, request: Request<()>) -> Result<Request<()>, Status> {
        let ctx = Context::current();
        println!("  the server is asked, and has {:?}", ctx.remaining());
        if request.metadata().get("authorization").is_none() {
            return Err(Status::unauthenticated("who are you?"));
        }
        if request
            .metadata()
            .get(DeadlineHeader::GrpcTimeout.name().as_str())
            .is_none()
        {
            let rejection = Rejection::new(Reason::MissingDeadline, "door");
            return Err(rejection.do_not_retry().into());
        }
        ctx.check()?; // a context that ended is a status, too
        if self.asked.fetch_add(1, Ordering::Relaxed) == 0 {
            let rejection = Rejection::new(Reason::Overloaded, "door").with_message("the first is asked to come again");
            return Err(rejection.retry_after(Duration::from_millis(30)).into());
        }
        Ok(request)
    }
}

fn sign(mut request: Request<()>) -> Result<Request<()>, Status> {
    Context::current().check()?; // nobody waits any more: sign nothing, send nothing
    let token = "Bearer of a token".parse().map_err(|_| Status::internal("no token"))?;
    request.metadata_mut().insert("authorization", token);
    Ok(request)
}

/// How each of the calls ended.
pub(crate) async fn run() -> Result<Vec<Code>, BoxError> {
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let endpoint = Endpoint::from_shared(format!("http://{}", listener.local_addr()?))?;

    // The interceptor is a layer among others. Below the deadline, it sees it.
    let (_reporter, health) = health_reporter();
    let health = ServiceBuilder::new()
        .layer(DeadlineLayer::new(Duration::from_secs(10)))
        .layer(InterceptorLayer::new(Door::default()))
        .service(health);
    let server = Server::builder()
        .add_service(health)
        .serve_with_incoming(TcpIncoming::from(listener));

    let calls = async {
        let stack = ServiceBuilder::new()
            .layer(ClientLayer::new()) // so that `with_interceptor` takes it
            .layer(RetryLayer::grpc())
            .layer(PropagateDeadlineLayer::new())
            .layer(TransportLayer::new())
            .service(endpoint.connect_lazy());
        let mut known = HealthClient::with_interceptor(stack.clone(), sign);
        let mut stranger = HealthClient::new(stack);
        let timed = Context::current().with_timeout(Duration::from_secs(5));
        let late = timed.with_timeout(Duration::ZERO);
        let ask = HealthCheckRequest::default;

        let mut codes = Vec::new();
        for (who, call) in [
            ("one who is known, tried again", timed.scope(known.check(ask())).await),
            ("a stranger", timed.scope(stranger.check(ask())).await),
            ("one without a deadline", known.check(ask()).await),
            ("one who is late", late.scope(known.check(ask())).await),
        ] {
            let code = call.err().map_or(Code::Ok, |status| status.code());
            println!("{who}: {code:?}");
            codes.push(code);
        }
        codes
    };
    tokio::select! {
        codes = calls => Ok(codes),
        ended = server => {
            ended?;
            Err("the server ended".into())
        }
    }
}

#[tokio::main]
async fn main() -> Result<(), BoxError> {
    run().await.map(drop)
}

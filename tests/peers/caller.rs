//! A gRPC client whose retries are ours, by gRPC's own law, so that they can be laid beside another's.
//!
//! ```text
//! grpc_caller ADDRESS MAX_TOKENS TOKEN_RATIO
//! ```
//!
//! Each line of its input is the name of a call, which it makes and names in the metadata `x-call`. It answers with a line for each:
//! the name, and the gRPC status.

use std::{error::Error, time::Duration};

use buttress::{
    BoxError, RetryLayer,
    budget::Budget,
    retry::{Backoff, Retry},
};
use bytes::Bytes;
use http::{HeaderMap, Request, Response};
use http_body::Body;
use http_body_util::{BodyExt, Full};
use hyper_util::{
    client::legacy::{Client, connect::HttpConnector},
    rt::TokioExecutor,
};
use tokio::io::{AsyncBufReadExt, BufReader, stdin};
use tower::{Layer, ServiceExt};

type Message = Full<Bytes>;
type Transport = Client<HttpConnector, buttress::body::replay::Replay<Message>>;

/// A message of no bytes: not compressed, and of length zero.
const NOTHING: &[u8] = &[0; 5];

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), BoxError> {
    let mut args = std::env::args().skip(1);
    let mut arg = |name: &str| args.next().ok_or_else(|| format!("grpc_caller: {name} is missing"));
    let address = arg("ADDRESS")?;
    let budget = Budget::grpc(arg("MAX_TOKENS")?.parse()?, arg("TOKEN_RATIO")?.parse()?)?;
    let retry = RetryLayer::grpc()
        .backoff(Backoff::new(Duration::from_millis(1), Duration::from_millis(4)))
        .budget(budget);
    let mut connector = HttpConnector::new();
    connector.set_nodelay(true);
    let client = Client::builder(TokioExecutor::new()).http2_only(true).build(connector);
    let client = retry.layer(client);

    let mut calls = BufReader::new(stdin()).lines();
    while let Some(call) = calls.next_line().await? {
        println!("{call} {}", make(&client, &address, &call).await?);
    }
    Ok(())
}

/// Makes a call, and reads its answer to the end: that is where its status may be.
async fn make(client: &Retry<Transport>, address: &str, call: &str) -> Result<i32, BoxError> {
    let request = Request::post(format!("http://{address}/peers.Peer/Call"))
        .header("content-type", "application/grpc")
        .header("te", "trailers")
        .header("x-call", call)
        .body(Message::from(NOTHING))?;
    status(client.clone().oneshot(request).await?).await
}

async fn status<B>(response: Response<B>) -> Result<i32, BoxError>
where
    B: Body<Data = Bytes>,
    B::Error: Into<Box<dyn Error + Send + Sync>>,
{
    let (head, body) = response.into_parts();
    if let Some(status) = status_in(&head.headers) {
        return status;
    }
    let body = body.collect().await.map_err(Into::into)?;
    body.trailers()
        .and_then(status_in)
        .unwrap_or_else(|| Err("an answer without a gRPC status".into()))
}

fn status_in(headers: &HeaderMap) -> Option<Result<i32, BoxError>> {
    let status = headers.get("grpc-status")?;
    Some(
        status
            .to_str()
            .map_err(Into::into)
            .and_then(|status| Ok(status.parse()?)),
    )
}

//! An upstream to try the gateway with: slow, failing, streaming, and curious about what it was sent.
//!
//! It is a service like any other behind the gateway, with the two layers of the far end: it reads the deadline that the gateway
//! wrote, and its work ends when the gateway leaves. It says on standard output how each piece of work ended.

use std::{
    collections::HashMap,
    fmt::{self, Write},
    time::Duration,
};

use axum::{
    Router,
    body::Body,
    extract::{Query, Request},
    http::StatusCode,
    routing::any,
    serve::ListenerExt,
};
use buttress::{BoxError, CancelLayer, Context, DeadlineLayer};
use bytes::Bytes;
use http_body_util::{BodyExt, channel::Channel};
use tokio::{
    net::TcpListener,
    time::{Instant, sleep},
};

use crate::say;

type Settings = Query<HashMap<String, u64>>;

/// Serves the demo for ever. No request takes longer than `max`.
pub(crate) async fn serve(listener: TcpListener, max: Duration) -> Result<(), BoxError> {
    let app = Router::new()
        .route("/echo", any(echo))
        .route("/slow", any(slow))
        .route("/fail", any(fail))
        .route("/stream", any(stream))
        .route("/spawn", any(spawn))
        .layer(CancelLayer::new())
        .layer(DeadlineLayer::new(max).max(max));
    let listener = listener.tap_io(|stream| {
        // Nagle's delay would be the gateway's latency. Without this it is slower, no more.
        let _ = stream.set_nodelay(true);
    });
    Ok(axum::serve(listener, app).await?)
}

/// What the upstream saw of the request, and how long it has left.
async fn echo(request: Request) -> Result<String, (StatusCode, String)> {
    let mut seen = format!("{} {} {:?}\n", request.method(), request.uri(), request.version());
    for (name, value) in request.headers() {
        let _ = writeln!(seen, "{name}: {}", String::from_utf8_lossy(value.as_bytes()));
    }
    let _ = match Context::current().remaining() {
        Some(left) => writeln!(seen, "\ndeadline: {left:.1?} left"),
        None => writeln!(seen, "\ndeadline: none"),
    };
    let (mut length, mut body) = (0, request.into_body());
    while let Some(frame) = body.frame().await {
        let frame = frame.map_err(|error| (StatusCode::BAD_REQUEST, error.to_string()))?;
        match frame.into_data() {
            Ok(data) => length += data.len(),
            Err(frame) => {
                let _ = writeln!(seen, "trailers: {:?}", frame.trailers_ref());
            }
        }
    }
    let _ = writeln!(seen, "body: {length} bytes");
    Ok(seen)
}

/// Sleeps for `ms`, 5000 unless said.
async fn slow(settings: Settings) -> &'static str {
    let _end = End::of("/slow");
    sleep(ms(&settings, 5000)).await;
    "slow, but done\n"
}

/// Answers with `status`, 503 unless said.
async fn fail(settings: Settings) -> StatusCode {
    let status = settings.get("status").and_then(|status| u16::try_from(*status).ok());
    status
        .and_then(|status| StatusCode::from_u16(status).ok())
        .unwrap_or(StatusCode::SERVICE_UNAVAILABLE)
}

/// Sends `chunks` of text, one each `ms`: 10 and 500 unless said.
async fn stream(settings: Settings) -> Body {
    let (chunks, pause) = (settings.get("chunks").copied().unwrap_or(10), ms(&settings, 500));
    let (mut sender, body) = Channel::<Bytes, BoxError>::new(1);
    // A task of this request: it ends with the body that it feeds.
    let feed = Context::current().spawn("demo-stream", async move {
        let _end = End::of("/stream");
        for chunk in 1..=chunks {
            if sender
                .send_data(format!("chunk {chunk} of {chunks}\n").into())
                .await
                .is_err()
            {
                return;
            }
            sleep(pause).await;
        }
    });
    drop(feed);
    Body::new(body)
}

/// Starts a task of the request, that ticks each half second until the request ends: after `ms`, 5000 unless said.
async fn spawn(settings: Settings) -> &'static str {
    let ticker = Context::current().spawn("demo-ticks", async {
        let _end = End::of("/spawn, its task");
        for tick in 1_u64.. {
            sleep(Duration::from_millis(500)).await;
            say(format_args!("demo /spawn, its task: tick {tick}"));
        }
    });
    drop(ticker);
    sleep(ms(&settings, 5000)).await;
    "the request is over, and so is its task\n"
}

fn ms(settings: &Settings, default: u64) -> Duration {
    Duration::from_millis(settings.get("ms").copied().unwrap_or(default))
}

/// Says how a piece of work ended: it is dropped when that is done, and when it is stopped.
struct End {
    work: &'static str,
    started: Instant,
    context: Context,
}

impl End {
    fn of(work: &'static str) -> Self {
        Self {
            work,
            started: Instant::now(),
            context: Context::current(),
        }
    }
}

impl Drop for End {
    fn drop(&mut self) {
        let (work, after) = (self.work, self.started.elapsed());
        match self.context.check() {
            Ok(()) => say(format_args!("demo {work}: finished after {after:.1?}")),
            Err(why) => say(format_args!("demo {work}: stopped after {after:.1?}: {why}")),
        }
    }
}

/// Commands to try.
pub(crate) struct Commands {
    pub(crate) listen_url: String,
    pub(crate) admin_url: String,
}

impl fmt::Display for Commands {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { listen_url, admin_url } = self;
        write!(
            f,
            "
Try these in another terminal, and watch this one:

  # what the upstream sees: the headers of a proxy, and what is left of the deadline
  curl -i '{listen_url}/echo'
  # too slow for its caller: 504 after half a second, and the upstream has stopped too
  curl -i -H 'x-request-timeout-ms: 500' '{listen_url}/slow?ms=20000'
  # the same in gRPC: grpc-status 4
  curl -i --http2-prior-knowledge -X POST -H 'content-type: application/grpc' -H 'grpc-timeout: 100m' '{listen_url}/slow'
  # leave with Ctrl-C: the upstream stops at once
  curl '{listen_url}/slow?ms=20000'
  # the same, of a task that the handler spawned: its ticks end
  curl '{listen_url}/spawn?ms=20000'
  # a body that comes in pieces: the deadline holds for all of it
  curl -N -H 'x-request-timeout-ms: 2200' '{listen_url}/stream?chunks=10&ms=500'
  # a failure of the upstream's own passes through, and is counted as such
  curl -i '{listen_url}/fail?status=503'
  # what became of all these
  curl '{admin_url}/metrics'
"
        )
    }
}

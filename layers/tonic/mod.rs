//! tonic's channel as the transport of a client's layers.
//!
//! A generated gRPC client runs over any service of HTTP requests, and so over the layers of this crate; but the channel below them
//! takes requests with one type of body only, tonic's own. A retry hands down a [body of its own](crate::body::replay), which it
//! can send again, and so do other layers, of other crates too. [`TransportLayer`] stands between: innermost, around the channel.
//!
//! ```
//! # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), buttress::BoxError> {
//! use buttress::{ConcurrencyLimitLayer, Context, PropagateDeadlineLayer, RetryLayer, tonic::TransportLayer};
//! use std::time::Duration;
//! use tonic::{Code, transport::Endpoint};
//! use tonic_health::pb::{HealthCheckRequest, health_client::HealthClient};
//! use tower::ServiceBuilder;
//!
//! // Port 9 is for discarding: nobody is there.
//! let channel = Endpoint::from_static("http://127.0.0.1:9").connect_lazy();
//! let stack = ServiceBuilder::new()
//!     .layer(RetryLayer::grpc())
//!     .layer(ConcurrencyLimitLayer::new(100))
//!     .layer(PropagateDeadlineLayer::new())
//!     .layer(TransportLayer::new())
//!     .service(channel);
//! let mut client = HealthClient::new(stack);
//!
//! let ctx = Context::current().with_timeout(Duration::from_secs(2));
//! let status = ctx.scope(client.check(HealthCheckRequest::default())).await.unwrap_err();
//! assert_eq!(status.code(), Code::Unavailable); // after three attempts
//! # Ok(()) }
//! ```
//!
//! # What is guaranteed
//!
//! - **A late call is late.** tonic's channel reads `grpc-timeout` too, and what it makes of its end is CANCELLED, which says that the
//!   caller lost interest. It would often be first: what the header says is rounded down. Here either end is `DEADLINE_EXCEEDED`.
//! - **A refusal is a status.** What the layers answer by themselves is a gRPC answer that ends with its head. The client makes a
//!   `Status` of it as of any: UNAVAILABLE where a limit is full, `DEADLINE_EXCEEDED` where the time is up.
//! - **Who leaves is heard.** Dropping a call resets its stream, in the queue of the channel or on the wire.
//! - **A connection that failed** is known as [never sent](crate::outcome::Delivery::NotSent), and tried again.
//!
//! # What it costs
//!
//! The body of a request is boxed, once, unless it is tonic's own already or empty. Nothing else is allocated. `poll_ready` is the
//! channel's.
//!
//! # Limits
//!
//! A channel is a buffer, and what is behind a buffer runs in a task of its own: there is no [`Context`](crate::Context) in scope there. In a
//! channel that leaves the connector alone, which connects for all callers and so for none of them; the answer is awaited in the caller's
//! task again. For a buffer of your own with services behind it there is [`in_extensions`](TransportLayer::in_extensions).
//!
//! A generated client's `with_interceptor` asks for response bodies with a `Default`, which those of layers do not have. tonic's
//! `InterceptorLayer` does not, and goes where it is wanted: above a retry it sees a call once, below it each attempt.
//!
//! The error of a body that failed on its way up ends as the status of the call where it is a `Status`, and else as UNKNOWN: that is
//! tonic's way. The channel's own timeout ends with the head of the answer; its body is under the deadline of
//! [`PropagateDeadlineLayer`](crate::PropagateDeadlineLayer).

mod preset;
mod transport;

pub use self::transport::{Transport, TransportFuture, TransportLayer};

//! tonic's clients and servers in the layers, and its statuses as rejections.
//!
//! tonic speaks in requests and responses of HTTP, as the layers do; what is between them is little, and is here.
//!
//! # Clients
//!
//! A generated client runs over any service of HTTP requests, and so over the layers of this crate; but the channel below them takes
//! requests with one type of body only, tonic's own. A retry hands down a [body of its own](crate::body::replay), which it can send
//! again, and so do other layers, of other crates too. [`TransportLayer`] stands between: innermost, around the channel. At the other
//! end stands [`ClientLayer`], which is for choice: with it `with_interceptor` takes the stack, and a status knows who made it.
//!
//! ```
//! # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), buttress::BoxError> {
//! use buttress::{ConcurrencyLimitLayer, Context, PropagateDeadlineLayer, RetryLayer, rejection::ResponseExt};
//! use buttress::tonic::{ClientLayer, TransportLayer};
//! use std::time::Duration;
//! use tonic::{Code, transport::Endpoint};
//! use tonic_health::pb::{HealthCheckRequest, health_client::HealthClient};
//! use tower::ServiceBuilder;
//!
//! // Port 9 is for discarding: nobody is there.
//! let channel = Endpoint::from_static("http://127.0.0.1:9").connect_lazy();
//! let stack = ServiceBuilder::new()
//!     .layer(ClientLayer::new())
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
//! assert!(status.rejection().is_none()); // it was tried: no layer of ours said no
//!
//! let late = Context::current().with_timeout(Duration::ZERO);
//! let status = late.scope(client.check(HealthCheckRequest::default())).await.unwrap_err();
//! assert_eq!(status.code(), Code::DeadlineExceeded);
//! assert!(!status.rejection().unwrap().was_executed()); // it never left this process
//! # Ok(()) }
//! ```
//!
//! [`ClientStack::tonic`](crate::stack::ClientStack::tonic) puts both on.
//!
//! # Servers
//!
//! Layers go around all services, by `Server::layer`, or around one. tonic routes by a service's name, which tower's layers lose;
//! these keep it, so that a service in layers is a service:
//!
//! ```
//! use buttress::{CancelLayer, ConcurrencyLimitLayer, DeadlineLayer};
//! use std::time::Duration;
//! use tonic::transport::Server;
//! use tower::ServiceBuilder;
//! # let (_, greeter) = tonic_health::server::health_reporter();
//!
//! let own = ServiceBuilder::new()
//!     .layer(CancelLayer::new())
//!     .layer(ConcurrencyLimitLayer::new(10)) // of this service alone
//!     .service(greeter);
//! let router = Server::builder()
//!     .layer(DeadlineLayer::new(Duration::from_secs(10))) // of all
//!     .add_service(own);
//! # let _ = router;
//! ```
//!
//! [`Lifecycle::serve`](crate::Lifecycle::serve) serves tonic's `Routes` as part of the process, without tonic's `Server`: connections
//! drain, and the exit code says whether anything was aborted (feature `server`).
//!
//! ```no_run
//! use buttress::{BoxError, Lifecycle};
//! use std::time::Duration;
//! use tokio::net::TcpListener;
//! use tonic::service::Routes;
//!
//! #[tokio::main]
//! async fn main() -> Result<(), BoxError> {
//!     let life = Lifecycle::builder().signals().build()?;
//!     let (_reporter, health) = tonic_health::server::health_reporter();
//!     let routes = Routes::new(health); // and `.add_service(..)` for more
//!     life.serve(TcpListener::bind("127.0.0.1:50051").await?, buttress::server(Duration::from_secs(10)).service(routes));
//!     life.run().await.exit()
//! }
//! ```
//!
//! A handler that stops early ends with `?`: [`Cancelled`](crate::Cancelled) and [`Rejection`](crate::Rejection) are statuses, with gRPC's
//! code, the message, and the pushback that says when to come back. The layers above know that it was said here.
//!
//! ```
//! use buttress::{Context, Rejection, rejection::Reason};
//! use std::time::Duration;
//! use tonic::{Code, Status};
//!
//! async fn search(pages: u32) -> Result<u32, Status> {
//!     let ctx = Context::current();
//!     for _page in 0..pages {
//!         ctx.check()?; // DEADLINE_EXCEEDED, or CANCELLED, which nobody hears
//!     }
//!     Err(Rejection::new(Reason::Overloaded, "index").retry_after(Duration::from_millis(700)))?
//! }
//! # #[tokio::main(flavor = "current_thread")] async fn main() {
//! let status = search(3).await.unwrap_err();
//! assert_eq!(status.code(), Code::Unavailable);
//! assert!(status.metadata().contains_key("grpc-retry-pushback-ms"));
//! # }
//! ```
//!
//! # Interceptors
//!
//! are called within the layers that stand above them, on both ends. So one sees the context and its deadline, and may answer with a
//! rejection:
//!
//! ```
//! use buttress::{Context, Rejection, rejection::Reason};
//! use tonic::{Request, Status};
//!
//! fn with_a_deadline(request: Request<()>) -> Result<Request<()>, Status> {
//!     Context::current().check()?;
//!     match Context::current_deadline() {
//!         Some(_) => Ok(request),
//!         None => Err(Rejection::new(Reason::MissingDeadline, "interceptor").into()),
//!     }
//! }
//! # let _ = tonic::service::InterceptorLayer::new(with_a_deadline);
//! ```
//!
//! tonic's `InterceptorLayer` goes wherever a layer goes: above a retry it sees a call once, below it each attempt. A generated client's
//! `with_interceptor` stands above all layers, and takes stacks in a [`ClientLayer`]; a generated server's stands below them.
//!
//! # What is guaranteed
//!
//! - **A late call is late.** tonic's channel reads `grpc-timeout` too, and what it makes of its end is CANCELLED, which says that the
//!   caller lost interest. It would often be first: what the header says is rounded down. Here either end is `DEADLINE_EXCEEDED`.
//! - **A refusal is a status.** What the layers answer by themselves is a gRPC answer that ends with its head. The client makes a
//!   `Status` of it as of any: UNAVAILABLE where a limit is full, `DEADLINE_EXCEEDED` where the time is up. In a [`ClientLayer`]
//!   [`ResponseExt`](crate::rejection::ResponseExt) tells it from the same word of a server.
//! - **Who leaves is heard.** Dropping a call resets its stream, in the queue of the channel or on the wire.
//! - **A connection that failed** is known as [never sent](crate::outcome::Delivery::NotSent), and tried again.
//!
//! # What it costs
//!
//! The body of a request is boxed, once, unless it is tonic's own already or empty; in a [`ClientLayer`] the body of an answer, too. Nothing
//! else is allocated. `poll_ready` is the channel's.
//!
//! # Limits
//!
//! A channel is a buffer, and what is behind a buffer runs in a task of its own: there is no [`Context`](crate::Context) in scope there. In a
//! channel that leaves the connector alone, which connects for all callers and so for none of them; the answer is awaited in the caller's
//! task again. For a buffer of your own with services behind it there is [`in_extensions`](TransportLayer::in_extensions).
//!
//! A layer of another crate in between loses the name of the service, unless tonic's `LayerExt::named_layer` keeps it.
//!
//! The error of a body that failed on its way up ends as the status of the call where it is a `Status`, and else as UNKNOWN: that is
//! tonic's way. The channel's own timeout ends with the head of the answer; its body is under the deadline of
//! [`PropagateDeadlineLayer`](crate::PropagateDeadlineLayer).

mod client;
mod named;
mod preset;
mod status;
mod transport;

pub use self::{
    client::{Client, ClientFuture, ClientLayer},
    preset::Stacked,
    transport::{Transport, TransportFuture, TransportLayer},
};

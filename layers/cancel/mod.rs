//! Cancellation: when the caller leaves, the work ends.
//!
//! A server that drops a handler's future stops the handler, and nothing else: its tasks, its blocking loops and the tiers
//! below run on for nobody. [`CancelLayer`] gives each request a context of its own, and ends it with the reason when the
//! request ends:
//!
//! | what happens | the context ends as |
//! |---|---|
//! | the response future, or its body, is dropped before its end | [`Disconnected`](crate::Cancelled::Disconnected) |
//! | the same, after its deadline | [`DeadlineExceeded`](crate::Cancelled::DeadlineExceeded) |
//! | the last frame of the response is handed to the transport; the service fails | [`Finished`](crate::Cancelled::Finished) |
//!
//! What was [spawned](crate::Context::spawn) in it ends by its next yield; client calls end where they are awaited; loops end
//! where they [check](crate::Context::check); a request body that is sent on breaks off where it is an [`Upload`]. What must not
//! end so is [shielded](ShieldLayer).
//!
//! ```
//! use axum::{Router, routing::post};
//! use buttress::{CancelLayer, Context};
//!
//! async fn import() -> &'static str {
//!     Context::current().spawn("thumbnails", async { /* ends with the request */ });
//!     "started"
//! }
//!
//! let app: Router = Router::new().route("/import", post(import)).layer(CancelLayer::new());
//! ```
//!
//! # What a server can notice
//!
//! A caller that leaves is noticed where its connection is read. HTTP/2, and so gRPC, always reads: a reset stream or a closed
//! connection ends the request at once. HTTP/1 on hyper is *blind* while a request's body has arrived only in part, be it unread
//! or dropped, while a pipelined byte is buffered, and with `half_close(true)`; a handler that never awaits is blind on both.
//! Then the [deadline](crate::DeadlineLayer) is what ends the work. So use both layers.

mod layer;
mod shield;
mod upload;

pub use self::{
    layer::{Cancel, CancelFuture, CancelLayer, ContextWatch, TypedCancelFuture},
    shield::{ShieldFuture, ShieldLayer, ShieldService, TypedShieldFuture},
    upload::Upload,
};

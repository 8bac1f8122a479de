//! The end of a body, told exactly once.
//!
//! A call is not over when its response head is: a limit that frees its permit there admits a second stream while the first is
//! unread, and a count of successes counts streams that break in the middle. What must know the end rides in the body:
//!
//! ```
//! # #[tokio::main(flavor = "current_thread")] async fn main() {
//! use buttress::body::{End, Tracked, Watch};
//! use http::Response;
//! use http_body_util::{BodyExt, Full};
//!
//! struct Tell(&'static str);
//! impl Watch for Tell {
//!     fn end(self, end: End<'_>) {
//!         println!("{}: {end:?}", self.0);
//!     }
//! }
//!
//! let response = Response::new(Full::from("hello"));
//! let response = Tracked::follow(response, false, Tell("greeting"));
//! response.into_body().collect().await.unwrap(); // greeting: Complete
//! # }
//! ```
//!
//! # What is an end
//!
//! hyper does not poll a body to `None` when it knows better, so `None` is only one of the ends. A trailers frame is one; so is
//! a frame after which the body [is at its end](http_body::Body::is_end_stream), the last byte of the declared length, an
//! error, and a body that has nothing to send: an empty one, and that of an answer to `HEAD`, of 204 and of 304. All else that
//! is dropped is [`End::Dropped`]: the reader left. tower-http counts bodies of an exact length as dropped early; here that is
//! a test.
//!
//! A body that is at its end when its head is returned costs nothing: it is told there, and not followed.

mod cut;
mod framing;
pub mod replay;
mod reply;
#[cfg(test)]
mod tests;
mod tracked;

use std::error;

use http::HeaderMap;

pub(crate) use self::{cut::Cut, framing::Framing, tracked::length};
pub use self::{reply::Reply, tracked::Tracked};

/// The error of every body of ours, and of services that box theirs.
pub type BoxError = Box<dyn error::Error + Send + Sync>;

/// How a body ended.
#[derive(Clone, Copy, Debug)]
pub enum End<'a> {
    /// All of it was handed to the transport.
    Complete,
    /// All of it was, with trailers. gRPC's status is here.
    Trailers(&'a HeaderMap),
    /// A layer of ours ended it at its deadline, in good order for its protocol: the peer hears of it from its last frame.
    Cut {
        /// Which: as in its [`Rejection`](crate::Rejection::layer).
        layer: &'static str,
    },
    /// It broke.
    Error(&'a BoxError),
    /// Whoever read it left before its end.
    Dropped,
}

/// What rides in a body and is told its end.
#[diagnostic::on_unimplemented(message = "`{Self}` cannot ride in a body: it wants `impl Watch`, to be told the end")]
pub trait Watch {
    /// Runs a poll of the body. A watch that has a context puts it in scope here.
    fn enter<R>(&mut self, poll: impl FnOnce() -> R) -> R {
        poll()
    }

    /// Whether what matters can come after the declared length, in trailers: then that length is not yet the end.
    fn awaits_trailers(&self) -> bool {
        false
    }

    /// The body ended. Called exactly once, on drop at the latest.
    fn end(self, end: End<'_>);
}

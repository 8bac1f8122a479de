//! Why one of our layers said no, or gave up; and how each protocol hears it.
//!
//! tower's own layers change the error type of what they wrap, and so stop stacking: axum asks for a `HandleErrorLayer`, tonic
//! for a boxed service. Here the error type stays. A [`Rejection`] is data, and is rendered as a *response* that fits the
//! [`Protocol`] of the request; where there is no HTTP it is a typed error instead ([`Typed`]).
//!
//! ```
//! use buttress::rejection::{Protocol, Reason, Rejection};
//!
//! let rejection = Rejection::new(Reason::Overloaded, "my-limit");
//!
//! let http = rejection.clone().into_answer(&Protocol::Http);
//! assert_eq!(http.status(), 503);
//! assert!(http.headers().contains_key("retry-after"));
//!
//! let request = http::Request::post("/pkg.Service/Method").header("content-type", "application/grpc").body(())?;
//! let grpc = rejection.into_answer(&Protocol::of(&request));
//! assert_eq!(grpc.status(), 200);
//! assert_eq!(grpc.headers()["grpc-status"], "14");
//!
//! // The layers above tell "we rejected" from "they failed":
//! assert!(grpc.extensions().get::<Rejection>().is_some());
//! # Ok::<(), http::Error>(())
//! ```
//!
//! | reason | HTTP | gRPC, gRPC-Web | Connect |
//! |---|---|---|---|
//! | overloaded, shed, breaker open, draining | 503, `retry-after` | 14, pushback | `unavailable` |
//! | over a quota | 429, `retry-after` | 8, pushback | `resource_exhausted` |
//! | deadline exceeded | 504 | 4 | `deadline_exceeded` |
//! | the caller left | 499 (for logs: nobody hears it) | 1 | `canceled` |
//! | an invalid deadline, in strict mode | 400 | 13 | `invalid_argument` |
//! | the upstream cannot be reached | 502 | 14 | `unavailable` |
//!
//! Bodies are short text. [`RenderLayer`] has problem details (RFC 9457) and a renderer of one's own.

mod mode;
mod protocol;
mod reason;
mod render;
mod render_layer;
mod response;
#[cfg(test)]
mod tests;

use std::{borrow::Cow, error, fmt, time::Duration};

use http::{HeaderMap, HeaderName, HeaderValue};

pub use self::{
    mode::{Http, Typed},
    protocol::{ContentType, Protocol},
    reason::Reason,
    render_layer::{Render, RenderFuture, RenderLayer, RenderService},
    response::ResponseExt,
};
use crate::context::Cancelled;

/// Why a layer said no or gave up, as data.
///
/// A policy of one's own says what it knows, and the rest follows from the [reason](Reason):
///
/// ```
/// use buttress::rejection::{Reason, Rejection};
/// use std::time::Duration;
///
/// let rejection = Rejection::new(Reason::Overloaded, "import")
///     .retry_after(Duration::from_secs(30))
///     .with_message("an import is running");
/// assert!(rejection.may_retry() && !rejection.was_executed());
/// assert_eq!(rejection.to_string(), "an import is running (import)");
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rejection {
    reason: Reason,
    layer: &'static str,
    executed: bool,
    retry: Retry,
    message: Option<Cow<'static, str>>,
    headers: Option<Box<HeaderMap>>,
}

/// What the caller is told about trying again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Retry {
    Unsaid,
    After(Duration),
    Never,
}

/// What a caller who is turned away for want of capacity waits if the layer does not know better.
const DEFAULT_RETRY_AFTER: Duration = Duration::from_secs(1);

impl Rejection {
    /// A rejection by the layer of that name, before the request was executed.
    ///
    /// Where the [reason](Reason::is_temporary) is want of capacity, the caller is told to come back after a second.
    pub const fn new(reason: Reason, layer: &'static str) -> Self {
        let retry = if reason.is_temporary() {
            Retry::After(DEFAULT_RETRY_AFTER)
        } else {
            Retry::Unsaid
        };
        Self {
            reason,
            layer,
            executed: false,
            retry,
            message: None,
            headers: None,
        }
    }

    /// The same, of a request that was handed on and may have had its effect.
    #[must_use]
    pub fn executed(mut self) -> Self {
        self.executed = true;
        self
    }

    /// Tells the caller to come back after `wait`. On the wire it is rounded up, spread by jitter, and never 0.
    #[must_use]
    pub fn retry_after(mut self, wait: Duration) -> Self {
        self.retry = Retry::After(wait);
        self
    }

    /// Tells the callers not to retry, whatever their policy: `x-should-retry: false`, a gRPC pushback of -1.
    #[must_use]
    pub fn do_not_retry(mut self) -> Self {
        self.retry = Retry::Never;
        self
    }

    /// A message for people instead of the [reason's](Reason::message).
    #[must_use]
    pub fn with_message(mut self, message: impl Into<Cow<'static, str>>) -> Self {
        self.message = Some(message.into());
        self
    }

    /// Answers with this header too; to gRPC, it is metadata. One that the answer has by itself stays as it is.
    #[must_use]
    pub fn with_header(mut self, name: HeaderName, value: HeaderValue) -> Self {
        self.headers.get_or_insert_default().insert(name, value);
        self
    }

    /// Has headers written among its own. Where none are, nothing is allocated.
    pub(crate) fn write_headers(&mut self, write: impl FnOnce(&mut HeaderMap)) {
        if let Some(own) = &mut self.headers {
            return write(own);
        }
        let mut headers = HeaderMap::new();
        write(&mut headers);
        self.headers = (!headers.is_empty()).then(|| headers.into());
    }

    /// Why.
    pub fn reason(&self) -> Reason {
        self.reason
    }

    /// The layer that said so, as metrics name it.
    pub fn layer(&self) -> &'static str {
        self.layer
    }

    /// Whether the request may have had its effect. If not, it is safe to send it again, elsewhere.
    pub fn was_executed(&self) -> bool {
        self.executed
    }

    /// When the caller is told to come back, if it is.
    pub fn wait(&self) -> Option<Duration> {
        match self.retry {
            Retry::After(wait) => Some(wait),
            Retry::Unsaid | Retry::Never => None,
        }
    }

    /// Whether a caller may try again: no where it is [told not to](Rejection::do_not_retry), and where what ran out is its
    /// own time or patience.
    pub fn may_retry(&self) -> bool {
        self.retry != Retry::Never && !matches!(self.reason, Reason::DeadlineExceeded | Reason::Cancelled)
    }

    /// The message for people.
    pub fn message(&self) -> &str {
        self.message.as_deref().unwrap_or(self.reason.message())
    }
}

impl fmt::Display for Rejection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ({})", self.message(), self.layer)
    }
}

impl error::Error for Rejection {}

/// A context that ended is a rejection: of the caller's own making, except where the process is shutting down.
impl From<Cancelled> for Rejection {
    fn from(why: Cancelled) -> Self {
        let reason = match why {
            Cancelled::DeadlineExceeded => Reason::DeadlineExceeded,
            Cancelled::ShuttingDown => Reason::Draining,
            Cancelled::Disconnected | Cancelled::Superseded | Cancelled::Finished => Reason::Cancelled,
        };
        Rejection::new(reason, "context").executed()
    }
}

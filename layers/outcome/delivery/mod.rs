//! How far a request got that was not answered: what can be known of it, and from whom.

#[cfg(feature = "hyper")]
mod hyper;
#[cfg(feature = "reqwest")]
mod reqwest;
#[cfg(feature = "hyper")]
mod reuse;
#[cfg(test)]
mod tests;

use std::{any::Any, error, io, sync::Arc};

#[cfg(feature = "reqwest")]
pub(crate) use self::reqwest::Unconnected;
#[cfg(feature = "hyper")]
pub(crate) use self::reuse::Uses;
use crate::body::BoxError;

/// How far a request got that was not answered.
///
/// Whether to send a request again depends on whether the server may have acted on it. Of a transport's errors nearly all leave
/// that open; a few do not. They are told apart by their types, all along the chain of their sources. What an error *says* is for
/// people, and changes with the next release.
///
/// ```
/// use buttress::outcome::Delivery;
/// use std::io;
///
/// let refused = io::Error::from(io::ErrorKind::ConnectionRefused);
/// assert_eq!(Delivery::of(&refused), Delivery::NotSent);
///
/// let reset = io::Error::from(io::ErrorKind::ConnectionReset);
/// assert_eq!(Delivery::of(&reset), Delivery::Unknown);
/// ```
///
/// | what happened | known by | |
/// |---|---|---|
/// | no connection: refused, or no port for it | `std::io` | not sent |
/// | no connection: no such name, no route, no TLS | hyper-util's `is_connect`, tonic's `ConnectError` | not sent |
/// | the connection closed with the request still in its queue | hyper's `is_canceled`, `is_closed` | not sent |
/// | HTTP/2: `RST_STREAM` with `REFUSED_STREAM` ([RFC 9113, section 8.7]) | h2 | not sent |
/// | HTTP/2: `GOAWAY` of a lower stream (section 6.8) | h2 | not sent |
/// | HTTP/1: closed or reset on a connection that has answered before | `hyper::ReuseLayer` | reused |
/// | closed or reset on another | | unknown |
/// | no connection, in a reqwest client that follows no redirects | `reqwest::without_redirects` | not sent |
/// | anything else in reqwest, which may have followed some | `reqwest::Error` | unknown |
/// | a timeout, a body that failed, any other | | unknown |
///
/// All but the first need the feature `hyper`, or `tonic`, or `reqwest`. h2 fails a stream by the peer's `GOAWAY` only if the stream is above the last that the
/// peer names, or was to be opened after it; those at or below it go on, and fail by what happens to them then. So that error is
/// proof.
///
/// What lies behind an error in the *request's body* is the body's own affair: one that is read from another upstream, which refused
/// the connection, says nothing about this request.
///
/// # Limits
///
/// An error of one's own should have a [source](error::Error::source) only if that is what befell this very request. A request that
/// waits for a free stream of an HTTP/2 connection when the peer's `GOAWAY` comes was not sent, but hyper does not say so.
///
/// [RFC 9113, section 8.7]: https://www.rfc-editor.org/rfc/rfc9113#section-8.7
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Delivery {
    /// It never came to a server that could have acted on it. Any request can be sent again.
    NotSent,
    /// It was sent on a connection that had answered before, and which broke before it answered this time. Most likely the server had
    /// closed it, being idle, and never saw the request.
    Reused,
    /// Nobody knows.
    Unknown,
}

/// What the errors further out said of the connection.
#[derive(Clone, Copy, Debug, Default)]
struct Connection {
    /// It has answered before, and nothing has come since this request began.
    is_reused: bool,
}

impl Delivery {
    /// As this error says, or what is behind it.
    pub fn of(error: &(dyn error::Error + 'static)) -> Self {
        let mut connection = Connection::default();
        let mut cause = Some(error);
        while let Some(error) = cause {
            if let Some(delivery) = judge(error, &mut connection) {
                return delivery;
            }
            cause = behind(error);
        }
        Self::Unknown
    }

    /// The same of what may be an error, in a box or not. What is none of the known types is unknown.
    pub(crate) fn of_any<E: 'static>(error: &E) -> Self {
        let error: &dyn Any = error;
        match as_error(error) {
            Some(error) => Self::of(error),
            None => Self::Unknown,
        }
    }

    /// The delivery as a metric's attribute has it: `not_sent`, `reused`, `unknown`.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::NotSent => "not_sent",
            Self::Reused => "reused",
            Self::Unknown => "unknown",
        }
    }
}

/// A type of error can be known by name alone: that it is an error cannot be asked of a value.
pub(crate) fn as_error(error: &dyn Any) -> Option<&(dyn error::Error + 'static)> {
    if let Some(error) = error.downcast_ref::<BoxError>() {
        return Some(error.as_ref());
    }
    if let Some(error) = error.downcast_ref::<Box<dyn error::Error + Send>>() {
        return Some(error.as_ref());
    }
    if let Some(error) = error.downcast_ref::<Box<dyn error::Error>>() {
        return Some(error.as_ref());
    }
    if let Some(error) = error.downcast_ref::<Arc<dyn error::Error + Send + Sync>>() {
        return Some(error.as_ref());
    }
    if let Some(error) = error.downcast_ref::<io::Error>() {
        return Some(error);
    }
    #[cfg(feature = "hyper")]
    if let Some(error) = hyper::as_error(error) {
        return Some(error);
    }
    #[cfg(feature = "reqwest")]
    if let Some(error) = error.downcast_ref::<::reqwest::Error>() {
        return Some(error);
    }
    #[cfg(feature = "tonic")]
    if let Some(error) = error.downcast_ref::<tonic::transport::Error>() {
        return Some(error);
    }
    None
}

/// What this error by itself says. `None`: the next may say more.
fn judge(error: &(dyn error::Error + 'static), connection: &mut Connection) -> Option<Delivery> {
    #[cfg(feature = "hyper")]
    if let Some(verdict) = hyper::judge(error, connection) {
        return Some(verdict);
    }
    #[cfg(feature = "reqwest")]
    if let Some(verdict) = reqwest::judge(error) {
        return Some(verdict);
    }
    #[cfg(feature = "tonic")]
    if error.is::<tonic::ConnectError>() {
        return Some(Delivery::NotSent);
    }
    of_io(error.downcast_ref::<io::Error>()?.kind(), *connection)
}

fn of_io(kind: io::ErrorKind, connection: Connection) -> Option<Delivery> {
    use io::ErrorKind::{AddrNotAvailable, BrokenPipe, ConnectionAborted, ConnectionRefused, ConnectionReset};
    match kind {
        // Only connecting fails like that. The second: no local port is free.
        ConnectionRefused | AddrNotAvailable => Some(Delivery::NotSent),
        ConnectionReset | ConnectionAborted | BrokenPipe if connection.is_reused => Some(Delivery::Reused),
        _ => None,
    }
}

/// The cause of this error. An `io::Error` is but a box around another, and gives the other's cause for its own.
fn behind<'a>(error: &'a (dyn error::Error + 'static)) -> Option<&'a (dyn error::Error + 'static)> {
    let boxed = error.downcast_ref::<io::Error>().and_then(io::Error::get_ref);
    match boxed {
        Some(boxed) => Some(boxed),
        None => error.source(),
    }
}

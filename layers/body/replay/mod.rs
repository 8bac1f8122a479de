//! A request body that can be sent again.
//!
//! A request that failed can be tried again only if its body is still there, and a body is a stream: once sent, it is gone. To ask
//! that requests be `Clone` rules out nearly all of them; to read the body into memory before the first attempt delays every
//! request for the sake of the few that fail, and has no bound. So the body is *recorded as the first attempt streams it*, and the
//! next attempt reads the record, and then the rest, if the first did not come to the end.
//!
//! [`Replay`] is the body that a service within a retry or a hedge is called with. It is any other body to it:
//!
//! ```
//! use buttress::{BoxError, body::replay::Replay};
//! use bytes::Bytes;
//! use http::{Request, Response};
//! use http_body_util::{BodyExt, Full};
//!
//! /// A transport, as retry sees it.
//! async fn send(request: Request<Replay<Full<Bytes>>>) -> Result<Response<Bytes>, BoxError> {
//!     Ok(Response::new(request.into_body().collect().await?.to_bytes()))
//! }
//! ```
//!
//! What all records of the process take together is bounded too:
//!
//! ```
//! use buttress::body::replay;
//!
//! replay::set_process_limit(16 << 20);
//! assert!(replay::process_usage() <= 16 << 20);
//! ```
//!
//! # What is guaranteed
//!
//! - **The same body.** A replay gives the same data and the same trailers, in the same frames (but for empty ones, which are not
//!   kept), and knows its size. What of it no attempt has read yet is read from the original, once.
//! - **No copy.** Frames are kept by reference count. The first attempt gets each as soon as the original gives it.
//! - **Bounds.** A record is dropped as soon as its data outgrows its cap, it has more frames than that cap pays for at 64 bytes
//!   each, or the process has no room; the live attempt goes on, and is not replayed: [`TooLarge`](NotReplayable::TooLarge). A body
//!   that says beforehand that it is too large is not recorded at all.
//! - **One reader** of the original at a time. While an attempt still holds the body and has not come to its end, there is no
//!   other: [`Uploading`](NotReplayable::Uploading). A record that is complete has as many readers as one likes.
//! - **Cost.** A body that is empty or not recorded costs nothing. Otherwise the body is boxed, and there is a lock where an
//!   attempt begins and ends, none for a frame. Once nobody can ask for another attempt, the record goes, at the next frame at the
//!   latest.
//!
//! # Limits
//!
//! A frame counts by its length. One that is a small slice of a large buffer keeps all of that buffer.

mod attempt;
mod record;
mod room;
mod shared;
mod tape;
#[cfg(test)]
mod tests;

use std::{
    fmt,
    pin::Pin,
    task::{Context, Poll},
};

use bytes::Bytes;
use http::{Request, Response};
use http_body::{Body, Frame, SizeHint};
use pin_project::pin_project;
use tower_service::Service;

pub use self::room::{process_usage, set_process_limit};
use self::{attempt::Attempt, room::Room, shared::Shared};
use super::BoxError;

/// A request's body in one attempt to send it. See the [module](self).
///
/// Where the compiler says that a client does not take requests of it, the client has a body type of its own, as reqwest's and tonic's
/// do. Then the innermost layer is that transport's adapter, a `TransportLayer` (features `reqwest`, `tonic`).
#[pin_project]
pub struct Replay<B>(#[pin] Source<B>);

/// An HTTP service that takes requests with a [`Replay`] of such a body: what a retry and a hedge call.
///
/// It is a name for what is asked of the service below them, so that the compiler can say it, and every service has it that is one.
#[diagnostic::on_unimplemented(
    message = "`{Self}` does not take requests with a body that can be sent again",
    label = "takes no `http::Request<Replay<{B}>>`",
    note = "a whole stack goes around reqwest by `.reqwest(client)` and around tonic by `.tonic(channel)`; by hand, their `TransportLayer` \
            goes innermost: `buttress::reqwest::TransportLayer`, `buttress::tonic::TransportLayer`",
    note = "hyper's client takes any body, if the type of its body is left open"
)]
pub trait TakesReplay<B>: Service<Request<Replay<B>>, Response = Response<Self::ResBody>, Error: 'static> {
    /// The body of its answers.
    type ResBody: Body<Data = Bytes, Error: Into<BoxError>>;
}

#[diagnostic::do_not_recommend]
impl<S, B, ResBody> TakesReplay<B> for S
where
    S: Service<Request<Replay<B>>, Response = Response<ResBody>, Error: 'static>,
    ResBody: Body<Data = Bytes, Error: Into<BoxError>>,
{
    type ResBody = ResBody;
}

#[pin_project(project = SourceProj)]
enum Source<B> {
    Empty,
    /// The original, of which there is no record.
    Original(#[pin] B),
    /// Boxed, or every request would carry its room through all the layers below.
    Recorded(Box<Attempt<B>>),
}

/// Makes the attempts at one request, each with its body.
pub(crate) enum Recording<B> {
    /// There is nothing to send.
    Empty,
    /// It said itself that it is too large.
    Unrecorded,
    Recorded(Shared<B>),
}

/// Why a request's body cannot be sent again.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum NotReplayable {
    /// It is larger than what is recorded, or there was no room.
    TooLarge,
    /// An attempt is still sending it.
    Uploading,
    /// It failed, or broke off, as it was read: the attempt that read it has the error.
    Broken,
}

impl NotReplayable {
    /// The reason as a metric's attribute has it: `too_large`, `uploading`, `broken`.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::TooLarge => "too_large",
            Self::Uploading => "uploading",
            Self::Broken => "broken",
        }
    }
}

// === impl Recording ===

impl<B> Recording<B>
where
    B: Body<Data = Bytes>,
    B::Error: Into<BoxError>,
{
    /// The body for the first attempt, and what makes the others. So many bytes of it are recorded at most; with 0, nothing is.
    pub(crate) fn begin(body: B, most: usize) -> (Replay<B>, Self) {
        Self::begin_in(Room::process(), body, most)
    }

    fn begin_in(room: &'static Room, body: B, most: usize) -> (Replay<B>, Self) {
        if body.is_end_stream() {
            return (Replay(Source::Empty), Self::Empty);
        }
        if most == 0 || body.size_hint().lower() > most as u64 {
            return (Replay(Source::Original(body)), Self::Unrecorded);
        }
        let (attempt, shared) = Shared::begin(body, most, room);
        (Replay(Source::Recorded(Box::new(attempt))), Self::Recorded(shared))
    }

    /// A body that is sent once.
    pub(crate) fn none(body: B) -> (Replay<B>, Self) {
        (Replay(Source::Original(body)), Self::Unrecorded)
    }

    /// Why there can be no body for another attempt now, if there cannot.
    pub(crate) fn obstacle(&self) -> Option<NotReplayable> {
        match self {
            Self::Empty => None,
            Self::Unrecorded => Some(NotReplayable::TooLarge),
            Self::Recorded(shared) => shared.obstacle(),
        }
    }

    /// The body for another attempt.
    pub(crate) fn again(&self) -> Result<Replay<B>, NotReplayable> {
        match self {
            Self::Empty => Ok(Replay(Source::Empty)),
            Self::Unrecorded => Err(NotReplayable::TooLarge),
            Self::Recorded(shared) => Ok(Replay(Source::Recorded(Box::new(shared.again()?)))),
        }
    }
}

impl<B> Recording<B>
where
    B: Body<Data = Bytes>,
    B::Error: Into<BoxError>,
{
    /// Waits while an attempt is [sending](NotReplayable::Uploading) it.
    ///
    /// A transport that fails in the middle of an upload lets go of the body a moment after it has told the error: its task for
    /// the body may be another. So behind an error this is a matter of milliseconds. An attempt that was answered may take
    /// as long as it likes.
    pub(crate) fn poll_back(&self, cx: &mut Context<'_>) -> Poll<()> {
        match self {
            Self::Empty | Self::Unrecorded => Poll::Ready(()),
            Self::Recorded(shared) => shared.poll_back(cx),
        }
    }

    /// Whether all of it is recorded, so that another attempt can be made while one is alive.
    #[cfg(test)]
    pub(crate) fn is_complete(&self) -> bool {
        match self {
            Self::Empty => true,
            Self::Unrecorded => false,
            Self::Recorded(shared) => shared.is_complete(),
        }
    }
}

impl<B> fmt::Debug for Recording<B> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Empty => f.write_str("Empty"),
            Self::Unrecorded => f.write_str("Unrecorded"),
            Self::Recorded(shared) => shared.fmt(f),
        }
    }
}

// === impl Replay ===

impl<B> Body for Replay<B>
where
    B: Body<Data = Bytes>,
    B::Error: Into<BoxError>,
{
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        match self.project().0.project() {
            SourceProj::Empty => Poll::Ready(None),
            SourceProj::Original(body) => body.poll_frame(cx).map_err(Into::into),
            SourceProj::Recorded(attempt) => attempt.poll_frame(cx),
        }
    }

    fn is_end_stream(&self) -> bool {
        match &self.0 {
            Source::Empty => true,
            Source::Original(body) => body.is_end_stream(),
            Source::Recorded(attempt) => attempt.is_end_stream(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match &self.0 {
            Source::Empty => SizeHint::with_exact(0),
            Source::Original(body) => body.size_hint(),
            Source::Recorded(attempt) => attempt.size_hint(),
        }
    }
}

impl<B> fmt::Debug for Replay<B> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let source: &dyn fmt::Debug = match &self.0 {
            Source::Empty => &"empty",
            Source::Original(_) => &"original",
            Source::Recorded(attempt) => attempt,
        };
        f.debug_tuple("Replay").field(source).finish()
    }
}

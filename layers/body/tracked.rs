use std::{
    fmt,
    num::NonZeroU64,
    pin::Pin,
    task::{Context, Poll, ready},
};

use bytes::Bytes;
use http::{Response, StatusCode, header::CONTENT_LENGTH};
use http_body::{Body, Frame, SizeHint};
use pin_project::pin_project;

use super::{BoxError, Cut, End, Watch};

/// A body that tells its [`Watch`] how it ended. See the [module](super).
#[pin_project]
pub struct Tracked<B, W: Watch> {
    // Before the body: the watch learns of a drop before the work it watches is taken down.
    watch: Told<W>,
    /// What of the declared length is still to come.
    left: Option<NonZeroU64>,
    #[pin]
    inner: B,
}

impl<B, W> Tracked<B, W>
where
    B: Body<Data = Bytes>,
    B::Error: Into<BoxError>,
    W: Watch,
{
    /// Follows the body of this response, to a request that was `HEAD` or not.
    ///
    /// Where nothing of it will be sent, `watch` is told right here.
    #[inline]
    pub fn follow(response: Response<B>, head: bool, watch: W) -> Response<Self> {
        let length = length(&response, head, watch.awaits_trailers());
        Self::follow_for(length, response, watch, |tracked| tracked)
    }

    /// A body that has ended, and is not followed.
    #[inline]
    pub(crate) fn ended<O>(response: Response<B>, wrap: impl FnOnce(Self) -> O) -> Response<O> {
        response.map(|inner| {
            wrap(Self {
                watch: Told(None),
                left: None,
                inner,
            })
        })
    }

    /// Follows a body of which so much is still to come, as [`length`] says. What it is wrapped in comes in the same step, for a
    /// response is costly to move.
    #[inline]
    pub(crate) fn follow_for<O>(
        length: Option<u64>,
        response: Response<B>,
        watch: W,
        wrap: impl FnOnce(Self) -> O,
    ) -> Response<O> {
        let watch = if length == Some(0) {
            watch.end(End::Complete);
            None
        } else {
            Some(watch)
        };
        let left = length.and_then(NonZeroU64::new);
        response.map(|inner| {
            wrap(Self {
                watch: Told(watch),
                left,
                inner,
            })
        })
    }
}

/// How much of this response's body is still to come, to a request that was `HEAD` or not. `None`: unknown.
#[inline]
pub(crate) fn length<B: Body>(response: &Response<B>, head: bool, awaits_trailers: bool) -> Option<u64> {
    let body = response.body();
    if head || body.is_end_stream() || has_no_body(response.status()) {
        Some(0)
    } else if awaits_trailers {
        None
    } else {
        body.size_hint().exact().or_else(|| declared_length(response))
    }
}

fn has_no_body(status: StatusCode) -> bool {
    matches!(status, StatusCode::NO_CONTENT | StatusCode::NOT_MODIFIED)
}

fn declared_length<B>(response: &Response<B>) -> Option<u64> {
    response.headers().get(CONTENT_LENGTH)?.to_str().ok()?.parse().ok()
}

/// A watch, until it is told. Dropping it tells.
struct Told<W: Watch>(Option<W>);

impl<W: Watch> Told<W> {
    fn end(&mut self, end: End<'_>) {
        if let Some(watch) = self.0.take() {
            watch.end(end);
        }
    }

    fn enter<R>(&mut self, poll: impl FnOnce() -> R) -> R {
        match &mut self.0 {
            Some(watch) => watch.enter(poll),
            None => poll(),
        }
    }
}

impl<W: Watch> Drop for Told<W> {
    fn drop(&mut self) {
        self.end(End::Dropped);
    }
}

impl<B, W> Body for Tracked<B, W>
where
    B: Body<Data = Bytes>,
    B::Error: Into<BoxError>,
    W: Watch,
{
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        let mut this = self.project();
        let frame = ready!(this.watch.enter(|| this.inner.as_mut().poll_frame(cx)));
        let frame = frame.map(|frame| frame.map_err(Into::into));
        match &frame {
            None => this.watch.end(End::Complete),
            Some(Err(error)) => this.watch.end(End::Error(error)),
            Some(Ok(frame)) => {
                let mut complete = false;
                if let (Some(left), Some(data)) = (*this.left, frame.data_ref()) {
                    *this.left = NonZeroU64::new(left.get().saturating_sub(data.len() as u64));
                    complete = this.left.is_none();
                }
                if let Some(layer) = Cut::by(frame) {
                    this.watch.end(End::Cut { layer });
                } else if let Some(trailers) = frame.trailers_ref() {
                    this.watch.end(End::Trailers(trailers));
                } else if complete || this.inner.is_end_stream() {
                    this.watch.end(End::Complete);
                }
            }
        }
        Poll::Ready(frame)
    }

    fn is_end_stream(&self) -> bool {
        self.inner.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.inner.size_hint()
    }
}

/// One that nobody watches, as middleware makes one that answers by itself.
impl<B: Default, W: Watch> Default for Tracked<B, W> {
    fn default() -> Self {
        Self {
            watch: Told(None),
            left: None,
            inner: B::default(),
        }
    }
}

impl<B, W: Watch> fmt::Debug for Tracked<B, W> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Tracked")
            .field("ended", &self.watch.0.is_none())
            .field("left", &self.left)
            .finish_non_exhaustive()
    }
}

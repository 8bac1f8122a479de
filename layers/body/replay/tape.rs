use std::{
    pin::Pin,
    task::{Context, Poll, ready},
};

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};

use super::{
    BoxError,
    record::{Place, Record},
    room::Room,
};

/// A body of which a part may have been read: that part, and the rest.
pub(super) struct Tape<B> {
    record: Record,
    rest: Pin<Box<B>>,
}

/// How recording ends.
#[derive(Clone, Copy, Debug)]
pub(super) enum End {
    /// With the body: it is complete.
    Complete,
    /// The body failed.
    Failed,
    /// What came cannot be kept; there may be more.
    Outgrown,
}

/// What a poll of a body gives.
type Polled = Option<Result<Frame<Bytes>, BoxError>>;

impl<B: Body<Data = Bytes>> Tape<B> {
    pub(super) fn new(body: B, most: usize, room: &'static Room) -> Self {
        Self {
            record: Record::new(most, room, body.size_hint().exact().is_some()),
            rest: Box::pin(body),
        }
    }
}

impl<B> Tape<B> {
    pub(super) fn record(&self) -> &Record {
        &self.record
    }

    pub(super) fn into_parts(self) -> (Record, Pin<Box<B>>) {
        (self.record, self.rest)
    }
}

impl<B> Tape<B>
where
    B: Body<Data = Bytes>,
    B::Error: Into<BoxError>,
{
    /// The next frame of the original, which is recorded. With it comes whether that was the end of recording.
    pub(super) fn poll_rest(&mut self, cx: &mut Context<'_>) -> Poll<(Polled, Option<End>)> {
        let frame = ready!(self.rest.as_mut().poll_frame(cx));
        let frame = frame.map(|frame| frame.map_err(Into::into));
        let end = match &frame {
            None => Some(End::Complete),
            Some(Err(_)) => Some(End::Failed),
            Some(Ok(frame)) => self.keep(frame),
        };
        Poll::Ready((frame, end))
    }

    fn keep(&mut self, frame: &Frame<Bytes>) -> Option<End> {
        let (kept, last) = if let Some(data) = frame.data_ref() {
            (self.record.data(data), self.rest.is_end_stream())
        } else if let Some(trailers) = frame.trailers_ref() {
            (self.record.trailers(trailers), true)
        } else {
            // Of a kind that there is not yet.
            (false, false)
        };
        if !kept {
            return Some(End::Outgrown);
        }
        last.then_some(End::Complete)
    }

    pub(super) fn is_read(&self, place: &Place) -> bool {
        self.record.is_read(place) && self.rest.is_end_stream()
    }

    /// The size of what is left from this place on.
    pub(super) fn size_hint(&self, place: &Place) -> SizeHint {
        let left = self.record.left(place);
        let rest = self.rest.size_hint();
        let mut hint = SizeHint::new();
        if let Some(upper) = rest.upper() {
            hint.set_upper(upper.saturating_add(left));
        }
        hint.set_lower(rest.lower().saturating_add(left));
        hint
    }
}

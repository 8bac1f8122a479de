use std::{
    fmt, mem,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
    thread,
};

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};

use super::{
    BoxError, NotReplayable,
    record::{Place, Record},
    shared::{Shared, Slot},
    tape::{End, Tape},
};

/// One reader of a body that is recorded.
pub(super) struct Attempt<B> {
    stage: Stage<B>,
    place: Place,
}

pub(super) enum Stage<B> {
    /// Reads the record, and then the rest, which goes into the record.
    Recording(Tape<B>, Shared<B>),
    /// Reads the rest. There is no record any more.
    Unrecorded(Pin<Box<B>>),
    /// Reads the record, as others may.
    Replaying(Arc<Record>),
    Ended,
}

impl<B> Attempt<B> {
    pub(super) fn new(stage: Stage<B>) -> Self {
        Self {
            stage,
            place: Place::default(),
        }
    }

    /// There is no more to record.
    fn settle(&mut self, end: End) {
        let Stage::Recording(tape, shared) = mem::replace(&mut self.stage, Stage::Ended) else {
            return;
        };
        let (record, rest) = tape.into_parts();
        match end {
            End::Complete => shared.put(Slot::Complete(Arc::new(record))),
            End::Failed => shared.put(Slot::Lost(NotReplayable::Broken)),
            End::Outgrown => {
                shared.put(Slot::Lost(NotReplayable::TooLarge));
                self.stage = Stage::Unrecorded(rest);
            }
        }
    }
}

impl<B> Attempt<B>
where
    B: Body<Data = Bytes>,
    B::Error: Into<BoxError>,
{
    pub(super) fn poll_frame(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        match &mut self.stage {
            Stage::Recording(tape, shared) => {
                if let Some(frame) = tape.record().next(&mut self.place) {
                    return Poll::Ready(Some(Ok(frame)));
                }
                let (frame, mut end) = ready!(tape.poll_rest(cx));
                self.place = tape.record().end();
                if shared.is_forgotten() {
                    end = end.or(Some(End::Outgrown));
                }
                if let Some(end) = end {
                    self.settle(end);
                }
                Poll::Ready(frame)
            }
            Stage::Unrecorded(rest) => {
                let frame = ready!(rest.as_mut().poll_frame(cx));
                if frame.as_ref().is_none_or(Result::is_err) {
                    self.stage = Stage::Ended;
                }
                Poll::Ready(frame.map(|frame| frame.map_err(Into::into)))
            }
            Stage::Replaying(record) => Poll::Ready(record.next(&mut self.place).map(Ok)),
            Stage::Ended => Poll::Ready(None),
        }
    }

    pub(super) fn is_end_stream(&self) -> bool {
        match &self.stage {
            Stage::Recording(tape, _) => tape.is_read(&self.place),
            Stage::Unrecorded(rest) => rest.is_end_stream(),
            Stage::Replaying(record) => record.is_read(&self.place),
            Stage::Ended => true,
        }
    }

    pub(super) fn size_hint(&self) -> SizeHint {
        match &self.stage {
            Stage::Recording(tape, _) => tape.size_hint(&self.place),
            Stage::Unrecorded(rest) => rest.size_hint(),
            Stage::Replaying(record) => record.size_hint(&self.place),
            Stage::Ended => SizeHint::with_exact(0),
        }
    }
}

/// An attempt that leaves before the end puts the body back, for the next.
impl<B> Drop for Attempt<B> {
    fn drop(&mut self) {
        if let Stage::Recording(tape, shared) = mem::replace(&mut self.stage, Stage::Ended) {
            // A body that panicked is not polled again.
            shared.put(if thread::panicking() {
                Slot::Lost(NotReplayable::Broken)
            } else {
                Slot::Here(tape)
            });
        }
    }
}

impl<B> fmt::Debug for Attempt<B> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (stage, record) = match &self.stage {
            Stage::Recording(tape, _) => ("recording", Some(tape.record())),
            Stage::Unrecorded(_) => ("unrecorded", None),
            Stage::Replaying(record) => ("replaying", Some(&**record)),
            Stage::Ended => ("ended", None),
        };
        f.debug_struct("Attempt")
            .field("stage", &stage)
            .field("place", &self.place)
            .field("record", &record)
            .finish()
    }
}

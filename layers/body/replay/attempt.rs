use std::{
    fmt, mem,
    pin::Pin,
    sync::{Arc, Mutex, PoisonError},
    task::{Context, Poll, ready},
    thread,
};

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};

use super::{
    BoxError, NotReplayable,
    record::{Place, Record},
    room::Room,
};

/// What the attempts at one request share.
pub(crate) struct Shared<B>(Arc<Mutex<Slot<B>>>);

/// Where the body is. Locked as an attempt begins and as it ends, never for a frame.
enum Slot<B> {
    /// With an attempt.
    Out,
    /// Here: who read it last left before its end.
    Here(Tape<B>),
    /// All of it is recorded.
    Complete(Arc<Record>),
    Lost(NotReplayable),
}

/// A body of which a part may have been read.
struct Tape<B> {
    record: Record,
    rest: Pin<Box<B>>,
}

/// One reader of the body.
pub(super) struct Attempt<B> {
    stage: Stage<B>,
    place: Place,
}

enum Stage<B> {
    /// Reads the record, and then the rest, which goes into the record.
    Recording(Tape<B>, Shared<B>),
    /// Reads the rest. There is no record any more.
    Unrecorded(Pin<Box<B>>),
    /// Reads the record, as others may.
    Replaying(Arc<Record>),
    Ended,
}

/// What the next frame of the original means for the record.
#[derive(Clone, Copy)]
enum Next {
    Goes,
    /// The body is at its end.
    Ends,
    /// Nobody can ask for it again.
    Forgotten,
    Lost(NotReplayable),
}

// === impl Shared ===

impl<B: Body<Data = Bytes>> Shared<B> {
    pub(super) fn begin(body: B, most: usize, room: &'static Room) -> (Attempt<B>, Self) {
        let shared = Self(Arc::new(Mutex::new(Slot::Out)));
        let tape = Tape {
            record: Record::new(most, room, body.size_hint().exact().is_some()),
            rest: Box::pin(body),
        };
        let attempt = Attempt::new(Stage::Recording(tape, Self(shared.0.clone())));
        (attempt, shared)
    }

    pub(super) fn again(&self) -> Result<Attempt<B>, NotReplayable> {
        let stage = self.with(|slot| match mem::replace(slot, Slot::Out) {
            Slot::Here(tape) => Ok(Stage::Recording(tape, Self(self.0.clone()))),
            Slot::Complete(record) => {
                *slot = Slot::Complete(record.clone());
                Ok(Stage::Replaying(record))
            }
            Slot::Out => Err(NotReplayable::Uploading),
            Slot::Lost(why) => {
                *slot = Slot::Lost(why);
                Err(why)
            }
        })?;
        Ok(Attempt::new(stage))
    }

    pub(super) fn obstacle(&self) -> Option<NotReplayable> {
        self.with(|slot| match slot {
            Slot::Out => Some(NotReplayable::Uploading),
            Slot::Lost(why) => Some(*why),
            Slot::Complete(_) | Slot::Here(_) => None,
        })
    }

    pub(super) fn is_complete(&self) -> bool {
        self.with(|slot| matches!(slot, Slot::Complete(_)))
    }
}

impl<B> Shared<B> {
    fn with<R>(&self, visit: impl FnOnce(&mut Slot<B>) -> R) -> R {
        visit(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Puts what was out back into the slot.
    fn put(&self, back: Slot<B>) {
        self.with(|slot| *slot = back);
    }

    /// Whether an attempt is all that is left of it.
    fn is_forgotten(&self) -> bool {
        Arc::strong_count(&self.0) == 1
    }
}

// === impl Tape ===

impl<B> Tape<B>
where
    B: Body<Data = Bytes>,
    B::Error: Into<BoxError>,
{
    /// Records what the original gave.
    fn record(&mut self, frame: Option<&Result<Frame<Bytes>, BoxError>>) -> Next {
        let frame = match frame {
            None => return Next::Ends,
            Some(Err(_)) => return Next::Lost(NotReplayable::Broken),
            Some(Ok(frame)) => frame,
        };
        let (kept, last) = if let Some(data) = frame.data_ref() {
            (self.record.data(data), self.rest.is_end_stream())
        } else if let Some(trailers) = frame.trailers_ref() {
            (self.record.trailers(trailers), true)
        } else {
            return Next::Lost(NotReplayable::Broken);
        };
        match (kept, last) {
            (false, _) => Next::Lost(NotReplayable::TooLarge),
            (true, true) => Next::Ends,
            (true, false) => Next::Goes,
        }
    }

    fn size_hint(&self, place: &Place) -> SizeHint {
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

// === impl Attempt ===

impl<B> Attempt<B> {
    fn new(stage: Stage<B>) -> Self {
        Self {
            stage,
            place: Place::default(),
        }
    }

    /// The record of what was read is settled: it is complete, or of no use any more.
    fn settle(&mut self, next: Next) {
        let Stage::Recording(tape, shared) = mem::replace(&mut self.stage, Stage::Ended) else {
            return;
        };
        let Tape { record, rest } = tape;
        match next {
            Next::Goes => self.stage = Stage::Recording(Tape { record, rest }, shared),
            Next::Ends => shared.put(Slot::Complete(Arc::new(record))),
            Next::Forgotten => self.stage = Stage::Unrecorded(rest),
            Next::Lost(why) => {
                shared.put(Slot::Lost(why));
                if why != NotReplayable::Broken {
                    self.stage = Stage::Unrecorded(rest);
                }
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
        let (frame, next) = match &mut self.stage {
            Stage::Recording(tape, shared) => {
                if let Some(frame) = tape.record.next(&mut self.place) {
                    return Poll::Ready(Some(Ok(frame)));
                }
                let frame = ready!(tape.rest.as_mut().poll_frame(cx));
                let frame = frame.map(|frame| frame.map_err(Into::into));
                let next = if shared.is_forgotten() {
                    Next::Forgotten
                } else {
                    tape.record(frame.as_ref())
                };
                self.place = tape.record.end();
                (frame, next)
            }
            Stage::Unrecorded(rest) => {
                let frame = ready!(rest.as_mut().poll_frame(cx));
                if frame.as_ref().is_none_or(Result::is_err) {
                    self.stage = Stage::Ended;
                }
                return Poll::Ready(frame.map(|frame| frame.map_err(Into::into)));
            }
            Stage::Replaying(record) => return Poll::Ready(record.next(&mut self.place).map(Ok)),
            Stage::Ended => return Poll::Ready(None),
        };
        if !matches!(next, Next::Goes) {
            self.settle(next);
        }
        Poll::Ready(frame)
    }

    pub(super) fn is_end_stream(&self) -> bool {
        match &self.stage {
            Stage::Recording(tape, _) => tape.record.is_read(&self.place) && tape.rest.is_end_stream(),
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

impl<B> fmt::Debug for Shared<B> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.with(|slot| match slot {
            Slot::Out => f.write_str("Out"),
            Slot::Here(tape) => f.debug_tuple("Here").field(&tape.record).finish(),
            Slot::Complete(record) => f.debug_tuple("Complete").field(record).finish(),
            Slot::Lost(why) => f.debug_tuple("Lost").field(why).finish(),
        })
    }
}

impl<B> fmt::Debug for Attempt<B> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (stage, record) = match &self.stage {
            Stage::Recording(tape, _) => ("recording", Some(&tape.record)),
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

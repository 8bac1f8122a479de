use std::{
    fmt, mem,
    sync::{Arc, Mutex, PoisonError},
    task::{Context, Poll, Waker},
};

use bytes::Bytes;
use http_body::Body;

use super::{
    NotReplayable,
    attempt::{Attempt, Stage},
    record::Record,
    room::Room,
    tape::Tape,
};

/// What the attempts at one request share.
pub(crate) struct Shared<B>(Arc<Mutex<Slot<B>>>);

/// Where the body is. Locked as an attempt begins and as it ends, never for a frame.
pub(super) enum Slot<B> {
    /// With an attempt. Whoever waits for it is woken when it is back.
    Out(Option<Waker>),
    /// Here: who read it last left before its end.
    Here(Tape<B>),
    /// All of it is recorded.
    Complete(Arc<Record>),
    Lost(NotReplayable),
}

impl<B: Body<Data = Bytes>> Shared<B> {
    pub(super) fn begin(body: B, most: usize, room: &'static Room) -> (Attempt<B>, Self) {
        let shared = Self(Arc::new(Mutex::new(Slot::Out(None))));
        let tape = Tape::new(body, most, room);
        let attempt = Attempt::new(Stage::Recording(tape, Self(shared.0.clone())));
        (attempt, shared)
    }

    pub(super) fn again(&self) -> Result<Attempt<B>, NotReplayable> {
        let stage = self.with(|slot| match mem::replace(slot, Slot::Out(None)) {
            Slot::Here(tape) => Ok(Stage::Recording(tape, Self(self.0.clone()))),
            Slot::Complete(record) => {
                *slot = Slot::Complete(record.clone());
                Ok(Stage::Replaying(record))
            }
            Slot::Out(waiting) => {
                *slot = Slot::Out(waiting);
                Err(NotReplayable::Uploading)
            }
            Slot::Lost(why) => {
                *slot = Slot::Lost(why);
                Err(why)
            }
        })?;
        Ok(Attempt::new(stage))
    }

    pub(super) fn obstacle(&self) -> Option<NotReplayable> {
        self.with(|slot| match slot {
            Slot::Out(_) => Some(NotReplayable::Uploading),
            Slot::Lost(why) => Some(*why),
            Slot::Complete(_) | Slot::Here(_) => None,
        })
    }

    /// Whether no attempt is sending it any more.
    pub(super) fn poll_back(&self, cx: &mut Context<'_>) -> Poll<()> {
        self.with(|slot| match slot {
            Slot::Out(waiting) => {
                *waiting = Some(cx.waker().clone());
                Poll::Pending
            }
            Slot::Here(_) | Slot::Complete(_) | Slot::Lost(_) => Poll::Ready(()),
        })
    }

    #[cfg(test)]
    pub(super) fn is_complete(&self) -> bool {
        self.with(|slot| matches!(slot, Slot::Complete(_)))
    }
}

impl<B> Shared<B> {
    fn with<R>(&self, visit: impl FnOnce(&mut Slot<B>) -> R) -> R {
        visit(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// The attempt that has the body is done with it.
    pub(super) fn put(&self, back: Slot<B>) {
        let before = self.with(|slot| mem::replace(slot, back));
        if let Slot::Out(Some(waiting)) = before {
            waiting.wake();
        }
    }

    /// Whether the attempt that has the body is all that is left.
    pub(super) fn is_forgotten(&self) -> bool {
        Arc::strong_count(&self.0) == 1
    }
}

impl<B> fmt::Debug for Shared<B> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.with(|slot| match slot {
            Slot::Out(_) => f.write_str("Out"),
            Slot::Here(tape) => f.debug_tuple("Here").field(tape.record()).finish(),
            Slot::Complete(record) => f.debug_tuple("Complete").field(record).finish(),
            Slot::Lost(why) => f.debug_tuple("Lost").field(why).finish(),
        })
    }
}

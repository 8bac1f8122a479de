//! The bodies of requests and answers, which know whether they are held.

use std::{
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
};

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};

use super::board::{Board, Ends, Gate, Held, Live};
use crate::body::BoxError;

/// The body of the requests that an HTTP layer is probed with.
#[derive(Debug)]
pub struct Payload {
    _live: Live,
    left: Option<Bytes>,
}

impl Payload {
    pub(super) fn new(board: &Arc<Board>) -> Self {
        Self {
            _live: Live::new(board, Held::Request),
            left: Some(Bytes::from_static(b"request")),
        }
    }
}

impl Body for Payload {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        Poll::Ready(self.get_mut().left.take().map(|data| Ok(Frame::data(data))))
    }

    fn is_end_stream(&self) -> bool {
        self.left.is_none()
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.left.as_ref().map_or(0, |left| left.len() as u64))
    }
}

/// The body of a probe's answers. Its length is not said beforehand, so that it is its end that ends it.
#[derive(Debug)]
pub struct AnswerBody {
    live: Live,
    gate: Arc<Gate>,
    frames: u8,
}

impl AnswerBody {
    pub(super) fn new(board: &Arc<Board>) -> Self {
        Self {
            live: Live::new(board, Held::Answer),
            gate: Arc::default(),
            frames: 2,
        }
    }
}

impl Body for AnswerBody {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        let this = self.get_mut();
        if this.frames == 0 {
            return Poll::Ready(None);
        }
        ready!(this.gate.poll(this.live.board(), cx));
        this.gate = Arc::default();
        this.frames -= 1;
        Poll::Ready(Some(match (this.frames, this.live.board().plan.ends) {
            (0, Ends::Broken) => Err(this.live.board().fail()),
            _ => Ok(Frame::data(Bytes::from_static(b"answer"))),
        }))
    }
}

#![allow(
    clippy::disallowed_methods,
    clippy::disallowed_types,
    reason = "a test may spawn, and have threads"
)]

mod bounds;
mod bytes;
mod histories;
mod sockets;

use std::{
    collections::VecDeque,
    future::poll_fn,
    pin::Pin,
    task::{Context, Poll},
};

use ::bytes::Bytes;
use http::{HeaderMap, HeaderValue};
use http_body::{Body, Frame, SizeHint};

use super::{room::Room, *};

/// Enough for all that is not about bounds.
const MOST: usize = 64 << 10;

/// A body that can be sent again by whoever reads `Recording`.
type Begun<B> = (Pin<Box<Replay<B>>>, Recording<B>);

fn begin<B>(body: B) -> Begun<B>
where
    B: Body<Data = Bytes>,
    B::Error: Into<BoxError>,
{
    begin_in(room(usize::MAX), body, MOST)
}

fn begin_in<B>(room: &'static Room, body: B, most: usize) -> Begun<B>
where
    B: Body<Data = Bytes>,
    B::Error: Into<BoxError>,
{
    let (replay, recording) = Recording::begin_in(room, body, most);
    (Box::pin(replay), recording)
}

fn again<B>(recording: &Recording<B>) -> Pin<Box<Replay<B>>>
where
    B: Body<Data = Bytes>,
    B::Error: Into<BoxError>,
{
    Box::pin(recording.again().unwrap())
}

/// Room that no other test takes from.
fn room(bytes: usize) -> &'static Room {
    Box::leak(Box::new(Room::new(bytes)))
}

/// What a body gives at one poll.
#[derive(Clone, Debug, PartialEq)]
enum Step {
    Data(Bytes),
    Trailers(HeaderMap),
    Fails,
    Pending,
}

/// A body that gives these, and knows as much of its end and its size as it is told.
#[derive(Clone, Debug, Default)]
struct Script {
    steps: VecDeque<Step>,
    knows_its_end: bool,
    knows_its_size: bool,
    ended: bool,
}

fn script(steps: impl IntoIterator<Item = Step>) -> Script {
    Script {
        steps: steps.into_iter().collect(),
        ..Script::default()
    }
}

impl Script {
    fn knows_its_end(mut self) -> Self {
        self.knows_its_end = true;
        self
    }

    fn knows_its_size(mut self) -> Self {
        self.knows_its_size = true;
        self
    }

    fn size(&self) -> u64 {
        let data = self.steps.iter().map(|step| match step {
            Step::Data(data) => data.len() as u64,
            _ => 0,
        });
        data.sum()
    }
}

impl Body for Script {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        assert!(!self.ended, "the original is not polled after its end");
        let frame = match self.steps.pop_front() {
            Some(Step::Data(data)) => Some(Ok(Frame::data(data))),
            Some(Step::Trailers(trailers)) => Some(Ok(Frame::trailers(trailers))),
            Some(Step::Fails) => Some(Err("the disk is gone".into())),
            Some(Step::Pending) => {
                cx.waker().wake_by_ref();
                return Poll::Pending;
            }
            None => None,
        };
        self.ended = frame.as_ref().is_none_or(Result::is_err);
        Poll::Ready(frame)
    }

    fn is_end_stream(&self) -> bool {
        self.knows_its_end && self.steps.is_empty()
    }

    fn size_hint(&self) -> SizeHint {
        if self.knows_its_size {
            SizeHint::with_exact(self.size())
        } else {
            SizeHint::default()
        }
    }
}

fn data(data: &'static str) -> Step {
    Step::Data(Bytes::from_static(data.as_bytes()))
}

fn trailers() -> Step {
    Step::Trailers(HeaderMap::from_iter([(
        http::header::ETAG,
        HeaderValue::from_static("7"),
    )]))
}

/// The next frame, as the step that gives it.
async fn next<B: Body<Data = Bytes>>(body: &mut Pin<Box<B>>) -> Option<Result<Step, B::Error>> {
    let frame = poll_fn(|cx| body.as_mut().poll_frame(cx)).await?;
    Some(frame.map(|frame| match frame.into_data() {
        Ok(data) => Step::Data(data),
        Err(frame) => Step::Trailers(frame.into_trailers().unwrap()),
    }))
}

/// All frames that are left, of a body that does not fail. Its hint is true and its end known on the way.
async fn all<B>(body: &mut Pin<Box<Replay<B>>>) -> Vec<Step>
where
    B: Body<Data = Bytes>,
    B::Error: Into<BoxError>,
{
    let mut steps = Vec::new();
    let mut hints = Vec::new();
    loop {
        let (hint, ended) = (body.size_hint(), body.is_end_stream());
        let Some(step) = next(body).await else { break };
        assert!(!ended, "{step:?} after the end");
        hints.push((steps.len(), hint));
        steps.push(step.unwrap());
    }
    assert!(next(body).await.is_none(), "an end is one");
    assert!(body.is_end_stream());
    assert_eq!(body.size_hint().exact(), Some(0));
    for (from, hint) in hints {
        let left = script(steps[from..].iter().cloned()).size();
        assert!(hint.lower() <= left && hint.upper().is_none_or(|upper| left <= upper));
    }
    steps
}

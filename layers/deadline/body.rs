use std::{
    mem,
    pin::Pin,
    task::{Context, Poll},
};

use bytes::Bytes;
use http::{Response, header::CONTENT_LENGTH};
use http_body::{Body, Frame as BodyFrame, SizeHint};
use pin_project::pin_project;
use tokio::time::{Instant, Sleep, sleep_until};

use crate::{
    body::{BoxError, Cut, Framing, Reply},
    context::Frame,
    deadline::By,
    rejection::{Protocol, Reason, Rejection},
    telemetry,
};

/// A body that ends at its deadline, as its protocol wants it. See the [module](super).
///
/// The deadline is checked before each frame but the first (one clock read), which goes out with the head: to break there would
/// take back an answer that was made in time. A timer is armed only where the next frame is not there yet, and costs a box then.
/// At the deadline the inner body is dropped, before the peer is told.
#[pin_project]
#[derive(Debug)]
pub struct DeadlineBody<B> {
    bound: Option<Bound>,
    sleep: Option<Pin<Box<Sleep>>>,
    #[pin]
    inner: Reply<B>,
}

#[derive(Debug)]
struct Bound {
    /// Its deadline is the body's: there is one.
    frame: Frame,
    end: Ending,
    /// Whether its first frame was asked for. That one goes out with the head.
    begun: bool,
    by: By,
}

impl Bound {
    fn deadline(&mut self) -> Option<(&mut Self, Instant)> {
        let deadline = self.frame.deadline()?;
        Some((self, deadline))
    }
}

/// How the peer hears in mid-body that it is too late.
#[derive(Debug)]
enum Ending {
    /// Trailers with a status.
    GrpcTrailers,
    /// A frame of the protocol, where a message ends; else as `Break`.
    GrpcWebFrame(Framing),
    ConnectFrame(Framing),
    /// A body error, so that the peer cannot take half an answer for a whole one.
    Break,
}

impl Ending {
    fn of<B: Body>(protocol: &Protocol, response: &Response<B>) -> Self {
        // What is declared cannot be ended early in good order.
        if response.body().size_hint().exact().is_some() || response.headers().contains_key(CONTENT_LENGTH) {
            return Self::Break;
        }
        match protocol {
            Protocol::Grpc(_) => Self::GrpcTrailers,
            Protocol::GrpcWeb(_) => Self::GrpcWebFrame(Framing::default()),
            Protocol::ConnectStreaming(_) => Self::ConnectFrame(Framing::default()),
            _ => Self::Break,
        }
    }

    fn advance(&mut self, frame: &BodyFrame<Bytes>) {
        if let (Self::GrpcWebFrame(framing) | Self::ConnectFrame(framing), Some(data)) = (self, frame.data_ref()) {
            framing.advance(data);
        }
    }

    fn last_frame(&self, by: By) -> Result<BodyFrame<Bytes>, BoxError> {
        let rejection = Rejection::new(Reason::DeadlineExceeded, by.name()).executed();
        telemetry::rejected(&rejection);
        match self {
            Self::GrpcTrailers => Ok(Cut::Grpc.frame(by.name())),
            Self::GrpcWebFrame(framing) if framing.at_boundary() => Ok(Cut::GrpcWeb.frame(by.name())),
            Self::ConnectFrame(framing) if framing.at_boundary() => Ok(Cut::Connect.frame(by.name())),
            _ => Err(rejection.into()),
        }
    }
}

impl<B> DeadlineBody<B>
where
    B: Body<Data = Bytes>,
    B::Error: Into<BoxError>,
{
    pub(super) fn bound(response: Response<B>, frame: &mut Frame, protocol: &Protocol, by: By) -> Response<Self> {
        let bound = match frame.deadline() {
            Some(_) if !response.body().is_end_stream() => Some(Bound {
                frame: mem::take(frame),
                end: Ending::of(protocol, &response),
                begun: false,
                by,
            }),
            _ => None,
        };
        response.map(|inner| Self {
            bound,
            sleep: None,
            inner: Reply::inner(inner),
        })
    }
}

impl<B> DeadlineBody<B> {
    pub(super) fn ours(body: Bytes) -> Self {
        Self {
            bound: None,
            sleep: None,
            inner: Reply::ours(body),
        }
    }
}

/// Empty, as middleware makes one that answers by itself.
impl<B> Default for DeadlineBody<B> {
    fn default() -> Self {
        Self::ours(Bytes::new())
    }
}

impl<B> Body for DeadlineBody<B>
where
    B: Body<Data = Bytes>,
    B::Error: Into<BoxError>,
{
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<BodyFrame<Bytes>, BoxError>>> {
        let mut this = self.project();
        let Some((bound, deadline)) = this.bound.as_mut().and_then(Bound::deadline) else {
            return this.inner.poll_frame(cx);
        };
        if !mem::replace(&mut bound.begun, true) || Instant::now() < deadline {
            if let Poll::Ready(frame) = bound.frame.enter(|| this.inner.as_mut().poll_frame(cx)) {
                match &frame {
                    Some(Ok(frame)) if !this.inner.is_end_stream() => bound.end.advance(frame),
                    // Complete, or broken: no deadline changes that.
                    _ => *this.bound = None,
                }
                return Poll::Ready(frame);
            }
            if this.sleep.is_none() {
                *this.sleep = Some(Box::pin(sleep_until(deadline)));
            }
            if this
                .sleep
                .as_mut()
                .is_some_and(|sleep| sleep.as_mut().poll(cx).is_pending())
            {
                return Poll::Pending;
            }
        }
        let Some(bound) = mem::take(this.bound) else {
            return Poll::Ready(None);
        };
        *this.sleep = None;
        this.inner.set(Reply::ours(Bytes::new()));
        Poll::Ready(Some(bound.end.last_frame(bound.by)))
    }

    fn is_end_stream(&self) -> bool {
        self.inner.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.inner.size_hint()
    }
}

use std::{
    fmt, mem,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
};

use bytes::Bytes;
use http::Response;
use http_body::{Body, Frame, SizeHint};
use pin_project::pin_project;
use tokio::time::Instant;

use super::{
    Injected,
    breaks::reset,
    call::Injection,
    pace::Progress,
    switch::State,
    wait::{Wait, wait_until},
};
use crate::{
    body::{BoxError, Reply},
    rejection::Rejection,
    telemetry,
};

/// The response body of [`Fault`](super::Fault): the inner service's, slow or broken where it is to be.
#[pin_project]
#[derive(Debug)]
pub struct FaultBody<B> {
    /// `None`: nothing befalls it, or not any more.
    fault: Option<Box<BodyFault>>,
    #[pin]
    inner: Reply<B>,
}

pub(super) struct BodyFault {
    state: Arc<State>,
    /// What goes out before it breaks.
    left: Option<u64>,
    progress: Option<Progress>,
    /// When more may go out.
    next: Next,
    /// What is left of a frame that was cut.
    rest: Bytes,
    was_slow: bool,
    /// Whether the transport had its turn with what goes out before it breaks.
    is_flushed: bool,
}

enum Next {
    Now,
    /// Nobody has asked for more yet.
    At(Option<Instant>),
    Waits(Wait),
}

impl<B> FaultBody<B> {
    /// The inner service's, and what befalls it.
    #[inline]
    pub(super) fn of(body: B, fault: Option<Box<BodyFault>>) -> Self {
        Self {
            fault,
            inner: Reply::inner(body),
        }
    }

    /// Of an answer of ours.
    pub(super) fn ours(body: Bytes) -> Self {
        Self {
            fault: None,
            inner: Reply::ours(body),
        }
    }

    /// Breaks at once. Counted already.
    pub(super) fn broken() -> Self {
        Self {
            fault: Some(Box::new(BodyFault {
                left: Some(0),
                // Nothing is to go out.
                is_flushed: true,
                ..BodyFault::default()
            })),
            inner: Reply::ours(Bytes::new()),
        }
    }
}

impl Default for BodyFault {
    fn default() -> Self {
        Self {
            state: Arc::default(),
            left: None,
            progress: None,
            next: Next::Now,
            rest: Bytes::new(),
            was_slow: false,
            is_flushed: false,
        }
    }
}

impl<X> Injection<X> {
    /// What befalls the body of this answer. One that has ended already is spared.
    #[cold]
    pub(super) fn of_body<B: Body, E>(&self, output: &Result<Response<B>, E>) -> Option<Box<BodyFault>> {
        let plan = &self.plan;
        let is_spared = plan.break_after.is_none() && plan.pace.is_none();
        if is_spared || output.as_ref().map_or(true, |response| response.body().is_end_stream()) {
            return None;
        }
        Some(Box::new(BodyFault {
            state: self.shared.state.clone(),
            left: plan.break_after,
            progress: plan.pace.map(Progress::new),
            ..BodyFault::default()
        }))
    }
}

impl BodyFault {
    /// Waits until more may go out.
    fn poll_next(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        if let Next::At(when) = self.next {
            if when.is_some_and(|when| when <= Instant::now()) {
                self.next = Next::Now;
            } else {
                if !mem::replace(&mut self.was_slow, true) {
                    self.state.injected(Injected::SlowBody);
                }
                self.next = Next::Waits(wait_until(when));
            }
        }
        if let Next::Waits(wait) = &mut self.next {
            let ended = ready!(wait.as_mut().poll(cx));
            self.next = Next::Now;
            if let Err(why) = ended {
                let rejection = Rejection::from(why);
                telemetry::rejected(&rejection);
                return Poll::Ready(Err(rejection.into()));
            }
        }
        Poll::Ready(Ok(()))
    }

    /// So much of this goes out now; the rest is kept.
    fn cut(&mut self, mut data: Bytes) -> Bytes {
        let most = self.progress.as_ref().map_or(u64::MAX, Progress::most);
        let most = most.min(self.left.unwrap_or(u64::MAX));
        if let Ok(most) = usize::try_from(most)
            && most < data.len()
        {
            self.rest = data.split_off(most);
        }
        let length = data.len() as u64;
        self.left = self.left.map(|left| left - length);
        if let Some(progress) = &mut self.progress {
            self.next = Next::At(progress.sent(length, Instant::now()));
        }
        data
    }
}

/// Empty, as middleware makes one that answers by itself.
impl<B> Default for FaultBody<B> {
    fn default() -> Self {
        Self::ours(Bytes::new())
    }
}

impl<B> Body for FaultBody<B>
where
    B: Body<Data = Bytes>,
    B::Error: Into<BoxError>,
{
    type Data = Bytes;
    type Error = BoxError;

    #[inline]
    fn poll_frame(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        let mut this = self.project();
        let Some(fault) = this.fault else {
            return this.inner.poll_frame(cx);
        };
        if fault.rest.is_empty() && fault.left != Some(0) && this.inner.is_end_stream() {
            return this.inner.poll_frame(cx);
        }
        let broken = match ready!(fault.poll_next(cx)) {
            Ok(()) if fault.left == Some(0) => {
                // hyper drops what it has not written when a body breaks, its head included; it writes where a body waits.
                if !mem::replace(&mut fault.is_flushed, true) {
                    cx.waker().wake_by_ref();
                    return Poll::Pending;
                }
                fault.state.injected(Injected::ResetBody);
                reset()
            }
            Ok(()) => {
                if !fault.rest.is_empty() {
                    let rest = mem::take(&mut fault.rest);
                    return Poll::Ready(Some(Ok(Frame::data(fault.cut(rest)))));
                }
                let frame = ready!(this.inner.poll_frame(cx));
                return Poll::Ready(frame.map(|frame| {
                    let frame = frame?;
                    Ok(match frame.into_data() {
                        Ok(data) => Frame::data(fault.cut(data)),
                        Err(other) => other,
                    })
                }));
            }
            Err(error) => error,
        };
        // What is still below is taken down before the peer is told.
        *this.fault = None;
        this.inner.set(Reply::ours(Bytes::new()));
        Poll::Ready(Some(Err(broken)))
    }

    fn is_end_stream(&self) -> bool {
        match &self.fault {
            Some(fault) => fault.rest.is_empty() && fault.left != Some(0) && self.inner.is_end_stream(),
            None => self.inner.is_end_stream(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        let inner = self.inner.size_hint();
        let Some(fault) = &self.fault else { return inner };
        if self.inner.is_end_stream() && fault.left == Some(0) {
            // More is promised than will come.
            return SizeHint::default();
        }
        let rest = fault.rest.len() as u64;
        let mut hint = SizeHint::new();
        if let Some(upper) = inner.upper() {
            hint.set_upper(upper.saturating_add(rest));
        }
        hint.set_lower(inner.lower().saturating_add(rest));
        hint
    }
}

impl fmt::Debug for BodyFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("BodyFault")
            .field("left", &self.left)
            .field("progress", &self.progress)
            .field("rest", &self.rest.len())
            .finish_non_exhaustive()
    }
}

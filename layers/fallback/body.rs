use std::{
    mem,
    pin::Pin,
    task::{Context, Poll},
};

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use pin_project::pin_project;

use crate::body::BoxError;

/// The response body of [`Fallback`](super::Fallback): the inner service's, or that of the other answer.
#[pin_project]
#[derive(Debug)]
pub struct FallbackBody<A, B>(#[pin] Either<A, B>);

#[pin_project(project = EitherProj)]
#[derive(Debug)]
enum Either<A, B> {
    Inner(#[pin] A),
    Other(#[pin] B),
    /// To `HEAD`.
    None,
}

impl<A, B> FallbackBody<A, B> {
    #[inline]
    pub(super) fn inner(body: A) -> Self {
        Self(Either::Inner(body))
    }

    pub(super) fn other(body: B) -> Self {
        Self(Either::Other(body))
    }

    pub(super) fn none() -> Self {
        Self(Either::None)
    }
}

/// Empty, as middleware makes one that answers by itself.
impl<A, B> Default for FallbackBody<A, B> {
    fn default() -> Self {
        Self::none()
    }
}

impl<A, B> Body for FallbackBody<A, B>
where
    A: Body<Data = Bytes>,
    A::Error: Into<BoxError>,
    B: Body<Data = Bytes>,
    B::Error: Into<BoxError>,
{
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        match self.project().0.project() {
            EitherProj::Inner(body) => body.poll_frame(cx).map_err(Into::into),
            EitherProj::Other(body) => body.poll_frame(cx).map_err(Into::into),
            EitherProj::None => Poll::Ready(None),
        }
    }

    fn is_end_stream(&self) -> bool {
        match &self.0 {
            Either::Inner(body) => body.is_end_stream(),
            Either::Other(body) => body.is_end_stream(),
            Either::None => true,
        }
    }

    fn size_hint(&self) -> SizeHint {
        match &self.0 {
            Either::Inner(body) => body.size_hint(),
            Either::Other(body) => body.size_hint(),
            Either::None => SizeHint::with_exact(0),
        }
    }
}

/// A body that is there as a whole: that of a value, and of what a function made.
#[derive(Debug, Default)]
pub struct Whole(pub(super) Bytes);

impl Body for Whole {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        let body = mem::take(&mut self.0);
        Poll::Ready((!body.is_empty()).then(|| Ok(Frame::data(body))))
    }

    fn is_end_stream(&self) -> bool {
        self.0.is_empty()
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.0.len() as u64)
    }
}

use std::{
    pin::Pin,
    task::{Context, Poll},
};

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use pin_project::pin_project;

use super::BoxError;

/// The body of a reply: the inner service's, or a short one of ours, as a rejection has it.
#[pin_project]
#[derive(Debug)]
pub struct Reply<B>(#[pin] Source<B>);

#[pin_project(project = SourceProj)]
#[derive(Debug)]
enum Source<B> {
    Inner(#[pin] B),
    /// Empty once it is sent.
    Ours(Bytes),
}

impl<B> Reply<B> {
    /// The inner service's.
    pub fn inner(body: B) -> Self {
        Self(Source::Inner(body))
    }

    /// A short one of ours.
    pub fn ours(body: Bytes) -> Self {
        Self(Source::Ours(body))
    }
}

/// Empty, as middleware makes one that answers by itself.
impl<B> Default for Reply<B> {
    fn default() -> Self {
        Self::ours(Bytes::new())
    }
}

impl<B> Body for Reply<B>
where
    B: Body<Data = Bytes>,
    B::Error: Into<BoxError>,
{
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        match self.project().0.project() {
            SourceProj::Inner(body) => body.poll_frame(cx).map_err(Into::into),
            SourceProj::Ours(body) => {
                let body = std::mem::take(body);
                Poll::Ready((!body.is_empty()).then(|| Ok(Frame::data(body))))
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        match &self.0 {
            Source::Inner(body) => body.is_end_stream(),
            Source::Ours(body) => body.is_empty(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match &self.0 {
            Source::Inner(body) => body.size_hint(),
            Source::Ours(body) => SizeHint::with_exact(body.len() as u64),
        }
    }
}

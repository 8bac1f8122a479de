use std::{
    fmt,
    future::Future,
    pin::Pin,
    task::{Context as Poller, Poll},
};

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use pin_project::pin_project;

use crate::{
    body::BoxError,
    context::{Cancelled, Context},
};

/// A request's body on its way to an upstream, that breaks off when the context it was made in ends.
///
/// Dropping a call stops an upload as long as the answer has not begun. One that goes on beside its answer, as a gRPC stream
/// does, is the transport's by then, and would go on for as long as its sender likes:
///
/// ```
/// use buttress::cancel::Upload;
/// use http::Request;
/// # async fn call<B, C>(client: C, request: Request<B>) -> Result<(), buttress::BoxError>
/// # where B: http_body::Body<Data = bytes::Bytes>, B::Error: Into<buttress::BoxError>,
/// #     C: tower::Service<Request<Upload<B>>>, C::Error: Into<buttress::BoxError> {
/// # use tower::ServiceExt;
/// let response = client.oneshot(request.map(Upload::new)).await.map_err(Into::into)?;
/// # Ok(()) }
/// ```
///
/// The upstream sees a reset on HTTP/2 and a closed connection on HTTP/1; the error is the [`Cancelled`] reason. A body that is
/// empty costs nothing; another makes the context's cancellation, and one box.
#[pin_project]
pub struct Upload<B> {
    /// Nothing once there is nothing left to stop.
    ended: Option<Ended>,
    #[pin]
    body: B,
}

type Ended = Pin<Box<dyn Future<Output = Cancelled> + Send + Sync>>;

impl<B: Body> Upload<B> {
    /// This body, in the context in scope here.
    pub fn new(body: B) -> Self {
        let ended = (!body.is_end_stream()).then(|| -> Ended {
            let context = Context::current();
            Box::pin(async move { context.cancelled().await })
        });
        Self { ended, body }
    }
}

impl<B> Body for Upload<B>
where
    B: Body<Data = Bytes>,
    B::Error: Into<BoxError>,
{
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(self: Pin<&mut Self>, cx: &mut Poller<'_>) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        let this = self.project();
        if let Some(ended) = this.ended
            && let Poll::Ready(why) = ended.as_mut().poll(cx)
        {
            *this.ended = None;
            return Poll::Ready(Some(Err(why.into())));
        }
        this.body.poll_frame(cx).map_err(Into::into)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

impl<B: fmt::Debug> fmt::Debug for Upload<B> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Upload")
            .field("body", &self.body)
            .finish_non_exhaustive()
    }
}

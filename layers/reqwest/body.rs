use std::{
    any::Any,
    pin::Pin,
    task::{Context, Poll, ready},
};

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use pin_project::pin_project;
use sync_wrapper::SyncWrapper;

use crate::body::BoxError;

/// This body as reqwest's.
pub(super) fn wrap<B>(body: B) -> reqwest::Body
where
    B: Body<Data = Bytes> + Send + 'static,
    B::Error: Into<BoxError>,
{
    // One that can be sent again by reqwest itself.
    if body.is_end_stream() {
        return reqwest::Body::default();
    }
    let mut body = Some(body);
    let own = (&mut body as &mut dyn Any).downcast_mut::<Option<reqwest::Body>>();
    match (own.and_then(Option::take), body) {
        (Some(own), _) => own,
        (None, Some(body)) => reqwest::Body::wrap(Exclusive::new(body)),
        (None, None) => reqwest::Body::default(),
    }
}

/// A body that is `Sync` because nothing but its own poll ever looks at it. So what can be asked of a shared body is kept beside it.
#[pin_project]
struct Exclusive<B> {
    #[pin]
    body: SyncWrapper<B>,
    is_end_stream: bool,
    size_hint: SizeHint,
}

impl<B: Body> Exclusive<B> {
    fn new(body: B) -> Self {
        Self {
            is_end_stream: body.is_end_stream(),
            size_hint: body.size_hint(),
            body: SyncWrapper::new(body),
        }
    }
}

impl<B: Body> Body for Exclusive<B> {
    type Data = B::Data;
    type Error = B::Error;

    fn poll_frame(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<B::Data>, B::Error>>> {
        let this = self.project();
        let mut body = this.body.get_pin_mut();
        let frame = ready!(body.as_mut().poll_frame(cx));
        *this.is_end_stream = body.is_end_stream();
        *this.size_hint = body.size_hint();
        Poll::Ready(frame)
    }

    fn is_end_stream(&self) -> bool {
        self.is_end_stream
    }

    fn size_hint(&self) -> SizeHint {
        self.size_hint
    }
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use http_body_util::{BodyExt, Full};

    use super::*;

    /// `Send`, not `Sync`, and of a known length.
    #[pin_project]
    struct Lonely(#[pin] Full<Bytes>, Cell<()>);

    impl Body for Lonely {
        type Data = Bytes;
        type Error = std::convert::Infallible;

        fn poll_frame(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Self::Error>>> {
            self.project().0.poll_frame(cx)
        }

        fn is_end_stream(&self) -> bool {
            self.0.is_end_stream()
        }

        fn size_hint(&self) -> SizeHint {
            self.0.size_hint()
        }
    }

    #[tokio::test]
    async fn a_body_that_is_not_sync_keeps_its_length_and_its_end() {
        let mut body = wrap(Lonely(Full::from("hello"), Cell::new(())));
        assert_eq!((body.size_hint().exact(), body.is_end_stream()), (Some(5), false));
        let frame = body.frame().await;
        assert_eq!(frame.unwrap().unwrap().into_data().unwrap(), "hello");
        assert_eq!((body.size_hint().exact(), body.is_end_stream()), (Some(0), true));
    }

    #[test]
    fn a_body_of_reqwest_stays_as_it_is() {
        let body = wrap(reqwest::Body::from("hello"));
        assert_eq!(body.as_bytes(), Some(&b"hello"[..]));
        assert_eq!(wrap(Full::<Bytes>::default()).as_bytes(), Some(&b""[..]));
    }
}

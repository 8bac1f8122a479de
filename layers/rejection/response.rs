use http::Response;

use super::Rejection;

/// What an answer that a client got says of the layers on its way: whether one of them made it.
///
/// A layer around a client says no as a sidecar proxy would, with an answer: so the error type stays that of the transport, and the
/// code that looks at statuses works as before. To such code a limit of this process that is full, and an upstream that is
/// overloaded, are both a 503. Where the difference matters, the answer knows it:
///
/// ```
/// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), buttress::BoxError> {
/// use buttress::{ConcurrencyLimitLayer, rejection::{Reason, ResponseExt}};
/// # use http::{Request, Response};
/// # use http_body_util::Full;
/// # use tower::{ServiceBuilder, ServiceExt};
/// # let transport = tower::service_fn(|_: Request<()>| async { Ok::<_, buttress::BoxError>(Response::new(Full::from("hello"))) });
///
/// let client = ServiceBuilder::new().layer(ConcurrencyLimitLayer::new(0)).service(transport);
///
/// let response = client.clone().oneshot(Request::new(())).await?;
/// assert_eq!(response.status(), 503);
/// assert_eq!(response.rejection().map(|rejection| rejection.layer()), Some("concurrency"));
///
/// // As an error, for who wants one:
/// let rejection = client.oneshot(Request::new(())).await?.error_for_rejection().unwrap_err();
/// assert_eq!(rejection.reason(), Reason::Overloaded);
/// assert!(!rejection.was_executed()); // it never left this process
/// # Ok(()) }
/// ```
///
/// Only the layers of this process are seen: what an upstream's layers said is an answer like any other. A generated gRPC client
/// makes a status of the answer and keeps nothing else of it, unless the stack is in a [`ClientLayer`](crate::tonic::ClientLayer).
pub trait ResponseExt: Sized {
    /// The rejection that this answer is, if a layer made it.
    fn rejection(&self) -> Option<&Rejection>;

    /// The answer of the upstream.
    ///
    /// # Errors
    ///
    /// If it is not the upstream's, but a layer's: its rejection.
    fn error_for_rejection(self) -> Result<Self, Rejection>;
}

impl<B> ResponseExt for Response<B> {
    fn rejection(&self) -> Option<&Rejection> {
        self.extensions().get()
    }

    fn error_for_rejection(mut self) -> Result<Self, Rejection> {
        match self.extensions_mut().remove() {
            Some(rejection) => Err(rejection),
            None => Ok(self),
        }
    }
}

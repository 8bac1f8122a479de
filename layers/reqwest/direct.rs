use std::{
    future::Future,
    pin::Pin,
    task::{Context, Poll},
};

use pin_project::pin_project;
use reqwest::{ClientBuilder, redirect::Policy};
use tower_layer::Layer;
use tower_service::Service;

use crate::{body::BoxError, outcome::Unconnected};

/// A client that follows no redirects, and whose errors therefore tell what was [never sent](crate::outcome::Delivery::NotSent).
///
/// With it a `POST` is tried again where no connection could be made. A client that follows redirects cannot know: the connection that
/// failed may have been the second, after a server that has already done what it was asked to.
///
/// ```
/// use buttress::reqwest::without_redirects;
///
/// let http = without_redirects(reqwest::Client::builder()).build()?;
/// # Ok::<(), reqwest::Error>(())
/// ```
///
/// Set no other policy for redirects on the builder afterwards. What takes longer than its `connect_timeout` stays unknown.
pub fn without_redirects(client: ClientBuilder) -> ClientBuilder {
    client.redirect(Policy::none()).connector_layer(ConnectLayer)
}

/// Marks the errors of a connector.
#[derive(Clone, Copy, Debug)]
struct ConnectLayer;

#[derive(Clone, Copy, Debug)]
struct Connect<S> {
    inner: S,
}

#[pin_project]
struct ConnectFuture<F>(#[pin] F);

impl<S> Layer<S> for ConnectLayer {
    type Service = Connect<S>;

    fn layer(&self, inner: S) -> Connect<S> {
        Connect { inner }
    }
}

impl<S, T> Service<T> for Connect<S>
where
    S: Service<T, Error = BoxError>,
{
    type Response = S::Response;
    type Error = BoxError;
    type Future = ConnectFuture<S::Future>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        self.inner.poll_ready(cx).map_err(mark)
    }

    fn call(&mut self, to: T) -> Self::Future {
        ConnectFuture(self.inner.call(to))
    }
}

impl<F, C> Future for ConnectFuture<F>
where
    F: Future<Output = Result<C, BoxError>>,
{
    type Output = Result<C, BoxError>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        self.project().0.poll(cx).map_err(mark)
    }
}

fn mark(error: BoxError) -> BoxError {
    Unconnected(error).into()
}

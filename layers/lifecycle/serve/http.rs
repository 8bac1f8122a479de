//! hyper's side of a connection: its services, its tasks, its end.

use std::{
    future::{Future, poll_fn},
    pin::{Pin, pin},
    sync::Arc,
    task::{Context, Poll, ready},
};

use bytes::Bytes;
use http::{Request, Response};
use http_body::Body;
use hyper::{body::Incoming, rt::Executor};
use hyper_util::{
    rt::TokioIo,
    server::conn::auto::{HttpServerConnExec, UpgradeableConnection},
};
use pin_project::pin_project;
use tower_service::Service;

use super::{
    connection::{Http, OnConnection, Served},
    io::TrackedIo,
    request::ProcessService,
    socket::Socket,
};
use crate::body::BoxError;

/// What runs the streams of an HTTP/2 connection: tasks on behalf of it.
#[derive(Clone, Debug)]
pub struct Streams(pub(super) Arc<Served>);

impl<F> Executor<F> for Streams
where
    F: Future<Output = ()> + Send + 'static,
{
    #[expect(
        clippy::disallowed_methods,
        reason = "it ends with its connection, which is registered until it has"
    )]
    fn execute(&self, stream: F) {
        let served = self.0.clone();
        tokio::spawn(async move {
            let mut stream = pin!(stream);
            poll_fn(|cx| served.enter(|| stream.as_mut().poll(cx))).await;
        });
    }
}

impl<S, B, E> Http for UpgradeableConnection<'_, TokioIo<TrackedIo<Socket>>, S, E>
where
    S: hyper::service::Service<Request<Incoming>, Response = Response<B>>,
    S::Future: 'static,
    S::Error: Into<BoxError>,
    B: Body + 'static,
    B::Error: Into<BoxError>,
    E: HttpServerConnExec<S::Future, B>,
{
    fn drain(self: Pin<&mut Self>) {
        self.graceful_shutdown();
    }
}

/// The service of a connection, as hyper calls it.
pub(super) struct OneConnection<S> {
    pub(super) service: ProcessService<S>,
    pub(super) served: Arc<Served>,
}

/// A request that waits for the service to be ready, and then for its answer.
#[pin_project(project = AnswerProj)]
#[expect(
    clippy::large_enum_variant,
    reason = "a part of one future, which is as large as the larger"
)]
pub(super) enum Answer<S, F> {
    Waiting {
        service: ProcessService<S>,
        request: Option<Request<Incoming>>,
        /// On the connection before it is called, too.
        on: OnConnection,
    },
    Called(#[pin] F),
}

impl<S, B> hyper::service::Service<Request<Incoming>> for OneConnection<S>
where
    S: Service<Request<Incoming>, Response = Response<B>> + Clone,
    B: Body<Data = Bytes>,
    B::Error: Into<BoxError>,
{
    type Response = <ProcessService<S> as Service<Request<Incoming>>>::Response;
    type Error = S::Error;
    type Future = Answer<S, <ProcessService<S> as Service<Request<Incoming>>>::Future>;

    #[cfg_attr(
        not(any(feature = "axum", feature = "rate")),
        expect(unused_mut, reason = "nobody asks for the address")
    )]
    fn call(&self, mut request: Request<Incoming>) -> Self::Future {
        let on = self.served.begin(request.version());
        #[cfg(any(feature = "axum", feature = "rate"))]
        request
            .extensions_mut()
            .insert(crate::address::PeerAddress(self.served.peer));
        Answer::Waiting {
            service: self.service.clone(),
            request: Some(request),
            on,
        }
    }
}

impl<S, B> Future for Answer<S, <ProcessService<S> as Service<Request<Incoming>>>::Future>
where
    S: Service<Request<Incoming>, Response = Response<B>>,
    B: Body<Data = Bytes>,
    B::Error: Into<BoxError>,
{
    type Output = Result<<ProcessService<S> as Service<Request<Incoming>>>::Response, S::Error>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        loop {
            let called = match self.as_mut().project() {
                AnswerProj::Called(future) => return future.poll(cx),
                AnswerProj::Waiting { service, request, .. } => {
                    ready!(service.poll_ready(cx))?;
                    let Some(request) = request.take() else {
                        return Poll::Pending;
                    };
                    service.call(request)
                }
            };
            self.set(Self::Called(called));
        }
    }
}

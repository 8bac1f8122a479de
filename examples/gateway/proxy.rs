//! The innermost service: picks an upstream, hands the request on, and turns a broken transport into an answer.

use std::{
    convert::Infallible,
    error::Error,
    future::Future,
    iter,
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    task::{self, Poll, ready},
    time::Duration,
};

use buttress::{
    BreakerLayer, ObserveLayer, Rejection,
    admission::{Admission, AdmissionLayer, breaker::Breaker, rate::PeerAddress},
    body::{Reply, replay::Replay},
    cancel::Upload,
    deadline::PropagateDeadline,
    hyper::{Reuse, ReuseLayer},
    observe::Observe,
    outcome::Delivery,
    rejection::{Protocol, Reason},
    telemetry::rejected,
};
use bytes::Bytes;
use http::{Method, Request, Response, StatusCode};
use hyper::body::Incoming;
use hyper_util::{
    client::legacy::{self, Client, connect::HttpConnector},
    rt::{TokioExecutor, TokioTimer},
};
use pin_project::pin_project;
use tower::{Layer, Service, ServiceExt, util::Oneshot};

use crate::{cli::Upstream, headers, layers::Layers, metrics::Calls};

/// How long a connection may idle in the pool, and how often one of HTTP/2 is asked whether its peer is still there: a peer
/// that is cut off takes all streams of its connection with it, and says nothing.
const KEEP_ALIVE: Duration = Duration::from_secs(10);

/// What is sent, within a retry and a hedge.
type Sent = Upload<Replay<Replay<Incoming>>>;
/// A client that writes what remains of the deadline on each request, and holds the answer to it; behind a breaker, if there is one.
/// Each attempt is timed.
type Transport = Observe<Admission<PropagateDeadline<Client<Reuse<HttpConnector>, Sent>>, Option<Breaker>>, Calls>;
type Answer = Response<Reply<<Transport as Answers>::Body>>;

/// What the body of a service's answer is.
pub(crate) trait Answers {
    type Body;
}

impl<S, B> Answers for S
where
    S: Service<Request<Sent>, Response = Response<B>>,
{
    type Body = B;
}

/// The upstreams, in turn.
pub(crate) struct Upstreams {
    all: Vec<Upstream>,
    next: AtomicUsize,
}

/// One client for each protocol. Its pool of connections is shared by its clones.
#[derive(Clone)]
pub(crate) struct Clients {
    http1: Transport,
    http2: Transport,
}

/// Hands requests on to the upstreams. It never fails: a failed call is an answer too.
#[derive(Clone)]
pub(crate) struct Proxy {
    upstreams: Arc<Upstreams>,
    clients: Clients,
}

/// The response future of [`Proxy`].
#[pin_project(project = ProxyFutureProj)]
#[expect(
    clippy::large_enum_variant,
    reason = "nearly all are the large one, and none is boxed for it"
)]
pub(crate) enum ProxyFuture {
    Calling {
        #[pin]
        call: Oneshot<Transport, Request<Sent>>,
        call_of: CallOf,
    },
    Refused(StatusCode, &'static str),
}

/// Whose call it is, for the answer and the log where it fails.
pub(crate) struct CallOf {
    method: Method,
    protocol: Protocol,
    upstream: Upstream,
}

impl Upstreams {
    pub(crate) fn new(all: Vec<Upstream>) -> Self {
        Self {
            all,
            next: AtomicUsize::new(0),
        }
    }

    fn next(&self) -> Option<&Upstream> {
        let turn = self.next.fetch_add(1, Ordering::Relaxed);
        self.all.get(turn.checked_rem(self.all.len())?)
    }
}

impl Clients {
    /// There is no timeout for connecting: the deadline covers it.
    pub(crate) fn new(layers: &Layers, calls: &Calls) -> Self {
        let mut connector = HttpConnector::new();
        connector.set_nodelay(true);
        let connector = ReuseLayer::new().layer(connector);
        let mut builder = Client::builder(TokioExecutor::new());
        builder
            .timer(TokioTimer::new())
            .pool_timer(TokioTimer::new())
            .pool_idle_timeout(KEEP_ALIVE)
            .http2_keep_alive_interval(KEEP_ALIVE)
            .http2_keep_alive_timeout(KEEP_ALIVE);
        let breaker = AdmissionLayer::new(layers.breaker.as_ref().map(BreakerLayer::breaker));
        let http1 = builder.build(connector.clone());
        let http2 = builder.http2_only(true).build(connector);
        let observe = ObserveLayer::client(calls.clone());
        Self {
            http1: observe.layer(breaker.layer(layers.propagate.layer(http1))),
            http2: observe.layer(breaker.layer(layers.propagate.layer(http2))),
        }
    }
}

impl Proxy {
    pub(crate) fn new(upstreams: Upstreams, clients: Clients) -> Self {
        Self {
            upstreams: Arc::new(upstreams),
            clients,
        }
    }
}

impl Service<Request<Replay<Replay<Incoming>>>> for Proxy {
    type Response = Answer;
    type Error = Infallible;
    type Future = ProxyFuture;

    fn poll_ready(&mut self, _: &mut task::Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<Replay<Replay<Incoming>>>) -> ProxyFuture {
        if request.method() == Method::CONNECT {
            return ProxyFuture::Refused(StatusCode::NOT_IMPLEMENTED, "no tunnels here");
        }
        let Some(upstream) = self.upstreams.next() else {
            return ProxyFuture::Refused(StatusCode::BAD_GATEWAY, "no upstream");
        };
        let protocol = Protocol::of(&request);
        let http2 = upstream.http2 || matches!(protocol, Protocol::Grpc(_));
        let mut request = request.map(Upload::new);
        let peer = request.extensions().get().map(|PeerAddress(peer)| peer.ip());
        if headers::to_upstream(&mut request, peer, &upstream.authority, http2).is_err() {
            return ProxyFuture::Refused(StatusCode::BAD_REQUEST, "not a target that can be handed on");
        }
        let client = if http2 {
            &self.clients.http2
        } else {
            &self.clients.http1
        };
        let call_of = CallOf {
            method: request.method().clone(),
            protocol,
            upstream: upstream.clone(),
        };
        let call = client.clone().oneshot(request);
        ProxyFuture::Calling { call, call_of }
    }
}

impl Future for ProxyFuture {
    type Output = Result<Answer, Infallible>;

    fn poll(self: Pin<&mut Self>, cx: &mut task::Context<'_>) -> Poll<Self::Output> {
        let answer = match self.project() {
            ProxyFutureProj::Calling { call, call_of } => match ready!(call.poll(cx)) {
                Ok(mut response) => {
                    headers::to_caller(&mut response);
                    response.map(Reply::inner)
                }
                Err(error) => call_of.failed(&error),
            },
            ProxyFutureProj::Refused(status, why) => {
                let mut response = Response::new(Reply::ours(Bytes::from_static(why.as_bytes())));
                *response.status_mut() = *status;
                response
            }
        };
        Poll::Ready(Ok(answer))
    }
}

impl CallOf {
    /// The answer to a call that got none: 502, gRPC status 14.
    fn failed(&self, error: &legacy::Error) -> Answer {
        let rejection = if callers_fault(error) {
            Rejection::new(Reason::Cancelled, "gateway").executed()
        } else {
            eprintln!("gateway: {} to {}: {}", self.method, self.upstream, chain(error));
            let rejection = Rejection::new(Reason::Unreachable, "gateway");
            // What was never sent can be sent again, elsewhere.
            match Delivery::of(error) {
                Delivery::NotSent => rejection,
                _ => rejection.executed(),
            }
        };
        // The layers tell of theirs; this one is ours.
        rejected(&rejection);
        rejection.into_answer(&self.protocol).map(Reply::ours)
    }
}

/// Whether it was the request's body that broke: its caller left, or was too late. On HTTP/2 all that is told of it is that the
/// stream was reset, and from which side.
fn callers_fault(error: &legacy::Error) -> bool {
    causes(error).any(|cause| {
        cause.downcast_ref().is_some_and(hyper::Error::is_user)
            || cause
                .downcast_ref()
                .is_some_and(|error: &h2::Error| error.is_reset() && !error.is_remote() && !error.is_library())
    })
}

fn causes<'a>(error: &'a (dyn Error + 'static)) -> impl Iterator<Item = &'a (dyn Error + 'static)> {
    iter::successors(Some(error), |error| (*error).source())
}

fn chain(error: &(dyn Error + 'static)) -> String {
    causes(error).map(ToString::to_string).collect::<Vec<_>>().join(": ")
}

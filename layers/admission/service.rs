use std::{
    fmt,
    future::Future,
    marker::PhantomData,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
};

use bytes::Bytes;
use http::{HeaderValue, Request, Response, Version, header::CONNECTION};
use http_body::Body;
use pin_project::pin_project;
use tower_layer::Layer;
use tower_service::Service;

use super::{Admit, Arrival, Decision, Keep};
use crate::{
    body::{BoxError, Reply, Tracked},
    context::Head,
    outcome::{Class, Classified, Held, Outcome},
    rejection::{Http, Protocol, Reason, Rejection, Typed},
};

/// Admits requests as a policy says. See the [module](super).
///
/// The policy is shared by all services made from the layer and its clones.
pub struct AdmissionLayer<A, M = Http> {
    policy: Arc<A>,
    mode: PhantomData<M>,
}

impl<A: Admit> AdmissionLayer<A> {
    /// Around an HTTP service: a rejection is a response, and the permit lives to the end of the response's body.
    pub fn new(policy: A) -> Self {
        Self::shared(Arc::new(policy))
    }

    /// The same, with a policy that others hold too: another layer, a metric, a switch.
    pub fn shared(policy: Arc<A>) -> Self {
        Self {
            policy,
            mode: PhantomData,
        }
    }

    /// Around any other service: a rejection is an error, `S::Error: From<Rejection>`, and the permit lives to the end of the
    /// call.
    pub fn typed(self) -> AdmissionLayer<A, Typed> {
        AdmissionLayer {
            policy: self.policy,
            mode: PhantomData,
        }
    }
}

impl<A, M> AdmissionLayer<A, M> {
    pub(super) fn of(policy: A) -> Self {
        Self {
            policy: Arc::new(policy),
            mode: PhantomData,
        }
    }
}

/// The service of [`AdmissionLayer`]. `poll_ready` is the inner service's.
pub struct Admission<S, A, M = Http> {
    pub(super) inner: S,
    pub(super) policy: Arc<A>,
    mode: PhantomData<M>,
}

/// Where an admitted, a waiting, or a rejected call stands.
#[pin_project(project = CallProj, project_replace = CallOwned)]
pub(super) enum Call<S: Service<R>, A: Admit, R>
where
    A::Wait: Keep<S>,
{
    Waiting {
        #[pin]
        wait: A::Wait,
        kept: <A::Wait as Keep<S>>::Kept,
        request: R,
    },
    Running {
        // Before the work: the permit learns of a departure before the work is taken down.
        permit: Held<A::Permit>,
        #[pin]
        future: S::Future,
    },
    Rejected(Rejection),
    Done,
}

/// How a call ended, as far as its head.
pub(super) enum Answer<S: Service<R>, A: Admit, R> {
    Answered(Result<S::Response, S::Error>, Held<A::Permit>),
    Rejected(Rejection),
}

impl<S: Service<R>, A: Admit, R> Call<S, A, R>
where
    A::Wait: Keep<S>,
{
    pub(super) fn new(inner: &mut S, decision: Decision<A::Permit, A::Wait>, request: R) -> Self {
        match decision {
            Decision::Now(permit) => {
                // Held before the call, which may panic.
                let permit = Held::new(permit);
                Self::Running {
                    future: inner.call(request),
                    permit,
                }
            }
            Decision::Wait(wait) => Self::Waiting {
                kept: wait.keep(inner),
                wait,
                request,
            },
            Decision::No(rejection) => Self::Rejected(rejection),
        }
    }

    /// The state's name, for `Debug`.
    pub(super) fn name(&self) -> &'static str {
        match self {
            Self::Waiting { .. } => "waiting",
            Self::Running { .. } => "running",
            Self::Rejected(_) => "rejected",
            Self::Done => "done",
        }
    }

    pub(super) fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Answer<S, A, R>> {
        loop {
            match self.as_mut().project() {
                CallProj::Waiting { wait, .. } => {
                    let granted = ready!(wait.poll(cx));
                    let CallOwned::Waiting { kept, request, .. } = self.as_mut().project_replace(Self::Done) else {
                        return Poll::Pending;
                    };
                    self.set(match granted {
                        Ok(permit) => {
                            let permit = Held::new(permit);
                            Self::Running {
                                future: <A::Wait as Keep<S>>::call(kept, request),
                                permit,
                            }
                        }
                        Err(rejection) => Self::Rejected(rejection),
                    });
                }
                CallProj::Running { future, .. } => {
                    let result = ready!(future.poll(cx));
                    let CallOwned::Running { permit, .. } = self.as_mut().project_replace(Self::Done) else {
                        return Poll::Pending;
                    };
                    return Poll::Ready(Answer::Answered(result, permit));
                }
                CallProj::Rejected(_) => {
                    let CallOwned::Rejected(rejection) = self.as_mut().project_replace(Self::Done) else {
                        return Poll::Pending;
                    };
                    return Poll::Ready(Answer::Rejected(rejection));
                }
                CallProj::Done => return Poll::Pending,
            }
        }
    }
}

impl<S, A, B, ResBody> Service<Request<B>> for Admission<S, A, Http>
where
    S: Service<Request<B>, Response = Response<ResBody>>,
    A: Admit,
    A::Wait: Keep<S>,
    ResBody: Body<Data = Bytes>,
    ResBody::Error: Into<BoxError>,
{
    type Response = Response<Reply<Tracked<ResBody, Classified<A::Permit>>>>;
    type Error = S::Error;
    type Future = AdmissionFuture<S, A, Request<B>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        let protocol = Protocol::of(&request);
        let keeps_alive = request.version() <= Version::HTTP_11;
        let decision = self.policy.admit(&Arrival::new(Some(Head::from(&request))));
        AdmissionFuture {
            call: Call::new(&mut self.inner, decision, request),
            protocol,
            keeps_alive,
        }
    }
}

/// The response future of [`Admission`]. Dropping it leaves the queue, or settles the permit as cancelled.
#[pin_project]
pub struct AdmissionFuture<S: Service<R>, A: Admit, R>
where
    A::Wait: Keep<S>,
{
    #[pin]
    call: Call<S, A, R>,
    protocol: Protocol,
    /// HTTP/1: a connection that is to be closed must be told so in a header.
    keeps_alive: bool,
}

impl<S, A, B, ResBody> Future for AdmissionFuture<S, A, Request<B>>
where
    S: Service<Request<B>, Response = Response<ResBody>>,
    A: Admit,
    A::Wait: Keep<S>,
    ResBody: Body<Data = Bytes>,
    ResBody::Error: Into<BoxError>,
{
    type Output = Result<Response<Reply<Tracked<ResBody, Classified<A::Permit>>>>, S::Error>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.project();
        Poll::Ready(match ready!(this.call.poll(cx)) {
            Answer::Answered(Ok(response), mut permit) => Ok(match permit.take() {
                Some(permit) => Classified::follow(response, this.protocol, permit).map(Reply::inner),
                None => return Poll::Pending,
            }),
            Answer::Answered(Err(error), mut permit) => {
                permit.settle(Outcome::failure(Class::Transport));
                Err(error)
            }
            Answer::Rejected(rejection) => {
                let leaving = *this.keeps_alive && rejection.reason() == Reason::Draining;
                let mut response = rejection.into_response(this.protocol).map(Reply::ours);
                if leaving {
                    response
                        .headers_mut()
                        .insert(CONNECTION, HeaderValue::from_static("close"));
                }
                Ok(response)
            }
        })
    }
}

// === impl AdmissionLayer, Admission ===

impl<S, A, M> Layer<S> for AdmissionLayer<A, M> {
    type Service = Admission<S, A, M>;

    fn layer(&self, inner: S) -> Self::Service {
        Admission {
            inner,
            policy: self.policy.clone(),
            mode: PhantomData,
        }
    }
}

impl<A, M> Clone for AdmissionLayer<A, M> {
    fn clone(&self) -> Self {
        Self {
            policy: self.policy.clone(),
            mode: PhantomData,
        }
    }
}

impl<S: Clone, A, M> Clone for Admission<S, A, M> {
    fn clone(&self) -> Self {
        Self {
            inner: self.inner.clone(),
            policy: self.policy.clone(),
            mode: PhantomData,
        }
    }
}

impl<A, M> fmt::Debug for AdmissionLayer<A, M> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AdmissionLayer").finish_non_exhaustive()
    }
}

impl<S: fmt::Debug, A, M> fmt::Debug for Admission<S, A, M> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Admission")
            .field("inner", &self.inner)
            .finish_non_exhaustive()
    }
}

impl<S: Service<R>, A: Admit, R> fmt::Debug for AdmissionFuture<S, A, R>
where
    A::Wait: Keep<S>,
{
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AdmissionFuture")
            .field("state", &self.call.name())
            .finish_non_exhaustive()
    }
}

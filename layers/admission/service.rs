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
    telemetry,
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
    /// call. That a layer of ours below rejected is known where the error is a [`Rejection`] or a [`BoxError`].
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
#[pin_project(project = CallProj)]
pub(super) enum Call<S: Service<R>, A: Admit, R>
where
    A::Wait: Keep<S>,
{
    /// Boxed, or every call would carry the room of a request that waits through all the layers outside.
    Waiting(Pin<Box<Waits<S, A, R>>>),
    Running {
        // Before the work: the permit learns of a departure before the work is taken down.
        permit: Held<A::Permit>,
        #[pin]
        future: S::Future,
    },
    Rejected(Rejection),
    Done,
}

/// A call that waits, and all it takes to make it.
#[pin_project]
pub(super) struct Waits<S, A: Admit, R>
where
    A::Wait: Keep<S>,
{
    #[pin]
    wait: A::Wait,
    call: Option<(<A::Wait as Keep<S>>::Kept, R)>,
}

impl<S: Service<R>, A: Admit, R> Call<S, A, R>
where
    A::Wait: Keep<S>,
{
    #[inline]
    pub(super) fn new(inner: &mut S, decision: Decision<A::Permit, A::Wait>, request: R) -> Self {
        match decision {
            Decision::Now(permit) => {
                // Held before the call, which may panic.
                let permit = Held::new(permit);
                let future = inner.call(request);
                Self::Running { permit, future }
            }
            decision => Self::not_now(inner, decision, request),
        }
    }

    #[cold]
    fn not_now(inner: &mut S, decision: Decision<A::Permit, A::Wait>, request: R) -> Self {
        match decision {
            Decision::Wait(wait) => Self::Waiting(Box::pin(Waits {
                call: Some((wait.keep(inner), request)),
                wait,
            })),
            Decision::No(rejection) => Self::Rejected(rejection),
            Decision::Now(_) => Self::Done,
        }
    }

    /// The state's name, for `Debug`.
    pub(super) fn name(&self) -> &'static str {
        match self {
            Self::Waiting(_) => "waiting",
            Self::Running { .. } => "running",
            Self::Rejected(_) => "rejected",
            Self::Done => "done",
        }
    }

    /// Polls a call that waits, up to where it runs or is rejected.
    #[inline]
    pub(super) fn poll_wait(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        match &*self {
            Self::Waiting(_) => self.poll_waiting(cx),
            _ => Poll::Ready(()),
        }
    }

    #[cold]
    fn poll_waiting(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let CallProj::Waiting(waits) = self.as_mut().project() else {
            return Poll::Ready(());
        };
        let waits = waits.as_mut().project();
        let granted = ready!(waits.wait.poll(cx));
        let call = waits.call.take();
        self.set(match (granted, call) {
            (Ok(permit), Some((kept, request))) => {
                let permit = Held::new(permit);
                let future = <A::Wait as Keep<S>>::call(kept, request);
                Self::Running { permit, future }
            }
            (Err(rejection), _) => Self::Rejected(rejection),
            (Ok(_), None) => Self::Done,
        });
        Poll::Ready(())
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

    #[inline]
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

    #[inline]
    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let mut this = self.project();
        ready!(this.call.as_mut().poll_wait(cx));
        let rejection = match this.call.as_mut().project() {
            CallProj::Running { permit, future } => {
                return match future.poll(cx) {
                    Poll::Pending => Poll::Pending,
                    Poll::Ready(Ok(response)) => match permit.take() {
                        Some(permit) => {
                            let response = Classified::follow_in(response, this.protocol, permit, Reply::inner);
                            Poll::Ready(Ok(response))
                        }
                        None => Poll::Pending,
                    },
                    Poll::Ready(Err(error)) => {
                        permit.settle(Outcome::failure(Class::Transport));
                        Poll::Ready(Err(error))
                    }
                };
            }
            CallProj::Rejected(rejection) => rejection.clone(),
            CallProj::Waiting(_) | CallProj::Done => return Poll::Pending,
        };
        this.call.set(Call::Done);
        telemetry::rejected(&rejection);
        let leaving = *this.keeps_alive && rejection.reason() == Reason::Draining;
        let mut response = rejection.into_answer(this.protocol).map(Reply::ours);
        if leaving {
            response
                .headers_mut()
                .insert(CONNECTION, HeaderValue::from_static("close"));
        }
        Poll::Ready(Ok(response))
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

use std::{
    fmt,
    future::Future,
    pin::Pin,
    task::{Context, Poll, ready},
};

use pin_project::pin_project;
use tower_service::Service;

use super::{
    Admit, Arrival, Keep,
    service::{Admission, Call, CallProj},
};
use crate::{
    outcome::{Outcome, of_any},
    rejection::{Rejection, Typed},
    telemetry,
};

impl<S, A, R> Service<R> for Admission<S, A, Typed>
where
    S: Service<R>,
    S::Error: From<Rejection> + 'static,
    A: Admit,
    A::Wait: Keep<S>,
{
    type Response = S::Response;
    type Error = S::Error;
    type Future = TypedAdmissionFuture<S, A, R>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, request: R) -> Self::Future {
        let decision = self.policy.admit(&Arrival::new(None));
        TypedAdmissionFuture {
            call: Call::new(&mut self.inner, decision, request),
        }
    }
}

/// The response future of an [`Admission`] that is [typed](crate::rejection::Typed).
#[pin_project]
pub struct TypedAdmissionFuture<S: Service<R>, A: Admit, R>
where
    A::Wait: Keep<S>,
{
    #[pin]
    call: Call<S, A, R>,
}

impl<S, A, R> Future for TypedAdmissionFuture<S, A, R>
where
    S: Service<R>,
    S::Error: From<Rejection> + 'static,
    A: Admit,
    A::Wait: Keep<S>,
{
    type Output = Result<S::Response, S::Error>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let mut call = self.project().call;
        ready!(call.as_mut().poll_wait(cx));
        let rejection = match call.as_mut().project() {
            CallProj::Running { permit, future } => {
                let result = ready!(future.poll(cx));
                permit.settle(result.as_ref().err().map_or(Outcome::Success, of_any));
                return Poll::Ready(result);
            }
            CallProj::Rejected(rejection) => rejection.clone(),
            CallProj::Waiting(_) | CallProj::Done => return Poll::Pending,
        };
        call.set(Call::Done);
        telemetry::rejected(&rejection);
        Poll::Ready(Err(rejection.into()))
    }
}

impl<S: Service<R>, A: Admit, R> fmt::Debug for TypedAdmissionFuture<S, A, R>
where
    A::Wait: Keep<S>,
{
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TypedAdmissionFuture")
            .field("state", &self.call.name())
            .finish()
    }
}

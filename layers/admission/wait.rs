use std::{
    convert::Infallible,
    future::Future,
    marker::PhantomData,
    mem,
    pin::Pin,
    task::{Context, Poll},
};

use pin_project::pin_project;
use tower_service::Service;

use crate::rejection::Rejection;

/// The wait of a policy that never waits. It cannot be made, so such a policy needs no inner service that is `Clone`.
#[derive(Debug)]
pub struct Never<P>(Infallible, PhantomData<fn() -> P>);

impl<P> Future for Never<P> {
    type Output = Result<P, Rejection>;

    fn poll(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Self::Output> {
        match self.0 {}
    }
}

/// The wait of a policy that can wait, around any future that ends in a permit or a rejection.
#[pin_project]
#[derive(Debug)]
pub struct Queued<F>(#[pin] F);

impl<F> Queued<F> {
    /// Waits for `future`.
    pub const fn new(future: F) -> Self {
        Self(future)
    }
}

impl<F: Future> Future for Queued<F> {
    type Output = F::Output;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<F::Output> {
        self.project().0.poll(cx)
    }
}

/// The wait of a policy that answers at once: there never is one, as with [`Never`]. Another policy can be asked
/// [after it](super::Admit#impl-Admit-for-(A,+B)).
#[diagnostic::on_unimplemented(
    message = "only the last of the policies that stand together can let a request wait",
    note = "this one waits: put it last in the pair, or into a layer of its own"
)]
pub trait Immediate {
    /// Whatever is wanted, of a wait that cannot be.
    fn never<T>(self) -> T;
}

impl<P> Immediate for Never<P> {
    fn never<T>(self) -> T {
        match self.0 {}
    }
}

/// How a service that was ready is kept while its request waits.
///
/// `poll_ready` made *this* service ready, so this one is kept, a clone takes its place, and this one is called. A policy that
/// never waits keeps nothing, and asks for no `Clone`.
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot keep `{S}` while a request waits",
    label = "this policy waits",
    note = "the service below a policy that waits must be `Clone`; one that is not goes behind a `tower::buffer::Buffer`",
    note = "the wait of a policy is `Never`, or `Queued<F>` around a future `F`"
)]
pub trait Keep<S> {
    /// What is kept.
    type Kept;

    /// Keeps it, and leaves a clone.
    fn keep(&self, service: &mut S) -> Self::Kept;

    /// Calls what was kept.
    fn call<R>(kept: Self::Kept, request: R) -> S::Future
    where
        S: Service<R>;
}

impl<S, P> Keep<S> for Never<P> {
    type Kept = Infallible;

    fn keep(&self, _: &mut S) -> Infallible {
        match self.0 {}
    }

    fn call<R>(kept: Infallible, _: R) -> S::Future
    where
        S: Service<R>,
    {
        match kept {}
    }
}

#[diagnostic::do_not_recommend]
impl<S: Clone, F> Keep<S> for Queued<F> {
    type Kept = S;

    fn keep(&self, service: &mut S) -> S {
        let clone = service.clone();
        mem::replace(service, clone)
    }

    fn call<R>(mut kept: S, request: R) -> S::Future
    where
        S: Service<R>,
    {
        kept.call(request)
    }
}

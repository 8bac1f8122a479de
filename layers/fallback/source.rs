//! Where the other answer comes from.

use std::{
    future::{Future, Ready, ready},
    pin::Pin,
    task::{Context, Poll, ready as ready_or_pending},
};

use bytes::Bytes;
use http::{Request, Response};
use http_body::Body;
use pin_project::pin_project;

use super::{Failed, body::Whole};
use crate::{body::BoxError, context::Head};

/// Where the other answer to a request comes from. The constructors of [`FallbackLayer`](super::FallbackLayer) make one.
#[diagnostic::on_unimplemented(
    message = "`{Self}` is no other answer to an HTTP request with a body of `{B}`",
    note = "a value must be an `http::Response<Bytes>`, a function must return a future of one, or of an `Option` of one, and a service \
            must take requests with a body of `Replay<B>` and be `Clone`",
    note = "around a service that is not HTTP, say `.typed()`"
)]
pub trait Source<B> {
    /// The body that the inner service is called with.
    type Sent;
    /// What is kept of a request while it is answered.
    type Kept;
    /// The body of the other answer.
    type Body: Body<Data = Bytes, Error: Into<BoxError>>;
    /// The other answer, while it is made. `None`: there is none after all.
    type Answering: Future<Output = Option<Response<Self::Body>>>;

    /// What is sent of a request, and what is kept of it. `wanted`: whether it may ever be answered otherwise.
    fn keep(&self, request: Request<B>, wanted: bool) -> (Request<Self::Sent>, Option<Self::Kept>);

    /// Waits until what is kept can be used.
    fn poll_kept(&self, kept: &Self::Kept, cx: &mut Context<'_>) -> Poll<()> {
        let _ = (kept, cx);
        Poll::Ready(())
    }

    /// The other answer. `None`: what is kept cannot be used for it.
    fn answer(&self, failed: &Failed<'_>, kept: Self::Kept) -> Option<Self::Answering>;
}

/// The same around a service that is not HTTP.
#[diagnostic::on_unimplemented(
    message = "`{Self}` is no other answer `{T}` to a request `{R}`",
    note = "a value must be that answer and `Clone`, a function must take `&{E}` and return a future of the answer, or of an `Option` of \
            it, and a service must be `Clone` as must the request"
)]
pub trait TypedSource<R, T, E> {
    /// What is kept of a request while it is answered.
    type Kept;
    /// The other answer, while it is made. `None`: there is none after all.
    type Answering: Future<Output = Option<T>>;

    /// What is kept of a request.
    fn keep(&self, request: &R) -> Self::Kept;

    /// The other answer.
    fn answer(&self, error: &E, kept: Self::Kept) -> Self::Answering;
}

/// The same answer, always. Made by [`FallbackLayer::value`](super::FallbackLayer::value).
#[derive(Clone, Copy, Debug)]
pub struct Value<T>(pub(super) T);

/// A function of how the call failed. Made by [`FallbackLayer::with`](super::FallbackLayer::with) and
/// [`FallbackLayer::on_error`](super::FallbackLayer::on_error).
#[derive(Clone, Copy, Debug)]
pub struct Function<F>(pub(super) F);

/// A function of how the call failed, and of what was kept of its head. Made by
/// [`FallbackLayer::with_kept`](super::FallbackLayer::with_kept).
#[derive(Clone, Copy, Debug)]
pub struct Keeping<K, F> {
    pub(super) keep: K,
    pub(super) function: F,
}

/// The future of a function's answer.
#[pin_project]
#[derive(Debug)]
pub struct FunctionFuture<F>(#[pin] F);

// === impl Value ===

impl<B> Source<B> for Value<Response<Bytes>> {
    type Sent = B;
    type Kept = ();
    type Body = Whole;
    type Answering = Ready<Option<Response<Whole>>>;

    #[inline]
    fn keep(&self, request: Request<B>, wanted: bool) -> (Request<B>, Option<()>) {
        (request, wanted.then_some(()))
    }

    fn answer(&self, _: &Failed<'_>, (): ()) -> Option<Self::Answering> {
        Some(ready(Some(self.0.clone().map(Whole))))
    }
}

impl<R, T: Clone, E> TypedSource<R, T, E> for Value<T> {
    type Kept = ();
    type Answering = Ready<Option<T>>;

    #[inline]
    fn keep(&self, _: &R) {}

    fn answer(&self, _: &E, (): ()) -> Self::Answering {
        ready(Some(self.0.clone()))
    }
}

// === impl Function ===

impl<B, F, Fut, A> Source<B> for Function<F>
where
    F: Fn(&Failed<'_>) -> Fut,
    Fut: Future<Output = A>,
    A: Into<Option<Response<Bytes>>>,
{
    type Sent = B;
    type Kept = ();
    type Body = Whole;
    type Answering = FunctionFuture<Fut>;

    #[inline]
    fn keep(&self, request: Request<B>, wanted: bool) -> (Request<B>, Option<()>) {
        (request, wanted.then_some(()))
    }

    fn answer(&self, failed: &Failed<'_>, (): ()) -> Option<Self::Answering> {
        Some(FunctionFuture(self.0(failed)))
    }
}

impl<R, T, E, F, Fut, A> TypedSource<R, T, E> for Function<F>
where
    F: Fn(&E) -> Fut,
    Fut: Future<Output = A>,
    A: Into<Option<T>>,
{
    type Kept = ();
    type Answering = TypedFunctionFuture<Fut, T>;

    #[inline]
    fn keep(&self, _: &R) {}

    fn answer(&self, error: &E, (): ()) -> Self::Answering {
        TypedFunctionFuture(self.0(error), std::marker::PhantomData)
    }
}

// === impl Keeping ===

impl<B, K, T, F, Fut, A> Source<B> for Keeping<K, F>
where
    K: Fn(Head<'_>) -> T,
    F: Fn(&Failed<'_>, T) -> Fut,
    Fut: Future<Output = A>,
    A: Into<Option<Response<Bytes>>>,
{
    type Sent = B;
    type Kept = T;
    type Body = Whole;
    type Answering = FunctionFuture<Fut>;

    #[inline]
    fn keep(&self, request: Request<B>, wanted: bool) -> (Request<B>, Option<T>) {
        let kept = wanted.then(|| (self.keep)(Head::from(&request)));
        (request, kept)
    }

    fn answer(&self, failed: &Failed<'_>, kept: T) -> Option<Self::Answering> {
        Some(FunctionFuture((self.function)(failed, kept)))
    }
}

impl<F, A> Future for FunctionFuture<F>
where
    F: Future<Output = A>,
    A: Into<Option<Response<Bytes>>>,
{
    type Output = Option<Response<Whole>>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let answer = ready_or_pending!(self.project().0.poll(cx));
        Poll::Ready(answer.into().map(|response| response.map(Whole)))
    }
}

/// The future of a function's answer that is not HTTP.
#[pin_project]
#[derive(Debug)]
pub struct TypedFunctionFuture<F, T>(#[pin] F, std::marker::PhantomData<fn() -> T>);

impl<F, T, A> Future for TypedFunctionFuture<F, T>
where
    F: Future<Output = A>,
    A: Into<Option<T>>,
{
    type Output = Option<T>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<T>> {
        self.project().0.poll(cx).map(Into::into)
    }
}

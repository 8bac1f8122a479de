//! That the contract finds what breaks it, and lets pass what does not.

use std::{
    future::Future,
    pin::Pin,
    sync::{Arc, Mutex},
    task::{Context, Poll, Waker, ready},
    time::Duration,
};

use tower::{
    Layer, Service, buffer::BufferLayer, layer::util::Identity, limit::ConcurrencyLimitLayer, timeout::TimeoutLayer,
};

use super::*;

/// Ways to get it wrong.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Wrong {
    NotAtAll,
    CallsAClone,
    CallsTwice,
    Spins,
    SpinsUnready,
    LosesWakes,
    SwallowsErrors,
    FailsByItself,
    KeepsCalls,
    KeepsServices,
    ForgetsReadiness,
}

#[derive(Clone, Copy)]
struct BadLayer(Wrong);

struct Bad<S> {
    inner: S,
    wrong: Wrong,
    kept: Arc<Mutex<Vec<Box<dyn std::any::Any + Send>>>>,
}

impl<S> Layer<S> for BadLayer {
    type Service = Bad<S>;

    fn layer(&self, inner: S) -> Bad<S> {
        let (wrong, kept) = (self.0, Arc::default());
        Bad { inner, wrong, kept }
    }
}

impl<S: Clone> Clone for Bad<S> {
    fn clone(&self) -> Self {
        let (inner, wrong, kept) = (self.inner.clone(), self.wrong, self.kept.clone());
        Self { inner, wrong, kept }
    }
}

impl<S> Service<&'static str> for Bad<S>
where
    S: Service<&'static str, Response = Answer, Error = BoxError> + Clone + Send + 'static,
    S::Future: Send + 'static,
{
    type Response = Option<Answer>;
    type Error = BoxError;
    type Future = Pin<Box<dyn Future<Output = Result<Option<Answer>, BoxError>> + Send>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        match self.wrong {
            Wrong::ForgetsReadiness => Poll::Ready(Ok(())),
            Wrong::SpinsUnready => {
                let ready = self.inner.poll_ready(cx);
                cx.waker().wake_by_ref();
                ready
            }
            _ => self.inner.poll_ready(cx),
        }
    }

    fn call(&mut self, request: &'static str) -> Self::Future {
        let wrong = self.wrong;
        match wrong {
            Wrong::CallsAClone => return Box::pin(some(self.inner.clone().call(request))),
            Wrong::CallsTwice => drop(self.inner.call(request)),
            Wrong::KeepsServices => std::mem::forget(self.inner.clone()),
            Wrong::KeepsCalls => {
                let call = self.inner.call(request);
                // Never dropped, because it holds itself.
                self.kept.lock().unwrap().push(Box::new((call, self.kept.clone())));
                return Box::pin(async { Ok(None) });
            }
            _ => {}
        }
        let mut call = Box::pin(self.inner.call(request));
        Box::pin(std::future::poll_fn(move |cx| match wrong {
            Wrong::Spins => {
                cx.waker().wake_by_ref();
                call.as_mut().poll(cx).map_ok(Some)
            }
            Wrong::LosesWakes => call.as_mut().poll(&mut Context::from_waker(Waker::noop())).map_ok(Some),
            Wrong::SwallowsErrors => Poll::Ready(Ok(ready!(call.as_mut().poll(cx)).ok())),
            Wrong::FailsByItself => Poll::Ready(ready!(call.as_mut().poll(cx)).and(Err("no".into()))),
            _ => call.as_mut().poll(cx).map_ok(Some),
        }))
    }
}

async fn some(call: impl Future<Output = Result<Answer, BoxError>>) -> Result<Option<Answer>, BoxError> {
    call.await.map(Some)
}

async fn broken(wrong: Wrong) -> Broken {
    let held = Contract::new().service(BadLayer(wrong), || "request").await;
    held.expect_err("it breaks the contract")
}

#[tokio::test(start_paused = true)]
async fn each_way_to_break_it_is_found() {
    for (wrong, violation) in [
        (Wrong::CallsAClone, Violation::CalledUnready),
        (Wrong::CallsTwice, Violation::CalledUnready),
        (Wrong::ForgetsReadiness, Violation::CalledUnready),
        (Wrong::Spins, Violation::Spins { polls: 33 }),
        (Wrong::SpinsUnready, Violation::Spins { polls: 33 }),
        (Wrong::LosesWakes, Violation::LostWake),
        (Wrong::SwallowsErrors, Violation::Swallowed),
        (Wrong::FailsByItself, Violation::Failed { how: "no".into() }),
        (
            Wrong::KeepsServices,
            Violation::Kept {
                what: "services",
                count: 1,
            },
        ),
        (
            Wrong::KeepsCalls,
            Violation::Kept {
                what: "calls",
                count: 1,
            },
        ),
    ] {
        let broken = broken(wrong).await;
        assert!(broken.contains(&violation), "{wrong:?}: {broken}");
    }
}

#[tokio::test(start_paused = true)]
async fn who_keeps_it_passes() {
    service(BadLayer(Wrong::NotAtAll), || "request").await;
    service(Identity::new(), || "request").await;
    http(Identity::new()).await;
    service(ConcurrencyLimitLayer::new(2), || "request").await;
    service(TimeoutLayer::new(Duration::from_secs(600)), || "request").await;
}

#[tokio::test(start_paused = true)]
async fn a_layer_that_works_in_a_task_of_its_own_passes() {
    let contract = Contract::new().outlives_its_caller();
    contract
        .service(BufferLayer::<&str>::new(4), || "request")
        .await
        .unwrap();
}

#[tokio::test(start_paused = true)]
#[should_panic(expected = "a clone of a service that is ready: it called a service that had not said it was ready")]
async fn it_fails_with_the_scenario() {
    service(Copies, || "request").await;
}

/// Its clones think they are ready because the original is.
struct Copies;

#[derive(Clone)]
struct Copied<S>(S, bool);

impl<S> Layer<S> for Copies {
    type Service = Copied<S>;

    fn layer(&self, inner: S) -> Copied<S> {
        Copied(inner, false)
    }
}

impl<S: Service<R>, R> Service<R> for Copied<S> {
    type Response = S::Response;
    type Error = S::Error;
    type Future = S::Future;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        if !self.1 {
            ready!(self.0.poll_ready(cx))?;
            self.1 = true;
        }
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: R) -> S::Future {
        self.1 = false;
        self.0.call(request)
    }
}

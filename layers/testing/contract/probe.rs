//! The service that a layer is put around.

use std::{
    error, fmt,
    future::Future,
    marker::PhantomData,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
};

use http::{Request, Response};
use http_body::Body;
use pin_project::pin_project;
use tower_service::Service;

use super::{
    AnswerBody, Violation,
    board::{Board, Ends, Gate, Held, Live},
};
use crate::body::BoxError;

/// Answers HTTP requests, once it has read them.
#[derive(Clone, Copy, Debug)]
pub struct Http;

/// Answers any requests.
#[derive(Clone, Copy, Debug)]
pub struct Plain;

/// A service that knows how it is treated. Made by [`http`](super::http()) and [`service`](super::service) alone.
#[derive(Debug)]
pub struct Probe<M> {
    live: Live,
    state: State,
    mode: PhantomData<M>,
}

/// Of one service: a clone has its own.
#[derive(Debug)]
enum State {
    Unready(Arc<Gate>),
    Ready,
}

/// What a probe fails with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct ProbeError;

/// The answer of a probe of any requests.
#[derive(Debug)]
pub struct Answer {
    _live: Live,
}

impl<M> Probe<M> {
    pub(super) fn new(board: &Arc<Board>) -> Self {
        Self {
            live: Live::new(board, Held::Service),
            state: State::Unready(Arc::default()),
            mode: PhantomData,
        }
    }

    fn poll(&mut self, cx: &Context<'_>) -> Poll<Result<(), BoxError>> {
        if let State::Unready(gate) = &self.state {
            let board = self.live.board();
            ready!(gate.poll(board, cx));
            if board.plan.ends == Ends::Unready {
                return Poll::Ready(Err(board.fail()));
            }
            self.state = State::Ready;
        }
        Poll::Ready(Ok(()))
    }

    fn begin(&mut self) -> Wait {
        let board = self.live.board();
        if let State::Unready(_) = self.state {
            board.violates(Violation::CalledUnready);
        }
        self.state = State::Unready(Arc::default());
        Wait {
            live: Live::new(board, Held::Call),
            gate: Arc::default(),
        }
    }
}

/// Not ready because the original is.
impl<M> Clone for Probe<M> {
    fn clone(&self) -> Self {
        Self::new(self.live.board())
    }
}

/// A call that has not been answered.
#[derive(Debug)]
struct Wait {
    live: Live,
    gate: Arc<Gate>,
}

impl Wait {
    fn poll<T>(&self, cx: &Context<'_>, answer: impl FnOnce(&Arc<Board>) -> T) -> Poll<Result<T, BoxError>> {
        let board = self.live.board();
        ready!(self.gate.poll(board, cx));
        if board.plan.ends == Ends::Never {
            ready!(board.hang(cx));
        }
        if board.plan.ends == Ends::Failed {
            return Poll::Ready(Err(board.fail()));
        }
        board.answer();
        Poll::Ready(Ok(answer(board)))
    }
}

/// A call of a probe.
#[pin_project]
#[derive(Debug)]
pub struct ProbeFuture<R> {
    wait: Wait,
    #[pin]
    request: R,
}

impl<B> Service<Request<B>> for Probe<Http>
where
    B: Body,
{
    type Response = Response<AnswerBody>;
    type Error = BoxError;
    type Future = ProbeFuture<Upload<B>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        self.poll(cx)
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        ProbeFuture {
            wait: self.begin(),
            request: Upload(Some(request.into_body())),
        }
    }
}

/// A request's body, that is read before there is an answer. Gone once it is.
#[pin_project]
#[derive(Debug)]
pub struct Upload<B>(#[pin] Option<B>);

impl<B: Body> Future for ProbeFuture<Upload<B>> {
    type Output = Result<Response<AnswerBody>, BoxError>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.project();
        let mut upload = this.request.project().0;
        while let Some(body) = upload.as_mut().as_pin_mut() {
            match ready!(body.poll_frame(cx)) {
                Some(Ok(_)) => {}
                Some(Err(_)) | None => upload.set(None),
            }
        }
        this.wait.poll(cx, |board| Response::new(AnswerBody::new(board)))
    }
}

impl<R> Service<R> for Probe<Plain> {
    type Response = Answer;
    type Error = BoxError;
    type Future = ProbeFuture<Given<R>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        self.poll(cx)
    }

    fn call(&mut self, request: R) -> Self::Future {
        ProbeFuture {
            wait: self.begin(),
            request: Given(request),
        }
    }
}

/// A request, held until it is answered.
#[derive(Debug)]
pub struct Given<R>(R);

impl<R> Future for ProbeFuture<Given<R>> {
    type Output = Result<Answer, BoxError>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        self.wait.poll(cx, |board| Answer {
            _live: Live::new(board, Held::Answer),
        })
    }
}

impl fmt::Display for ProbeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the probe failed, as it was to")
    }
}

impl error::Error for ProbeError {}

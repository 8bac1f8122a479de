use std::{sync::Arc, time::Duration};

use http::StatusCode;

use super::{
    ErrorType,
    method::{self, METHODS},
};
use crate::{
    context::Head,
    outcome::Outcome,
    rejection::Protocol,
    telemetry::{Event, ProcessEvent},
};

/// Who is told of calls: that they began, what happened in them, how they ended.
///
/// Each call that [began](Self::began) [ends](Self::ended) exactly once: at the end of its answer's body, at its head where nothing
/// follows, or when its caller left. What belongs to it in between is the observer's own, [`Call`](Self::Call), and goes with the call
/// from thread to thread.
///
/// A function of the [`Ended`] is an observer; `()` is one that is told nothing and costs nothing; of `(A, B)` both are told, `A`
/// first and outermost; `None` of an `Option` is told nothing. All of it is called in the course of the call, on its thread: be quick.
#[diagnostic::on_unimplemented(
    message = "`{Self}` is not an observer of calls",
    note = "a function `Fn(&Ended)` is one, and so is an `impl Observer`"
)]
pub trait Observer {
    /// What it keeps of a call while it runs: a span, what it is counted under. `()` for nothing.
    type Call;

    /// Whether it ever wants to be told. Where not, the layer is as if it were not there.
    const LISTENS: bool = true;

    /// Whether it wants to be told of a call that begins now. Where not, no clock is read and no body followed. Asked once for each
    /// call.
    #[inline]
    fn listens(&self) -> bool {
        Self::LISTENS
    }

    /// A call begins.
    fn began(&self, began: &Began<'_>) -> Self::Call;

    /// Runs a poll of the call, of its head or its body. A span is entered here.
    #[inline]
    fn enter<R>(&self, call: &mut Self::Call, poll: impl FnOnce() -> R) -> R
    where
        Self: Sized,
    {
        let _ = call;
        poll()
    }

    /// Something happened in the call, in the poll that has just [run](Self::enter).
    fn event(&self, call: &mut Self::Call, event: &Event) {
        let _ = (call, event);
    }

    /// The call ended.
    fn ended(&self, call: Self::Call, ended: &Ended);

    /// Something happened to the process, or to a job of one of its workers.
    fn process(&self, event: &ProcessEvent<'_>) {
        let _ = event;
    }
}

/// A call at its beginning.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct Began<'a> {
    /// Whether it is answered here or made here.
    pub side: Side,
    /// How it is spoken. `None`: it is not HTTP.
    pub protocol: Option<&'a Protocol>,
    /// The head of the request. `None`: it is not HTTP.
    pub head: Option<Head<'a>>,
    /// What the user's [function](super::ObserveLayer::route) calls its route: one of few.
    pub route: Option<&'a str>,
}

impl<'a> Began<'a> {
    /// The method as the attribute `http.request.method` has it: one of RFC 9110's and RFC 5789's, all others are `_OTHER`. `None`: it is
    /// not HTTP.
    pub fn method(&self) -> Option<&'static str> {
        let number = method::number(self.head?.method);
        METHODS.get(usize::from(number)).copied()
    }

    /// The RPC system as the attribute `rpc.system.name` has it: `grpc`, `connectrpc`. `None`: it is no RPC.
    pub fn rpc_system(&self) -> Option<&'static str> {
        match self.protocol? {
            Protocol::Http | Protocol::HttpHead => None,
            Protocol::ConnectUnary | Protocol::ConnectStreaming(_) => Some("connectrpc"),
            _ => Some("grpc"),
        }
    }

    /// The RPC's method as the attribute `rpc.method` has it, `pkg.Service/Method`: the route, where it is one. `None`: it is no RPC, or has
    /// no route.
    pub fn rpc_method(&self) -> Option<&'a str> {
        self.rpc_system()?;
        Some(self.route?.trim_start_matches('/'))
    }
}

/// Whether a call is answered here or made here.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Side {
    /// It is answered here.
    Server,
    /// It is made here.
    Client,
}

/// A call at its end.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Ended {
    /// How it ended.
    pub outcome: Outcome,
    /// Whether it ended before its answer's body began to be sent, or in it.
    pub at: At,
    /// The status of its answer. `None`: there was no answer, or it is not HTTP.
    pub status: Option<StatusCode>,
    /// The gRPC status, where one came.
    pub grpc_status: Option<i32>,
    /// What kind of error it was for whoever observes here, if it was one. A client that drops the body of a good answer unread made none: it
    /// asked for the status alone.
    pub error: Option<ErrorType>,
    /// How long it took, from the request's head to this end.
    pub took: Duration,
}

/// Where a call ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum At {
    /// At the head of its answer or before: there was no body, or nobody waited for it.
    Head,
    /// In the body, or at its end.
    Body,
}

impl At {
    /// As a metric's attribute has it: `head`, `body`.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Head => "head",
            Self::Body => "body",
        }
    }
}

impl Observer for () {
    type Call = ();

    const LISTENS: bool = false;

    #[inline]
    fn began(&self, _: &Began<'_>) {}

    #[inline]
    fn ended(&self, (): (), _: &Ended) {}
}

impl<F: Fn(&Ended)> Observer for F {
    type Call = ();

    fn began(&self, _: &Began<'_>) {}

    fn ended(&self, (): (), ended: &Ended) {
        self(ended);
    }
}

impl<A: Observer, B: Observer> Observer for (A, B) {
    type Call = (A::Call, B::Call);

    const LISTENS: bool = A::LISTENS || B::LISTENS;

    #[inline]
    fn listens(&self) -> bool {
        self.0.listens() || self.1.listens()
    }

    fn began(&self, began: &Began<'_>) -> Self::Call {
        (self.0.began(began), self.1.began(began))
    }

    fn enter<R>(&self, call: &mut Self::Call, poll: impl FnOnce() -> R) -> R {
        self.0.enter(&mut call.0, || self.1.enter(&mut call.1, poll))
    }

    fn event(&self, call: &mut Self::Call, event: &Event) {
        self.0.event(&mut call.0, event);
        self.1.event(&mut call.1, event);
    }

    fn ended(&self, call: Self::Call, ended: &Ended) {
        self.0.ended(call.0, ended);
        self.1.ended(call.1, ended);
    }

    fn process(&self, event: &ProcessEvent<'_>) {
        self.0.process(event);
        self.1.process(event);
    }
}

impl<O: Observer> Observer for Option<O> {
    type Call = Option<O::Call>;

    const LISTENS: bool = O::LISTENS;

    #[inline]
    fn listens(&self) -> bool {
        self.as_ref().is_some_and(O::listens)
    }

    fn began(&self, began: &Began<'_>) -> Self::Call {
        self.as_ref().map(|observer| observer.began(began))
    }

    fn enter<R>(&self, call: &mut Self::Call, poll: impl FnOnce() -> R) -> R {
        match (self, call) {
            (Some(observer), Some(call)) => observer.enter(call, poll),
            _ => poll(),
        }
    }

    fn event(&self, call: &mut Self::Call, event: &Event) {
        if let (Some(observer), Some(call)) = (self, call) {
            observer.event(call, event);
        }
    }

    fn ended(&self, call: Self::Call, ended: &Ended) {
        if let (Some(observer), Some(call)) = (self, call) {
            observer.ended(call, ended);
        }
    }

    fn process(&self, event: &ProcessEvent<'_>) {
        if let Some(observer) = self {
            observer.process(event);
        }
    }
}

impl<O: Observer> Observer for Arc<O> {
    type Call = O::Call;

    const LISTENS: bool = O::LISTENS;

    #[inline]
    fn listens(&self) -> bool {
        (**self).listens()
    }

    #[inline]
    fn began(&self, began: &Began<'_>) -> Self::Call {
        (**self).began(began)
    }

    #[inline]
    fn enter<R>(&self, call: &mut Self::Call, poll: impl FnOnce() -> R) -> R {
        (**self).enter(call, poll)
    }

    fn event(&self, call: &mut Self::Call, event: &Event) {
        (**self).event(call, event);
    }

    #[inline]
    fn ended(&self, call: Self::Call, ended: &Ended) {
        (**self).ended(call, ended);
    }

    fn process(&self, event: &ProcessEvent<'_>) {
        (**self).process(event);
    }
}

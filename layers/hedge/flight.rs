use std::{
    future::Future,
    pin::Pin,
    task::{Context, Poll},
};

use pin_project::pin_project;
use tokio::time::Instant;

use crate::{
    context::{Cancelled, Scope},
    retry::Paid,
};

/// An attempt that is under way, beside others.
#[pin_project]
pub(super) struct Flight<F> {
    // Before the call: what it spawned hears of the end before the call is taken down.
    scope: Option<Scope>,
    /// The first has none of its own.
    paid: Option<Paid>,
    /// The first is 1.
    number: u32,
    /// If it is not the first, and latencies are of interest.
    began: Option<Instant>,
    #[pin]
    call: F,
}

impl<F: Future> Flight<F> {
    pub(super) fn new(scope: Scope, paid: Option<Paid>, number: u32, began: Option<Instant>, call: F) -> Self {
        Self {
            scope: Some(scope),
            paid,
            number,
            began,
            call,
        }
    }

    #[inline]
    pub(super) fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<F::Output> {
        let this = self.project();
        match this.scope {
            Some(scope) => scope.enter(|| this.call.poll(cx)),
            None => Poll::Pending,
        }
    }

    pub(super) fn number(&self) -> u32 {
        self.number
    }

    pub(super) fn began(&self) -> Option<Instant> {
        self.began
    }

    /// Its context, for the body of its answer.
    pub(super) fn take_scope(self: Pin<&mut Self>) -> Option<Scope> {
        self.project().scope.take()
    }

    /// What was paid for it, if it is not the first.
    pub(super) fn paid(self: Pin<&mut Self>) -> Option<&mut Paid> {
        self.project().paid.as_mut()
    }

    /// Another one answered.
    pub(super) fn supersede(self: Pin<&mut Self>) {
        if let Some(scope) = self.project().scope {
            scope.end(Cancelled::Superseded);
        }
    }
}

//! A job while it runs: in the books until it has ended, however that is.

use std::{sync::Arc, thread};

use tokio::time::Instant;

use super::{
    FailedBy,
    attempt::Attempt,
    shared::{Failure, Shared},
    stretch::Stretch,
};
use crate::{
    context::{Context, Criticality, Scope},
    registry::{self, Entry, Kind, Root},
};

/// A job in the books, until it has ended: also where its lane is aborted or dies.
pub(super) struct Running<'a, J> {
    shared: &'a Shared<J>,
    root: &'a Arc<Root>,
    /// The worker's.
    context: &'a Context,
    stretch: &'a mut Stretch,
    limits: Limits,
    /// A copy of it, where one is needed.
    pub(super) kept: Option<J>,
    attempts: u32,
    /// Since it first waited.
    entry: Option<Entry>,
    has_ended: bool,
}

/// What a job is told, and what it is held to.
#[derive(Clone, Copy, Debug)]
pub(super) struct Limits {
    pub(super) criticality: Criticality,
    /// When it must be done, as it is told.
    pub(super) told: Option<Instant>,
    /// When it is dropped, if it has not ended.
    pub(super) until: Option<Instant>,
}

impl<'a, J> Running<'a, J> {
    pub(super) fn new(
        shared: &'a Shared<J>,
        root: &'a Arc<Root>,
        context: &'a Context,
        stretch: &'a mut Stretch,
        limits: Limits,
    ) -> Self {
        Self {
            shared,
            root,
            context,
            stretch,
            limits,
            kept: None,
            attempts: 0,
            entry: None,
            has_ended: false,
        }
    }

    pub(super) fn began(&self) -> Instant {
        self.stretch.at()
    }

    pub(super) fn until(&self) -> Option<Instant> {
        self.limits.until
    }

    pub(super) fn attempts(&self) -> u32 {
        self.attempts
    }

    pub(super) fn entry(&self) -> Option<&Entry> {
        self.entry.as_ref()
    }

    /// Begins an attempt.
    pub(super) fn attempt<'b, H, F>(&'b mut self, handler: &'b H, job: J, kept: Option<J>) -> Attempt<'b, 'a, J, H, F> {
        self.attempts += 1;
        self.kept = kept;
        let Limits { criticality, told, .. } = self.limits;
        let scope = Scope::below(self.context, told, criticality, self.attempts);
        Attempt::new(self, scope, handler, job)
    }

    /// It waits: it is entered into the registry, and its time is its own from here on. What ends at once is not worth it.
    pub(super) fn waits(&mut self) {
        if self.entry.is_some() {
            return;
        }
        self.entry = registry::enter(Kind::Job, self.shared.name, self.limits.told, Some(self.root.clone()));
        if self.stretch.has_untold() {
            self.shared.settle(self.stretch);
        }
        self.stretch.is_over();
    }

    pub(super) fn done(mut self) {
        self.has_ended = true;
        self.stretch.done();
    }

    pub(super) fn failed(mut self, why: FailedBy) {
        self.enter_failure(why);
    }

    fn enter_failure(&mut self, why: FailedBy) {
        self.has_ended = true;
        let failure = Failure {
            job: self.kept.take(),
            why,
            attempts: self.attempts,
        };
        self.shared.failed(self.stretch, failure);
    }
}

impl<J> Drop for Running<'_, J> {
    fn drop(&mut self) {
        if !self.has_ended {
            self.enter_failure(if thread::panicking() {
                FailedBy::Panicked
            } else {
                FailedBy::Aborted
            });
        }
    }
}

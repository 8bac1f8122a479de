use std::{fmt, sync::Arc, time::Duration};

use http::HeaderMap;

use super::{Backoff, plan::Bounds};
use crate::{
    budget::Budgets,
    context::Head,
    outcome::{Hint, wall_clock},
    rejection::Protocol,
};

type ReadHints = dyn Fn(&HeaderMap) -> Option<Hint> + Send + Sync;
type IsIdempotent = dyn for<'a> Fn(Head<'a>) -> bool + Send + Sync;

/// Everything that a user can set, but for the classifier.
#[derive(Clone)]
pub(crate) struct Settings {
    pub(crate) bounds: Bounds,
    pub(crate) budgets: Budgets,
    /// Bytes of a body that are kept to be sent again.
    pub(crate) body_limit: usize,
    /// Whether what is a retry already is not retried here.
    pub(crate) only_first: bool,
    /// gRPC statuses that are retried beside UNAVAILABLE, for the budget of a call whose status comes behind its head.
    pub(crate) codes: Vec<i32>,
    pub(crate) hints: Option<Arc<ReadHints>>,
    pub(crate) idempotent: Option<Arc<IsIdempotent>>,
}

impl Settings {
    pub(crate) fn interactive() -> Self {
        Self {
            bounds: Bounds {
                attempts: 3,
                backoff: Backoff::default(),
                hint_cap: Hint::DEFAULT_CAP,
                floor: Duration::from_millis(1),
            },
            budgets: Budgets::default(),
            body_limit: 64 << 10,
            only_first: false,
            codes: Vec::new(),
            hints: None,
            idempotent: None,
        }
    }

    /// A queue's job: nobody waits for it, and somebody finds it in the dead letters if all of this was not enough.
    pub(super) fn background(&mut self) {
        self.bounds.attempts = 10;
        self.bounds.backoff = Backoff::new(Duration::from_secs(1), Duration::from_secs(300));
        self.bounds.hint_cap = Duration::from_secs(600);
    }

    /// Whether a request may be sent twice: it says so itself, or the user does.
    pub(crate) fn is_idempotent(&self, request: Head<'_>) -> bool {
        request.method.is_idempotent()
            || request.headers.contains_key("idempotency-key")
            || self.idempotent.as_ref().is_some_and(|says| says(request))
    }

    /// What the upstream said about trying again.
    pub(crate) fn hint(&self, headers: &HeaderMap, protocol: &Protocol) -> Option<Hint> {
        if Hint::should_retry(headers) == Some(false) {
            return Some(Hint::DoNotRetry);
        }
        let own = self.hints.as_ref().and_then(|read| read(headers));
        own.or_else(|| {
            if protocol.has_grpc_status() {
                Hint::grpc(headers)
            } else {
                Hint::http(headers, wall_clock)
            }
        })
    }
}

impl fmt::Debug for Settings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Settings")
            .field("bounds", &self.bounds)
            .field("budgets", &self.budgets)
            .field("body_limit", &self.body_limit)
            .field("only_first", &self.only_first)
            .field("codes", &self.codes)
            .field("hints", &self.hints.is_some())
            .field("idempotent", &self.idempotent.is_some())
            .finish()
    }
}

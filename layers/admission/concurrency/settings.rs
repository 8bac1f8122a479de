use std::{fmt, sync::Arc, time::Duration};

use super::{HoldUntil, Limit, NAME};
use crate::context::Head;

/// How long a request may wait, unless the user says otherwise.
const WAIT: Duration = Duration::from_millis(100);
/// A queue is as long as so many times the limit to begin with, within these bounds, unless the user says otherwise.
const QUEUE: usize = 4;
const LEAST_QUEUE: usize = 64;
const MOST_QUEUE: usize = 1_024;

type NameOf = dyn for<'a> Fn(Head<'a>) -> Option<&'a str> + Send + Sync;
type MakeLaw = dyn Fn() -> Box<dyn Limit> + Send + Sync;

/// What the user chose.
#[derive(Clone)]
pub(super) struct Settings {
    pub(super) name: &'static str,
    pub(super) law: Arc<MakeLaw>,
    pub(super) queue: Option<usize>,
    pub(super) wait: Duration,
    pub(super) hold: HoldUntil,
    pub(super) route: Option<Arc<NameOf>>,
}

impl Settings {
    pub(super) fn new<L>(law: L) -> Self
    where
        L: Limit + Clone + Sync + 'static,
    {
        Self {
            name: NAME,
            law: Arc::new(move || Box::new(law.clone())),
            queue: None,
            wait: WAIT,
            hold: HoldUntil::Body,
            route: None,
        }
    }

    pub(super) fn make_law(&self) -> Box<dyn Limit> {
        (self.law)()
    }

    pub(super) fn queue_length(&self, limit: usize) -> usize {
        let fitting = limit.saturating_mul(QUEUE).clamp(LEAST_QUEUE, MOST_QUEUE);
        self.queue.unwrap_or(fitting)
    }
}

impl fmt::Debug for Settings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let law = self.make_law();
        f.debug_struct("Settings")
            .field("name", &self.name)
            .field("law", &law)
            .field("queue", &self.queue_length(law.limit()))
            .field("max_wait", &self.wait)
            .field("hold_until", &self.hold)
            .finish_non_exhaustive()
    }
}

use std::{
    fmt,
    panic::{AssertUnwindSafe, catch_unwind},
    sync::Arc,
};

use super::{Handle, worker::QueueStatus};
use crate::{
    observe::Observer,
    registry::{self, Kind},
    telemetry::{Measured, ProcessEvent, Report, instruments},
};

/// Who is told of what happens to the process, if anybody.
#[derive(Clone, Default)]
pub(super) struct Told(Option<Arc<Tell>>);

type Tell = dyn Fn(&ProcessEvent<'_>) + Send + Sync;

impl Told {
    pub(super) const fn nobody() -> Self {
        Self(None)
    }

    pub(super) fn observer(observer: impl Observer + Send + Sync + 'static) -> Self {
        Self(Some(Arc::new(move |event| observer.process(event))))
    }

    pub(super) fn listens(&self) -> bool {
        self.0.is_some()
    }

    /// Tells. One that panics does nothing to what it is told of.
    pub(super) fn tell(&self, event: &ProcessEvent<'_>) {
        if let Some(tell) = &self.0 {
            let _ = catch_unwind(AssertUnwindSafe(|| tell(event)));
        }
    }
}

impl fmt::Debug for Told {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Told").field(&self.0.is_some()).finish()
    }
}

/// How the process stands: how much of it is alive, of each [kind](Kind); whether it is ready; and each of its workers, by its name.
///
/// It looks through the registry, a sixteenth of it at a time, and takes each worker's lock for a moment. There is one process, so
/// that the name is not told.
impl Measured for Handle {
    fn measure(&self, _: &str, report: &mut dyn Report) {
        let alive = self.0.realms().map(|realm| registry::count_of(&realm.root));
        for (at, kind) in Kind::ALL.iter().enumerate() {
            let count = alive.iter().map(|counts| counts[at]).sum();
            instruments::TASK_COUNT.count(count, &[("kind", kind.as_str())], report);
        }
        instruments::READY.count(u64::from(self.readiness().is_ready()), &[], report);
        let workers = self.0.workers().clone();
        for worker in workers {
            worker.status().measure(worker.name(), report);
        }
    }
}

/// `name` is its worker's.
impl Measured for QueueStatus {
    fn measure(&self, name: &str, report: &mut dyn Report) {
        let worker = ("worker", name);
        instruments::WORKER_QUEUE_DEPTH.count(self.depth as u64, &[worker], report);
        instruments::WORKER_QUEUE_CAPACITY.count(self.capacity as u64, &[worker], report);
        let oldest = self.oldest.unwrap_or_default().as_secs_f64();
        instruments::WORKER_QUEUE_AGE.value(oldest, &[worker], report);
        let counts = self.counts;
        for (outcome, count) in [
            ("done", counts.done),
            ("failed", counts.failed),
            ("expired", counts.expired),
            ("unprocessed", counts.unprocessed),
        ] {
            instruments::WORKER_JOBS.count(count, &[worker, ("outcome", outcome)], report);
        }
        instruments::WORKER_RESTARTS.count(counts.restarts, &[worker], report);
    }
}

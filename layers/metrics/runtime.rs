use tokio::runtime::{Handle, RuntimeMetrics};

use crate::telemetry::{Measured, Report, instruments};

/// How a tokio runtime stands, as far as it tells without `tokio_unstable`.
///
/// | instrument | what it is good for |
/// |---|---|
/// | `tokio.task.count` | a number that only grows is a leak |
/// | `tokio.global_queue.depth` | a number that stays above 0 is a runtime that cannot keep up |
/// | `tokio.worker.busy`, by `worker` | a rate near 1 on one thread alone is something that blocks it |
///
/// Its `name` is not told: a process that watches two runtimes cannot tell them apart.
#[derive(Clone, Debug)]
pub struct Runtime(RuntimeMetrics);

impl Runtime {
    /// The runtime of this handle.
    pub fn new(handle: &Handle) -> Self {
        Self(handle.metrics())
    }

    /// The runtime that this runs in. `None`, which is [measured](Measured) as nothing, outside of one.
    pub fn current() -> Option<Self> {
        Some(Self::new(&Handle::try_current().ok()?))
    }
}

impl Measured for Runtime {
    fn measure(&self, _: &str, report: &mut dyn Report) {
        let Self(now) = self;
        instruments::RUNTIME_TASKS.count(now.num_alive_tasks() as u64, &[], report);
        instruments::RUNTIME_QUEUE.count(now.global_queue_depth() as u64, &[], report);
        // Counted where it fits into an atomic.
        #[cfg(target_has_atomic = "64")]
        for worker in 0..now.num_workers() {
            let busy = now.worker_total_busy_duration(worker).as_secs_f64();
            instruments::RUNTIME_BUSY.value(busy, &[("worker", &worker.to_string())], report);
        }
    }
}

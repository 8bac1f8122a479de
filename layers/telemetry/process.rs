use std::time::Duration;

/// What happened to the process or in one of its workers: to no call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum ProcessEvent<'a> {
    /// A job of a worker ended.
    #[non_exhaustive]
    JobEnded {
        /// The worker.
        worker: &'a str,
        /// `done`, `failed`, `expired`, `unprocessed`.
        outcome: &'static str,
        /// How long it ran, with all of its attempts and the waits between them. `None`: it never ran.
        took: Option<Duration>,
    },
    /// A worker died, and is started again.
    #[non_exhaustive]
    WorkerRestarted {
        /// The worker.
        worker: &'a str,
        /// After so long.
        wait: Duration,
    },
    /// The process left a phase of its end.
    #[non_exhaustive]
    PhaseEnded {
        /// The phase, as [`Phase::as_str`](crate::lifecycle::Phase::as_str) has it.
        phase: &'static str,
        /// How long it took.
        took: Duration,
    },
    /// A piece of work did not end, and was made to.
    #[non_exhaustive]
    Aborted {
        /// What kind of work, as [`Kind::as_str`](crate::registry::Kind::as_str) has it.
        kind: &'static str,
        /// Its name.
        name: &'a str,
        /// How old it was.
        age: Duration,
    },
}

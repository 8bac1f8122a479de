use std::{
    fmt,
    io::{self, Write},
    process::{self, ExitCode, Termination},
    time::Duration,
};

use tokio::time::Instant;

use super::Phase;
use crate::registry::Work;

/// Why a process ends.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Cause {
    /// Somebody outside told it to, by this signal.
    Signal(&'static str),
    /// [Asked](super::Handle::shutdown) from within.
    Asked,
    /// A task that must not end did.
    Critical {
        /// Its name.
        name: &'static str,
        /// How it ended.
        how: String,
    },
}

/// How a process ended: what [`Lifecycle::run`](super::Lifecycle::run) gives. End `main` with [`exit`](Self::exit). A `main` can also
/// return the report, and then waits for code that blocks, as it drops its runtime.
///
/// Its exit code is 0 if everything ended by itself, and 1 if anything was aborted or [lost](Self::lost), a hook failed, or the cause was
/// a critical task. Jobs that somebody [took back](Self::unprocessed) are not lost.
#[derive(Clone, Debug)]
#[non_exhaustive]
#[must_use = "end `main` with its `exit`, for its exit code"]
pub struct Report {
    /// Why it ended.
    pub cause: Cause,
    /// The phases it went through, and how long each took.
    pub phases: Vec<(Phase, Duration)>,
    /// What had not ended in time, and was aborted.
    pub aborted: Vec<Ended>,
    /// Those of them that had not ended a grace later, for they do not yield or cannot be aborted.
    pub stuck: Vec<Ended>,
    /// Jobs that were accepted and not run, by worker: handed back to its
    /// [`on_unprocessed`](super::worker::WorkerBuilder::on_unprocessed), and so not lost.
    pub unprocessed: Vec<(&'static str, usize)>,
    /// Jobs that were accepted and not run, by worker, and that nobody took back: it has no `on_unprocessed`, or that panicked.
    pub lost: Vec<(&'static str, usize)>,
    /// Hooks that failed, and how; those that a second signal left no time for are skipped.
    pub failed_hooks: Vec<(&'static str, String)>,
}

/// A piece of work at its end, and how old it was.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Ended {
    /// What it was.
    pub work: Work,
    /// How old it was.
    pub age: Duration,
}

impl Ended {
    pub(super) fn all(works: Vec<Work>, now: Instant) -> Vec<Self> {
        let ended = |work: Work| Self {
            age: now.saturating_duration_since(work.started),
            work,
        };
        works.into_iter().map(ended).collect()
    }
}

impl Report {
    pub(super) const fn new(cause: Cause) -> Self {
        Self {
            cause,
            phases: Vec::new(),
            aborted: Vec::new(),
            stuck: Vec::new(),
            unprocessed: Vec::new(),
            lost: Vec::new(),
            failed_hooks: Vec::new(),
        }
    }

    /// Whether everything ended by itself, and nothing was lost.
    pub fn is_clean(&self) -> bool {
        self.aborted.is_empty()
            && self.stuck.is_empty()
            && self.lost.is_empty()
            && self.failed_hooks.is_empty()
            && !matches!(self.cause, Cause::Critical { .. })
    }

    /// Ends the process now, with its exit code; what is not clean is written to the standard error.
    ///
    /// A `main` that returns drops its runtime first, and that waits for code that blocks, and for a task that never yields, for as long
    /// as they take. After this there is nothing to wait for: what is [stuck](Self::stuck) ends with the process. No destructor runs.
    ///
    /// ```no_run
    /// # use buttress::{BoxError, Lifecycle};
    /// #[tokio::main]
    /// async fn main() -> Result<(), BoxError> {
    ///     let life = Lifecycle::builder().signals().build()?;
    ///     life.run().await.exit()
    /// }
    /// ```
    pub fn exit(self) -> ! {
        let code = i32::from(!self.is_clean());
        let _ = self.report();
        process::exit(code)
    }

    /// How long the end took, from its cause.
    pub fn took(&self) -> Duration {
        self.phases.iter().map(|(_, took)| *took).sum()
    }
}

impl Termination for Report {
    fn report(self) -> ExitCode {
        if !self.is_clean() {
            // Nobody reading it is no reason to panic, as `eprintln!` would.
            let _ = writeln!(io::stderr(), "{self}");
        }
        if self.is_clean() {
            ExitCode::SUCCESS
        } else {
            ExitCode::FAILURE
        }
    }
}

impl fmt::Display for Cause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Signal(signal) => f.write_str(signal),
            Self::Asked => f.write_str("asked to"),
            Self::Critical { name, how } => write!(f, "critical task {name} {how}"),
        }
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ended in {:?}: {}", self.took(), self.cause)?;
        for ended in &self.aborted {
            write!(f, "\n  aborted: {ended}")?;
        }
        for ended in &self.stuck {
            write!(f, "\n  stuck: {ended}")?;
        }
        for (worker, jobs) in &self.unprocessed {
            write!(f, "\n  not processed: {jobs} jobs of {worker}")?;
        }
        for (worker, jobs) in &self.lost {
            write!(
                f,
                "\n  lost: {jobs} jobs of {worker}, which has no on_unprocessed or whose one panicked"
            )?;
        }
        for (hook, how) in &self.failed_hooks {
            write!(f, "\n  failed: hook {hook}: {how}")?;
        }
        Ok(())
    }
}

impl fmt::Display for Ended {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ({:.1?} old)", self.work, self.age)
    }
}

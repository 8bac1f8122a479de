use std::{error, fmt, time::Duration};

use super::{Lifecycle, phase::Times, told::Told};
use crate::observe::Observer;

/// A [`Lifecycle`] to be.
///
/// | setting | default | |
/// |---|---|---|
/// | [`signals`](Self::signals) | none are heard | SIGTERM and SIGINT end the process |
/// | [`budget`](Self::budget) | 25 s | for all of the end, but the grace |
/// | [`ready_delay`](Self::ready_delay) | 0 | of the budget: not ready, and still accepting |
/// | [`grace`](Self::grace) | 1 s | after the abort, for tasks to come to a yield |
/// | [`observe`](Self::observe) | nobody | is told of jobs, phases and what is aborted |
#[derive(Clone, Debug)]
#[must_use = "a builder does nothing until it is built"]
pub struct LifecycleBuilder {
    times: Times,
    signals: bool,
    told: Told,
}

/// Why there can be no such lifecycle.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum InvalidLifecycle {
    /// The readiness delay takes more of the budget than is left by a quarter of it for the workers and a second for the hooks.
    ReadyDelay,
    /// The budget or the grace is longer than a year: so long is for ever.
    TooLong,
    /// Signals are to be heard, and there is no tokio runtime here with its I/O driver, or the system refused.
    Signals,
}

const YEAR: Duration = Duration::from_secs(365 * 24 * 3600);

impl LifecycleBuilder {
    pub(super) const fn new() -> Self {
        Self {
            times: Times {
                ready_delay: Duration::ZERO,
                budget: Duration::from_secs(25),
                grace: Duration::from_secs(1),
            },
            signals: false,
            told: Told::nobody(),
        }
    }

    /// SIGTERM and SIGINT (Ctrl-C) end the process; the second of them aborts at once what has not ended.
    pub const fn signals(mut self) -> Self {
        self.signals = true;
        self
    }

    /// How long the end may take in all, from its cause to the abort. What sends the signal must wait for longer before it kills: with
    /// Kubernetes, `terminationGracePeriodSeconds` of this, the grace, and some.
    pub const fn budget(mut self, budget: Duration) -> Self {
        self.times.budget = budget;
        self
    }

    /// How long it is not ready and still accepts: load balancers hear late that they should send elsewhere. It is part of the budget.
    pub const fn ready_delay(mut self, delay: Duration) -> Self {
        self.times.ready_delay = delay;
        self
    }

    /// How long what was aborted has to come to a yield.
    pub const fn grace(mut self, grace: Duration) -> Self {
        self.times.grace = grace;
        self
    }

    /// Who is told of the [process](Observer::process): jobs that ended, workers that died, the phases of the end, and what had to be aborted
    /// in it. Give it the one that observes calls. It is told in the midst of it all, so it must be quick, and must not block.
    pub fn observe(mut self, observer: impl Observer + Send + Sync + 'static) -> Self {
        self.told = Told::observer(observer);
        self
    }

    /// The lifecycle. There is one for a process; a test may have several.
    ///
    /// # Errors
    ///
    /// See [`InvalidLifecycle`].
    pub fn build(self) -> Result<Lifecycle, InvalidLifecycle> {
        if self.times.budget > YEAR || self.times.grace > YEAR {
            return Err(InvalidLifecycle::TooLong);
        }
        if !self.times.fits() {
            return Err(InvalidLifecycle::ReadyDelay);
        }
        Lifecycle::new(self.times, self.signals, self.told)
    }
}

impl fmt::Display for InvalidLifecycle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::ReadyDelay => "the readiness delay leaves too little of the budget for workers and hooks",
            Self::TooLong => "the budget and the grace are a year at most",
            Self::Signals => "signals cannot be heard here: it takes a tokio runtime with its I/O driver",
        })
    }
}

impl error::Error for InvalidLifecycle {}

use std::{error, fmt, time::Duration};

/// What was tried.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Scenario {
    /// Nothing is under way but a connection on which nothing was said.
    Idle,
    /// A request is under way that ends by itself.
    SlowRequest,
    /// A task of the process never ends.
    StuckTask,
    /// An answer never ends.
    StuckStream,
    /// Something never ends, and whoever sent the signal sends it again.
    SecondSignal,
}

/// What went wrong.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Finding {
    /// The app did not start, or could not be reached.
    NotStarted {
        /// Why.
        why: String,
    },
    /// The request was answered before the shutdown began: it is not slow, and proves nothing.
    NotSlow,
    /// The request that was under way was not answered whole.
    NotAnswered {
        /// What came instead.
        how: String,
    },
    /// Something was aborted or failed, though nothing was stuck.
    NotClean {
        /// The report.
        report: String,
    },
    /// It took longer than it may.
    TooLong {
        /// How long it may take.
        allowed: Duration,
    },
    /// It was stuck, and the report does not name it.
    NotNamed,
    /// It was aborted, and had not ended a grace later.
    StillAlive {
        /// The report.
        report: String,
    },
    /// The process has ended, and the connection has not.
    StillOpen,
    /// The process has ended, and its port still takes connections.
    StillListening,
}

/// All that a drill found, in the order in which it was tried.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Findings {
    /// What went wrong, and in which scenario. Empty where all is well.
    pub found: Vec<(Scenario, Finding)>,
}

impl Findings {
    /// Whether all is well.
    pub fn is_empty(&self) -> bool {
        self.found.is_empty()
    }

    /// What went wrong in this scenario.
    pub fn of(&self, scenario: Scenario) -> impl Iterator<Item = &Finding> {
        self.found
            .iter()
            .filter(move |(tried, _)| *tried == scenario)
            .map(|(_, finding)| finding)
    }
}

impl fmt::Display for Scenario {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Idle => "with nothing to do",
            Self::SlowRequest => "with a slow request",
            Self::StuckTask => "with a stuck task",
            Self::StuckStream => "with a stuck stream",
            Self::SecondSignal => "at a second signal",
        })
    }
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotStarted { why } => write!(f, "the app did not start: {why}"),
            Self::NotSlow => f.write_str("the request was answered before the shutdown began"),
            Self::NotAnswered { how } => write!(f, "the request was not answered whole: {how}"),
            Self::NotClean { report } => write!(f, "nothing was stuck, and the end was not clean: {report}"),
            Self::TooLong { allowed } => write!(f, "it had not ended after {allowed:?}"),
            Self::NotNamed => f.write_str("the report does not name what was stuck"),
            Self::StillAlive { report } => write!(f, "what was aborted had not ended a grace later: {report}"),
            Self::StillOpen => f.write_str("the connection is still open"),
            Self::StillListening => f.write_str("the port still takes connections"),
        }
    }
}

impl fmt::Display for Findings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the app does not end as it should:")?;
        for (scenario, finding) in &self.found {
            write!(f, "\n  {scenario}: {finding}")?;
        }
        Ok(())
    }
}

impl error::Error for Findings {}

use std::{error, fmt};

/// What was asked of a layer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Scenario {
    /// A service that is ready at once and answers at once.
    Quick,
    /// One that is slow to be ready, slow to answer, and slow with its body; two calls.
    Slow,
    /// A clone, made of a service that is ready and not yet called.
    Clones,
    /// A service that fails to be ready.
    Unready,
    /// One whose calls fail.
    Fails,
    /// One whose body breaks off in the middle.
    Breaks,
    /// One that never answers.
    Hangs,
    /// What is dropped after so many polls.
    Dropped(usize),
    /// The same, where the service never answers.
    DroppedHanging(usize),
    /// The same, where calls fail.
    DroppedFailing(usize),
}

/// How a layer broke the contract.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Violation {
    /// It called a service, or a clone of one, that had not said it was ready, or not since its last call.
    CalledUnready,
    /// It was polled so often while nothing happened.
    Spins {
        /// How often.
        polls: usize,
    },
    /// The service below it went on, and the caller was not woken.
    LostWake,
    /// It waited for nothing that ever came.
    Stuck,
    /// The service below it failed, and the caller was not told.
    Swallowed,
    /// The service below it answered, and the caller got an error.
    Failed {
        /// The error.
        how: String,
    },
    /// It was dropped, and something is still held.
    Kept {
        /// What.
        what: &'static str,
        /// How many.
        count: usize,
    },
}

/// All that was found of a layer that does not keep the contract.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Broken {
    /// How, and in which scenario. Of one kind, the first scenario alone.
    pub violations: Vec<(Scenario, Violation)>,
}

impl Broken {
    /// Whether this was found, in any scenario.
    pub fn contains(&self, violation: &Violation) -> bool {
        self.violations.iter().any(|(_, found)| found == violation)
    }
}

impl fmt::Display for Scenario {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Quick => f.write_str("around a service that answers at once"),
            Self::Slow => f.write_str("around a slow service"),
            Self::Clones => f.write_str("a clone of a service that is ready"),
            Self::Unready => f.write_str("around a service that fails to be ready"),
            Self::Fails => f.write_str("around a service that fails"),
            Self::Breaks => f.write_str("around a service whose body breaks"),
            Self::Hangs => f.write_str("around a service that never answers"),
            Self::Dropped(polls) => write!(f, "dropped after {polls} polls"),
            Self::DroppedHanging(polls) => write!(f, "dropped after {polls} polls of what hangs"),
            Self::DroppedFailing(polls) => write!(f, "dropped after {polls} polls of what fails"),
        }
    }
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::CalledUnready => f.write_str("it called a service that had not said it was ready"),
            Self::Spins { polls } => write!(f, "it spins: {polls} polls while nothing happened"),
            Self::LostWake => f.write_str("the service went on, and the caller was not woken"),
            Self::Stuck => f.write_str("it waits for what never comes"),
            Self::Swallowed => f.write_str("the service failed, and the caller was not told"),
            Self::Failed { how } => write!(f, "the service answered, and the caller got an error: {how}"),
            Self::Kept { what, count } => write!(f, "it still holds {count} {what}"),
        }
    }
}

impl fmt::Display for Broken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the layer does not keep the contract:")?;
        for (scenario, violation) in &self.violations {
            write!(f, "\n  {scenario}: {violation}")?;
        }
        Ok(())
    }
}

impl error::Error for Broken {}

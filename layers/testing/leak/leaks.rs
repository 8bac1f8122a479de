use std::{error, fmt};

use crate::registry::Work;

/// What lived on when the work was done.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Leaks {
    /// Ours, the oldest first.
    pub works: Vec<Work>,
    /// How many tasks that are not.
    pub foreign: usize,
    /// Whether code that blocks its thread was still running.
    pub blocked: bool,
    /// What is open that was not before, as the system names it.
    pub descriptors: Vec<String>,
}

impl Leaks {
    pub(super) fn is_empty(&self) -> bool {
        self.works.is_empty() && self.foreign == 0 && !self.blocked && self.descriptors.is_empty()
    }
}

impl fmt::Display for Leaks {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the work is done, and this still lives:")?;
        for work in &self.works {
            write!(f, "\n  {work} (stopped by {})", work.kind.stopped_by())?;
        }
        match self.foreign {
            0 => {}
            1 => f.write_str("\n  a task that is not ours")?,
            tasks => write!(f, "\n  {tasks} tasks that are not ours")?,
        }
        if self.blocked {
            f.write_str("\n  code that blocks its thread")?;
        }
        for open in &self.descriptors {
            write!(f, "\n  open: {open}")?;
        }
        Ok(())
    }
}

impl error::Error for Leaks {}

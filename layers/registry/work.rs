use std::fmt;

use tokio::time::Instant;

/// What kind of work an entry is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[non_exhaustive]
pub enum Kind {
    /// A connection that is served.
    Connection,
    /// A request, where requests are [tracked](crate::lifecycle).
    Request,
    /// Spawned by [`Context::spawn`](crate::Context::spawn): ends with its context.
    Task,
    /// Shielded by [`Context::shield`](crate::Context::shield): runs to its end although its caller left, at most so long.
    Shield,
    /// Sent on its way by [`Context::detach`](crate::Context::detach): outlives its request on purpose, at most so long.
    Detached,
    /// Code that blocks its thread, by [`Context::spawn_blocking`](crate::Context::spawn_blocking). It is told to end, and cannot be made to.
    Blocking,
    /// A task of the process that must not end.
    Critical,
    /// A worker, with its queue.
    Worker,
    /// A job of a worker.
    Job,
    /// What is to be closed at the end.
    Hook,
}

impl Kind {
    /// Each at its own place.
    pub(crate) const ALL: [Self; 10] = [
        Self::Connection,
        Self::Request,
        Self::Task,
        Self::Shield,
        Self::Detached,
        Self::Blocking,
        Self::Critical,
        Self::Worker,
        Self::Job,
        Self::Hook,
    ];

    /// The kind as a metric's attribute has it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Connection => "connection",
            Self::Request => "request",
            Self::Task => "task",
            Self::Shield => "shield",
            Self::Detached => "detached",
            Self::Blocking => "blocking",
            Self::Critical => "critical",
            Self::Worker => "worker",
            Self::Job => "job",
            Self::Hook => "hook",
        }
    }

    /// What stops such work.
    pub const fn stopped_by(self) -> &'static str {
        match self {
            Self::Connection => "its peer, or the end of the drain",
            Self::Request => "the end of its answer, its caller's departure, or its deadline",
            Self::Task => "the end of what it belongs to",
            Self::Shield | Self::Detached => "its own deadline",
            Self::Blocking => "nothing but itself",
            Self::Critical => "the shutdown",
            Self::Worker => "the shutdown, once its queue is empty",
            Self::Job => "its deadline",
            Self::Hook => "it runs when all else has ended",
        }
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// One piece of work that is alive.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Work {
    /// Its number, which no other work of this process has or had.
    pub id: u64,
    /// What kind of work it is.
    pub kind: Kind,
    /// The name its code gave it.
    pub name: &'static str,
    /// What it was started by. `None`: by nothing that is registered.
    pub owner: Option<Owner>,
    /// When it was started.
    pub started: Instant,
    /// When it will be stopped, if nothing stops it before. `None`: see [`Kind::stopped_by`].
    pub deadline: Option<Instant>,
}

/// The work that another was started by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Owner {
    /// Its number.
    pub id: u64,
    /// Its kind.
    pub kind: Kind,
    /// Its name.
    pub name: &'static str,
}

impl Work {
    /// Whether it should have ended by now.
    pub fn is_overdue(&self, now: Instant) -> bool {
        self.deadline.is_some_and(|deadline| deadline < now)
    }
}

impl fmt::Display for Work {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.kind, self.name)?;
        match self.owner {
            Some(owner) => write!(f, " of {} {}", owner.kind, owner.name),
            None => Ok(()),
        }
    }
}

use std::{fmt, time::Duration};

use tokio::time::Instant;

/// Where a process stands on its way to its end. Each comes after the one before, and some may be passed over.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum Phase {
    /// It does what it is for.
    #[default]
    Running,
    /// Readiness says no, and all else goes on: load balancers need a while to hear of it.
    NotReady,
    /// Listeners are closed, connections end after the requests that are on them.
    Draining,
    /// Workers do what is left in their queues, the last that was started first.
    Workers,
    /// What was opened is closed, the last first.
    Hooks,
    /// What has not ended is made to.
    Aborting,
    /// It is over.
    Ended,
}

impl Phase {
    /// The phase as a metric's attribute has it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Running => "running",
            Self::NotReady => "not_ready",
            Self::Draining => "draining",
            Self::Workers => "workers",
            Self::Hooks => "hooks",
            Self::Aborting => "aborting",
            Self::Ended => "ended",
        }
    }
}

impl fmt::Display for Phase {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// How long what may take.
#[derive(Clone, Copy, Debug)]
pub(super) struct Times {
    pub(super) ready_delay: Duration,
    pub(super) budget: Duration,
    pub(super) grace: Duration,
}

/// When each phase ends at the latest. Set once, and never extended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Schedule {
    pub(super) not_ready: Instant,
    pub(super) draining: Instant,
    pub(super) workers: Instant,
    pub(super) hooks: Instant,
}

impl Times {
    /// What is kept for the hooks: a second, or of a small budget a quarter.
    fn for_hooks(&self) -> Duration {
        Duration::from_secs(1).min(self.budget / 4)
    }

    /// What the readiness delay leaves to all else, at least: the workers' quarter, and the hooks' share.
    pub(super) fn fits(&self) -> bool {
        self.ready_delay <= self.budget.saturating_sub(self.budget / 4 + self.for_hooks())
    }

    /// From this moment on. Nothing is kept for those who are not there.
    pub(super) fn from(&self, start: Instant, has_workers: bool, has_hooks: bool) -> Schedule {
        let kept = |there: bool, time| if there { time } else { Duration::ZERO };
        let hooks = start + self.budget;
        let workers = hooks - kept(has_hooks, self.for_hooks());
        Schedule {
            not_ready: start + self.ready_delay,
            draining: workers - kept(has_workers, self.budget / 4),
            workers,
            hooks,
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const S: Duration = Duration::from_secs(1);

    #[test]
    fn a_drain_leaves_a_quarter_to_the_workers_and_a_second_to_the_hooks() {
        let times = Times {
            ready_delay: 5 * S,
            budget: 24 * S,
            grace: S,
        };
        let start = Instant::now();
        let schedule = times.from(start, true, true);
        let after = [schedule.not_ready, schedule.draining, schedule.workers, schedule.hooks].map(|at| at - start);
        assert_eq!(after, [5 * S, 17 * S, 23 * S, 24 * S]);
        assert_eq!(times.from(start, false, false).draining - start, 24 * S);
    }

    proptest! {
        #[test]
        fn the_phases_come_one_after_the_other(
            ready in 0_u64..100_000, budget in 0_u64..100_000, has_workers: bool, has_hooks: bool,
        ) {
            let [ready_delay, budget] = [ready, budget].map(Duration::from_millis);
            let times = Times { ready_delay, budget, grace: S };
            prop_assume!(times.fits());
            let start = Instant::now();
            let Schedule { not_ready, draining, workers, hooks } = times.from(start, has_workers, has_hooks);
            prop_assert!(start <= not_ready && not_ready <= draining && draining <= workers && workers <= hooks);
            prop_assert_eq!(hooks, start + budget);
        }
    }
}

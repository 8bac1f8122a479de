//! What happens in a storm: who calls, how often, and what becomes of the service.

use buttress::context::Criticality;

use super::random::Takes;

/// A value that changes at certain seconds: each with the second from which it holds.
#[derive(Clone, Debug)]
pub(crate) struct Steps(Vec<(f64, f64)>);

impl Steps {
    pub(crate) fn always(value: f64) -> Self {
        Self(vec![(0.0, value)])
    }

    /// From that second on, until the next.
    pub(crate) fn from(mut self, second: f64, value: f64) -> Self {
        self.0.push((second, value));
        self
    }

    /// On and off, each for so long, until that second.
    pub(crate) fn on_off(on: f64, half_period: f64, until: f64) -> Self {
        let mut steps = Vec::new();
        let mut start = 0.0;
        while start < until {
            steps.push((start, on));
            steps.push((start + half_period, 0.0));
            start += 2.0 * half_period;
        }
        Self(steps)
    }

    /// The value then.
    pub(crate) fn at(&self, second: f64) -> f64 {
        self.begun(second).checked_sub(1).map_or(0.0, |step| self.0[step].1)
    }

    /// When it changes next.
    pub(crate) fn next(&self, second: f64) -> Option<f64> {
        self.0.get(self.begun(second)).map(|(start, _)| *start)
    }

    /// How many have begun by then, give or take the nanosecond that a `Duration` is exact to.
    fn begun(&self, second: f64) -> usize {
        self.0.partition_point(|(start, _)| *start <= second + 2e-9)
    }
}

/// Callers of one kind. They come when they like, and do not wait for one another.
#[derive(Clone, Debug)]
pub(crate) struct Callers {
    /// Calls a second.
    pub(crate) rate: Steps,
    /// The path they call, which is a route.
    pub(crate) path: &'static str,
    pub(crate) criticality: Criticality,
    /// How much work a call of theirs is.
    pub(crate) work: Takes,
    /// Seconds after which they leave.
    pub(crate) patience: f64,
}

impl Callers {
    pub(crate) fn new(rate: Steps, work: Takes) -> Self {
        Self {
            rate,
            path: "/",
            criticality: Criticality::Critical,
            work,
            patience: 1.0,
        }
    }

    pub(crate) fn path(mut self, path: &'static str) -> Self {
        self.path = path;
        self
    }

    pub(crate) fn criticality(mut self, criticality: Criticality) -> Self {
        self.criticality = criticality;
        self
    }

    pub(crate) fn patience(mut self, seconds: f64) -> Self {
        self.patience = seconds;
        self
    }
}

/// A storm.
#[derive(Clone, Debug)]
pub(crate) struct Scenario {
    /// How long, in seconds.
    pub(crate) seconds: f64,
    /// How many calls the service works at, at once. The others stand in line within it, where no policy sees them.
    pub(crate) workers: usize,
    pub(crate) callers: Vec<Callers>,
    /// How many times longer than usual a call takes.
    pub(crate) slowness: Steps,
    /// The part of the calls that fails.
    pub(crate) failing: Steps,
    /// How many seconds a failure takes.
    pub(crate) failure: f64,
    /// Whether the service works on for callers who have left.
    pub(crate) works_on: bool,
}

impl Scenario {
    pub(crate) fn new(seconds: f64, workers: usize, callers: Vec<Callers>) -> Self {
        Self {
            seconds,
            workers,
            callers,
            slowness: Steps::always(1.0),
            failing: Steps::always(0.0),
            failure: 0.0002,
            works_on: false,
        }
    }

    pub(crate) fn slowness(mut self, slowness: Steps) -> Self {
        self.slowness = slowness;
        self
    }

    pub(crate) fn failing(mut self, failing: Steps) -> Self {
        self.failing = failing;
        self
    }

    pub(crate) fn works_on(mut self) -> Self {
        self.works_on = true;
        self
    }
}

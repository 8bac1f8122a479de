//! What was seen of a storm of retries.

use std::{
    mem,
    sync::{Arc, Mutex, PoisonError},
};

use tokio::time::Instant;

/// A request, with all of its attempts.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Called {
    /// When it came, in seconds.
    pub(crate) at: f64,
    /// Whether it was answered, by whichever attempt.
    pub(crate) good: bool,
}

/// When attempts were sent.
#[derive(Clone, Debug, Default)]
pub(crate) struct Attempts(Arc<Mutex<Vec<Instant>>>);

impl Attempts {
    pub(crate) fn add(&self, now: Instant) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).push(now);
    }

    /// In seconds since then.
    pub(crate) fn since(&self, start: Instant) -> Vec<f64> {
        let attempts = mem::take(&mut *self.0.lock().unwrap_or_else(PoisonError::into_inner));
        let since = |at: Instant| at.duration_since(start).as_secs_f64();
        attempts.into_iter().map(since).collect()
    }
}

/// All of it.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Seen {
    /// In the order in which they came.
    pub(crate) called: Vec<Called>,
    /// When the service was called, in seconds, in that order.
    pub(crate) attempts: Vec<f64>,
}

impl Seen {
    /// Of calls that are counted from so many seconds on.
    pub(crate) fn shifted(mut called: Vec<Called>, attempts: Vec<f64>, by: f64) -> Self {
        for called in &mut called {
            called.at += by;
        }
        Self { called, attempts }
    }

    fn called(&self, from: f64, to: f64) -> &[Called] {
        let place = |second: f64| self.called.partition_point(|called| called.at < second);
        &self.called[place(from)..place(to)]
    }

    /// The part of those who came between these seconds that was answered.
    pub(crate) fn goodput(&self, from: f64, to: f64) -> f64 {
        let called = self.called(from, to);
        real(called.iter().filter(|called| called.good).count()) / real(called.len())
    }

    /// Attempts for each request, between these seconds.
    pub(crate) fn attempts(&self, from: f64, to: f64) -> f64 {
        self.attempts_beyond(from, to, 0.0)
    }

    /// The same, but for so many.
    pub(crate) fn attempts_beyond(&self, from: f64, to: f64, but: f64) -> f64 {
        let place = |second: f64| self.attempts.partition_point(|at| *at < second);
        (real(place(to) - place(from)) - but) / real(self.called(from, to).len())
    }

    /// So many seconds after `from`, in tenths, the goodput of the second that begins then is at least this, and that of every one
    /// which begins later, up to `to`. Infinite, if that never comes.
    pub(crate) fn recovered(&self, least: f64, from: f64, to: f64) -> f64 {
        let begins = (0..).map(|tenths| f64::from(tenths) / 10.0);
        let seconds = begins.take_while(|begins| from + begins + 1.0 <= to);
        let is_good = |begins: &f64| self.goodput(from + begins, from + begins + 1.0) >= least;
        let (mut recovered, mut end) = (0.0, 0.0);
        for begins in seconds {
            end = begins;
            if !is_good(&begins) {
                recovered = begins + 0.1;
            }
        }
        if recovered > end { f64::INFINITY } else { recovered }
    }
}

#[expect(clippy::cast_precision_loss, reason = "counts of a simulation")]
fn real(count: usize) -> f64 {
    count as f64
}

use std::sync::atomic::{AtomicU64, Ordering};

use super::plan::Kept;
use crate::{
    context::home::homes,
    telemetry::{Report, instruments},
};

/// What happened, for the [snapshot](RetrySnapshot).
#[derive(Debug)]
pub(crate) struct Counts {
    /// One for each home: all requests are counted there.
    requests: Box<[Requests]>,
    retries: AtomicU64,
    recovered: AtomicU64,
    kept: [AtomicU64; Kept::ALL.len()],
}

#[derive(Debug, Default)]
#[repr(align(128))]
struct Requests(AtomicU64);

/// What a [`RetryLayer`](super::RetryLayer) has done since it was made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct RetrySnapshot {
    /// Requests, each with a first attempt.
    pub requests: u64,
    /// Attempts after the first.
    pub retries: u64,
    /// Requests that succeeded, as far as their head tells, after the first attempt.
    pub recovered: u64,
    kept: [u64; Kept::ALL.len()],
}

impl RetrySnapshot {
    /// How many attempts that failed were passed up, for this reason.
    pub const fn kept(&self, why: Kept) -> u64 {
        self.kept[why as usize]
    }
}

impl Counts {
    pub(super) fn new() -> Self {
        Self {
            requests: (0..homes()).map(|_| Requests::default()).collect(),
            retries: AtomicU64::new(0),
            recovered: AtomicU64::new(0),
            kept: [const { AtomicU64::new(0) }; Kept::ALL.len()],
        }
    }

    #[inline]
    pub(super) fn request(&self, home: usize) {
        self.requests[home].0.fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn retry(&self) {
        self.retries.fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn recovered(&self) {
        self.recovered.fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn kept(&self, why: Kept) {
        self.kept[why as usize].fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn snapshot(&self) -> RetrySnapshot {
        let read = |count: &AtomicU64| count.load(Ordering::Relaxed);
        RetrySnapshot {
            requests: self.requests.iter().map(|requests| read(&requests.0)).sum(),
            retries: read(&self.retries),
            recovered: read(&self.recovered),
            kept: self.kept.each_ref().map(read),
        }
    }
}

impl RetrySnapshot {
    pub(super) fn measure(&self, target: &str, report: &mut dyn Report) {
        instruments::RETRY_REQUESTS.count(self.requests, &[("target", target)], report);
        let failed = self.retries.saturating_sub(self.recovered);
        for (outcome, count) in [("recovered", self.recovered), ("failed", failed)] {
            instruments::RETRY_ATTEMPTS.count(count, &[("target", target), ("outcome", outcome)], report);
        }
        for why in Kept::ALL {
            let attributes = [("target", target), ("reason", why.as_str())];
            instruments::RETRY_KEPT.count(self.kept(why), &attributes, report);
        }
    }
}

//! What the law is told: measured by all, told by whoever comes by when a window has ended.
//!
//! Where calls are many, some of them are timed and not all: a law that hears of a thousand in a window knows no less than one
//! that hears of a million, and two clock reads are a third of what a limit costs.

use std::{
    sync::{
        Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU32, AtomicU64, AtomicUsize, Ordering},
    },
    time::Duration,
};

use tokio::time::Instant;

use super::{
    Limit, RouteWindow, Window,
    counts::Totals,
    routes::{RouteKey, Routes},
};
use crate::outcome::latency::Recent;

/// Up to so many in a second are timed all; where there are more, at least half as many.
const TIMED: u64 = 4_096;
/// After so many in one window, only every other one is timed, and so on.
const AHEAD: u64 = 512;
/// After this time, what is known of a route counts for half.
const HALF_LIFE: Duration = Duration::from_secs(2);
/// How many samples of a route are remembered, however old.
const REMEMBERED: f32 = 200.0;
/// How many samples of a route there must be, before a deadline is held against them.
const ENOUGH: f32 = 100.0;
/// A deadline is held against what this share of the calls stays below.
const SLOW: f32 = 0.95;

#[derive(Debug)]
pub(super) struct Meter {
    pub(super) routes: Routes,
    start: Instant,
    /// When the window can end, in nanoseconds since the start.
    due: AtomicU64,
    /// A call is timed where the count of its shard has none of these bits.
    untimed: AtomicU32,
    timed: AtomicU64,
    peak: AtomicUsize,
    open: Mutex<Open>,
}

/// The window that is open.
#[derive(Debug)]
struct Open {
    law: Box<dyn Limit>,
    /// What the law said last.
    limit: usize,
    /// The user's word is above the law.
    overruled: Option<usize>,
    since: Instant,
    successes: u32,
    totals: Totals,
    recent: Vec<Recent>,
    routes: Vec<RouteWindow>,
}

/// The counters, as they stand.
#[derive(Clone, Copy, Debug)]
pub(super) struct Reading {
    pub(super) successes: u32,
    pub(super) totals: Totals,
}

impl Meter {
    pub(super) fn new(law: Box<dyn Limit>, now: Instant) -> Self {
        let least = law.span().duration;
        let meter = Self {
            routes: Routes::new(),
            start: now,
            due: AtomicU64::new(0),
            untimed: AtomicU32::new(0),
            timed: AtomicU64::new(0),
            peak: AtomicUsize::new(0),
            open: Mutex::new(Open {
                limit: law.limit(),
                law,
                overruled: None,
                since: now,
                successes: 0,
                totals: Totals::default(),
                recent: Vec::new(),
                routes: Vec::new(),
            }),
        };
        meter.set_due(now, least);
        meter
    }

    /// Whether a call is timed that met this count.
    #[inline]
    pub(super) fn times(&self, count: u32) -> bool {
        count & self.untimed.load(Ordering::Relaxed) == 0
    }

    /// So many were in flight.
    pub(super) fn saw(&self, in_flight: usize) {
        if in_flight > self.peak.load(Ordering::Relaxed) {
            self.peak.fetch_max(in_flight, Ordering::Relaxed);
        }
    }

    /// A call of this route succeeded, and took so long.
    pub(super) fn timed(&self, key: RouteKey, latency: Duration) {
        let number = self.routes.learn(key);
        self.routes.route(number).latencies.count(latency);
        if self.timed.fetch_add(1, Ordering::Relaxed) % AHEAD == AHEAD - 1 {
            let untimed = self.untimed.load(Ordering::Relaxed);
            self.untimed.store(untimed << 1 | 1, Ordering::Relaxed);
        }
    }

    /// Whether the window may have ended.
    pub(super) fn is_due(&self, now: Instant) -> bool {
        let elapsed = now.saturating_duration_since(self.start);
        elapsed.as_nanos() >= self.due.load(Ordering::Relaxed).into()
    }

    /// A window that begins now is due after so long: never, where that is beyond the clock.
    fn set_due(&self, now: Instant, least: Duration) {
        let due = now.saturating_duration_since(self.start).saturating_add(least);
        self.due
            .store(u64::try_from(due.as_nanos()).unwrap_or(u64::MAX), Ordering::Relaxed);
    }

    /// Ends the window, if nobody else does and it has lasted long enough. Answers with the limit.
    pub(super) fn end_window(&self, now: Instant, read: impl FnOnce() -> Reading) -> Option<usize> {
        let mut open = self.open.try_lock().ok()?;
        let span = open.law.span();
        let duration = now.saturating_duration_since(open.since);
        let Reading { successes, totals } = read();
        let succeeded = u64::from(successes.wrapping_sub(open.successes));
        if duration < span.duration || succeeded < span.successes {
            return None;
        }
        open.collect(&self.routes, duration);
        let peak = self.peak.swap(0, Ordering::Relaxed);
        let limit = open.update(now, duration, succeeded, totals, peak);
        open.since = now;
        open.successes = successes;
        open.totals = totals;

        let a_second = succeeded * 1_000 / u64::try_from(duration.as_millis().max(1)).unwrap_or(u64::MAX);
        let untimed = (a_second / TIMED).next_power_of_two().saturating_sub(1);
        self.untimed
            .store(u32::try_from(untimed).unwrap_or(u32::MAX), Ordering::Relaxed);
        self.set_due(now, open.law.span().duration);
        limit
    }

    /// Sets the limit whatever the law says, or leaves it to the law again.
    pub(super) fn overrule(&self, limit: Option<usize>) {
        self.open().overruled = limit;
    }

    /// The limit, as the user says or else the law.
    pub(super) fn limit(&self) -> usize {
        let open = self.open();
        open.overruled.unwrap_or(open.limit)
    }

    fn open(&self) -> MutexGuard<'_, Open> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Open {
    /// Takes what was timed.
    fn collect(&mut self, routes: &Routes, duration: Duration) {
        let half_lives = duration.as_secs_f32() / HALF_LIFE.as_secs_f32();
        let mut slowest = Duration::ZERO;
        self.routes.clear();
        for (number, route) in routes.known() {
            while self.recent.len() <= number {
                self.recent.push(Recent::new());
            }
            let recent = &mut self.recent[number];
            recent.fade(0.5_f32.powf(half_lives), REMEMBERED);
            let sum = route.latencies.take(recent);
            if sum.samples > 0 {
                self.routes.push(RouteWindow {
                    route: number,
                    samples: sum.samples,
                    total: sum.total,
                });
            }
            let slow = recent.quantile(SLOW, ENOUGH).unwrap_or_default();
            route.set_slow(slow);
            slowest = slowest.max(slow);
        }
        routes.set_slowest(slowest);
    }

    fn update(
        &mut self,
        end: Instant,
        duration: Duration,
        successes: u64,
        totals: Totals,
        peak: usize,
    ) -> Option<usize> {
        if self.overruled.is_some() {
            return None;
        }
        self.law.update(&Window {
            end,
            duration,
            successes,
            rejected: totals.crowded_out() - self.totals.crowded_out(),
            queued: totals.queued - self.totals.queued,
            peak,
            routes: &self.routes,
        });
        self.limit = self.law.limit();
        Some(self.limit)
    }
}

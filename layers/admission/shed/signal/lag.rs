use std::{
    fmt,
    future::Future,
    pin::Pin,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    task::{Context, Wake, Waker},
    time::Duration,
};

use tokio::{
    runtime::Handle,
    task::coop::{Unconstrained, unconstrained},
    time::{Instant, Sleep, sleep_until},
};

use super::{Signal, ratio};

/// The lateness that is as bad as it gets, unless the user says otherwise.
const WORST: Duration = Duration::from_millis(100);
/// When a probe is due, counted from the sample that sets it.
const PROBE: Duration = Duration::from_millis(20);
/// What was measured longer ago says nothing any more.
const STALE: Duration = Duration::from_secs(1);

/// How late the runtime is: whether it gets to what is due.
///
/// A runtime with more work than it can do, or whose workers are blocked, is late for everything, and so for a timer.
/// The level is the lateness in parts of the one that is as bad as it gets, 100 ms unless set; each sample counts half,
/// so that one hiccup is no trouble, and three in a row are.
///
/// What requests wait for is their turn among the tasks that are woken, and only a task can tell how long that is: run
/// a [`Monitor`](super::super::Monitor). Without one the signal sets a timer at each sample, and looks at the next how
/// late the runtime was to fire it. That sees workers that are blocked, but a runtime with too many tasks looks after
/// its timers all the while: measured with 200 tasks that each take a millisecond on two workers, requests waited 100
/// ms, which a monitor saw, and timers were 10 ms late.
///
/// It says nothing outside of a runtime, and needs the runtime's time driver.
pub struct RuntimeLag {
    worst: Duration,
    fuse: Arc<Fuse>,
    waker: Waker,
    state: Mutex<State>,
}

struct State {
    level: f64,
    /// When something was last measured.
    measured: Option<Instant>,
    /// When a monitor last told.
    told: Option<Instant>,
    due: Option<Instant>,
    probe: Pin<Box<Option<Unconstrained<Sleep>>>>,
}

/// The waker of the probe: notes when it was fired.
struct Fuse {
    origin: Instant,
    /// Nanoseconds from the origin, or [`Self::UNLIT`].
    fired: AtomicU64,
}

impl Fuse {
    const UNLIT: u64 = u64::MAX;

    fn fired(&self) -> Option<Instant> {
        match self.fired.load(Ordering::Acquire) {
            Self::UNLIT => None,
            nanos => self.origin.checked_add(Duration::from_nanos(nanos)),
        }
    }
}

impl Wake for Fuse {
    fn wake(self: Arc<Self>) {
        let nanos = self.origin.elapsed().as_nanos();
        self.fired
            .store(u64::try_from(nanos).unwrap_or(Self::UNLIT - 1), Ordering::Release);
    }
}

impl RuntimeLag {
    /// 100 ms late is as bad as it gets; at the set point of 0.8, requests are shed from 80 ms.
    pub fn new() -> Self {
        Self::of(WORST)
    }

    /// With the lateness that is as bad as it gets. Below 5 ms it sees the timers' own grain, a millisecond, as
    /// trouble.
    pub fn of(worst: Duration) -> Self {
        let fuse = Arc::new(Fuse {
            origin: Instant::now(),
            fired: AtomicU64::new(Fuse::UNLIT),
        });
        Self {
            worst,
            waker: Waker::from(fuse.clone()),
            fuse,
            state: Mutex::new(State {
                level: 0.0,
                measured: None,
                told: None,
                due: None,
                probe: Box::pin(None),
            }),
        }
    }

    fn measured(&self, state: &mut State, now: Instant, late: Duration) {
        let before = if is_recent(state.measured, now) {
            state.level
        } else {
            0.0
        };
        state.level = f64::midpoint(before, ratio(late, self.worst));
        state.measured = Some(now);
    }

    /// Takes in what the probe found, and sets it again once it was fired.
    fn probe(&self, state: &mut State, now: Instant) {
        if let Some(due) = state.due {
            match self.fuse.fired() {
                Some(fired) if is_recent(Some(fired), now) => {
                    self.measured(state, now, fired.saturating_duration_since(due));
                }
                // Long ago, while nobody came.
                Some(_) => {}
                // Late by now, and later still when it comes.
                None if due < now => return self.measured(state, now, now - due),
                None => return,
            }
        }
        if Handle::try_current().is_err() {
            state.due = None;
            return;
        }
        let due = now + PROBE;
        state.probe.set(None);
        self.fuse.fired.store(Fuse::UNLIT, Ordering::Release);
        state.due = Some(due);
        // Outside of the budget of the task at hand: a timer that was not set could not fire.
        state.probe.set(Some(unconstrained(sleep_until(due))));
        if let Some(probe) = state.probe.as_mut().as_pin_mut()
            && probe.poll(&mut Context::from_waker(&self.waker)).is_ready()
        {
            self.waker.wake_by_ref();
        }
    }
}

fn is_recent(at: Option<Instant>, now: Instant) -> bool {
    at.is_some_and(|at| now.saturating_duration_since(at) < STALE)
}

impl Signal for RuntimeLag {
    fn name(&self) -> &'static str {
        "runtime-lag"
    }

    fn level(&self, now: Instant) -> Option<f64> {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        if !is_recent(state.told, now) {
            self.probe(&mut state, now);
        }
        is_recent(state.measured, now).then_some(state.level)
    }

    fn woken(&self, now: Instant, late: Duration) {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        state.told = Some(now);
        self.measured(&mut state, now, late);
    }

    fn wants_monitor(&self) -> bool {
        true
    }
}

impl Default for RuntimeLag {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Debug for RuntimeLag {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RuntimeLag")
            .field("worst", &self.worst)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use tokio::time::{advance, sleep};

    use super::*;

    const SAMPLE: Duration = Duration::from_millis(100);

    #[tokio::test(start_paused = true)]
    async fn a_runtime_in_time_has_next_to_no_lag() {
        let lag = RuntimeLag::new();
        assert_eq!(lag.level(Instant::now()), None, "nothing is measured yet");
        for _ in 0..10 {
            sleep(SAMPLE).await;
            let level = lag.level(Instant::now()).unwrap();
            assert!(level <= 0.01, "{level}: the grain of the timers");
        }
    }

    /// A clock that jumps is a runtime that was blocked meanwhile.
    #[tokio::test(start_paused = true)]
    async fn a_runtime_that_is_late_again_and_again_is_in_trouble() {
        let lag = RuntimeLag::new();
        lag.level(Instant::now());
        let mut levels = Vec::new();
        for _ in 0..3 {
            advance(PROBE + SAMPLE).await;
            levels.push(lag.level(Instant::now()).unwrap());
        }
        assert!((levels[0] - 0.5).abs() < 0.01, "one hiccup is no trouble: {levels:?}");
        assert!(levels[2] > 0.8, "{levels:?}");
        sleep(SAMPLE).await;
        assert!(
            lag.level(Instant::now()).unwrap() < 0.5,
            "and it is over when it is over"
        );
    }

    #[tokio::test(start_paused = true)]
    async fn a_probe_that_is_not_fired_yet_is_late_already() {
        let lag = RuntimeLag::new();
        let now = Instant::now();
        lag.level(now);
        assert!((lag.level(now + PROBE + SAMPLE / 2).unwrap() - 0.25).abs() < 0.01);
        assert!((lag.level(now + PROBE + SAMPLE).unwrap() - 0.625).abs() < 0.01);
    }

    #[tokio::test(start_paused = true)]
    async fn what_was_measured_long_ago_is_forgotten() {
        let lag = RuntimeLag::new();
        lag.level(Instant::now());
        advance(PROBE + SAMPLE).await;
        assert!(lag.level(Instant::now()).unwrap() > 0.4);
        sleep(STALE * 2).await;
        assert_eq!(lag.level(Instant::now()), None);
    }

    #[tokio::test(start_paused = true)]
    async fn a_monitor_knows_better() {
        let lag = RuntimeLag::new();
        for _ in 0..5 {
            sleep(SAMPLE).await;
            lag.woken(Instant::now(), SAMPLE);
        }
        assert!(lag.level(Instant::now()).unwrap() > 0.9);
        assert!(lag.state.lock().unwrap().probe.is_none(), "it sets no timer of its own");
    }

    #[test]
    fn outside_of_a_runtime_it_says_nothing() {
        let lag = RuntimeLag::new();
        assert_eq!(lag.level(Instant::now()), None);
    }

    /// A layer in a static outlives the runtime of a test.
    #[test]
    fn it_survives_its_runtime() {
        let lag = RuntimeLag::new();
        for _ in 0..2 {
            let runtime = tokio::runtime::Builder::new_current_thread()
                .enable_time()
                .build()
                .unwrap();
            runtime.block_on(async { lag.level(Instant::now()) });
        }
        assert!(lag.level(Instant::now()).is_none_or(|level| level < 0.8));
    }
}

//! The simulation: callers, a policy, a service, and time that passes when nothing is left to do.
//!
//! Time is tokio's own, paused, and moved to each event exactly: `Instant::now()` is the same in the policy as here. The
//! policy is driven as the engine drives it, by its public interface alone. What becomes of one call is in [`calls`].

mod calls;
mod woken;

use std::time::Duration;

use buttress::admission::Admit;
use fastrand::Rng;
use http::Request;
use slab::Slab;
use tokio::time::Instant;

use self::{calls::Call, woken::Woken};
use super::{
    events::{Event, Events},
    random::exponential,
    report::{Report, Sample},
    scenario::Scenario,
    service::Service,
    subject::Subject,
};

/// How often it is noted how everything stands.
const SAMPLE: Duration = Duration::from_millis(100);
/// While somebody waits, time passes in steps of no more: a tokio timer's resolution.
const STEP: Duration = Duration::from_millis(1);

struct World<'a, A: Admit> {
    scenario: &'a Scenario,
    policy: A,
    start: Instant,
    now: Duration,
    events: Events,
    calls: Slab<Call<A>>,
    service: Service,
    serial: u64,
    in_flight: usize,
    waiting: usize,
    requests: Vec<Request<()>>,
    woken: Woken,
    /// For arrivals, and for work and failures, each a stream of its own: a policy's decisions do not change who comes.
    arrivals: Rng,
    works: Rng,
    report: Report,
}

/// Runs a storm against a policy. The same seed and policy give the same report.
pub(crate) fn run<A: Subject>(scenario: &Scenario, seed: u64, policy: impl FnOnce() -> A) -> Report {
    fastrand::seed(seed);
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .start_paused(true)
        .build()
        .expect("a runtime without I/O");
    runtime.block_on(async {
        let mut world = World::new(scenario, seed, policy());
        world.pass().await;
        world.report
    })
}

impl<'a, A: Subject> World<'a, A> {
    fn new(scenario: &'a Scenario, seed: u64, policy: A) -> Self {
        let mut seeds = Rng::with_seed(seed);
        let requests = scenario.callers.iter().map(|callers| {
            let request = Request::post(callers.path).header("content-type", "application/grpc");
            request.body(()).expect("a path")
        });
        Self {
            scenario,
            policy,
            start: Instant::now(),
            now: Duration::ZERO,
            events: Events::new(scenario.callers.len()),
            calls: Slab::new(),
            service: Service::new(scenario.workers),
            serial: 0,
            in_flight: 0,
            waiting: 0,
            requests: requests.collect(),
            woken: Woken::default(),
            arrivals: seeds.fork(),
            works: seeds.fork(),
            report: Report::default(),
        }
    }

    async fn pass(&mut self) {
        for callers in 0..self.scenario.callers.len() {
            self.plan_arrival(callers);
        }
        self.events.plan(SAMPLE, Event::Sample);
        while let Some((at, event)) = self.events.next(|call, serial| is_there(&self.calls, call, serial)) {
            if at.as_secs_f64() >= self.scenario.seconds {
                break;
            }
            self.advance(at).await;
            self.happen(event);
            self.poll_woken();
        }
        debug_assert!(Instant::now().duration_since(self.start) >= self.now);
    }

    /// Lets time pass until then.
    async fn advance(&mut self, until: Duration) {
        while self.now < until {
            let step = if self.waiting > 0 {
                until.min(self.now + STEP)
            } else {
                until
            };
            tokio::time::advance(step.saturating_sub(self.now)).await;
            self.now = step;
            self.poll_woken();
        }
    }

    fn happen(&mut self, event: Event) {
        match event {
            Event::Arrival { callers } => {
                self.plan_arrival(callers);
                self.arrive(callers);
            }
            Event::Rate { callers } => self.plan_arrival(callers),
            Event::Done { call, serial } => {
                if is_there(&self.calls, call, serial) {
                    self.done(call);
                }
            }
            Event::Leaves { call, serial } => {
                if is_there(&self.calls, call, serial) {
                    self.leave(call);
                }
            }
            Event::Sample => {
                self.report.samples.push(Sample {
                    at: self.now.as_secs_f64(),
                    limit: self.policy.limit(),
                });
                self.events.plan(self.now + SAMPLE, Event::Sample);
            }
        }
    }

    fn plan_arrival(&mut self, callers: usize) {
        let rate = &self.scenario.callers[callers].rate;
        let now = self.now.as_secs_f64();
        let change = rate.next(now);
        // Without memory: where the rate changes before the next arrival, that one is drawn anew.
        let next = match rate.at(now) {
            rate if rate > 0.0 => now + exponential(&mut self.arrivals) / rate,
            _ => f64::INFINITY,
        };
        match change {
            Some(change) if change < next => self.events.plan(seconds(change), Event::Rate { callers }),
            _ if next.is_finite() => self
                .events
                .plan(seconds(next).max(self.now), Event::Arrival { callers }),
            _ => {}
        }
    }
}

/// Whether this call goes on. Its place may be another's by now, its serial number never.
fn is_there<A: Admit>(calls: &Slab<Call<A>>, call: usize, serial: u64) -> bool {
    calls.get(call).is_some_and(|call| call.serial == serial)
}

fn seconds(seconds: f64) -> Duration {
    Duration::try_from_secs_f64(seconds).unwrap_or(Duration::MAX)
}

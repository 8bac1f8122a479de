//! The storms, and what is to be seen of each.
//!
//! Unless a storm says otherwise, a call is exponential with a mean of 10 ms, its caller leaves after a second, and the service
//! stops working for callers who left. In the overload it does not: that is what makes it fatal.

use buttress::context::Criticality;

use super::{
    figure::{Aim, Figure},
    random::Takes,
    report::{Ending, Report},
    scenario::{Callers, Scenario, Steps},
};

const MEAN: f64 = 0.01;
const CALL: Takes = Takes::Exponential(MEAN);
/// What 99 of 100 calls take at most, where nobody is in their way: the mean, times the logarithm of 100.
const P99: f64 = 4.605_170_186 * MEAN;
/// So long it is calm before a storm.
const CALM: f64 = 20.0;

/// A storm, and what is to be seen of it.
pub(crate) struct Storm {
    pub(crate) name: String,
    pub(crate) scenario: Scenario,
    pub(crate) figures: Vec<Figure>,
}

impl Storm {
    /// Another aim for this figure: where it is known to be missed, what is held to instead.
    pub(crate) fn instead(mut self, what: &str, aim: Aim) -> Self {
        let figure = self.figures.iter_mut().find(|figure| figure.what == what);
        figure.expect("a figure of this storm").aim = aim;
        self
    }

    fn new(name: String, scenario: Scenario) -> Self {
        Self {
            name,
            scenario,
            figures: Vec::new(),
        }
    }

    fn see(mut self, what: &'static str, aim: Aim, of: impl Fn(&Report) -> f64 + Send + Sync + 'static) -> Self {
        self.figures.push(Figure::new(what, aim, of));
        self
    }

    /// What is to be seen of a service that is asked for too much between these seconds.
    fn see_overload(self, workers: usize, from: f64, to: f64) -> Self {
        let settled = from + 1.0;
        // One worker is busy all the time only if another call is at hand, which waits for as long as the one before takes.
        let p99 = if workers < 8 { Aim::Any } else { Aim::Most(1.2) };
        self.see("goodput", Aim::Least(0.98), move |report| {
            report.between(settled, to).goodput(workers)
        })
        .see("p99 over unloaded", p99, move |report| {
            report.between(settled, to).quantile(0.99) / P99
        })
        .see("settled after, s", Aim::Most(1.0), move |report| {
            report.between(from, to).settled()
        })
        .see("late", Aim::Most(0.0), move |report| {
            real(report.between(from, to).count(Ending::Late))
        })
        .see("limit", Aim::Any, move |report| report.between(settled, to).limit())
    }
}

/// Calls a second that so many workers can do.
fn capacity(workers: usize) -> f64 {
    real(workers) / MEAN
}

/// Half load, then so many times the capacity for so many seconds, then half load again.
pub(crate) fn overload(workers: usize, times: f64, seconds: f64) -> Storm {
    let capacity = capacity(workers);
    let end = CALM + seconds;
    let rate = Steps::always(0.5 * capacity)
        .from(CALM, times * capacity)
        .from(end, 0.5 * capacity);
    let scenario = Scenario::new(end + CALM, workers, vec![Callers::new(rate, CALL)]).works_on();
    Storm::new(format!("overload, {times}x, {}", named(workers)), scenario)
        .see_overload(workers, CALM, end)
        .see("rejected at half load", Aim::Most(0.0), |report| {
            real(report.between(0.0, CALM).count(Ending::Rejected))
        })
        .see("rejected at half load after", Aim::Most(0.0), move |report| {
            real(report.between(end + 1.0, end + CALM).count(Ending::Rejected))
        })
}

/// Close to the capacity.
pub(crate) fn busy(workers: usize, seconds: f64) -> Storm {
    let rate = Steps::always(0.9 * capacity(workers));
    let scenario = Scenario::new(seconds, workers, vec![Callers::new(rate, CALL)]);
    Storm::new(format!("90% load, {}", named(workers)), scenario)
        .see("rejected, %", Aim::Most(0.5), move |report| {
            100.0 * report.between(0.0, seconds).part(Ending::Rejected)
        })
        .see("limit", Aim::Any, move |report| report.between(0.0, seconds).limit())
}

/// A dependency that any number can wait for takes 5 s for 30 s.
pub(crate) fn slow_dependency() -> Storm {
    let callers = vec![Callers::new(Steps::always(1_000.0), CALL)];
    let slowness = Steps::always(1.0).from(CALM, 500.0).from(CALM + 30.0, 1.0);
    let scenario = Scenario::new(CALM + 60.0, usize::MAX, callers).slowness(slowness);
    Storm::new("slow dependency, 1,000/s, 10 ms to 5 s".to_owned(), scenario)
        .see("most in flight", Aim::Most(1_000.0), |report| {
            real(report.most_in_flight)
        })
        .see("part done before", Aim::Least(0.95), |report| {
            report.between(1.0, CALM).rate() / 1_000.0
        })
        .see("part done from 2 s after", Aim::Least(0.95), |report| {
            report.between(CALM + 32.0, CALM + 60.0).rate() / 1_000.0
        })
}

/// Critical calls for 0.7 of the capacity, and five times the capacity of calls that can be shed.
pub(crate) fn priority(workers: usize, seconds: f64) -> Storm {
    let capacity = capacity(workers);
    let critical = Callers::new(Steps::always(0.7 * capacity), CALL);
    let others = Callers::new(Steps::always(0.0).from(CALM, 5.0 * capacity), CALL);
    let callers = vec![critical, others.criticality(Criticality::Sheddable)];
    let end = CALM + seconds;
    Storm::new(
        format!("priority, {}", named(workers)),
        Scenario::new(end, workers, callers),
    )
    .see("critical served, %", Aim::Least(99.9), move |report| {
        100.0 * report.between(CALM, end).of(0).part(Ending::Good)
    })
    .see("p99 of the critical", Aim::Most(1.2), move |report| {
        report.between(CALM, end).of(0).quantile(0.99) / P99
    })
    .see("goodput", Aim::Least(0.97), move |report| {
        report.between(CALM, end).goodput(workers)
    })
}

/// 1.5 times the capacity, for long.
pub(crate) fn drift(workers: usize, seconds: f64) -> Storm {
    let capacity = capacity(workers);
    let rate = Steps::always(0.5 * capacity).from(CALM, 1.5 * capacity);
    let end = CALM + seconds;
    let scenario = Scenario::new(end, workers, vec![Callers::new(rate, CALL)]);
    let minute = (seconds / 5.0).min(60.0);
    Storm::new(format!("drift, 1.5x, {}", named(workers)), scenario)
        .see(
            "limit at the end over that at first",
            Aim::Within(0.9, 1.1),
            move |report| report.between(end - minute, end).limit() / report.between(CALM, CALM + minute).limit(),
        )
        .see("goodput", Aim::Least(0.98), move |report| {
            report.between(CALM + 1.0, end).goodput(workers)
        })
}

/// At 70% load, the slow of two routes goes from a tenth of the work to nine tenths, and back.
pub(crate) fn mix(workers: usize, seconds: f64) -> Storm {
    let part = |from: f64, to: f64, mean: f64| {
        let rate = |part: f64| 0.7 * real(workers) * part / mean;
        Steps::always(rate(from))
            .from(seconds / 3.0, rate(to))
            .from(2.0 * seconds / 3.0, rate(from))
    };
    let quick = Callers::new(part(0.9, 0.1, 0.002), Takes::Exponential(0.002)).path("/shop.Shop/Look");
    let slow = Callers::new(part(0.1, 0.9, 0.05), Takes::Exponential(0.05)).path("/shop.Shop/Buy");
    Storm::new(
        format!("mix, 70% load, {}", named(workers)),
        Scenario::new(seconds, workers, vec![quick, slow]),
    )
    .see("rejected", Aim::Most(0.0), move |report| {
        real(report.between(1.0, seconds).count(Ending::Rejected))
    })
    .see("rejected in the first second", Aim::Any, |report| {
        real(report.between(0.0, 1.0).count(Ending::Rejected))
    })
}

/// Everything fails, in 0.2 ms, for 30 s; then twice the capacity is asked for.
pub(crate) fn fast_failure(workers: usize, seconds: f64) -> Storm {
    let capacity = capacity(workers);
    let from = CALM + 30.0;
    let rate = Steps::always(0.5 * capacity).from(from, 2.0 * capacity);
    let failing = Steps::always(0.0).from(CALM, 1.0).from(from, 0.0);
    let scenario = Scenario::new(from + seconds, workers, vec![Callers::new(rate, CALL)]).failing(failing);
    Storm::new(format!("fast failure, then 2x, {}", named(workers)), scenario).see_overload(
        workers,
        from,
        from + seconds,
    )
}

/// On and off, ten times a second, at 80% load on average.
pub(crate) fn bursts(workers: usize, seconds: f64) -> Storm {
    let rate = Steps::on_off(1.6 * capacity(workers), 0.05, seconds);
    let scenario = Scenario::new(seconds, workers, vec![Callers::new(rate, CALL)]);
    Storm::new(format!("bursts at 10 Hz, 80% load, {}", named(workers)), scenario).see(
        "rejected, %",
        Aim::Most(1.0),
        move |report| 100.0 * report.between(0.0, seconds).part(Ending::Rejected),
    )
}

fn named(workers: usize) -> String {
    format!("{workers} worker{}", if workers == 1 { "" } else { "s" })
}

#[expect(clippy::cast_precision_loss, reason = "counts of a simulation")]
fn real(count: usize) -> f64 {
    count as f64
}

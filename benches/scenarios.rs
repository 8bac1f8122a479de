//! The storms of the concurrency limits, simulated: what each law makes of each, beside what it should.
//!
//! ```text
//! cargo bench --bench scenarios                       all of them: within a minute
//! cargo bench --bench scenarios -- drift              those whose names have it
//! ```
//!
//! Each block is a storm and each line of it a figure, with the aim; each column is a law with its defaults, the same for one
//! worker and for 64. **A star is an aim that is missed**, a line without an aim is only looked at, and below all it is said
//! which aims ours misses. *Goodput* is the part of the workers' time that went into answers that were in time. *p99 over unloaded*
//! is from arrival to answer, of those that were let in, the wait for a permit included: 1 is a call that nobody is in the way of. A law
//! that rejects nearly everything has a good p99 and no goodput, so read the two together. *Settled* is when the limit has come near
//! to where it stays.
//!
//! Ours and aimd, which is told a latency, are `ConcurrencyLimitLayer`, with its queue. The others are the laws of other products,
//! written anew, with their defaults and, as there, without a queue. Time is simulated and chance is seeded, so the table is the same
//! each time; it says nothing of what a decision costs.

#![allow(
    clippy::disallowed_methods,
    reason = "a bench may block: its threads are joined before it ends"
)]

#[path = "../tests/support/simulation/mod.rs"]
mod simulation;

use std::{
    collections::BTreeMap,
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicUsize, Ordering},
    },
    thread,
};

use buttress::ConcurrencyLimitLayer;

use self::simulation::{
    contender::Contender,
    storms::{self, Aim, Storm},
};

fn all() -> Vec<Storm> {
    let mut all = Vec::new();
    for workers in [1, 8, 64] {
        for times in [3.0, 10.0] {
            all.push(storms::overload(workers, times, 60.0));
        }
    }
    all.extend([1, 8, 64].map(|workers| storms::busy(workers, 60.0)));
    all.push(storms::slow_dependency());
    all.extend([8, 64].map(|workers| storms::priority(workers, 60.0)));
    all.extend([8, 64].map(|workers| storms::drift(workers, 300.0)));
    all.extend([8, 64].map(|workers| storms::mix(workers, 60.0)));
    all.extend([1, 8, 64].map(|workers| storms::fast_failure(workers, 30.0)));
    all.extend([8, 64].map(|workers| storms::bursts(workers, 60.0)));
    all
}

/// Of ours, the worst of so many seeds.
const SEEDS: u64 = 3;

fn seeds(contender: Contender) -> u64 {
    if contender == Contender::Ours { SEEDS } else { 1 }
}

/// For each storm and contender, the figures: the worst of the seeds.
type Results = BTreeMap<(usize, usize), Vec<f64>>;

/// One contender in one storm, with one seed.
struct Job {
    storm: usize,
    contender: usize,
    seed: u64,
}

/// By as many threads as there are processors: each job is one of its own. Those of aimd are this thread's, which is the first to
/// have met a limit: that law goes by the peak of the calls in flight, which a limit knows exactly only where permits are
/// short, and where they lie depends on the thread.
fn run(storms: &[Storm]) -> Results {
    ConcurrencyLimitLayer::new(1).limit().snapshot();
    let (aimd, others): (Vec<_>, Vec<_>) = (0..storms.len())
        .flat_map(|storm| (0..Contender::ALL.len()).map(move |contender| (storm, contender)))
        .flat_map(|(storm, contender)| {
            let seeds = 1..=seeds(Contender::ALL[contender]);
            seeds.map(move |seed| Job { storm, contender, seed })
        })
        .partition(|job| Contender::ALL[job.contender] == Contender::Aimd);
    let (next, results) = (AtomicUsize::new(0), Mutex::new(Results::new()));
    let work_at = |job: &Job| {
        let Storm { scenario, figures, .. } = &storms[job.storm];
        let report = Contender::ALL[job.contender].run(scenario, job.seed);
        let values = figures.iter().map(|figure| figure.of(&report)).collect::<Vec<_>>();
        let mut results = results.lock().unwrap_or_else(PoisonError::into_inner);
        let known = results.entry((job.storm, job.contender));
        let known = known.or_insert_with(|| values.clone());
        for ((known, value), figure) in known.iter_mut().zip(values).zip(figures) {
            *known = figure.aim.worse(*known, value);
        }
    };
    let work_at_others = || {
        while let Some(job) = others.get(next.fetch_add(1, Ordering::Relaxed)) {
            work_at(job);
        }
    };
    thread::scope(|scope| {
        for _ in 1..thread::available_parallelism().map_or(1, usize::from) {
            scope.spawn(work_at_others);
        }
        aimd.iter().for_each(work_at);
        work_at_others();
    });
    results.into_inner().unwrap_or_else(PoisonError::into_inner)
}

fn number(value: f64) -> String {
    match value {
        _ if value.is_nan() => "-".to_owned(),
        _ if value.fract() == 0.0 || value.abs() >= 1_000.0 => format!("{value:.0}"),
        _ if value.abs() >= 100.0 => format!("{value:.1}"),
        _ => format!("{value:.3}"),
    }
}

fn aim(aim: Aim) -> String {
    match aim {
        Aim::Least(least) => format!(">= {least}"),
        Aim::Most(most) => format!("<= {most}"),
        Aim::Within(least, most) => format!("{least} to {most}"),
        Aim::Any => String::new(),
    }
}

/// What is known of one storm. Adds to what of ours was met, and to what was missed.
fn print(storm: &Storm, figures_of: impl Fn(usize) -> Vec<f64>, met: &mut usize, missed: &mut Vec<String>) {
    let figures: Vec<_> = (0..Contender::ALL.len()).map(figures_of).collect();
    print!("{:<40}{:>11}", storm.name, "aim");
    for contender in Contender::ALL {
        print!("{:>13}", contender.name());
    }
    println!();
    for (place, figure) in storm.figures.iter().enumerate() {
        print!("  {:<38}{:>11}", figure.what, aim(figure.aim));
        for (contender, figures) in Contender::ALL.into_iter().zip(&figures) {
            let value = figures[place];
            let is_met = figure.aim.is_met_by(value);
            print!("{:>12}{}", number(value), if is_met { ' ' } else { '*' });
            if contender != Contender::Ours || figure.aim == Aim::Any {
                continue;
            }
            if is_met {
                *met += 1;
            } else {
                let (what, value, aim) = (figure.what, number(value), aim(figure.aim));
                missed.push(format!("{}: {what} {value}, aim {aim}", storm.name));
            }
        }
        println!();
    }
    println!();
}

fn main() {
    let filter = std::env::args().skip(1).find(|argument| !argument.starts_with('-'));
    let mut storms = all();
    storms.retain(|storm| filter.as_ref().is_none_or(|filter| storm.name.contains(filter)));
    let results = run(&storms);
    println!("Of ours the worst of {SEEDS} seeds, of the others the first. * misses the aim.\n");
    let (mut met, mut missed) = (0, Vec::new());
    for (place, storm) in storms.iter().enumerate() {
        let figures_of = |contender| results[&(place, contender)].clone();
        print(storm, figures_of, &mut met, &mut missed);
    }
    println!("ours meets {met} aims, and misses {}", missed.len());
    for missed in missed {
        println!("  {missed}");
    }
}

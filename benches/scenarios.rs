//! The storms, simulated: what each law makes of each, beside what it should.
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
//!
//! The storms that retries make have other contenders: budgets. All of these try three times, by the same rules and after the same
//! waits, through `RetryLayer`; *ours* has about it what it is made for, see [`simulation::retries`]. *Attempts* are those for each
//! request. *Recovered* is when at least 95% are answered of those that come in the second from then on, and in every one after it.

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
    figure::Aim,
    retries,
    storms::{self, Storm},
};

/// A storm, who is sent into it, and what is to be seen.
struct Block {
    name: String,
    /// Ours first.
    contenders: Vec<&'static str>,
    figures: Vec<(&'static str, Aim)>,
    /// The figures of this contender, with this seed.
    run: Box<dyn Fn(usize, u64) -> Vec<f64> + Send + Sync>,
}

impl From<Storm> for Block {
    fn from(storm: Storm) -> Self {
        Self {
            name: storm.name.clone(),
            contenders: Contender::ALL.map(Contender::name).to_vec(),
            figures: storm.figures.iter().map(|figure| (figure.what, figure.aim)).collect(),
            run: Box::new(move |contender, seed| {
                let report = Contender::ALL[contender].run(&storm.scenario, seed);
                storm.figures.iter().map(|figure| figure.of(&report)).collect()
            }),
        }
    }
}

impl From<retries::Storm> for Block {
    fn from(storm: retries::Storm) -> Self {
        Self {
            name: storm.name.clone(),
            contenders: retries::Contender::ALL.map(retries::Contender::name).to_vec(),
            figures: storm.figures.iter().map(|figure| (figure.what, figure.aim)).collect(),
            run: Box::new(move |contender, seed| {
                let seen = storm.run(retries::Contender::ALL[contender], seed);
                storm.figures.iter().map(|figure| figure.of(&seen)).collect()
            }),
        }
    }
}

fn all() -> Vec<Block> {
    let mut limits = Vec::new();
    for workers in [1, 8, 64] {
        for times in [3.0, 10.0] {
            limits.push(storms::overload(workers, times, 60.0));
        }
    }
    limits.extend([1, 8, 64].map(|workers| storms::busy(workers, 60.0)));
    limits.push(storms::slow_dependency());
    limits.extend([8, 64].map(|workers| storms::priority(workers, 60.0)));
    limits.extend([8, 64].map(|workers| storms::drift(workers, 300.0)));
    limits.extend([8, 64].map(|workers| storms::mix(workers, 60.0)));
    limits.extend([1, 8, 64].map(|workers| storms::fast_failure(workers, 30.0)));
    limits.extend([8, 64].map(|workers| storms::bursts(workers, 60.0)));
    let budgets = [
        retries::metastable(60.0),
        retries::metastable_blind(60.0),
        retries::three_tiers_dead(1.0, 20.0),
        retries::three_tiers_dead(0.5, 20.0),
        retries::three_tiers_with_faults(0.01, 20.0),
    ];
    let limits = limits.into_iter().map(Block::from);
    limits.chain(budgets.into_iter().map(Block::from)).collect()
}

/// Of ours, the worst of so many seeds.
const SEEDS: u64 = 3;

const OURS: usize = 0;

/// For each storm and contender, the figures: the worst of the seeds.
type Results = BTreeMap<(usize, usize), Vec<f64>>;

/// One contender in one storm, with one seed.
struct Job {
    block: usize,
    contender: usize,
    seed: u64,
}

/// By as many threads as there are processors: each job is one of its own. Those of aimd are this thread's, which is the first to
/// have met a limit: that law goes by the peak of the calls in flight, which a limit knows exactly only where permits are
/// short, and where they lie depends on the thread.
fn run(blocks: &[Block]) -> Results {
    ConcurrencyLimitLayer::new(1).limit().snapshot();
    let (aimd, others): (Vec<_>, Vec<_>) = (0..blocks.len())
        .flat_map(|block| (0..blocks[block].contenders.len()).map(move |contender| (block, contender)))
        .flat_map(|(block, contender)| {
            let seeds = 1..=if contender == OURS { SEEDS } else { 1 };
            seeds.map(move |seed| Job { block, contender, seed })
        })
        .partition(|job| blocks[job.block].contenders[job.contender] == Contender::Aimd.name());
    let (next, results) = (AtomicUsize::new(0), Mutex::new(Results::new()));
    let work_at = |job: &Job| {
        let Block { figures, run, .. } = &blocks[job.block];
        let values = run(job.contender, job.seed);
        let mut results = results.lock().unwrap_or_else(PoisonError::into_inner);
        let known = results.entry((job.block, job.contender));
        let known = known.or_insert_with(|| values.clone());
        for ((known, value), (_, aim)) in known.iter_mut().zip(values).zip(figures) {
            *known = aim.worse(*known, value);
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
        _ if value.is_infinite() => "never".to_owned(),
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
fn print(block: &Block, figures_of: impl Fn(usize) -> Vec<f64>, met: &mut usize, missed: &mut Vec<String>) {
    let figures: Vec<_> = (0..block.contenders.len()).map(figures_of).collect();
    print!("{:<40}{:>11}", block.name, "aim");
    for contender in &block.contenders {
        print!("{contender:>13}");
    }
    println!();
    for (place, (what, wanted)) in block.figures.iter().enumerate() {
        print!("  {what:<38}{:>11}", aim(*wanted));
        for (contender, figures) in figures.iter().enumerate() {
            let value = figures[place];
            let is_met = wanted.is_met_by(value);
            print!("{:>12}{}", number(value), if is_met { ' ' } else { '*' });
            if contender != OURS || *wanted == Aim::Any {
                continue;
            }
            if is_met {
                *met += 1;
            } else {
                let (value, aim) = (number(value), aim(*wanted));
                missed.push(format!("{}: {what} {value}, aim {aim}", block.name));
            }
        }
        println!();
    }
    println!();
}

fn main() {
    let filter = std::env::args().skip(1).find(|argument| !argument.starts_with('-'));
    let mut blocks = all();
    blocks.retain(|block| filter.as_ref().is_none_or(|filter| block.name.contains(filter)));
    let results = run(&blocks);
    println!("Of ours the worst of {SEEDS} seeds, of the others the first. * misses the aim.\n");
    let (mut met, mut missed) = (0, Vec::new());
    for (place, block) in blocks.iter().enumerate() {
        let figures_of = |contender| results[&(place, contender)].clone();
        print(block, figures_of, &mut met, &mut missed);
    }
    println!("ours meets {met} aims, and misses {}", missed.len());
    for missed in missed {
        println!("  {missed}");
    }
}

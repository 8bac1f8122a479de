//! The harness of the benches: cases side by side in one run, told as ratios.
//!
//! The machines these run on are noisy, so nothing here is a time in itself. Cases stand in groups; each group has a case that
//! is the service without any layer, and everything is counted *over* it. Three things are measured, each apart from the others:
//!
//! - **ns**: the cases take turns in many short rounds, so that a neighbour's load hits all alike, each round at another place
//!   of the stack; the least of the rounds is what the code costs, the median what it costs here. Ratios are of the least.
//! - **instructions and clock reads**: the bench runs itself under callgrind, one case at a time, at two lengths, and counts
//!   the difference, of the batches and of what is [`counted`] alone. They do not depend on the load. valgrind has no vDSO: the inside of a clock read is not the one that
//!   runs elsewhere, so clock reads have a column of their own. (tokio is built with `test-util` here: each read of its clock
//!   looks first whether the clock was ever paused, one load, for our layers and for the peers alike.)
//! - **allocations**: counted by [`allocation_counter`], whose allocator is in the whole binary. It makes each allocation with
//!   its free dearer by three quarters in time and by 100 instructions, whether it counts or not (measured apart). That burdens
//!   the cases that allocate; those that the aims speak of do not.
//!
//! ```text
//! cargo bench --bench deadline                            all of it
//! cargo bench --bench deadline -- --quick --only pending  a first look, without callgrind
//! cargo bench --bench deadline -- --case NAME --iterations N  one case and nothing else: for perf, or callgrind by hand
//! ```

mod callgrind;
mod drive;
mod handler;
mod measure;
mod report;

use std::time::Duration;

use clap::Parser;

pub(crate) use self::{
    drive::{Drive, End, Wheel, counted, drive},
    handler::{Caller, Handler, Requests},
    report::{Aim, Results},
};

/// The case of each group that the others are counted over, unless they name another.
pub(crate) const BARE: &str = "bare";

/// Runs a number of requests, and says how long they took.
pub(crate) type Run = Box<dyn FnMut(u64) -> Duration>;

/// A run that is built when it is first wanted: where that takes long, or holds much.
pub(crate) fn lazily(build: impl FnOnce() -> Run + 'static) -> Run {
    let (mut build, mut run) = (Some(build), None);
    Box::new(move |count| {
        if let Some(build) = build.take() {
            run = Some(build());
        }
        run.as_mut().map_or(Duration::ZERO, |run: &mut Run| run(count))
    })
}

/// One thing to measure.
pub(crate) struct Case {
    group: &'static str,
    name: &'static str,
    /// The case of the same group that this is counted over.
    over: &'static str,
    run: Run,
}

impl Case {
    fn full_name(&self) -> String {
        format!("{}/{}", self.group, self.name)
    }
}

/// The cases of a bench, in the order of its table.
#[derive(Default)]
pub(crate) struct Suite {
    cases: Vec<Case>,
}

impl Suite {
    /// Adds a case.
    pub(crate) fn case(&mut self, group: &'static str, name: &'static str, over: &'static str, run: Run) {
        self.cases.push(Case { group, name, over, run });
    }
}

#[derive(Parser)]
struct Options {
    /// Few rounds, no callgrind.
    #[arg(long)]
    quick: bool,
    /// Only the cases whose `group/name` contains this, and what they are counted over.
    #[arg(long)]
    only: Option<String>,
    /// Runs this one case, by its `group/name`, and prints nothing.
    #[arg(long, requires = "iterations")]
    case: Option<String>,
    /// How many requests of that case.
    #[arg(long)]
    iterations: Option<u64>,
    /// What `cargo bench` says, and `cargo test` does not.
    #[arg(long, hide = true)]
    bench: bool,
}

/// Runs a bench: measures, prints one table with ratios to the `references`, then the aims. Never fails for a missed one.
pub(crate) fn main(mut suite: Suite, references: &[&'static str], aims: impl FnOnce(&Results) -> Vec<Aim>) {
    let options = Options::parse();
    if let (Some(name), Some(iterations)) = (&options.case, options.iterations) {
        let case = suite.cases.iter_mut().find(|case| case.full_name() == *name);
        let case = case.unwrap_or_else(|| panic!("no case is named {name:?}"));
        (case.run)(iterations);
        return;
    }
    if let Some(only) = &options.only {
        let wanted = |case: &Case| case.full_name().contains(only.as_str());
        let groups: Vec<_> = suite
            .cases
            .iter()
            .filter(|case| wanted(case))
            .map(|case| case.group)
            .collect();
        let counted_over = |case: &Case| groups.contains(&case.group) && case.name.starts_with(BARE);
        suite.cases.retain(|case| wanted(case) || counted_over(case));
    }
    if !options.bench {
        // `cargo test --all-targets`: that it runs, not how well.
        for case in &mut suite.cases {
            (case.run)(1);
        }
        println!("{} cases ran; `cargo bench` measures them", suite.cases.len());
        return;
    }

    let allocations = measure::allocations(&mut suite.cases);
    let times = measure::times(&mut suite.cases, options.quick);
    let counts = if options.quick {
        None
    } else {
        callgrind::counts(&suite.cases)
    };
    let results = Results::new(&suite.cases, &times, &allocations, counts.as_deref());
    report::table(&results, references);
    report::aims(&aims(&results));
}

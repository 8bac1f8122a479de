//! One table, and what was aimed at.

use super::{
    Case,
    callgrind::Counts,
    measure::{Allocations, Time},
};

/// What one case costs.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Cost {
    pub(crate) least: f64,
    pub(crate) median: f64,
    /// `None` where there was no valgrind.
    pub(crate) instructions: Option<f64>,
    pub(crate) clock_reads: Option<f64>,
    pub(crate) allocations: f64,
    pub(crate) bytes: f64,
}

struct Row {
    group: &'static str,
    name: &'static str,
    over: &'static str,
    cost: Cost,
}

/// What all cases cost.
pub(crate) struct Results {
    rows: Vec<Row>,
}

impl Results {
    pub(super) fn new(cases: &[Case], times: &[Time], allocations: &[Allocations], counts: Option<&[Counts]>) -> Self {
        let row = |(index, case): (usize, &Case)| Row {
            group: case.group,
            name: case.name,
            over: case.over,
            cost: Cost {
                least: times[index].least,
                median: times[index].median,
                instructions: counts.map(|counts| counts[index].instructions),
                clock_reads: counts.map(|counts| counts[index].clock_reads),
                allocations: allocations[index].count,
                bytes: allocations[index].bytes,
            },
        };
        Self {
            rows: cases.iter().enumerate().map(row).collect(),
        }
    }

    fn row(&self, group: &str, name: &str) -> Option<&Row> {
        self.rows.iter().find(|row| row.group == group && row.name == name)
    }

    /// What a case costs, with all that is below it.
    pub(crate) fn whole(&self, group: &str, name: &str) -> Option<Cost> {
        self.row(group, name).map(|row| row.cost)
    }

    /// What a case costs over the one it is counted over.
    pub(crate) fn over(&self, group: &str, name: &str) -> Option<Cost> {
        let row = self.row(group, name)?;
        let (ours, below) = (row.cost, self.row(group, row.over)?.cost);
        let minus = |ours: Option<f64>, below: Option<f64>| Some(ours? - below?);
        Some(Cost {
            least: ours.least - below.least,
            median: ours.median - below.median,
            instructions: minus(ours.instructions, below.instructions),
            clock_reads: minus(ours.clock_reads, below.clock_reads),
            allocations: ours.allocations - below.allocations,
            bytes: ours.bytes - below.bytes,
        })
    }

    /// How many times the time of the case `reference` the case `name` takes, both over what they are counted over.
    pub(crate) fn ratio(&self, group: &str, name: &str, reference: &str) -> Option<f64> {
        Some(self.over(group, name)?.least / self.over(group, reference)?.least)
    }

    /// The same of instructions.
    pub(crate) fn ratio_of_instructions(&self, group: &str, name: &str, reference: &str) -> Option<f64> {
        Some(self.over(group, name)?.instructions? / self.over(group, reference)?.instructions?)
    }
}

/// Something aimed at.
pub(crate) struct Aim {
    /// What, as a sentence without its number.
    pub(crate) what: String,
    /// `None` where it was not measured.
    pub(crate) value: Option<f64>,
    pub(crate) most: f64,
}

/// Prints the table. Times, instructions, clock reads and allocations are over the case that a case is counted over, which is
/// printed as it is, in brackets.
pub(super) fn table(results: &Results, references: &[&'static str]) {
    let wide = results.rows.iter().map(|row| row.name.len()).max().unwrap_or_default();
    println!();
    print!("{:wide$}  {:>8} {:>8}", "", "ns", "median");
    for reference in references {
        print!("  {:>13}", format!("x {}", short(reference)));
    }
    print!("  {:>8}", "instr.");
    for reference in references {
        print!("  {:>13}", format!("x {}", short(reference)));
    }
    println!("  {:>6} {:>7} {:>7}", "clocks", "allocs", "bytes");
    let mut group = "";
    for row in &results.rows {
        if row.group != group {
            group = row.group;
            println!("\n{group}");
        }
        line(results, row, references, wide);
    }
}

fn line(results: &Results, row: &Row, references: &[&'static str], wide: usize) {
    let below = row.name == row.over;
    let over = if below {
        Some(row.cost)
    } else {
        results.over(row.group, row.name)
    };
    let Some(cost) = over else { return };
    let number = |value: Option<f64>, digits: usize| match value {
        None => "-".to_owned(),
        Some(value) if below => format!("({value:.digits$})"),
        Some(value) => format!("{value:.digits$}"),
    };
    let ratio = |value: Option<f64>| {
        value
            .filter(|_| !below)
            .map_or("-".to_owned(), |value| format!("{value:.2}"))
    };
    print!(
        "{:wide$}  {:>8} {:>8}",
        row.name,
        number(Some(cost.least), 1),
        number(Some(cost.median), 1)
    );
    for reference in references {
        print!("  {:>13}", ratio(results.ratio(row.group, row.name, reference)));
    }
    print!("  {:>8}", number(cost.instructions, 0));
    for reference in references {
        print!(
            "  {:>13}",
            ratio(results.ratio_of_instructions(row.group, row.name, reference))
        );
    }
    println!(
        "  {:>6} {:>7} {:>7}",
        number(cost.clock_reads, 1),
        number(Some(cost.allocations), 1),
        number(Some(cost.bytes), 0)
    );
}

/// The crate of a reference.
fn short(reference: &str) -> &str {
    reference.split(' ').next().unwrap_or(reference)
}

/// Prints the aims, for information.
pub(super) fn aims(aims: &[Aim]) {
    println!("\naims");
    let wide = aims.iter().map(|aim| aim.what.len()).max().unwrap_or_default();
    for Aim { what, value, most } in aims {
        match value {
            None => println!("  {what:wide$}  at most {most:.2}: not measured"),
            Some(value) => {
                let verdict = if value <= most { "pass" } else { "miss" };
                println!("  {what:wide$}  at most {most:.2}: {value:.2}  {verdict}");
            }
        }
    }
}

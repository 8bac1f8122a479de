//! What became of the requests, as a table.

use std::time::Duration;

use crate::load::{End, PATIENCE, Sample};

/// One contender under one load.
pub(crate) struct Cell {
    pub(crate) seconds: Duration,
    pub(crate) samples: Vec<Sample>,
    /// Of the proxy, the upstream and the callers: how many processors each kept busy.
    pub(crate) cpu: [Option<f64>; 3],
}

/// What was measured of one contender in all rounds.
pub(crate) struct Row {
    name: String,
    /// Answered in time, a second: in each round.
    goodput: Vec<f64>,
    /// The same in the first second of the load.
    first_second: f64,
    /// Of those that were not rejected. One that was left counts with all the time it was waited for.
    p50: Duration,
    p99: Duration,
    rejected: f64,
    timed_out: f64,
    broken: f64,
    late: Duration,
    cpu: [Option<f64>; 3],
}

/// Prints what the columns are.
pub(crate) fn heading(what: &str, capacity: f64) {
    println!("\n{what} (capacity: {capacity})");
    println!(
        "{:27}  {:>9} {:>8} {:>7}  {:>8} {:>8}  {:>8} {:>9} {:>6}  {:>7} {:>8} {:>8}  {:>9}  rounds",
        "",
        "goodput/s",
        "capacity",
        "1st s",
        "p50",
        "p99",
        "rejected",
        "timed out",
        "broken",
        "cpu",
        "upstream",
        "callers",
        "sent late",
    );
}

impl Row {
    pub(crate) fn of(name: &str, cells: &[Cell]) -> Self {
        let samples = || cells.iter().flat_map(|cell| &cell.samples);
        let share = |end| ratio(samples().filter(|sample| sample.end == end).count(), samples().count());
        let taken = samples().filter(|sample| sample.end != End::Rejected);
        let mut latencies: Vec<Duration> = taken.map(|sample| sample.latency.min(PATIENCE)).collect();
        latencies.sort_unstable();
        let mut behind: Vec<Duration> = samples().map(|sample| sample.late).collect();
        behind.sort_unstable();
        let good = |cell: &Cell, until: Duration| {
            let in_time = |sample: &&Sample| sample.end == End::Answered && sample.at < until;
            let count = cell.samples.iter().filter(in_time).count();
            ratio(count, 1) / until.as_secs_f64()
        };
        let mean = |numbers: &[f64]| numbers.iter().sum::<f64>() / ratio(numbers.len(), 1);
        let first: Vec<f64> = cells.iter().map(|cell| good(cell, Duration::from_secs(1))).collect();
        let cpu = [0, 1, 2].map(|of| {
            let each: Option<Vec<f64>> = cells.iter().map(|cell| cell.cpu[of]).collect();
            each.map(|each| mean(&each))
        });
        Self {
            name: name.to_owned(),
            goodput: cells.iter().map(|cell| good(cell, cell.seconds)).collect(),
            first_second: mean(&first),
            p50: quantile(&latencies, 0.5),
            p99: quantile(&latencies, 0.99),
            rejected: share(End::Rejected),
            timed_out: share(End::TimedOut),
            broken: share(End::Broken),
            late: quantile(&behind, 0.99),
            cpu,
        }
    }

    pub(crate) fn print(&self) {
        let goodput = self.goodput.iter().sum::<f64>() / ratio(self.goodput.len(), 1);
        let percent = |share: f64| format!("{:.1}%", 100.0 * share);
        let of_capacity = |rate: f64| percent(rate / crate::CAPACITY);
        let ms = |duration: Duration| format!("{:.1}ms", 1e3 * duration.as_secs_f64());
        let cpu = self.cpu.map(|cpu| cpu.map_or("-".to_owned(), percent));
        let rounds: Vec<String> = self.goodput.iter().map(|rate| of_capacity(*rate)).collect();
        println!(
            "{:27}  {goodput:>9.1} {:>8} {:>7}  {:>8} {:>8}  {:>8} {:>9} {:>6}  {:>7} {:>8} {:>8}  {:>9}  {}",
            self.name,
            of_capacity(goodput),
            of_capacity(self.first_second),
            ms(self.p50),
            ms(self.p99),
            percent(self.rejected),
            percent(self.timed_out),
            percent(self.broken),
            cpu[0],
            cpu[1],
            cpu[2],
            ms(self.late),
            rounds.join(" "),
        );
    }
}

fn ratio(count: usize, of: usize) -> f64 {
    let number = |count| f64::from(u32::try_from(count).unwrap_or(u32::MAX));
    number(count) / number(of)
}

fn quantile(sorted: &[Duration], share: f64) -> Duration {
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        clippy::cast_precision_loss,
        reason = "an index of few digits"
    )]
    let index = (sorted.len() as f64 * share) as usize;
    sorted.get(index).copied().unwrap_or_default()
}

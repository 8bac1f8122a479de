//! Times and allocations.

use std::{hint::black_box, time::Duration};

use super::Case;

/// How long one request took, in ns.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Time {
    /// The least of all rounds: what the code costs.
    pub(crate) least: f64,
    /// The median of all rounds: what it costs on this machine.
    pub(crate) median: f64,
}

/// What one request allocated.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Allocations {
    pub(crate) count: f64,
    pub(crate) bytes: f64,
}

const COUNTED: u32 = 1_000;

/// Counts each case's allocations. Also its warm-up.
pub(super) fn allocations(cases: &mut [Case]) -> Vec<Allocations> {
    let each = |case: &mut Case| {
        (case.run)(COUNTED.into());
        let empty = allocation_counter::measure(|| _ = (case.run)(0));
        let all = allocation_counter::measure(|| _ = (case.run)(COUNTED.into()));
        Allocations {
            count: per_request(all.count_total - empty.count_total),
            bytes: per_request(all.bytes_total - empty.bytes_total),
        }
    };
    cases.iter_mut().map(each).collect()
}

fn per_request(all: u64) -> f64 {
    f64::from(u32::try_from(all).unwrap_or(u32::MAX)) / f64::from(COUNTED)
}

/// Times the cases in rounds, one short batch of each in every round.
///
/// A batch is as many requests as fill its time, so that a round is about as long for a slow case as for a quick one; every
/// second round goes backwards, so that none always follows the same neighbour.
pub(super) fn times(cases: &mut [Case], quick: bool) -> Vec<Time> {
    let (rounds, batch) = if quick {
        (16, Duration::from_millis(1))
    } else {
        (64, Duration::from_millis(2))
    };
    let sizes: Vec<u32> = cases.iter_mut().map(|case| fitting(case, batch)).collect();
    let mut samples = vec![Vec::with_capacity(rounds); cases.len()];
    for round in 0..rounds {
        for turn in 0..cases.len() {
            let turn = if round % 2 == 0 { turn } else { cases.len() - 1 - turn };
            let took = deeper(round, &mut || (cases[turn].run)(sizes[turn].into()));
            samples[turn].push(took.as_secs_f64() * 1e9 / f64::from(sizes[turn]));
        }
    }
    samples.into_iter().map(time).collect()
}

/// Where a stack begins is the loader's choice, and the bare case is half as long again where its addresses lie badly to those of
/// the heap: the processor takes two for the same whose lower twelve bits agree. So each round stands elsewhere on the stack.
#[inline(never)]
fn deeper(round: usize, run: &mut dyn FnMut() -> Duration) -> Duration {
    const PLACES: usize = 16;
    let step = black_box([0_u8; 256 + 64]);
    let took = match round % PLACES {
        0 => run(),
        place => deeper(place - 1, run),
    };
    black_box(step);
    took
}

fn fitting(case: &mut Case, batch: Duration) -> u32 {
    let mut size = 256;
    loop {
        let took = (case.run)(size.into());
        if took * 2 >= batch {
            return size;
        }
        size *= 2;
    }
}

fn time(mut samples: Vec<f64>) -> Time {
    samples.sort_by(f64::total_cmp);
    Time {
        least: samples[0],
        median: samples[samples.len() / 2],
    }
}

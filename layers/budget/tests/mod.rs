mod bound;
mod destinations;
mod grpc;
mod terms;

use std::time::Duration;

use tokio::time::Instant;

use super::*;
use crate::outcome::Class;

const FAILED: Why = Why::Failed(Class::Transport);

fn budget(ratio: f64, min_per_second: f64, burst: u32) -> Budget {
    let builder = Budget::builder()
        .ratio(ratio)
        .min_per_second(min_per_second)
        .burst(burst);
    builder.build().unwrap()
}

fn first(budget: &Budget, count: u32, now: Instant) {
    (0..count).for_each(|_| budget.first(now));
}

/// How many of so many that ask are granted.
fn granted(budget: &Budget, asked: u32, now: Instant) -> u32 {
    let grants = (0..asked).map(|_| u32::from(budget.again(FAILED, now)));
    grants.sum()
}

fn seconds(seconds: f64) -> Duration {
    Duration::from_secs_f64(seconds)
}

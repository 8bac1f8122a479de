//! A number where a law is wanted: of a limit, and of a budget.

use buttress::{ConcurrencyLimitLayer, budget::Budget};

fn main() {
    let _ = ConcurrencyLimitLayer::with_law(10_usize);
    let _ = Budget::with_law(0.1);
}

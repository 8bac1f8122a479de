//! One permit for two calls.

use buttress::admission::{Admit, Arrival, Decision};

fn twice<A: Admit>(policy: &A, arrival: &Arrival<'_>) -> Option<(A::Permit, A::Permit)> {
    match policy.admit(arrival) {
        Decision::Now(permit) => Some((permit.clone(), permit)),
        _ => None,
    }
}

fn main() {}

//! The storms that retries make, through the layers themselves: a client, a wire and a service, on tokio's paused clock.
//!
//! Whether there is another attempt depends on more than a budget: on the rules, the hints, the marks, the time that is left. So
//! nothing of that is simulated. What is simulated is who calls ([`drive`]), what arrives of a call in another process ([`wire`]),
//! and the service that does the work ([`line`]). [`storms`] says what happens and what should be seen of it, [`contender`] who
//! is sent into it.

mod contender;
mod drive;
#[path = "../../laws.rs"]
#[allow(clippy::unwrap_used, reason = "a test may")]
mod laws;
mod line;
mod seen;
mod storms;
mod wire;

#[allow(unused_imports, reason = "each binary uses its part")]
pub(crate) use self::{
    contender::Contender,
    drive::call,
    line::Line,
    seen::{Attempts, Seen},
    storms::{Storm, metastable, metastable_blind, three_tiers_dead, three_tiers_with_faults},
    wire::{Answer, Answering},
};

//! The budget: who may try again.
//!
//! Retries turn an outage into a longer one. An upstream that fails half of its requests is asked three times as often as before by
//! clients that try three times, just when it can do least; and where each of five tiers does so, it is asked 243 times. No
//! single request can see that. So retries and hedges are paid for from one account, which all requests fill:
//!
//! ```
//! use buttress::budget::{Budget, Law, Why};
//! use buttress::outcome::Class;
//! # use tokio::time::Instant;
//!
//! let budget = Budget::default(); // a tenth of the requests, one per second where there are few, ten at once
//! let shared = budget.clone(); //    for the next client, for the hedges, for a worker
//!
//! # let now = Instant::now();
//! for _ in 0..1_000 {
//!     shared.first(now); // what a retry layer does for each request ...
//! }
//! let granted = (0..1_000).filter(|_| shared.again(Why::Failed(Class::Transport), now)).count(); // ... and for each retry
//! assert_eq!(granted, 10);
//! assert_eq!(budget.snapshot().rejected, 990);
//! ```
//!
//! # The law
//!
//! A bucket of tokens, `burst` at most. The *first* attempt of each request brings [`ratio`](BudgetBuilder::ratio) of a token, time
//! brings [`min_per_second`](BudgetBuilder::min_per_second), and each further attempt costs one. What was brought and not spent
//! expires after 5 to 10 seconds, but for what the floor alone would bring in 10. A new budget has that much.
//!
//! # What is guaranteed
//!
//! - **The bound**, over every interval of time `t`: `retries <= ratio * requests + burst + min_per_second * t`. A token that is given back
//!   counts as brought at that moment.
//! - **Nothing is refunded for a success.** Where half of the attempts fail, a bucket that each success refills never
//!   empties, and every request costs two. Only an attempt that was paid for and never sent is given back.
//! - **Nothing is overdrawn.** Taking is one step, in which it is also checked.
//! - **The terms are kept to the letter.** 0.6 is 60 %, not one for one. Terms are rounded *down*, to a 2^-19th of a token with a
//!   burst of 1 and to a 1024th with one of 1,000; and the floor may lose a twelfth of a second each time the full bucket is taken
//!   from.
//! - **Cost.** Where the bucket is full a request's share is one load, and with the defaults not even a clock read: while nothing fails,
//!   threads write nothing that others read.
//!   Otherwise it is one compare-and-swap, and the same few steps after a year of rest. Nothing allocates, no lock, no timer.
//!
//! # Others' laws
//!
//! [`Budget::grpc`] does what a gRPC service config says; [`Law`] is for one's own.
//!
//! # Limits
//!
//! A budget is this process's: three replicas have three bursts and three floors. It bounds how often one tries again, not how
//! often one tries: that is a [rate limit](crate::admission)'s. Of threads that race, one can bring a time
//! of just before the others': what it takes from a full bucket can leave a twelfth of a second of the floor too much.

mod account;
mod builder;
mod counted;
mod destinations;
mod grpc;
mod law;
mod level;
mod ratio;
mod snapshot;
mod sync;
#[cfg(test)]
mod tests;

pub use self::{
    account::Budget,
    builder::{BudgetBuilder, InvalidBudget},
    destinations::Budgets,
    law::{Ended, How, Law, Why},
    snapshot::BudgetSnapshot,
};
pub(crate) use self::{counted::Counted, destinations::Paying};

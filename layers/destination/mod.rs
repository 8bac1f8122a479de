//! What a call goes to, and a bounded table of something for each.
//!
//! A breaker, a throttle and a retry budget say something about *one* upstream. A client that calls ten with one of them lets the
//! sick one decide for the nine others; one that keeps a state for each name it has ever seen grows without bound, as names can
//! come from outside. So there is a table with so many [seats](Seat), found by name:
//!
//! ```text
//! let breakers = Destinations::new(1_000, Breaker::new);
//! let seat = breakers.find(Some(Head::from(&request)), arrival.now());
//! seat.admit(..)                              // a seat is its tenant
//! if seat.is_current() { seat.settle(..) }    // long after: is it still for whom it was?
//! ```
//!
//! # What is guaranteed
//!
//! - **A bound.** There are never more tenants than seats. A destination without one, where all are taken, gets that of whoever
//!   was unused for longest among the next few, the [idle](Tenant::is_idle) first. The tenant is
//!   [reset](Tenant::reset) in place, and [`Seat::is_current`] tells those who still hold the seat.
//! - **Cost.** A destination that is known is found without a lock and without allocating: one hash, one or two loads, and the
//!   handle of this thread's [home](crate::context::home), so two threads that call one destination share no counter. One that
//!   is not known takes a lock that only such take.
//! - **Names** are compared by 64 bits of `SipHash` under a secret of the table, so nobody can look for two that collide.
//!
//! # Limits
//!
//! Who asks [`is_current`](Seat::is_current) and then acts can be overtaken in between. What is lost is one count.

mod index;
mod key;
mod seat;
mod table;
#[cfg(test)]
mod tests;

use tokio::time::Instant;

pub(crate) use self::{key::KeyOf, seat::Seat, table::Destinations};

/// How many destinations a table has seats for, unless set.
pub(crate) const MOST: usize = 1_000;

/// What there is one of for each destination.
pub(crate) trait Tenant {
    /// Begins anew, as for a destination that was never seen.
    fn reset(&self, now: Instant);

    /// Whether it is as one that begins anew, so that nothing is lost if it does.
    fn is_idle(&self, now: Instant) -> bool;
}

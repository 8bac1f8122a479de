//! The wire: how a deadline crosses from one process to the next.
//!
//! A deadline is an instant, and instants do not travel: no two clocks agree. What travels is a *timeout*, how long the
//! caller will wait from now, and every hop writes a smaller one. Each protocol has a header of its own for it, with a unit,
//! a range and an idea of zero of its own; a hop that reads one wrong works for a caller who has left, or sends away one who
//! would have waited. Here are those headers, to the letter of their specs.
//!
//! ```
//! use std::time::Duration;
//!
//! use buttress::context::wire::{DeadlineHeader, DeadlineHeaders, outgoing};
//! use http::HeaderMap;
//!
//! // In: what will the caller wait? Counted from the moment the head arrived.
//! let mut headers = HeaderMap::new();
//! headers.insert("grpc-timeout", "250m".parse()?);
//! let reading = DeadlineHeaders::default().read(&headers);
//! assert_eq!(reading.timeout, Some(Duration::from_millis(250)));
//!
//! // Out: 40 ms later we call the next hop, and leave 10 ms for its answer to come back.
//! let remaining = Duration::from_millis(250 - 40);
//! let cap = Duration::from_secs(30);
//! if let Some(timeout) = outgoing(remaining, Duration::from_millis(10), None, cap) {
//!     let header = DeadlineHeader::GrpcTimeout;
//!     if let Some(value) = header.encode(timeout) {
//!         assert_eq!(value, "200000u");
//!         headers.insert(header.name(), value); // never `append`: the caller's own value must not survive
//!     }
//! }
//! # Ok::<(), http::header::InvalidHeaderValue>(())
//! ```
//!
//! # The headers
//!
//! | header | grammar | zero | read by default |
//! |---|---|---|---|
//! | `grpc-timeout` | 1-8 digits and one of `H M S m u n` | expired | yes |
//! | `connect-timeout-ms` | 1-10 digits, milliseconds | expired | yes |
//! | `x-request-timeout-ms` | 1-10 digits, milliseconds | expired | yes |
//! | `x-request-timeout` | 1-10 digits, or those with `.` and 1-9 digits, seconds | expired | yes |
//! | `x-envoy-expected-rq-timeout-ms` | 1-19 digits, milliseconds | no deadline | behind Envoy |
//! | `x-envoy-upstream-rq-timeout-ms` | 1-19 digits, milliseconds | no deadline | behind Envoy |
//! | `l5d-request-timeout`, `l5d-timeout` | 1-19 digits and one of `ms s m h d`, or `0` | expired | behind Linkerd |
//!
//! # What it guarantees
//!
//! - **The strictest word counts.** Where a header comes twice, or several come, the shortest valid timeout is the one. The
//!   one exception is the plain pair: a valid `x-request-timeout-ms` speaks for `x-request-timeout` as well.
//! - **Nothing is rounded up.** What was written reads back as the same or less, by less than one unit, so a callee never
//!   believes it has longer than its caller waits.
//! - **What does not parse is not guessed at.** `+5`, `1e3`, ` 5` and `5,9` are invalid, where a laxer parser would take some
//!   of them. A lenient reader ignores them, a strict one answers with the error.
//! - **A reading costs one pass** over the headers, however many they are, and no allocation.
//!
//! # Its limits
//!
//! - **It trusts nobody and caps nothing.** A stranger may write `99999999H`, and it is read as 11,400 years. Whose headers are
//!   read ([`DeadlineHeaders`]) and how long at most is the deadline layer's to say; no header extends a limit of one's own.
//! - gRPC's C-core rounds its own `grpc-timeout` up (100 ms leaves as `101m`), so a deadline that comes in can be late by 1%.
//! - Time on the network is not in it. The `margin` of [`outgoing`] is there for the way back.

mod grammar;
mod header;
mod read;

#[cfg(test)]
mod properties;
#[cfg(test)]
mod tests;

use std::time::Duration;

pub use self::{
    header::{DeadlineHeader, InvalidDeadline},
    read::{DeadlineHeaders, Reading},
};

/// The least timeout worth sending: under it, the call is over before it arrives.
const LEAST: Duration = Duration::from_millis(1);

/// The timeout to send with one attempt: the least of `remaining - margin`, `per_attempt` and `cap`.
///
/// `remaining` is what is left until the caller's deadline, read *after* backoff and readiness and just before the attempt is
/// sent ([`Duration::MAX`] where there is none); `margin` is kept back, for the answer to travel and for us to pass it on.
///
/// `None` where less than 1 ms is left: fail here with a deadline error and send nothing, for no answer could come in time.
///
/// It is exact; [`DeadlineHeader::encode`] rounds it down to the unit of its header.
///
/// ```
/// # use std::time::Duration;
/// # use buttress::context::wire::outgoing;
/// let [ms, cap] = [Duration::from_millis(1), Duration::from_secs(30)];
/// assert_eq!(outgoing(200 * ms, 5 * ms, None, cap), Some(195 * ms));
/// assert_eq!(outgoing(200 * ms, 5 * ms, Some(50 * ms), cap), Some(50 * ms));
/// assert_eq!(outgoing(5 * ms, 5 * ms, None, cap), None);
/// ```
#[must_use]
pub fn outgoing(
    remaining: Duration,
    margin: Duration,
    per_attempt: Option<Duration>,
    cap: Duration,
) -> Option<Duration> {
    let timeout = remaining.checked_sub(margin)?.min(per_attempt.unwrap_or(cap)).min(cap);
    (timeout >= LEAST).then_some(timeout)
}

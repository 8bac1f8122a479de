//! What a test of one's own can hold a service, a layer or a process against.
//!
//! The promises of this crate are about what is *not* there: no work that nobody stops, no place that is never freed, no shutdown that
//! hangs. Such things fail no test until somebody looks for them. Here is what looks:
//!
//! | | |
//! |---|---|
//! | [`leak::assert_none`] | nothing lives when the work is done |
//! | [`contract::http`], [`contract::service`] | a layer keeps tower's contract, and lets go of everything wherever it is dropped |
//! | [`shutdown()`] | a process ends in order: slow requests are answered, stuck ones are ended, in time |
//!
//! They fail by a panic that says what was found; each has a form that gives it as data. This crate's own layers are held against
//! them. The feature `testing` belongs in `[dev-dependencies]`.

pub mod contract;
pub mod leak;
pub mod shutdown;

pub use self::shutdown::shutdown;

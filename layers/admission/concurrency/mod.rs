//! Concurrency limits, fixed and adaptive, with a queue in front.

mod law;

pub use self::law::{Limit, RouteWindow, Span, Window};

//! Layers put together.

mod optional;

pub use self::optional::{Optional, OptionalBody, OptionalFuture, OptionalLayer, optional};

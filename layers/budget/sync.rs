//! What a level is made of, named here alone, so that a model checker can compile the very same level with its own.

pub(super) use std::sync::atomic::{AtomicU64, Ordering};

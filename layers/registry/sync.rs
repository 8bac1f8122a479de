//! What a census is made of, named here alone, so that a model checker can compile the very same census with its own.

pub(super) use std::sync::atomic::{AtomicUsize, Ordering};

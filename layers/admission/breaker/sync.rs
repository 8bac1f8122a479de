//! What a circuit is made of, named here alone, so that a model checker can compile the very same circuit with its own.

pub(super) use std::sync::{
    Mutex, MutexGuard,
    atomic::{AtomicU64, Ordering},
};

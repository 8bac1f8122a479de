//! What the gate is made of, named here alone, so that a model checker can compile the very same gate with its own.

pub(super) use std::sync::{
    Mutex, MutexGuard,
    atomic::{AtomicU64, Ordering},
};

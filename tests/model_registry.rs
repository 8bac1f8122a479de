//! Work that is registered while the process ends, under every order in which two threads can take their steps.
//!
//! It is the very source of the library: see `layers/registry/sync.rs`.
#![allow(
    dead_code,
    clippy::disallowed_methods,
    reason = "a test may, and the model uses a part of the census"
)]

use loom::{sync::Arc, thread};

#[path = "../layers/registry/census.rs"]
mod census;
mod sync {
    pub(crate) use loom::sync::atomic::{AtomicUsize, Ordering};
}

use self::census::Census;

#[test]
fn registration_that_races_shutdown_is_tracked_or_refused() {
    loom::model(|| {
        let census = Arc::new(Census::new());
        let starts = {
            let census = census.clone();
            thread::spawn(move || census.enter())
        };
        census.close();
        // What is let in is seen by whoever closed it; and nothing is let in behind that.
        let seen = census.live();
        let entered = starts.join().unwrap();
        assert_eq!(census.live(), usize::from(entered));
        assert!(seen == usize::from(entered), "{seen} {entered}");
        assert!(!census.enter());
    });
}

#[test]
fn the_last_to_leave_is_one() {
    loom::model(|| {
        let census = Arc::new(Census::new());
        assert!(census.enter() && census.enter());
        let other = {
            let census = census.clone();
            thread::spawn(move || census.leave())
        };
        let last = [census.leave(), other.join().unwrap()];
        assert_eq!(last.iter().filter(|last| **last).count(), 1);
        assert_eq!(census.live(), 0);
    });
}

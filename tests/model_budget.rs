//! The level of a budget, under every order in which two threads can take their steps.
//!
//! It is the very source of the library, with a model checker's atomics: see `layers/budget/sync.rs`.
#![allow(
    dead_code,
    clippy::disallowed_methods,
    clippy::unwrap_used,
    reason = "a test may, and the model uses a part of the level"
)]

use loom::{sync::Arc, thread};

#[path = "../layers/budget/level.rs"]
mod level;
mod sync {
    pub(crate) use loom::sync::atomic::{AtomicU64, Ordering};
}

use self::level::{HALF, Level, RATE_BITS, Terms};

/// Ten units are a token.
const ONE: u64 = 10;

fn level(cap: u64, per_tick: u64, kept: u64) -> Arc<Level> {
    let terms = Terms {
        one: ONE,
        cap,
        deposit: 5,
        rate: per_tick << RATE_BITS,
        kept,
    };
    Arc::new(Level::new(terms, 0))
}

/// Runs both at once, and says what each got.
fn both<T: 'static>(
    level: &Arc<Level>,
    mine: impl FnOnce(&Level) -> T,
    theirs: impl FnOnce(&Level) -> T + 'static,
) -> [T; 2] {
    let other = {
        let level = level.clone();
        thread::spawn(move || theirs(&level))
    };
    let mine = mine(level);
    [mine, other.join().unwrap()]
}

#[test]
fn one_token_is_taken_once() {
    loom::model(|| {
        let level = level(5 * ONE, 0, ONE);
        let granted = both(&level, |level| level.again(0), |level| level.again(0));
        assert_eq!(granted.iter().filter(|granted| **granted).count(), 1);
        assert_eq!(level.amount(0), 0);
    });
}

#[test]
fn no_deposit_is_lost_or_counted_twice() {
    loom::model(|| {
        let level = level(5 * ONE, 0, 0);
        both(
            &level,
            |level| (0..2).for_each(|_| level.first(|| 0)),
            |level| level.first(|| 0),
        );
        assert_eq!(level.amount(0), 15);
    });
}

#[test]
fn what_is_given_back_is_there_again_and_no_more() {
    loom::model(|| {
        let level = level(5 * ONE, 0, ONE);
        assert!(level.again(0));
        let [_, granted] = both(
            &level,
            |level| {
                level.unsent(0);
                false
            },
            |level| level.again(0),
        );
        assert_eq!(level.amount(0), if granted { 0 } else { ONE });
    });
}

/// Two threads that both see that time has passed: it passes once, whichever of them brings the older time.
#[test]
fn time_is_credited_once() {
    loom::model(|| {
        let level = level(5 * ONE, 4, 0);
        let granted = both(
            &level,
            |level| [level.again(5), level.again(5)],
            |level| [level.again(4), level.again(4)],
        );
        let taken = granted.iter().flatten().filter(|granted| **granted).count() as u64;
        // Two tokens by tick 5. One of them is out of reach of the thread that is late, if it comes first.
        assert!((1..=2).contains(&taken), "{taken}");
        assert_eq!(level.amount(5), 20 - taken * ONE);
    });
}

/// The half of a window ends while both are at it: what is aged goes once, what is fresh stays.
#[test]
fn a_half_ends_once() {
    loom::model(|| {
        let level = level(5 * ONE, 0, 0);
        (0..2).for_each(|_| level.first(|| 0));
        (0..4).for_each(|_| level.first(|| HALF));
        both(
            &level,
            |level| level.first(|| 2 * HALF),
            |level| level.first(|| 2 * HALF),
        );
        assert_eq!(level.amount(2 * HALF), 30);
    });
}

/// A full level, taken from and added to at once, never holds more than its cap.
#[test]
fn the_cap_holds() {
    loom::model(|| {
        let level = level(2 * ONE, 4, 2 * ONE);
        let [granted, _] = both(
            &level,
            |level| (0..3).filter(|_| level.again(3)).count(),
            |level| {
                level.first(|| 3);
                level.unsent(3);
                0
            },
        );
        assert!((2..=3).contains(&granted), "{granted}");
        assert!(level.amount(3) + granted as u64 * ONE <= 2 * ONE + ONE + 5);
    });
}

//! gRPC's law, by the vectors of its specification.

use super::*;

/// What is granted, for a history of failures that want to try again, and successes.
fn history(budget: &Budget, history: &str) -> String {
    let now = Instant::now();
    let mut decided = String::new();
    for how in history.chars() {
        if how == 'S' {
            budget.ended(Ended::new(None, How::Success), now);
        } else {
            // In the order of gRPC's core: the failure takes a token, and then what is left decides.
            budget.ended(Ended::new(None, How::Failure), now);
            decided.push(if budget.again(FAILED, now) { 'A' } else { 'D' });
        }
    }
    decided
}

#[test]
fn more_than_half_must_be_left() {
    for (given, decided, tokens) in [
        ("FFFFFF", "AAAADD", 4.0),
        ("FFFFFSSSSSSSSSSF", "AAAADD", 5.0),
        ("FFFFFSSSSSSSSSSSF", "AAAADA", 5.1),
        ("FFFFFFFFFFFFFFF", "AAAADDDDDDDDDDD", 0.0),
        ("SSSS", "", 10.0),
    ] {
        let budget = Budget::grpc(10.0, 0.1).unwrap();
        assert_eq!(history(&budget, given), decided, "{given}");
        assert_eq!(budget.snapshot().tokens, Some(tokens), "{given}");
    }
}

#[test]
fn further_digits_are_left_out() {
    for (ratio, tokens) in [(0.57, 9.57), (0.5759, 9.575), (0.001, 9.001), (100.0, 10.0)] {
        let budget = Budget::grpc(10.0, ratio).unwrap();
        history(&budget, "FS");
        assert_eq!(budget.snapshot().tokens, Some(tokens), "{ratio}");
    }
}

#[test]
fn what_ends_otherwise_and_what_was_never_sent_change_nothing() {
    let (budget, now) = (Budget::grpc(10.0, 0.1).unwrap(), Instant::now());
    history(&budget, "F");
    assert!(budget.follows_ends());
    budget.ended(Ended::new(Some(FAILED), How::Other), now);
    budget.unsent(FAILED, now);
    assert_eq!(budget.snapshot().tokens, Some(9.0));
}

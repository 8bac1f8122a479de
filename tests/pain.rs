//! What the README says of a limit of one, by the example that it names.
#![allow(clippy::disallowed_methods, clippy::unwrap_used, reason = "a test may")]

use std::{env::consts::EXE_SUFFIX, process::Command};

#[test]
fn towers_limit_of_one_lets_in_ten_and_ours_lets_in_one() {
    let test = std::env::current_exe().unwrap();
    let profile = test.ancestors().nth(2).unwrap();
    let example = profile.join("examples").join(format!("pain{EXE_SUFFIX}"));
    assert!(example.exists(), "first: cargo build --example pain");

    let ran = Command::new(example).output().unwrap();
    let said = String::from_utf8(ran.stdout).unwrap();

    assert!(ran.status.success(), "{}", String::from_utf8_lossy(&ran.stderr));
    let readme = include_str!("../README.md");
    for line in said.lines() {
        assert!(readme.contains(line), "the README does not say: {line}");
    }
    assert_eq!(said.lines().count(), 2);
}

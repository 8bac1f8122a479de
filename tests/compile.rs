//! What the compiler says when a user errs: short, and what to do.
//!
//! The words are the compiler's, and change with it, so they are held for one version only, and by request:
//!
//! ```sh
//! cargo test --all-features --test compile -- --ignored
//! ```
//!
//! `TRYBUILD=overwrite` before it renews what is written beside the cases. What must compile is in the other tests.

#[test]
#[ignore = "holds for Rust 1.95, and builds all it depends on once more"]
fn each_error_says_what_to_do() {
    trybuild::TestCases::new().compile_fail("tests/compile/*.rs");
}

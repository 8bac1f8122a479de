//! Prints the public API, one item a line, from the file of rustdoc's JSON that is named.

use std::{env, process::ExitCode};

/// What nobody relies on.
const UNPROMISED: [&str; 4] = [
    "Freeze for",
    "UnsafeUnpin for",
    "UnwindSafe for",
    "StructuralPartialEq for",
];

/// Written by hand or derived, it says no more than that the trait is there, which its `impl` says.
const EXPECTED: [&str; 3] = ["::fmt(&self,", "::clone(&self)", "::drop(&mut self)"];

/// Where a type has these of itself, only that it has them no more, or under a condition, is worth a line.
const USUAL: [&str; 3] = [
    "core::marker::Send for",
    "core::marker::Sync for",
    "core::marker::Unpin for",
];

fn listed(item: &str) -> bool {
    let has = |words: &[&str]| words.iter().any(|word| item.contains(word));
    let usual = has(&USUAL) && !item.contains(" !") && !item.contains(" where ");
    !has(&UNPROMISED) && !has(&EXPECTED) && !usual
}

fn main() -> ExitCode {
    let Some(json) = env::args_os().nth(1) else {
        eprintln!("usage: api FILE.json");
        return ExitCode::FAILURE;
    };
    let api = public_api::Builder::from_rustdoc_json(json)
        .omit_blanket_impls(true)
        .omit_auto_derived_impls(false)
        .build();
    match api {
        Ok(api) => {
            for item in api.items().map(ToString::to_string).filter(|item| listed(item)) {
                println!("{item}");
            }
            ExitCode::SUCCESS
        }
        Err(error) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
    }
}

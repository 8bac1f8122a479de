//! What the compiler says when a user errs: short, and what to do. What must compile is in `traps` and everywhere else.
//!
//! The words are the compiler's, and change with it, so they are held for one version only, and by request:
//!
//! ```sh
//! cargo test --all-features --test compile -- --ignored
//! ```
//!
//! With `TRYBUILD=overwrite` before it, what is written beside the cases is renewed.

#![allow(clippy::unwrap_used, reason = "a test may")]

use std::{env, fs, path::Path, process::Command};

const ROOT: &str = env!("CARGO_MANIFEST_DIR");

/// What the cases depend on. trybuild builds all that their package does, once more and for them alone: ours would be too much.
const MANIFEST: &str = r#"
[package]
name = "errs"
version = "0.0.0"
edition = "2024"
publish = false

[dependencies]
axum = { version = "0.8", default-features = false }
buttress = { path = "ROOT", features = ["reqwest", "tonic"] }
http = "1"
http-body-util = "0.1"
reqwest = { version = "0.13", default-features = false }
tonic = { version = "0.14", default-features = false, features = ["channel"] }
tower = { version = "0.5", features = ["util"] }

[workspace]
"#;

#[test]
#[ignore = "the words of Rust 1.95"]
fn each_error_says_what_to_do() {
    let package = Path::new(env!("CARGO_TARGET_TMPDIR")).join("errs");
    if env::var_os("CARGO_MANIFEST_DIR").is_some_and(|dir| package == Path::new(&dir)) {
        trybuild::TestCases::new().compile_fail("cases/*.rs");
        return;
    }
    let (root, cases) = (Path::new(ROOT), package.join("cases"));
    let ours = root.join("tests/compile");
    let _ = fs::remove_dir_all(&cases);
    fs::create_dir_all(package.join("src")).unwrap();
    fs::write(package.join("src/lib.rs"), "").unwrap();
    fs::write(package.join("Cargo.toml"), MANIFEST.replace("ROOT", ROOT)).unwrap();
    // The versions that the library is built with.
    fs::copy(root.join("Cargo.lock"), package.join("Cargo.lock")).unwrap();
    copy(&ours, &cases);

    let mut within = Command::new(env::current_exe().unwrap());
    within
        .args(["--exact", "each_error_says_what_to_do", "--ignored", "--nocapture"])
        .env("CARGO_MANIFEST_DIR", &package)
        .env("CARGO_TARGET_DIR", package.join("target"))
        .current_dir(&package);
    let holds = within.status().unwrap().success();
    if env::var("TRYBUILD").is_ok_and(|wish| wish == "overwrite") {
        copy(&cases, &ours);
    }
    assert!(
        holds,
        "see above; renewed by TRYBUILD=overwrite, as the head of this file says"
    );
}

fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let path = entry.unwrap().path();
        fs::copy(&path, to.join(path.file_name().unwrap())).unwrap();
    }
}

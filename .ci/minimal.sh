#!/usr/bin/env bash
# Builds the library alone against the lowest version of each dependency that Cargo.toml allows: a lower bound that was never built
# is a guess, and whoever has an older lock file finds out.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
root=$PWD

target=${CARGO_TARGET_DIR:-target}
[[ $target == /* ]] || target=$root/$target

# A copy, for the lock file is another, and without what only tests need: their bounds are nobody's business.
copy=$target/minimal/package
rm -rf "$copy"
mkdir -p "$copy"
cp -R layers README.md "$copy/"
awk '
  /^\[/ { skip = /^\[dev-dependencies\]|^\[\[(example|bench|test)\]\]/ }
  !skip
' Cargo.toml >"$copy/Cargo.toml"
printf '\n[workspace]\n' >>"$copy/Cargo.toml"
cd "$copy"

# The flag is unstable, and there is no other stable way to ask for it. It chooses versions: what is built is built by stable Rust.
RUSTC_BOOTSTRAP=1 cargo update --quiet -Z direct-minimal-versions || {
  echo "a lower bound in Cargo.toml is too low for what another dependency asks for: raise it" >&2
  exit 1
}

direct=$(cargo tree --depth 1 --edges normal --all-features --prefix none --format '{p}' | sed -E '1d; s/ \(.*//; s/ v/ /')
printf '%s\n' "$direct"
CARGO_TARGET_DIR=$target/minimal cargo check --quiet --keep-going --lib --all-features || {
  echo "a lower bound in Cargo.toml is too low: raise that of the crate that does not build, or that lacks what we use" >&2
  exit 1
}

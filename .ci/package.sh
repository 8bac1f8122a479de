#!/usr/bin/env bash
# Packages the crate, builds the library from the package with all features, and the examples that are in it.
#
# What Cargo.toml declares of tests, benches and of examples below `tests/` is not in the package: cargo leaves its entries out, and says
# so. What is declared and in there must build.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
root=$PWD

fail() {
  printf '%s\n' "$*" >&2
  exit 1
}

export CARGO_TARGET_DIR=${CARGO_TARGET_DIR:-target}
[[ $CARGO_TARGET_DIR == /* ]] || CARGO_TARGET_DIR=$root/$CARGO_TARGET_DIR

log=$(mktemp)
trap 'rm -f "$log"' EXIT
cargo package --allow-dirty --all-features 2>&1 | tee "$log" | grep -v '^warning: ignoring '

# Asked of the registry while packaging. The lock file is ours alone, but who starts from it has the same versions.
! grep -F 'is yanked' "$log" >&2 || fail "Cargo.lock has a version that was taken back: cargo update"

version=$(cargo metadata --no-deps --format-version 1 | jq -r '.packages[] | select(.name == "buttress") | .version')
crate=buttress-$version
unpacked=$CARGO_TARGET_DIR/package/unpacked
rm -rf "$unpacked"
mkdir -p "$unpacked"
tar -xzf "$CARGO_TARGET_DIR/package/$crate.crate" -C "$unpacked"
cd "$unpacked/$crate"

for file in CHANGELOG.md LICENSE-APACHE LICENSE-MIT README.md layers/lib.rs; do
  [[ -f $file ]] || fail "the package lacks $file"
done
for stray in benches tests .ci; do
  [[ ! -e $stray ]] || fail "the package has $stray"
done

# What is left of its targets.
targets=$(cargo metadata --offline --no-deps --format-version 1 | jq -r '.packages[0].targets[] | "\(.kind[0]) \(.name)"')
printf '%s\n' "$targets"
cargo check --offline --examples --all-features

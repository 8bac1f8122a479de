#!/usr/bin/env bash
# Holds the public API against its listing, `.ci/public-api.txt`: whatever is added, changed or taken away shows in a review.
#
#   .ci/api.sh            fails where they differ, and shows where
#   .ci/api.sh --renew    writes the listing anew
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
root=$PWD
listing=.ci/public-api.txt

target=${CARGO_TARGET_DIR:-target}
[[ $target == /* ]] || target=$root/$target

# rustdoc's JSON is unstable, and read by one version of the reader each: see .ci/api/Cargo.toml when Rust is changed. Only rustdoc is
# told to write it; cargo and the dependencies' build scripts stay stable, so what is built already is used. The pages in its place are
# gone afterwards.
mkdir -p "$target/tools"
cat >"$target/tools/rustdoc" <<'SH'
#!/bin/sh
RUSTC_BOOTSTRAP=1 exec rustdoc "$@"
SH
chmod +x "$target/tools/rustdoc"
RUSTDOC=$target/tools/rustdoc cargo rustdoc --quiet --lib --all-features -- -Z unstable-options --output-format json

found=$(mktemp)
trap 'rm -f "$found"' EXIT
cargo run --quiet --locked --manifest-path .ci/api/Cargo.toml --target-dir "$target/tools/api" -- "$target/doc/buttress.json" >"$found" || {
  echo "Another Rust writes another format: choose the reader for it in .ci/api/Cargo.toml." >&2
  exit 1
}
[[ -s $found ]] || { echo "no public item found" >&2; exit 1; }

if [[ ${1-} == --renew ]]; then
  cp "$found" "$listing"
  chmod 644 "$listing"
elif ! diff --unified=0 --label "$listing" "$listing" --label "the public API" "$found" >&2; then
  echo "The public API has changed. If that is meant: .ci/api.sh --renew, and a line in CHANGELOG.md." >&2
  exit 1
fi
echo "$(wc -l <"$listing") public items, as listed in $listing"

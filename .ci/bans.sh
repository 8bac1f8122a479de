#!/usr/bin/env bash
# Tries every ban of the house's `.clippy.toml`, and of the list for users, `layers/guide/clippy.toml`: each must fire exactly where
# its probe says (`.ci/bans.rs`, `.ci/bans_of_users.rs`), and no ban may go untried.
set -euo pipefail
export LC_ALL=C # one order for sort and comm
cd "$(dirname "${BASH_SOURCE[0]}")/.."
root=$PWD

target=${CARGO_TARGET_DIR:-target}
[[ $target == /* ]] || target=$root/$target
target+=/bans

# Outside the tree, so that nothing of the library's own manifest reaches it.
probe=$(mktemp -d)
cleanup() {
  rm -rf "$probe"
  # The probe lives under another path each time, so its artefacts would pile up. Its dependencies stay.
  if [[ -d $target ]]; then find "$target" -depth -name '*ban[-_]probe-*' -exec rm -rf {} +; fi
}
trap cleanup EXIT

# try LIST PROBE: the probe's dependencies are read from the standard input.
try() {
  local list=$1 code=$2 twice untried
  rm -rf "${probe:?}"/*

  # === the bans, as the list has them ===

  # An entry of another shape would be a ban that this script does not see.
  awk '
    /^disallowed-(methods|types) = \[$/ { inside = 1; next }
    /^disallowed-/ { print FILENAME ":" FNR ": one ban a line: " $0; bad = 1 }
    inside && /^\]$/ { inside = 0; next }
    inside && !/^ *(#.*)?$/ && !/^ *\{ path = "[^"]+", reason = "[^"]+"(, allow-invalid = true)? \},$/ {
      print FILENAME ":" FNR ": not `{ path, reason }`: " $0; bad = 1
    }
    END { exit bad }
  ' "$list" >&2
  sed -nE 's/^ *\{ path = "([^"]+)".*/\1/p' "$list" | sort >"$probe/bans"
  [[ -s $probe/bans ]] || { echo "no bans found in $list" >&2; exit 1; }

  twice=$(uniq -d "$probe/bans")
  [[ -z $twice ]] || { echo "$list: banned twice: $twice" >&2; exit 1; }

  # === what should fire, as `line path` ===

  awk '!/^\/\// && sub(/^.* \/\/~ /, "") { for (i = 1; i <= NF; i++) print FNR, $i }' "$code" |
    sort >"$probe/expected"

  untried=$(comm -23 "$probe/bans" <(cut -d' ' -f2 "$probe/expected" | sort -u))
  [[ -z $untried ]] || { printf "no probe in $code for: %s\n" "$untried" >&2; exit 1; }

  # === what does fire ===

  mkdir "$probe/src"
  cp "$code" "$probe/src/lib.rs"
  # The versions that the library is built with.
  cp Cargo.lock "$probe/"
  {
    printf '[package]\nname = "ban-probe"\nversion = "0.0.0"\nedition = "2024"\n\n[workspace]\n\n[dependencies]\n'
    cat
  } >"$probe/Cargo.toml"

  (
    cd "$probe"
    CLIPPY_CONF_DIR=$(dirname "$root/$list") CARGO_TARGET_DIR=$target \
      cargo clippy --no-deps --quiet --color never --message-format short 2>"$probe/log"
  ) || { cat "$probe/log" >&2; exit 1; }

  # Whatever is not a ban keeps its own words, so that it shows as unexpected: a path that clippy cannot resolve, say.
  # shellcheck disable=SC2016 # the backticks are clippy's
  sed -E '
    /^warning: `ban-probe` .* generated [0-9]+ warnings?/d
    s/^src\/lib\.rs:([0-9]+):[0-9]+: warning: use of a disallowed (method|type) `([^`]+)`.*/\1 \3/
  ' "$probe/log" | sort >"$probe/actual"

  if ! diff --unchanged-line-format='' --old-line-format='did not fire: %L' --new-line-format='unexpected:   %L' \
    "$probe/expected" "$probe/actual" >&2; then
    echo "(line of $code, then the ban)" >&2
    exit 1
  fi

  echo "$list: $(wc -l <"$probe/bans") bans, $(wc -l <"$probe/expected") probes: each fired where it should, nothing else did"
}

try .clippy.toml .ci/bans.rs <<'TOML'
futures-channel = "0.3"
tokio = { version = "1", features = ["rt", "sync", "time"] }
TOML

try layers/guide/clippy.toml .ci/bans_of_users.rs <<TOML
async-channel = "2"
buttress = { path = "$root" }
crossbeam-channel = "0.5"
flume = { version = "0.12", default-features = false }
futures-channel = "0.3"
tokio = { version = "1", features = ["rt", "signal", "sync", "time"] }
tokio-util = { version = "0.7", features = ["rt"] }
TOML

#!/usr/bin/env bash
# Looks at the debug page in headless Chromium, as a person would, while a process has live work of all kinds. Leaves screenshots in the
# target directory.
#
# Wants cargo, npm, and Debian's chromium (or another, by CHROMIUM). The rest is brought into the target directory, in the version that
# the list beside this names; nothing leaves the loopback interface.
set -euo pipefail
browser=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
cd "$browser/../.."

target=${CARGO_TARGET_DIR:-target}
[[ $target == /* ]] || target=$PWD/$target
here=$target/browser

# As the tests have built it already.
cargo build --quiet --all-features --example alive

mkdir -p "$here"
if ! cmp --silent "$browser/package.json" "$here/package.json" || [[ ! -d $here/node_modules ]]; then
  cp "$browser/package.json" "$here/"
  timeout 120 npm install --prefix "$here" --silent --no-audit --no-fund --ignore-scripts
fi
export NODE_PATH=$here/node_modules CHROMIUM=${CHROMIUM:-$(command -v chromium)}

timeout 120 node "$browser/page.js" "$target/debug/examples/alive" "$here"

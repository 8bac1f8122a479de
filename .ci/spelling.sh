#!/usr/bin/env bash
# Looks for slips of the pen, in code as in prose. What is none goes into `.ci/typos.toml`, with what it means.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

target=${CARGO_TARGET_DIR:-target}
[[ $target == /* ]] || target=$PWD/$target
here=$target/tools/spelling

mkdir -p "$here"
if ! cmp --silent .ci/requirements.txt "$here/requirements.txt" || ! [[ -x $here/venv/bin/typos ]]; then
  python3 -m venv --clear "$here/venv"
  timeout 120 "$here/venv/bin/pip" install --quiet --disable-pip-version-check --no-deps --only-binary :all: -r .ci/requirements.txt
  cp .ci/requirements.txt "$here/"
fi
"$here/venv/bin/typos" --version
git ls-files -z | xargs -0 "$here/venv/bin/typos" --config .ci/typos.toml --force-exclude --format brief

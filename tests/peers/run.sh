#!/usr/bin/env bash
# Holds retries and the gateway against real peers: gRPC's C-core and grpc-js, nginx, Envoy, and a server that ends HTTP/2 streams by
# the book. Stops at the first thing that does not hold.
#
# Wants cargo, python3 with venv, npm and nginx. The rest is brought into the target directory, in the versions that the lists beside
# this name; nothing leaves the loopback interface.
set -euo pipefail
peers=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
cd "$peers/../.."

target=${CARGO_TARGET_DIR:-target}
[[ $target == /* ]] || target=$PWD/$target
here=$target/peers

# Ours, as the tests have built them already.
cargo build --quiet --all-features --example gateway --example grpc_caller
export GATEWAY=$target/debug/examples/gateway CALLER=$target/debug/examples/grpc_caller

mkdir -p "$here"
if ! cmp --silent "$peers/requirements.txt" "$here/requirements.txt" || ! "$here/venv/bin/python" -c 'import grpc, h2'; then
  python3 -m venv --clear "$here/venv"
  timeout 120 "$here/venv/bin/pip" install --quiet --disable-pip-version-check --no-deps --only-binary :all: -r "$peers/requirements.txt"
  cp "$peers/requirements.txt" "$here/"
fi
if ! cmp --silent "$peers/package.json" "$here/package.json" || [[ ! -d $here/node_modules ]]; then
  cp "$peers/package.json" "$here/"
  timeout 120 npm install --prefix "$here" --silent --no-audit --no-fund --ignore-scripts
fi
export NODE_PATH=$here/node_modules PYTHONDONTWRITEBYTECODE=1 PATH=$PATH:/usr/sbin

for checks in grpc_table grpc_law grpc_js streams nginx envoy; do
  echo "# $checks"
  timeout 90 "$here/venv/bin/python" "$peers/$checks.py"
done

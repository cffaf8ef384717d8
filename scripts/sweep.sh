#!/usr/bin/env bash
# Sweeps over all sizes, vectors and algorithms (test/sweep/): the release build with guarded workspaces, then the same
# under AddressSanitizer and UndefinedBehaviorSanitizer. With `core` the sizes between the edges are left out.
set -euo pipefail
cd "$(dirname "$0")/.."
bash scripts/setup.sh
AXPY_GUARD=1 node test/sweep/run.mjs "$@"
for sanitizer in address undefined; do
  bash scripts/sanitize.sh "$sanitizer" -- node test/sweep/run.mjs "$@"
done

#!/usr/bin/env bash
# Runs what the declarations of test/cases say about some ops, on both backends: the kernels' contract, gradients, values of
# PyTorch, bad calls, versions and costs. A name is a file there, or a function that it has cases of.
#
#     npm run test:op -- softmax relu
set -euo pipefail
cd "$(dirname "$0")/.."
[ $# -gt 0 ] || { echo 'test:op: expected names of ops, as in npm run test:op -- softmax' >&2; exit 2; }
bash scripts/setup.sh
export AXPY_OPS="$*"
exec npx --no-install vitest run test/contract.native test/gradient test/reference.test.ts test/errors test/versions test/cost

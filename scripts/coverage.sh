#!/usr/bin/env bash
# What of lib/ and native/ the tests run: one table, and below coverage/ what they do not (docs/coverage.md).
#
#     bash scripts/coverage.sh             (every test on both backends but those of time)
#     bash scripts/coverage.sh test/train  (what these files run)
set -euo pipefail
cd "$(dirname "$0")/.."

bash scripts/setup.sh tests
npx --no-install cmake-js build --out build-coverage --CDAXPY_COVERAGE=ON --parallel 2 >/dev/null
rm -rf coverage
find build-coverage -name '*.gcda' -delete

# What is counted takes twice as long.
failed=0
AXPY_BINARY="$PWD/build-coverage/Release/axpy.node" npx --no-install vitest run \
  --coverage --project native --project fallback --testTimeout 300000 "$@" || failed=$?
npx --no-install tsx scripts/coverage.ts
exit "$failed"

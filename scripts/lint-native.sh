#!/usr/bin/env bash
# Format and static analysis of the C++ sources; the compiler's own warnings are errors in every build.
# passedByValue: a kernel's arguments are handles of two words, and its signature is what bind.h reads.
set -euo pipefail
cd "$(dirname "$0")/.."
PATH="$PWD/node_modules/.bin:$PATH"
mapfile -t sources < <(find native -name '*.cc' -o -name '*.h' | sort)
clang-format --dry-run --Werror "${sources[@]}"
# It looks again at what has changed since the last time.
mkdir -p build/cppcheck
cppcheck -j 2 --cppcheck-build-dir=build/cppcheck --quiet --error-exitcode=1 --language=c++ --std=c++17 --enable=warning,performance,portability \
  --suppress=missingInclude --suppress=missingIncludeSystem --suppress=unknownMacro \
  --suppress=passedByValue \
  -I native "${sources[@]}"

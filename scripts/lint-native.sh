#!/usr/bin/env bash
# Format and static analysis of the C++ sources; the compiler's own warnings are errors in every build.
set -euo pipefail
cd "$(dirname "$0")/.."
mapfile -t sources < <(find native -name '*.cc' -o -name '*.h' | sort)
clang-format --dry-run --Werror "${sources[@]}"
cppcheck --quiet --error-exitcode=1 --language=c++ --std=c++17 --enable=warning,performance,portability \
  --inline-suppr --suppress=missingInclude --suppress=missingIncludeSystem --suppress=unknownMacro \
  -I native "${sources[@]}"

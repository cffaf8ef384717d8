#!/usr/bin/env bash
# Prepares a bare clone: node modules, the native dependencies, the addon and the compiled library. Does only what is
# missing or out of date, so that it costs next to nothing when all is there. `setup.sh modules` ends with the node modules,
# `setup.sh tests` has what tests need beside.
set -euo pipefail
cd "$(dirname "$0")/.."

say() { printf 'setup: %s\n' "$*" >&2; }
newer_than() { # newer_than FILE PATH...: whether anything under the paths is newer than FILE, or FILE is not there
  [ ! -e "$1" ] || [ -n "$(find "${@:2}" -newer "$1" -print -quit)" ]
}

if newer_than node_modules/.package-lock.json package-lock.json package.json; then
  say 'installing node modules (npm ci)'
  # What scripts of packages would download (libraries for GPUs) nobody needs here.
  npm ci --ignore-scripts --no-audit --no-fund
  touch node_modules/.package-lock.json
fi
[ "${1:-}" != modules ] || exit 0

# What the addon is built from: Debian's packages, each with a file that shows it is there.
missing=()
need() { [ -n "$(find /usr/include /usr/lib /usr/bin -path "*/$2" -print -quit 2>/dev/null)" ] || missing+=("$1"); }
if [ "${AXPY_BACKEND:-auto}" != fallback ]; then
  need libopenblas-pthread-dev 'openblas-pthread/libopenblas.a'
  need libhwy-dev 'hwy/highway.h'
fi
need cppcheck 'bin/cppcheck'
if [ "${1:-}" = tests ]; then
  # A browser, for test/dashboard: Debian's, or one of these.
  browser=''
  for name in chromium chromium-browser google-chrome; do ! command -v "$name" >/dev/null || browser="$name"; done
  [ -n "$browser" ] || missing+=(chromium)
  # Both kinds of MPI, for test/mpi.
  need mpich 'bin/mpiexec.mpich'
  need openmpi-bin 'bin/mpirun.openmpi'
fi
# Old CPUs, for test/attack.
[ "$(uname -m)" != x86_64 ] || need qemu-user 'bin/qemu-x86_64'
if [ ${#missing[@]} -gt 0 ]; then
  install="apt-get install -y --no-install-recommends ${missing[*]}"
  sudo=''
  [ "$(id -u)" = 0 ] || sudo='sudo'
  if ! command -v apt-get >/dev/null || { [ -n "$sudo" ] && ! sudo -n true 2>/dev/null; }; then
    say "these packages are missing, and this user may not install them. Run:  sudo $install"
    exit 1
  fi
  say "installing with apt: ${missing[*]}"
  $sudo apt-get update -q >/dev/null
  DEBIAN_FRONTEND=noninteractive $sudo $install >/dev/null
fi

if [ "${AXPY_BACKEND:-auto}" != fallback ] && newer_than build/Release/axpy.node native CMakeLists.txt; then
  say 'building the addon (cmake-js)'
  npm run --silent build:native
  touch build/Release/axpy.node
fi
if newer_than dist/index.cjs lib scripts/bundle.ts scripts/page.ts scripts/types.sh binding.d.ts tsconfig.build.json package.json; then
  say 'compiling the library (tsc)'
  npm run --silent build:ts
fi

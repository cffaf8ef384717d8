#!/usr/bin/env bash
# Builds the addon with a sanitizer, into a folder of its own, and runs the stress of programs under it.
#
#     bash scripts/sanitize.sh address|undefined|thread [cycles]
#     bash scripts/sanitize.sh address attack --minutes 30 --only kernels      (the attackers, see docs/attack.md)
#     bash scripts/sanitize.sh address -- npx vitest run --project native     (any other command instead)
#
# A report ends the process, so that the attackers can tell which call led to it.
# Node itself is not instrumented, so its own errors do not show and its leaks cannot be told from the addon's.
set -euo pipefail
cd "$(dirname "$0")/.."

sanitizer=${1:?address, undefined or thread}
shift
folder="build-$sanitizer"
npx --no-install cmake-js build --out "$folder" --CDAXPY_SANITIZE="$sanitizer" --parallel 2 >/dev/null

export AXPY_SANITIZER="$sanitizer"
export AXPY_BINARY="$PWD/$folder/Release/axpy.node"
wrapper=()
case "$sanitizer" in
  address)
    # Leaks: Node frees nothing at exit. alloc_dealloc: the runtime comes before Node's own operator new.
    export ASAN_OPTIONS='detect_leaks=0:detect_stack_use_after_return=1:halt_on_error=1:abort_on_error=0:exitcode=99'
    # Memory that is not there is refused, as without a sanitizer.
    ASAN_OPTIONS+=':allocator_may_return_null=1:max_allocation_size_mb=4096'
    preload=$(gcc -print-file-name=libasan.so)
    ;;
  undefined)
    export UBSAN_OPTIONS='print_stacktrace=1:halt_on_error=1'
    preload=''
    ;;
  thread)
    export TSAN_OPTIONS="suppressions=$PWD/scripts/thread.suppressions:halt_on_error=1:exitcode=99:second_deadlock_stack=1"
    TSAN_OPTIONS+=':allocator_may_return_null=1:max_allocation_size_mb=4096'
    preload=$(gcc -print-file-name=libtsan.so)
    # Its shadow memory wants addresses that are not random.
    wrapper=(setarch -R)
    ;;
  *)
    echo "sanitize: expected address, undefined or thread, got $sanitizer" >&2
    exit 2
    ;;
esac

if [ "${1:-}" = -- ]; then
  shift
  command=("$@")
elif [ "${1:-}" = attack ]; then
  shift
  # It preloads into the children alone: esbuild's threads and the parent's are not what is attacked.
  export AXPY_PRELOAD="$preload"
  preload=''
  command=(node --import tsx test/attack/run.ts "$@")
else
  command=(node test/stress/executor.mjs "${1:-1000}")
fi
# The preload goes to Node alone: a shell or npm before it would have it too.
exec ${wrapper[@]+"${wrapper[@]}"} env ${preload:+LD_PRELOAD="$preload"} "${command[@]}"

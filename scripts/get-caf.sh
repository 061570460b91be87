#!/usr/bin/env bash
# Provides CAF 0.18.7 (core alone; static) for the build. No system configuration is changed.
#
#   scripts/get-caf.sh <prefix> [workdir]
#
# Order: 1. an installed CAF that CMake finds (>= 0.18.7, < 0.19), in <prefix> or on the system
#        2. the archive named by SLUICE_CAF_ARCHIVE
#        3. Debian's experimental source package, from the mirror that apt already uses
# The archives of 2 and 3 must have the pinned SHA-256.
# Prints the directory to pass as CAF_DIR:  cmake -S . -B build -DCAF_DIR="$(scripts/get-caf.sh .deps/caf)"
#
#   env: SLUICE_CAF_ARCHIVE=<file>  JOBS=2  UNITY=ON  CAF_FORCE_BUILD=0
#        SANITIZE=thread   instruments CAF too: without it the thread sanitizer does not see CAF's atomics
#                          and raises false alarms
set -euo pipefail

PREFIX=${1:?usage: get-caf.sh <prefix> [workdir]}
WORK=${2:-}
[ -n "$WORK" ] || { WORK=$(mktemp -d); trap 'rm -rf "$WORK"' EXIT; }
mkdir -p "$PREFIX" "$WORK"
PREFIX=$(cd "$PREFIX" && pwd)
WORK=$(cd "$WORK" && pwd)

PACKAGE=actor-framework
PACKAGE_VERSION='0.18.7-1~exp1'
SUITE=experimental
TAR=actor-framework_0.18.7.orig.tar.gz
SHA256=d5c3abe8fd67a729aab1baeece10367637d903ba335f4c79378bcadfbcd34552

say() { echo "get-caf: $*" >&2; }

# 1. Does CMake find a fitting CAF? A tiny project asks, because find_package needs one.
probe() {  # probe [cmake arguments...]
  rm -rf "$WORK/probe"
  mkdir -p "$WORK/probe"
  cat > "$WORK/probe/CMakeLists.txt" <<'CMAKE'
cmake_minimum_required(VERSION 3.20)
project(probe CXX)
find_package(Threads REQUIRED)
find_package(CAF CONFIG REQUIRED COMPONENTS core)
if(CAF_VERSION VERSION_LESS 0.18.7 OR NOT CAF_VERSION VERSION_LESS 0.19)
  message(FATAL_ERROR "CAF ${CAF_VERSION} does not fit")
endif()
CMAKE
  cmake -S "$WORK/probe" -B "$WORK/probe/build" "$@" > "$WORK/probe.log" 2>&1
}

found() { sed -n 's/^CAF_DIR:PATH=//p' "$WORK/probe/build/CMakeCache.txt"; }

if [ "${CAF_FORCE_BUILD:-0}" = 0 ] && probe "-DCMAKE_PREFIX_PATH=$PREFIX"; then
  say "using the CAF in $(found)"
  found
  exit 0
fi

right() { echo "$SHA256  $1" | sha256sum -c --status 2>/dev/null; }

# 2. and 3. Find the archive.
if [ -n "${SLUICE_CAF_ARCHIVE:-}" ]; then
  ARCHIVE=$SLUICE_CAF_ARCHIVE
  [ -r "$ARCHIVE" ] || { say "SLUICE_CAF_ARCHIVE: cannot read $ARCHIVE"; exit 1; }
else
  ARCHIVE=$WORK/dl/$TAR
  mkdir -p "$WORK"/{lists/partial,cache/archives/partial,dl}
  if ! right "$ARCHIVE"; then
    KEYRING=$(dpkg -L debian-archive-keyring |
      awk '/keyrings\/debian-archive-keyring\.(gpg|pgp)$/ && !n++')
    # The mirror apt already uses; the second form serves images whose package lists are empty.
    MIRROR=$(apt-get indextargets --format '$(REPO_URI)' \
      'Created-By: Packages' 'Origin: Debian' 'Label: Debian' 2>/dev/null | awk 'NR==1')
    [ -n "$MIRROR" ] || MIRROR=$(apt-get indextargets --format '$(REPO_URI)' \
      'Created-By: Packages' | awk '!/security/ && !n++')
    [ -n "$MIRROR" ] || { say 'no Debian mirror configured; set SLUICE_CAF_ARCHIVE'; exit 1; }
    echo "deb-src [signed-by=$KEYRING] $MIRROR $SUITE main" > "$WORK/caf.list"
    # A mirror's copy of the suite may be older than its release file allows; what counts is the pinned digest.
    APT=(-o "Dir::Etc::sourcelist=$WORK/caf.list" -o Dir::Etc::sourceparts=/dev/null
         -o Acquire::Check-Valid-Until=false
         -o "Dir::State::lists=$WORK/lists" -o "Dir::Cache=$WORK/cache"
         -o "APT::Sandbox::User=$(id -un)")
    apt-get "${APT[@]}" -qq update >&2
    ( cd "$WORK/dl" &&
      apt-get "${APT[@]}" -qq source --download-only --tar-only "$PACKAGE=$PACKAGE_VERSION" >&2 )
  fi
fi
right "$ARCHIVE" || { say "$ARCHIVE does not have the pinned SHA-256"; exit 1; }

# Build and install.
rm -rf "$WORK/src" "$WORK/build"
mkdir "$WORK/src"
tar -C "$WORK/src" --strip-components=1 -xzf "$ARCHIVE"
UNITY=${UNITY:-ON}
# Unity builds only: two files define the same name in an anonymous namespace.
[ "$UNITY" = OFF ] ||
  sed -i 's/\bmax_value\b/max_value_bs/g' "$WORK/src/libcaf_core/src/binary_serializer.cpp"
{
  cmake -S "$WORK/src" -B "$WORK/build" -DCMAKE_BUILD_TYPE=Release \
    "-DCMAKE_INSTALL_PREFIX=$PREFIX" -DCMAKE_INSTALL_LIBDIR=lib \
    -DBUILD_SHARED_LIBS=OFF -DCMAKE_POSITION_INDEPENDENT_CODE=ON \
    -DCMAKE_CXX_STANDARD=17 "-DCMAKE_CXX_FLAGS=-w${SANITIZE:+ -g -fsanitize=$SANITIZE}" \
    -DCAF_ENABLE_EXAMPLES=OFF -DCAF_ENABLE_TESTING=OFF -DCAF_ENABLE_TOOLS=OFF \
    -DCAF_ENABLE_IO_MODULE=OFF -DCAF_ENABLE_OPENSSL_MODULE=OFF -DCAF_LOG_LEVEL=QUIET \
    "-DCMAKE_UNITY_BUILD=$UNITY" -DCMAKE_UNITY_BUILD_BATCH_SIZE=6
  cmake --build "$WORK/build" "-j${JOBS:-2}"
  cmake --install "$WORK/build"
} > "$WORK/build.log" 2>&1 || { tail -n 40 "$WORK/build.log" >&2; exit 1; }
say "built CAF 0.18.7 into $PREFIX"
echo "$PREFIX/lib/cmake/CAF"

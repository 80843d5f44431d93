#!/usr/bin/env bash
# Runs tests on a platform other than this machine's:
#   scripts/platform.sh musl|arm64|bun-VERSION [tests…]      e.g. scripts/platform.sh musl tests/posix
# musl runs natively, arm64 under qemu's user mode; both need root and Debian's packages. Without tests: scripts/platform/selection.ts.
# Exit code: 0 passed, 1 failed, 2 wrong usage, 77 not possible here (the reason is printed).
set -euo pipefail
cd "$(dirname "$0")/.."
checkout=$PWD
parts=$checkout/scripts/platform
cache=${SHMSTRUCT_PLATFORMS:-${XDG_CACHE_HOME:-$HOME/.cache}/shmstruct-platforms}

usage() {
  sed -n '2,5s/^# //p' "$parts/../platform.sh" >&2
  exit 2
}

skip() {
  echo "SKIPPED $platform: $*"
  exit 77
}

needs_root() { [ "$(id -u)" -eq 0 ] || skip "root is needed to mount a view of another system"; }

# needs COMMAND:PACKAGE…: installs the packages whose commands are missing.
needs() {
  local missing=() pair
  for pair in "$@"; do command -v "${pair%%:*}" >/dev/null || [ -e "${pair%%:*}" ] || missing+=("${pair##*:}"); done
  [ "${#missing[@]}" -eq 0 ] && return
  command -v apt-get >/dev/null || skip "there is no apt-get to install ${missing[*]}"
  { apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "${missing[@]}"; } \
    >"$cache/apt.log" 2>&1 || skip "apt-get cannot install ${missing[*]} ($(tail -n 1 "$cache/apt.log"))"
}

# bun_of PACKAGE VERSION: the path of the binary that @oven/PACKAGE has.
bun_of() {
  local folder=$cache/$1-$2
  if [ ! -x "$folder/bun" ]; then
    local fresh
    fresh=$(mktemp -d "$cache/fetch.XXXXXX")
    if ! (cd "$fresh" && npm pack --loglevel=error "@oven/$1@$2" >/dev/null && tar xzf ./*.tgz); then
      rm -rf "$fresh"
      return 1
    fi
    mkdir -p "$folder"
    mv "$fresh/package/bin/bun" "$folder/bun"
    rm -rf "$fresh"
  fi
  echo "$folder/bun"
}

newest_bun() { sed -n 's/.*"bun": "\([0-9.]*\)",/\1/p' package.json; }

# The first directory of the PATH: `bun` is the platform's, `gcc` may be. It is the same file for each run.
tools_folder() {
  local folder=$cache/$platform-bin
  mkdir -p "$folder"
  ln -sf "$1" "$folder/bun"
  [ $# -lt 2 ] || ln -sf "$2" "$folder/gcc"
  echo "$folder"
}

run_other_bun() {
  local version=${platform#bun-} machine bun
  machine=$(uname -m | sed 's/x86_64/x64/')
  bun=$(bun_of "bun-linux-$machine" "$version") || skip "npm has no @oven/bun-linux-$machine@$version for this machine"
  PATH=$(tools_folder "$bun"):$PATH bun test --parallel=2 --timeout=240000 "$@"
}

# A libstdc++ of those symbols that Bun needs, made of Debian's position-independent archive.
musl_libstdcxx() {
  local bun=$1 folder
  folder=$(dirname "$bun")
  if [ ! -e "$folder/libstdc++.so.6" ]; then
    local gcc_lib
    gcc_lib=$(dirname "$(gcc -print-libgcc-file-name)")
    {
      nm -D --undefined-only "$bun" | awk '{print $2}' | sed 's/@.*//' | grep -E '^_Z|^__cxa|^__once|^__dynamic' |
        grep -vE '^__cxa_(finalize|thread_atexit_impl)$'
      readelf -rW "$bun" | awk '/COPY/{print $5}' | grep '^_ZTV'
    } | sort -u >"$folder/wanted"
    gcc -shared -fPIC -nostdlib -o "$folder/libstdc++.new" -Wl,-soname,libstdc++.so.6 -Wl,--gc-sections \
      $(sed 's/^/-Wl,-u,/' "$folder/wanted") "$parts/musl-shim.c" \
      "$gcc_lib/libstdc++_pic.a" "$gcc_lib/libgcc_eh.a" "$gcc_lib/libgcc.a"
    mv "$folder/libstdc++.new" "$folder/libstdc++.so.6"
  fi
  echo "$folder/libstdc++.so.6"
}

# A gcc for musl that also finds the kernel's headers, as an Alpine system has them; musl has no sanitizers.
musl_gcc() {
  local folder=$cache/musl-gcc
  mkdir -p "$folder/include"
  ln -sfn /usr/include/linux "$folder/include/linux"
  ln -sfn /usr/include/asm-generic "$folder/include/asm-generic"
  ln -sfn /usr/include/x86_64-linux-gnu/asm "$folder/include/asm"
  # Another run may be executing it: replaced, not written.
  cat >"$folder/gcc.$$" <<EOF
#!/bin/bash
arguments=()
for argument; do [[ \$argument == -fsanitize* || \$argument == -fno-sanitize* ]] || arguments+=("\$argument"); done
exec $(command -v musl-gcc) "\${arguments[@]}" -idirafter "$folder/include"
EOF
  chmod +x "$folder/gcc.$$"
  mv "$folder/gcc.$$" "$folder/gcc"
  echo "$folder/gcc"
}

run_musl() {
  local bun libstdcxx tools
  needs_root
  [ "$(uname -m)" = x86_64 ] || skip "the recipe is for x86-64"
  needs gcc:gcc musl-gcc:musl-tools /lib/ld-musl-x86_64.so.1:musl unshare:util-linux
  compgen -G '/usr/lib/gcc/x86_64-linux-gnu/*/libstdc++_pic.a' >/dev/null ||
    needs libstdc++_pic.a:"libstdc++-$(gcc -dumpversion | cut -d. -f1)-pic"
  bun=$(bun_of bun-linux-x64-musl "$(newest_bun)") || skip "npm does not have Bun for musl"
  libstdcxx=$(musl_libstdcxx "$bun")
  tools=$(tools_folder "$bun" "$(musl_gcc)")
  # Without CI: what needs a tool that musl does not have skips visibly.
  env -u CI PATH="$tools:$PATH" "$parts/enter-musl.sh" "$libstdcxx" bun test --parallel=2 --timeout=240000 "$@"
}

ARM64_PACKAGES=gcc,g++,libc6-dev,python3,python3-fasteners,util-linux,procps,dash,coreutils,bash,mawk,sed,grep,findutils,make,mount

# Registers qemu for the programs of arm64, as the package's own file says; the kernel keeps the interpreter open, also in a chroot.
register_qemu() {
  local registry=/proc/sys/fs/binfmt_misc
  [ -e $registry/register ] || mount -t binfmt_misc binfmt_misc $registry 2>/dev/null || return 1
  [ -e $registry/qemu-aarch64 ] || grep -v '^#' /usr/lib/binfmt.d/qemu-aarch64.conf >$registry/register 2>/dev/null || return 1
}

arm64_root() {
  local root=$cache/arm64-root
  if [ ! -e "$root/usr/bin/gcc" ]; then
    rm -rf "$root" "$root.new"
    # The machine's own sources, where the suite is the newest stable one that they name.
    mmdebstrap --arch=arm64 --variant=extract --include=$ARM64_PACKAGES "$(. /etc/os-release && echo "$VERSION_CODENAME")" \
      "$root.new" >"$cache/mmdebstrap.log" 2>&1 || return 1
    mv "$root.new" "$root"
  fi
  # Nothing was configured, only unpacked: the users are missing.
  [ -s "$root/etc/passwd" ] || printf '%s\n' root:x:0:0:root:/root:/bin/bash nobody:x:65534:65534:nobody:/nonexistent:/bin/false >"$root/etc/passwd"
  [ -s "$root/etc/group" ] || printf '%s\n' root:x:0: nogroup:x:65534: >"$root/etc/group"
  mkdir -p "$root/usr/local/bin"
  echo "$root"
}

run_arm64() {
  local bun root
  needs_root
  needs qemu-aarch64-static:qemu-user-static mmdebstrap:mmdebstrap unshare:util-linux
  register_qemu || skip "this kernel does not let binfmt_misc be mounted and qemu be registered"
  root=$(arm64_root) || skip "mmdebstrap cannot make a system for arm64 ($(tail -n 1 "$cache/mmdebstrap.log"))"
  bun=$(bun_of bun-linux-aarch64 "$(newest_bun)") || skip "npm does not have Bun for arm64"
  ln -f "$bun" "$root/usr/local/bin/bun" 2>/dev/null || cp "$bun" "$root/usr/local/bin/bun"
  env -u CI -u LD_LIBRARY_PATH -u TMPDIR SHMSTRUCT_EMULATED=1 HOME=/root PATH=/usr/local/bin:/usr/bin:/bin:/usr/sbin:/sbin \
    "$parts/enter-root.sh" "$root" "$checkout" /bin/bash scripts/platform/each-file.sh "$@"
}

platform=${1:-}
[ -n "$platform" ] && shift || usage
mkdir -p "$cache"
# What runs on every platform is made here: the packages, and dist/, which the demos and the tests of the package import.
if [ ! -x node_modules/.bin/bun ]; then npm ci --no-audit --no-fund --loglevel=error; fi
node_modules/.bin/bun scripts/build.ts --if-needed
if [ $# -eq 0 ]; then
  chosen=$(node_modules/.bin/bun scripts/platform/selection.ts "$platform")
  mapfile -t tests <<<"$chosen"
  set -- "${tests[@]}"
fi
export SHMSTRUCT_PLATFORM=$platform
case $platform in
  musl) run_musl "$@" ;;
  arm64) run_arm64 "$@" ;;
  bun-[0-9]*) run_other_bun "$@" ;;
  *) usage ;;
esac

#!/usr/bin/env bash
# enter-musl.sh LIBSTDCXX COMMAND…: runs a command that sees what an Alpine system has: /lib/libc.musl-x86_64.so.1 and a
# libstdc++ for musl. The mounts, /dev/shm, System V and POSIX queues and processes are its own and end with it.
set -euo pipefail
export LIBSTDCXX=$1
shift
exec timeout --signal=KILL 3600 unshare --mount --ipc --pid --fork --mount-proc --kill-child bash -euc '
mount --make-rprivate /
layers=$(mktemp -d)
mount -t tmpfs tmpfs "$layers"
mkdir "$layers/upper" "$layers/work"
mount -t overlay overlay -o "lowerdir=/usr/lib,upperdir=$layers/upper,workdir=$layers/work" /usr/lib
ln -sf ld-musl-x86_64.so.1 /usr/lib/libc.musl-x86_64.so.1
cp "$LIBSTDCXX" /usr/lib/x86_64-linux-musl/libstdc++.so.6
mount -t tmpfs tmpfs /dev/shm
mkdir -p /dev/mqueue && mount -t mqueue none /dev/mqueue
exec "$@"' bash "$@"

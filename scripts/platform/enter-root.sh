#!/usr/bin/env bash
# enter-root.sh ROOT CHECKOUT COMMAND…: runs a command in another system's files, the checkout at /checkout. The mounts,
# /dev, /tmp, System V and POSIX queues and processes are its own and end with it.
set -euo pipefail
export ROOT=$1 CHECKOUT=$2
shift 2
exec timeout --signal=KILL 3600 unshare --mount --ipc --pid --fork --kill-child bash -euc '
mount --make-rprivate /
mkdir -p "$ROOT/checkout"
mount --bind "$CHECKOUT" "$ROOT/checkout"
mount -t tmpfs tmpfs "$ROOT/tmp"
mount -t tmpfs tmpfs "$ROOT/dev"
for node in null zero full random urandom tty; do touch "$ROOT/dev/$node"; mount --bind "/dev/$node" "$ROOT/dev/$node"; done
ln -s /proc/self/fd "$ROOT/dev/fd"
for fd in 0:stdin 1:stdout 2:stderr; do ln -s "/proc/self/fd/${fd%:*}" "$ROOT/dev/${fd#*:}"; done
mkdir -p "$ROOT/dev/shm" "$ROOT/dev/mqueue" "$ROOT/dev/pts"
mount -t tmpfs tmpfs "$ROOT/dev/shm"
mount -t mqueue none "$ROOT/dev/mqueue"
mount -t proc proc "$ROOT/proc"
mount -t sysfs sys "$ROOT/sys"
exec chroot "$ROOT" /bin/bash -c "cd /checkout; exec \"\$@\"" bash "$@"' bash "$@"

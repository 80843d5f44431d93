// What other runtimes get instead of TypeScript source that they could not load.
throw new Error(
  "shmstruct runs on Bun (https://bun.sh): it calls libc through bun:ffi. Run this program with bun.",
);

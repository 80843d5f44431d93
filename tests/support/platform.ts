/** What differs between the platforms that the tests run on. */

/**
 * Whether this is qemu's user mode, as `scripts/platform.sh arm64` says. It lacks mq_notify(2) and ptrace(2), accepts
 * advice that the kernel does not, and is 20 times slower: what only measures endurance or needs those skips visibly.
 */
export const isEmulated = process.env.SHMSTRUCT_EMULATED === "1";

/** What differs between the platforms that the tests run on. */

/**
 * Whether this is qemu's user mode, as `scripts/platform.sh arm64` says. It lacks mq_notify(2) and ptrace(2), accepts
 * advice that the kernel rejects, fails at some mprotect(2), and is 20 times slower. Tests that need those, or show
 * endurance, skip visibly: `test.skipIf(isEmulated)("… (not under emulation)")`.
 */
export const isEmulated = process.env.SHMSTRUCT_EMULATED === "1";

/**
 * Whether scripts/platform.sh runs the tests. Those that measure how fair the machine is skip there: it is the same machine, and
 * `npm test` has measured it.
 */
export const isElsewhere = process.env.SHMSTRUCT_PLATFORM !== undefined;

/** How often to repeat what needs no certain number: fewer times where it is emulated. */
export const rounds = (count: number): number => (isEmulated ? Math.ceil(count / 20) : count);

/** A command line as it was started: qemu puts itself and the program's path before it. */
export const withoutEmulator = (text: string): string => text.replace(/\/\S*qemu-binfmt\/\S+ \S+ /, "");

/** Where the C compiler lays out structs as the ABI of arm64 says, which differs from x86-64 in a few rules. */
export const isArm64 = process.arch === "arm64";

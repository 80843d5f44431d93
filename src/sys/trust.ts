/**
 * Which files may be mapped. A user who owns a file or may write to it can truncate it, and the kernel kills (SIGBUS) every
 * process that then touches what is gone. Named files cannot be sealed against that, so it is asked who could do it.
 */
import { UntrustedFileError } from "../errors/errors.ts";
import { show } from "../errors/show.ts";
import { directoryOf } from "./paths.ts";
import { type FileStatus, statusAt } from "./status.ts";

/**
 * Whom a program trusts besides itself and root.
 * @example const trust: Trust = { trustOwner: 1000 };
 */
export interface Trust {
  /**
   * User ids whose files are used as if they were one's own. Without it, a file of another user (root excepted) is
   * refused: in a directory where everybody may make files, such as /tmp and /dev/shm, even with `shared: true`.
   */
  trustOwner?: number | readonly number[] | undefined;
  /**
   * Whether a file may be used that users other than oneself and root could truncate, because they own it or its mode
   * lets group or others write. Each of them can kill this process. Default: whether the `mode` given here lets group or
   * others write.
   */
  shared?: boolean | undefined;
}

/** What `Trust` has, for `checkOptions`. */
export const TRUST_OPTIONS = { trustOwner: "any", shared: "boolean" } as const;

const WRITABLE_BY_OTHERS = 0o022;
const WRITABLE_BY_ALL = 0o002;
const ROOT = 0;
/** (uid_t) -1 means no user. */
const MAX_USER_ID = 2 ** 32 - 2;

/** What is to be checked. */
export interface FileToTrust {
  readonly path: string;
  readonly status: FileStatus;
  /** Permissions that the caller asked for itself. */
  readonly wantedMode?: number | undefined;
  /** false for files that are only locked: truncating one harms no one. Default true. */
  readonly isMapped?: boolean | undefined;
}

/**
 * Checks that a file that was there already is this user's, root's, or of a user who is trusted, before it is used.
 * @throws UntrustedFileError that says who owns it and which option would accept it
 * @throws TypeError, RangeError for a wrong `trustOwner`
 * @example checkTrust({ path, status: statusOf(fd), wantedMode: options.mode }, options);
 */
export function checkTrust(
  { path, status, wantedMode = 0, isMapped = true }: FileToTrust,
  trust: Trust,
): void {
  const { owner, mode } = status;
  const trusted = trustedOwners(trust);
  if (trusted.includes(owner)) return;
  const isOwnOrRoots = owner === ROOT || owner === process.geteuid?.();
  if (!isOwnOrRoots && isWorldWritable(directoryOf(path)))
    throw untrusted(path, status, strangersFile(status));
  if (!isMapped || (trust.shared ?? (wantedMode & WRITABLE_BY_OTHERS) !== 0)) return;
  if (!isOwnOrRoots) throw untrusted(path, status, foreignFile(status));
  if ((mode & WRITABLE_BY_OTHERS) !== 0) throw untrusted(path, status, writableFile(status));
}

/**
 * The users that `trustOwner` names.
 * @throws TypeError for what is no user id, RangeError for one that no user can have
 */
export function trustedOwners({ trustOwner = [] }: Trust): readonly number[] {
  const owners: readonly unknown[] = Array.isArray(trustOwner) ? trustOwner : [trustOwner];
  for (const owner of owners) {
    if (typeof owner !== "number")
      throw new TypeError(`trustOwner must be user ids such as 1000 or [1000, 1001], got ${show(owner)}`);
    if (!Number.isInteger(owner) || owner < 0 || owner > MAX_USER_ID)
      throw new RangeError(`trustOwner must be user ids from 0 to ${MAX_USER_ID}, got ${owner}`);
  }
  return owners as readonly number[];
}

/** A directory that cannot be looked at may be anything. */
function isWorldWritable(directory: string): boolean {
  const status = statusAt(directory);
  return status === undefined || (status.mode & WRITABLE_BY_ALL) !== 0;
}

const untrusted = (path: string, { owner, mode }: FileStatus, why: string): UntrustedFileError =>
  new UntrustedFileError(path, owner, mode & 0o777, `'${path}' ${why}`);

const strangersFile = ({ owner }: FileStatus): string =>
  `belongs to user ${owner}, not to this user (${process.geteuid?.()}) or root, in a directory where everybody may make files; { trustOwner: ${owner} } accepts that`;

const foreignFile = ({ owner }: FileStatus): string =>
  `belongs to user ${owner}, not to this user (${process.geteuid?.()}) or root: the owner can truncate it, which kills every process that touches it; { trustOwner: ${owner} } or { shared: true } accepts that`;

const writableFile = ({ mode }: FileStatus): string =>
  `has mode 0${(mode & 0o777).toString(8)}: other users can truncate it, which kills every process that touches it; { shared: true } accepts that, or chmod it to 0${(mode & 0o755).toString(8)}`;

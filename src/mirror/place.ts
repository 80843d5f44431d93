/** Any local file that a follower may find where its own is to be. */
import { channelType } from "../channel/channel-content.ts";
import { queueType } from "../queue/queue-content.ts";
import { backupSegment } from "../segment/backup.ts";
import type { Content, ContentType } from "../segment/content.ts";
import type { ContentKind } from "../segment/footer.ts";
import { segmentAt } from "../segment/list.ts";
import type { MirrorState } from "../segment/mirror-state.ts";
import { placeOfPath } from "../segment/place.ts";
import { Segment } from "../segment/segment.ts";
import type { Trust } from "../sys/trust.ts";
import { type Mirrored, mirrored } from "./contents.ts";
import { LOCK_TIMEOUT_MS } from "./sink.ts";

/** What was in a file before it began to follow. */
export interface FencedFile {
  /** The backup of it. */
  readonly backup: string;
  /** What it had. */
  readonly version: number;
  /** The last version of it that is known to have reached the bucket; what is after that is only in the backup. */
  readonly confirmedVersion: number | undefined;
}

function typeOf(kind: ContentKind, path: string): Mirrored {
  if (kind === "channel") return { place: placeOfPath(path), type: channelType() as ContentType<Content> };
  if (kind === "queue") return { place: placeOfPath(path), type: queueType() as ContentType<Content> };
  return mirrored(kind, path);
}

/**
 * Backs a file up as `<file>.fenced-<epoch>`, before it is replaced, if it has a state of its own: one that was published
 * here, or never mirrored.
 * @throws LockTimeoutError after a second, where a copy needs the lock
 */
export function backUpOwn(
  path: string,
  state: MirrorState | undefined,
  trust: Trust,
): FencedFile | undefined {
  const kind = segmentAt(path)?.kind;
  if (kind === undefined || state?.role === "follow") return undefined;
  const backup = `${path}.fenced-${state?.epoch ?? 0}`;
  const { place, type } = typeOf(kind, path);
  const segment = new Segment(place, type, { access: "read", makesLock: false, trust });
  try {
    return {
      backup,
      version: backupSegment(segment, backup, { timeoutMs: LOCK_TIMEOUT_MS }),
      confirmedVersion: state?.version,
    };
  } finally {
    segment.close();
  }
}

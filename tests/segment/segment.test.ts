/** The table of what a segment has, walked with documents as its content. */
import { describe, expect, test } from "bun:test";
import { copyFileSync, readFileSync, renameSync, rmSync, truncateSync, writeFile } from "node:fs";
import { setTimeout } from "node:timers/promises";
import { type DocumentContent, documentPlan, documentType } from "../../src/document/document-content.ts";
import { documentPlace } from "../../src/document/place.ts";
import { createSegment } from "../../src/segment/create.ts";
import { SEGMENT_TRANSITIONS, Segment, type SegmentStanding } from "../../src/segment/segment.ts";
import { TempDir } from "../record/support.ts";
import { thrownBy } from "../support/thrown.ts";

/** A document's place in a directory of its own, and a segment on it in the state wanted. */
class Stage implements Disposable {
  readonly #temp = new TempDir();
  readonly place = documentPlace({ dir: this.#temp.dir, file: "document" });
  readonly path = this.place.dataPath;
  readonly segment: Segment<DocumentContent>;
  readonly content: DocumentContent | undefined;

  constructor(from: SegmentStanding, mayBeMissing: boolean) {
    const isMissing = from === "missing";
    if (!isMissing) this.create();
    this.segment = new Segment(this.place, documentType, {
      access: "write",
      makesLock: true,
      mayBeMissing: isMissing || mayBeMissing,
    });
    this.content = this.segment.attached;
    if (from === "closed") this.segment.close();
  }

  create(force = false): void {
    createSegment(this.place, documentPlan(64, "1"), documentType, { force, mode: 0o600 });
  }

  /** Looks in every way that there is: all find the same. */
  look(): void {
    // First as those do who look at the length: nothing else may touch a truncated file.
    this.segment.whole();
    this.segment.acquire("exclusive");
    this.segment.releaseIfHeld();
    expect(this.segment.current()).toBe(this.segment.attached);
  }

  get standing(): SegmentStanding {
    if (this.segment.closed) return "closed";
    return this.segment.attached === undefined ? "missing" : "attached";
  }

  /** Whether the segment still has the file that it began with. */
  get isTheSameFile(): boolean {
    return this.content !== undefined && this.segment.attached === this.content;
  }

  [Symbol.dispose](): void {
    this.segment.releaseIfHeld();
    this.segment.close();
    this.#temp[Symbol.dispose]();
  }
}

const EVENTS: Record<string, (stage: Stage) => void | Promise<void>> = {
  look: (stage) => stage.look(),
  close: (stage) => stage.segment.close(),
  "look: the same file": (stage) => {
    stage.look();
    expect(stage.isTheSameFile).toBe(true);
  },
  "look: superseded": (stage) => {
    stage.create(true);
    stage.look();
    expect(stage.isTheSameFile).toBe(false);
    expect(stage.segment.content.version).toBeGreaterThan(2 ** 32);
  },
  "look: superseded by a process that died": (stage) => {
    stage.content!.file.setSuperseded(true);
    stage.segment.acquire("exclusive");
    expect([stage.isTheSameFile, stage.content!.file.isSuperseded]).toEqual([true, false]);
  },
  "look: replaced by hand": (stage) => {
    copyFileSync(stage.path, `${stage.path}.copy`);
    renameSync(`${stage.path}.copy`, stage.path);
    stage.look();
    expect(stage.isTheSameFile).toBe(false);
  },
  "look: its lock file was deleted": (stage) => {
    const { lock } = stage.segment;
    rmSync(lock.path);
    stage.look();
    expect(stage.isTheSameFile).toBe(true);
    expect([lock.closed, stage.segment.lock.isUnlinkedOrReplaced]).toEqual([true, false]);
  },
  "look: truncated": (stage) => {
    truncateSync(stage.path, 0);
    stage.look();
  },
  "look: truncated, then recreated": (stage) => {
    // What is left begins as a document: an empty file might be any program's, and is not recreated.
    truncateSync(stage.path, 100);
    expect(thrownBy(() => stage.look()).name).toBe("FileFormatError");
    stage.create(true);
    stage.look();
    expect(stage.isTheSameFile).toBe(false);
  },
  "look: deleted": (stage) => {
    rmSync(stage.path);
    stage.look();
  },
  "look: deleted, optional": (stage) => {
    rmSync(stage.path);
    stage.look();
  },
  "look: the lock is held": (stage) => {
    stage.segment.acquire("exclusive");
    rmSync(stage.path);
    expect([stage.segment.whole(), stage.segment.current()]).toEqual([stage.content, stage.content]);
  },
  "close: its memory is in use": async (stage) => {
    const ended = Promise.withResolvers<void>();
    writeFile("/dev/null", stage.content!.file.bytes, () => ended.resolve());
    try {
      stage.segment.close();
    } finally {
      await ended.promise;
    }
  },
  "look: no file": (stage) => stage.look(),
  "look: a file": (stage) => {
    stage.create();
    stage.look();
    expect(readFileSync(stage.path).subarray(0, 1).toString()).toBe("1");
  },
};

describe("the table of what a segment has", () => {
  for (const [from, event, to, error] of SEGMENT_TRANSITIONS) {
    test(`a segment goes from ${from}, at "${event}", to ${to}${error === undefined ? "" : `, with ${error}`}`, async () => {
      using stage = new Stage(from, event.endsWith("optional"));
      expect(stage.standing).toBe(from);
      expect(await nameOfError(() => EVENTS[event]!(stage))).toBe(error);
      expect(stage.standing).toBe(to);
    });
  }
});

async function nameOfError(fn: () => unknown): Promise<string | undefined> {
  try {
    await fn();
    return undefined;
  } catch (error) {
    return (error as Error).name;
  }
}

test("the announcement of a new file that comes after its opening is no change", async () => {
  using stage = new Stage("attached", false);
  const changes = stage.segment.changes({});
  const turn = changes.next();
  // As the creator does once the file has its name: a reader may have opened it by then.
  stage.segment.notify();
  expect(await Promise.race([turn, setTimeout(200, "no turn")])).toBe("no turn");
  await changes.return();
});

/**
 * What may happen to a segment while programs in C, Python, Node.js and Bun share it. One program of each language answers line by
 * line (tests/interop): all of them have each content open, so a row asks all of them what they see, and lets each of them write.
 */
import { afterAll, beforeAll, describe, expect, setDefaultTimeout, test } from "bun:test";
import {
  copyFileSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  truncateSync,
  writeFileSync,
} from "node:fs";
import { join } from "node:path";
import { type Language, languages, participantEnvironment, participants } from "../interop/languages.ts";
import { hasNodePeer } from "../support/node-peer.ts";
import { isEmulated } from "../support/platform.ts";
import { randomFrom, seedOfRun } from "../support/random.ts";
import { temporaryDirectory } from "../support/temporary.ts";
import { hasTool, linesOf } from "../support/tools.ts";
import { isSoak, rounds, rowTimeout } from "./support.ts";

setDefaultTimeout(4 * rowTimeout());

const seed = seedOfRun();
console.log(`SEED=${seed}`);
const random = randomFrom(seed);

const without = (...names: Language[]): Language[] => languages.filter((name) => !names.includes(name));

interface Shared {
  readonly file: string;
  readonly lock: string;
  readonly sideFiles?: readonly string[];
  /** Who takes part at all. */
  readonly members: readonly Language[];
  readonly writers: readonly Language[];
  readonly creators: readonly Language[];
  /** Who can stop in the middle of a write. */
  readonly holders: readonly Language[];
  /** No call of a queue takes a lock, or looks at the file's length. */
  readonly isLockFree?: boolean;
}

const KINDS: Readonly<Record<string, Shared>> = {
  record: {
    file: "Ledger_.mmap",
    lock: "Ledger_.lock",
    members: languages,
    writers: languages,
    creators: without("Python"),
    holders: languages,
  },
  document: {
    file: "d",
    lock: "d.lock",
    members: languages,
    writers: languages,
    creators: without("Python", "C"),
    holders: without("Node.js", "Bun"),
  },
  channel: {
    file: "Item_.channel",
    lock: "Item_.channel.lock",
    members: languages,
    writers: without("Node.js"),
    creators: without("Python", "Node.js"),
    holders: without("Node.js"),
  },
  queue: {
    file: "Item_.queue",
    lock: "Item_.queue.lock",
    sideFiles: ["Item_.queue.owners"],
    members: without("Node.js"),
    writers: without("Node.js"),
    creators: without("Python", "Node.js"),
    holders: without("Node.js"),
    isLockFree: true,
  },
};

/** A program in one language. It does what it is told one after the other. */
class Participant {
  readonly #child: Bun.Subprocess<"pipe", "pipe", "inherit">;
  readonly #lines: AsyncGenerator<string>;
  #last: Promise<unknown> = Promise.resolve();

  constructor(command: string[]) {
    this.#child = Bun.spawn(command, {
      env: participantEnvironment(),
      stdin: "pipe",
      stdout: "pipe",
      stderr: "inherit",
    });
    this.#lines = linesOf(this.#child.stdout);
  }

  /** What it says next; how it ended when it says nothing more. */
  async line(): Promise<string> {
    const { value, done } = await this.#lines.next();
    if (!done) return value;
    await this.#child.exited;
    return `ended with ${this.#child.signalCode ?? this.#child.exitCode}`;
  }

  tell(...words: string[]): void {
    this.#child.stdin.write(`${words.join(" ")}\n`);
    this.#child.stdin.flush();
  }

  ask(...words: string[]): Promise<string> {
    const answer = this.#last.then(() => {
      this.tell(...words);
      return this.line();
    });
    this.#last = answer;
    return answer;
  }

  async kill(): Promise<void> {
    this.#child.kill("SIGKILL");
    await this.#child.exited;
  }
}

const root = temporaryDirectory();
const running = new Map<Language, Participant>();
let commands: ReturnType<typeof participants>;
const start = (name: Language): Participant => new Participant(commands[name]("serve"));

/** Under emulation compilers and interpreters take their time; tests/interop runs there. */
const areThere = hasNodePeer() && hasTool("gcc") && hasTool("python3") && !isEmulated;

beforeAll(() => {
  if (!areThere) return;
  commands = participants(root.path);
  for (const name of languages) running.set(name, start(name));
}, 240_000);
afterAll(async () => {
  await Promise.all([...running.values()].map((participant) => participant.kill()));
  root[Symbol.dispose]();
});

let places = 0;

/** A content in a directory of its own. */
class Place {
  readonly kind: string;
  readonly shared: Shared;
  readonly dir: string;

  constructor(kind: string) {
    this.kind = kind;
    this.shared = KINDS[kind] as Shared;
    this.dir = join(root.path, `${kind}${places++}`);
    mkdirSync(this.dir);
  }

  get path(): string {
    return join(this.dir, this.shared.file);
  }

  get lockPath(): string {
    return join(this.dir, this.shared.lock);
  }

  ask(name: Language, command: string): Promise<string> {
    return (running.get(name) as Participant).ask(command, this.kind, this.dir);
  }

  /** What each of some says, all at once; of a queue one after the other, as who counts its jobs takes them meanwhile. */
  async each(names: readonly Language[], command: string): Promise<Record<string, string>> {
    const answers: Record<string, string> = {};
    const ask = async (name: Language): Promise<void> => {
      answers[name] = await this.ask(name, command);
    };
    if (this.kind !== "queue") await Promise.all(names.map(ask));
    else for (const name of names) await ask(name);
    return answers;
  }

  async expectEach(names: readonly Language[], command: string, answer: string): Promise<void> {
    const wanted = Object.fromEntries(names.map((name) => [name, answer]));
    expect([this.kind, command, await this.each(names, command)]).toEqual([this.kind, command, wanted]);
  }

  /** All members see the state. */
  async expectState(state: number): Promise<void> {
    await this.expectEach(this.shared.members, "state", `state ${state}`);
    await this.expectEach(this.shared.members, "peek", `state ${state}`);
  }

  /** Asks until all say so: that a name is another file's is found out within 100 ms, by a queue in Bun within a second. */
  async until(answer: string, names: readonly Language[] = this.shared.members): Promise<void> {
    const isSo = async (): Promise<boolean> =>
      Object.values(await this.each(names, "state")).every((found) => found === answer);
    for (let tries = 0; tries < 1000 && !(await isSo()); tries++) await Bun.sleep(10);
    await this.expectEach(names, "state", answer);
  }

  /** Each writer commits once, and all see it. @returns the state then */
  async advance(state: number): Promise<number> {
    for (const [i, name] of this.shared.writers.entries()) {
      await this.expectEach([name], "advance", "ok");
      await this.expectEach(this.shared.members, i % 2 === 0 ? "state" : "peek", `state ${state + i + 1}`);
    }
    return state + this.shared.writers.length;
  }

  /** Made by one of those that can, and opened by all. */
  async create(): Promise<void> {
    await this.expectEach([random.pick([...this.shared.creators])], "create", "ok");
    await this.expectEach(this.shared.members, "open", "ok");
  }

  /** Nothing is left beside the files of one segment. */
  expectFiles(): void {
    const { file, lock, sideFiles = [] } = this.shared;
    expect(readdirSync(this.dir).toSorted()).toEqual([file, lock, `${lock}-page`, ...sideFiles].toSorted());
  }
}

const kindsWith = (has: (shared: Shared) => boolean): string[] =>
  Object.keys(KINDS).filter((kind) => has(KINDS[kind] as Shared));

/** Waits for all of them, also when one fails: they use the same programs. */
async function all(runs: readonly Promise<void>[]): Promise<void> {
  const failed = (await Promise.allSettled(runs)).find(({ status }) => status === "rejected");
  if (failed?.status === "rejected") throw failed.reason;
}

/** A row holds for each content; those of one row take their time at once. */
function row(title: string, run: (place: Place) => Promise<void>, kinds = Object.keys(KINDS)): void {
  test(title, async () => {
    for (let i = 0; i < rounds(1); i++) await all(kinds.map((kind) => run(new Place(kind))));
  });
}

const isLocked = kindsWith(({ isLockFree }) => isLockFree !== true);

describe.skipIf(!areThere)("C, Python, Node.js and Bun on one file (needs gcc, python3, fs-ext)", () => {
  row("created in several languages at once it is one file, and all go on in it", async (place) => {
    await place.expectEach([...place.shared.creators], "create", "ok");
    await place.expectEach(place.shared.members, "open", "ok");
    await place.expectState(0);
    await place.advance(0);
    place.expectFiles();
  });

  row(
    "after it was deleted by hand it is missing in every language, and all go on in the next one",
    async (place) => {
      await place.create();
      await place.advance(0);
      rmSync(place.path);
      await place.until("missing");
      await place.expectEach(place.shared.writers, "advance", "missing");
      const maker = start(random.pick([...place.shared.creators]));
      expect(await maker.ask("create", place.kind, place.dir)).toBe("ok");
      await maker.kill();
      await place.until("state 0");
      await place.advance(0);
      place.expectFiles();
    },
  );

  row(
    "a truncated one is an error in every language, and the end of no program; all follow once it is recreated",
    async (place) => {
      await place.create();
      await place.advance(0);
      const { size } = statSync(place.path);
      for (const bytes of [0, random.whole(64, size - 1), size - 1]) {
        truncateSync(place.path, bytes);
        await place.expectEach(place.shared.members, "state", "damaged");
        await place.expectEach(place.shared.writers, "advance", "damaged");
        // An empty file may be any program's: it is to be deleted by hand.
        if (bytes === 0) {
          await place.expectEach(["Bun"], "force", "damaged");
          rmSync(place.path);
        }
        await place.expectEach(["Bun"], "force", "ok");
        await place.expectState(0);
      }
      await place.advance(0);
      place.expectFiles();
    },
    isLocked,
  );

  row("all follow at once when it is replaced while they have it open", async (place) => {
    await place.create();
    for (let i = 0; i < 3; i++) {
      await place.advance(0);
      await place.expectEach(["Bun"], "force", "ok");
      await place.expectState(0);
    }
    place.expectFiles();
  });

  row("after mv put another file in its place all move to that one", async (place) => {
    const other = new Place(place.kind);
    await other.create();
    const state = await other.advance(await other.advance(0));
    await place.create();
    await place.advance(0);
    renameSync(other.path, place.path);
    await place.until(`state ${state}`);
    await place.advance(state);
    place.expectFiles();
  });

  row("after cp wrote an older copy over it all see the copy, and go on from there", async (place) => {
    await place.create();
    const state = await place.advance(0);
    const copy = join(root.path, `copy-${places++}`);
    copyFileSync(place.path, copy);
    await place.advance(state);
    expect(Bun.spawnSync(["cp", copy, place.path]).exitCode).toBe(0);
    await place.expectState(state);
    await place.advance(state);
  });

  row(
    "a writer in any language keeps out those in all others, also after lock file and page were deleted",
    async (place) => {
      await place.create();
      for (const deleted of [[], [place.lockPath], [`${place.lockPath}-page`]]) {
        for (const path of deleted) rmSync(path);
        if (deleted.length > 0) {
          // After 100 ms the next call finds out; a creator makes the lock's files again.
          await Bun.sleep(120);
          await place.expectEach([random.pick([...place.shared.creators])], "create", "ok");
        }
        for (const holder of place.shared.holders) {
          await place.expectEach([holder], "half", "ok");
          const others = place.shared.writers.filter((name) => name !== holder);
          await place.expectEach(others, "try", "timeout");
          await place.expectEach([holder], "release", "ok");
        }
        await place.expectState(0);
      }
      await place.advance(0);
      place.expectFiles();
    },
    isLocked,
  );

  test("a commit in any language is told in every language, also after lock file and page were deleted", async () => {
    for (const kind of isLocked) {
      const place = new Place(kind);
      await place.create();
      for (const deleted of [[], [place.lockPath, `${place.lockPath}-page`]]) {
        for (const path of deleted) rmSync(path);
        if (deleted.length > 0) await place.expectEach(["Bun"], "create", "ok");
        for (const watcher of place.shared.members) {
          const participant = running.get(watcher) as Participant;
          participant.tell("watch", kind, place.dir);
          expect([kind, watcher, await participant.line()]).toEqual([kind, watcher, "watching"]);
          const told = participant.line();
          const others = place.shared.writers.filter((name) => name !== watcher);
          // Told of whichever it slept for.
          for (let i = 0; (await Promise.race([told, Bun.sleep(1)])) === undefined; i++)
            await place.expectEach([others[i % others.length] as Language], "advance", "ok");
          expect([kind, watcher, await told]).toEqual([kind, watcher, "ok"]);
        }
      }
    }
  });

  test("a publisher whose channel was deleted says so in every language, and goes on in the next one", async () => {
    const goesOn = async (publisher: Language): Promise<void> => {
      const place = new Place("channel");
      await place.create();
      const itself = start(publisher);
      const ask = (command: string): Promise<string> => itself.ask(command, place.kind, place.dir);
      expect([publisher, await ask("open"), await ask("half"), await ask("again")]).toEqual([
        publisher,
        "ok",
        "ok",
        "ok",
      ]);
      rmSync(place.path);
      // It looks once a second.
      let answer = "ok";
      for (let tries = 0; tries < 2000 && answer === "ok"; tries++) {
        await Bun.sleep(10);
        answer = await ask("again");
      }
      expect([publisher, answer, await ask("again"), await ask("again")]).toEqual([
        publisher,
        "missing",
        "missing",
        "missing",
      ]);
      await place.expectEach(["Bun"], "create", "ok");
      expect([publisher, await ask("again"), await ask("again")]).toEqual([publisher, "ok", "ok"]);
      await place.until("state 2", ["Bun"]);
      await itself.kill();
    };
    await all((KINDS.channel as Shared).writers.map(goesOn));
  });

  row(
    "an empty, a foreign and a half written file in its place are refused in every language, and stay",
    async (place) => {
      for (const text of ["", "my notes", "x".repeat(640), `${"y".repeat(512)}shmstrct${"\0".repeat(120)}`]) {
        writeFileSync(place.path, text);
        await place.expectEach(place.shared.members, "open", "damaged");
        expect(readFileSync(place.path, "latin1")).toBe(text);
      }
    },
  );

  row(
    "a file of another program with the name of the owners' file is refused in every language, and stays",
    async (place) => {
      await place.create();
      const owners = `${place.path}.owners`;
      for (const text of ["", "precious", "x".repeat(5000)]) {
        rmSync(owners);
        writeFileSync(owners, text);
        for (const name of place.shared.writers) {
          const late = start(name);
          expect([name, await late.ask("open", place.kind, place.dir)]).toEqual([name, "damaged"]);
          await late.kill();
        }
        expect(readFileSync(owners, "utf8")).toBe(text);
      }
    },
    ["queue"],
  );

  row(
    "words of the footer that were overwritten cause only known errors in every language",
    async (place) => {
      await place.create();
      const state = await place.advance(0);
      const whole = readFileSync(place.path);
      const known =
        /^(?:ok|state \d+|damaged|missing|layout|timeout|the segment is closed.*|(?:Closed|Untrusted|ReadOnly|Unsupported)\w*Error: .*)$/;
      for (let i = 0; i < 8; i++) {
        const at = 4 * random.whole(0, 31);
        const damaged = Buffer.from(whole);
        damaged.writeUInt32LE(random.whole(0, 2 ** 32 - 1), whole.length - 128 + at);
        writeFileSync(place.path, damaged, { flag: "r+" });
        for (const command of ["state", "peek", "open"])
          for (const [name, answer] of Object.entries(await place.each(place.shared.members, command)))
            expect([place.kind, at, name, command, answer]).toEqual([
              place.kind,
              at,
              name,
              command,
              expect.stringMatching(known),
            ]);
        writeFileSync(place.path, whole, { flag: "r+" });
        await place.expectEach(place.shared.members, "open", "ok");
      }
      await place.expectState(state);
      await place.advance(state);
    },
  );

  row(
    "after a writer in any language was killed anywhere the others see a whole state, and one of another language goes on at once",
    async (place) => {
      await place.create();
      let state = await place.advance(0);
      const { members, writers, holders } = place.shared;
      const halfway = random.pick([...holders]);
      const first = new Map(writers.map((name) => [name, start(name)]));
      for (const victim of writers) {
        const others = isSoak
          ? writers
          : [writers[(writers.indexOf(victim) + 1) % writers.length] as Language];
        for (const other of others) {
          const killed = first.get(victim) ?? start(victim);
          first.delete(victim);
          expect(await killed.ask("open", place.kind, place.dir)).toBe("ok");
          if (holders.includes(victim) && (isSoak || victim === halfway)) {
            expect([victim, await killed.ask("half", place.kind, place.dir)]).toEqual([victim, "ok"]);
          } else {
            killed.tell("churn", place.kind, place.dir);
            expect([victim, await killed.line()]).toEqual([victim, "churning"]);
            // Where no lock slows it down it fills the queue.
            for (let look = 0; look < (place.shared.isLockFree ? 0 : 4); look++)
              for (const seen of Object.values(await place.each(members, "peek")))
                expect([victim, seen]).toEqual([victim, expect.stringMatching(/^state \d+$/)]);
            await Bun.sleep(random.whole(0, 3));
          }
          await killed.kill();
          // Without a lock first: a repair comes with the next one that takes it.
          const seen = (await place.each([other], "peek"))[other];
          expect([victim, other, seen]).toEqual([victim, other, expect.stringMatching(/^state \d+$/)]);
          const found = Number(seen?.slice("state ".length));
          expect(found).toBeGreaterThanOrEqual(state);
          await place.expectEach(members, "peek", `state ${found}`);
          state = found;
          if (state >= 64 && place.shared.isLockFree) continue;
          await place.expectEach([other], "advance", "ok");
          state++;
          await place.expectState(state);
        }
      }
      place.expectFiles();
    },
  );
});

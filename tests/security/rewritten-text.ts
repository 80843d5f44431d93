/** Readers of text in one process while writers in another rewrite it, without any lock between most of them. */
import { copyFileSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { basename, join } from "node:path";
import { Publisher } from "../../src/channel/index.ts";
import { Manager } from "../../src/index.ts";
import { Queue } from "../../src/queue/index.ts";
import { DOCUMENT_BYTES, LINE, Line, Notes } from "../process/text-place.ts";
import { linesOf } from "../support/tools.ts";

export const READERS: readonly string[] = [
  "live",
  "toObject",
  "shown",
  "locked",
  "sharedMemory",
  "memoryMap",
  "mapMethods",
  "openDocument",
  "openRecord",
  "equals",
  "copies",
  "elements",
  "ownType",
  "messageQueue",
  "channel",
  "queue",
];
export const WRITERS: readonly string[] = [
  "edit",
  "set",
  "session",
  "live",
  "sharedMemory",
  "memoryMap",
  "slices",
  "bytes",
];

export interface Rewriting {
  ms: number;
  /** All of them unless given. */
  readers?: readonly string[];
  writers?: readonly string[];
}

export interface RewritingResult {
  /** How the readers ended: `"0"` when nothing killed them, or a signal. */
  end: string;
  /** How often each kind ran. */
  reads: Record<string, number>;
}

const program = (name: string): string => join(import.meta.dir, "../process", name);

export async function readWhileRewritten({
  ms,
  readers = [],
  writers = [],
}: Rewriting): Promise<RewritingResult> {
  const dir = mkdtempSync(join(tmpdir(), "shmstruct-text-"));
  const name = `/${basename(dir)}`;
  using manager = new Manager(Notes, { name, create: true });
  using publisher = new Publisher(Line, { dir, create: true, slots: 2 });
  publisher.send({ text: LINE });
  {
    using queue = new Queue(Line, { dir, create: true, slots: 2 });
    queue.push({ text: LINE });
  }
  const document = Buffer.alloc(1024);
  document.write(`${DOCUMENT_BYTES}:`);
  for (const [file, content] of Object.entries({ document, "document.lock": "", "document.lock-page": "" }))
    writeFileSync(join(dir, file), content);
  copyFileSync(manager.path, join(dir, "Copy_.mmap"));
  const writing = Bun.spawn(
    [process.execPath, program("text-writers.ts"), name, dir, String(ms + 10_000), ...writers],
    { stdout: "pipe" },
  );
  try {
    await linesOf(writing.stdout).next();
    const reading = Bun.spawn(
      [process.execPath, program("text-readers.ts"), name, dir, String(ms), ...readers],
      {
        stdout: "pipe",
      },
    );
    const output = await new Response(reading.stdout).text();
    await reading.exited;
    const end = String(reading.signalCode ?? reading.exitCode);
    return { end, reads: end === "0" ? JSON.parse(output) : {} };
  } finally {
    writing.kill("SIGKILL");
    await writing.exited;
    manager.remove({ purge: true });
    rmSync(dir, { recursive: true, force: true });
  }
}

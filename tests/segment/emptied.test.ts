/** A file that was truncated to nothing while it was in use: the message says what helps, and that helps. */
import { afterAll, describe, expect, test } from "bun:test";
import { rmSync, truncateSync } from "node:fs";
import { join } from "node:path";
import { JsonMap } from "../../src/document/index.ts";
import { c_int32, FileFormatError, field, Manager, MmapStructure, Struct } from "../../src/index.ts";
import { Queue } from "../../src/queue/index.ts";
import { temporaryDirectory } from "../support/temporary.ts";

class Robot extends MmapStructure {
  @field(c_int32) speed!: number;
}
class Work extends Struct {
  @field(c_int32) id!: number;
}

const temporary = temporaryDirectory();
afterAll(() => temporary[Symbol.dispose]());
const options = { dir: temporary.path, create: true, force: true };
const file = join(temporary.path, "config.json");

interface User extends Disposable {
  readonly path: string;
}
const users: Record<string, { open: () => User; use: (user: User) => unknown; recreates: string }> = {
  record: {
    open: () => new Manager(Robot, options),
    use: (user) => (user as Manager<Robot>).get("speed"),
    recreates: "a Manager with",
  },
  queue: {
    open: () => new Queue(Work, options),
    use: (user) => (user as Queue<Work>).size,
    recreates: "new Queue(Work",
  },
  document: {
    open: () => new JsonMap({ file, role: "master", force: true }),
    use: (user) => (user as JsonMap).read(),
    recreates: "a master that is opened with force: true",
  },
};

describe.each(Object.keys(users))("%s", (name) => {
  const { open, use, recreates } = users[name]!;

  test("it is to be deleted first, then recreated, and its user goes on in the new file", () => {
    using user = open();
    truncateSync(user.path, 0);
    const told = `'${user.path}' was truncated to 0 bytes while it was in use: delete it (rm '${user.path}'), as an empty file may be any program's; then ${recreates}`;
    expect(() => use(user)).toThrow(FileFormatError);
    expect(() => use(user)).toThrow(told);
    rmSync(user.path);
    using next = open();
    expect(() => use(next)).not.toThrow();
    expect(() => use(user)).not.toThrow();
  });
});

/** Records and documents that another user owns, or that others may truncate. */
import { afterAll, beforeEach, expect, test } from "bun:test";
import { chmodSync, chownSync, mkdirSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { JsonMap } from "../../src/document/index.ts";
import {
  c_int32,
  Editor,
  field,
  Manager,
  MmapStructure,
  openReader,
  Reader,
  UntrustedFileError,
} from "../../src/index.ts";

class Robot extends MmapStructure {
  @field(c_int32) n!: number;
}

const root = mkdtempSync(join(tmpdir(), "shmstruct-strangers-"));
afterAll(() => rmSync(root, { recursive: true, force: true }));
const dir = join(root, "everybodys");
const record = join(dir, "Robot_.mmap");
const file = join(dir, "document");

beforeEach(() => {
  rmSync(dir, { recursive: true, force: true });
  mkdirSync(dir);
  chmodSync(dir, 0o1777);
  new Manager(Robot, { dir, create: true }).close();
  new JsonMap({ file, role: "master" }).close();
});

const opens: [string, string, (trust: object) => Disposable][] = [
  ["Reader", record, (trust) => new Reader(Robot, { dir, ...trust })],
  ["Editor", record, (trust) => new Editor(Robot, { dir, ...trust })],
  ["Manager", record, (trust) => new Manager(Robot, { dir, create: true, ...trust })],
  ["openReader", record, (trust) => openReader(record, trust)],
  ["follower", file, (trust) => new JsonMap({ file, role: "follower", ...trust })],
  ["master", file, (trust) => new JsonMap({ file, role: "master", ...trust })],
];

const tryTo = (open: () => Disposable): void => {
  using _ = open();
};

test.each(opens)("%s of a file that others may truncate needs shared: true", (_, path, open) => {
  tryTo(() => open({}));
  chmodSync(path, 0o666);
  expect(() => tryTo(() => open({}))).toThrow(UntrustedFileError);
  tryTo(() => open({ shared: true }));
});

test.skipIf(process.geteuid?.() !== 0).each(opens)(
  "%s of another user's file, in a directory in which all may make files, needs trustOwner (needs root)",
  (_, path, open) => {
    chownSync(path, 12_345, 12_345);
    expect(() => tryTo(() => open({}))).toThrow(UntrustedFileError);
    expect(() => tryTo(() => open({ shared: true }))).toThrow(UntrustedFileError);
    tryTo(() => open({ trustOwner: 12_345 }));
  },
);

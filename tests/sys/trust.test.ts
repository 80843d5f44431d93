import { afterAll, describe, expect, test } from "bun:test";
import { chmodSync, mkdirSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { UntrustedFileError } from "../../src/errors/errors.ts";
import type { FileStatus } from "../../src/sys/status.ts";
import { checkTrust, type Trust } from "../../src/sys/trust.ts";

const dir = mkdtempSync(join(tmpdir(), "shmstruct-trust-"));
afterAll(() => rmSync(dir, { recursive: true, force: true }));

const directories = { own: join(dir, "own"), everybodys: join(dir, "everybodys") };
for (const path of Object.values(directories)) mkdirSync(path);
chmodSync(directories.own, 0o755);
chmodSync(directories.everybodys, 0o1777);

const me = process.geteuid?.() ?? 0;
const [root, stranger] = [0, 12_345];

interface Case {
  in: keyof typeof directories;
  owner: number;
  mode: number;
  trust?: Trust;
  wantedMode?: number;
  isMapped?: boolean;
}

function outcome({ in: where, owner, mode, trust = {}, wantedMode, isMapped }: Case): string {
  const status: FileStatus = {
    isFile: true,
    byteLength: 4096,
    storageBytes: 4096,
    mode,
    owner,
    links: 1,
    id: "1:2:3",
  };
  try {
    checkTrust({ path: join(directories[where], "file"), status, wantedMode, isMapped }, trust);
    return "trusted";
  } catch (error) {
    if (!(error instanceof UntrustedFileError)) throw error;
    return error.message.includes("belongs to user") ? "refused for its owner" : "refused for its mode";
  }
}

describe("a file is", () => {
  test.each<[string, Case]>([
    ["trusted", { in: "own", owner: me, mode: 0o600 }],
    ["trusted", { in: "own", owner: me, mode: 0o644 }],
    ["trusted", { in: "everybodys", owner: me, mode: 0o600 }],
    ["trusted", { in: "everybodys", owner: root, mode: 0o644 }],
    ["refused for its mode", { in: "own", owner: me, mode: 0o620 }],
    ["refused for its mode", { in: "own", owner: me, mode: 0o602 }],
    ["refused for its mode", { in: "everybodys", owner: root, mode: 0o666 }],
    ["refused for its owner", { in: "own", owner: stranger, mode: 0o600 }],
    ["refused for its owner", { in: "everybodys", owner: stranger, mode: 0o444 }],
    // shared accepts what others may do, but not what a stranger made where everybody may make files.
    ["trusted", { in: "own", owner: me, mode: 0o666, trust: { shared: true } }],
    ["trusted", { in: "own", owner: stranger, mode: 0o660, trust: { shared: true } }],
    ["refused for its owner", { in: "everybodys", owner: stranger, mode: 0o660, trust: { shared: true } }],
    // trustOwner accepts the owner and what the owner allows.
    ["trusted", { in: "everybodys", owner: stranger, mode: 0o666, trust: { trustOwner: stranger } }],
    ["trusted", { in: "everybodys", owner: stranger, mode: 0o600, trust: { trustOwner: [7, stranger] } }],
    ["refused for its owner", { in: "everybodys", owner: stranger, mode: 0o600, trust: { trustOwner: 7 } }],
    // A mode that the caller asked for is its consent, unless it says otherwise.
    ["trusted", { in: "own", owner: me, mode: 0o660, wantedMode: 0o660 }],
    ["refused for its mode", { in: "own", owner: me, mode: 0o660, wantedMode: 0o600 }],
    [
      "refused for its mode",
      { in: "own", owner: me, mode: 0o660, wantedMode: 0o660, trust: { shared: false } },
    ],
    ["refused for its owner", { in: "everybodys", owner: stranger, mode: 0o660, wantedMode: 0o660 }],
    // What is only locked may be cut by anybody, but a stranger must not have put it there.
    ["trusted", { in: "own", owner: me, mode: 0o666, isMapped: false }],
    ["trusted", { in: "own", owner: stranger, mode: 0o666, isMapped: false }],
    ["refused for its owner", { in: "everybodys", owner: stranger, mode: 0o666, isMapped: false }],
  ])("a file is %s: %o", (expected, file) => {
    expect(outcome(file)).toBe(expected);
  });
});

test("the error about an untrusted file says who owns it, and what would accept it", () => {
  const status = { owner: stranger, mode: 0o100600 } as FileStatus;
  const check = (): void => checkTrust({ path: "/nowhere/file", status }, {});
  expect(check).toThrow(UntrustedFileError);
  expect(check).toThrow(
    `'/nowhere/file' belongs to user 12345, not to this user (${me}) or root, in a directory where everybody may make files; { trustOwner: 12345 } accepts that`,
  );
});

test("trustOwner takes user ids and nothing else", () => {
  const check = (trustOwner: unknown): void =>
    checkTrust({ path: "/x", status: { owner: me, mode: 0o600 } as FileStatus }, { trustOwner } as Trust);
  for (const wrong of ["root", null, [["1"]], {}]) expect(() => check(wrong)).toThrow(TypeError);
  for (const wrong of [-1, 1.5, 2 ** 32 - 1, [0, -1]]) expect(() => check(wrong)).toThrow(RangeError);
  for (const right of [undefined, 0, 1000, [], [1, 2]]) check(right);
});

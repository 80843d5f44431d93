/**
 * Uses the library when there is no descriptor left, or when its files are gone: few-descriptors.ts MAIN DIRECTORY [open | GONE]. Prints
 * what the calls came to, then what they came to once there are descriptors again. With `open` a role is open before.
 */
import { closeSync, openSync, rmSync } from "node:fs";

const [main, dir, gone] = process.argv.slice(2) as [string, string, string | undefined];
const { c_int32, create, field, Manager, MmapStructure, ShmError, toObject } = (await import(
  main
)) as typeof import("../../src/index.ts");

class Robot extends MmapStructure {
  @field(c_int32) n!: number;
}

function attempt(call: () => void): string {
  try {
    call();
    return "ok";
  } catch (error) {
    return error instanceof ShmError ? `ShmError ${error.code}` : String(error);
  }
}

const isOpen = gone === "open";
const opened = isOpen ? new Manager(Robot, { dir, create: true }) : undefined;

const callsOf = (role: NonNullable<typeof opened>): string[] => [
  attempt(() => void role.waitForChange({ timeoutMs: 0 })),
  attempt(() => void role.changes().return?.()),
  attempt(() => role.set("n", 1)),
];

const calls = (): string[] => [
  attempt(() => new Manager(Robot, { dir, create: true }).close()),
  attempt(() => void toObject(create(Robot))),
  ...(opened === undefined ? [] : callsOf(opened)),
];

/** Takes all descriptors that are left. */
function takeAll(): number[] {
  const taken: number[] = [];
  for (;;) {
    try {
      taken.push(openSync("/dev/null", "r"));
    } catch {
      return taken;
    }
  }
}

const isGone = gone !== undefined && !isOpen;
const taken = isGone ? [] : takeAll();
if (isGone) rmSync(gone, { recursive: true });
const without = calls();
for (const fd of taken) closeSync(fd);
console.log(JSON.stringify([without, isGone ? [] : calls()]));
process.exit(0);

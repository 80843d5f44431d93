/** bun tests/soak/page-photograph.ts FILE: the page as README.md and docs/guide/page.md show it (docs/page.png). */
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { Publisher } from "../../src/channel/index.ts";
import { JsonMap } from "../../src/document/index.ts";
import {
  array,
  c_double,
  c_float,
  c_int32,
  c_int64,
  c_uint8,
  chars,
  enumOf,
  field,
  Manager,
  MmapStructure,
  nested,
  Struct,
  type StructArray,
} from "../../src/index.ts";
import { Queue } from "../../src/queue/index.ts";
import { MAIN } from "../cli/fixtures.ts";
import { Chromium } from "../support/chromium.ts";
import { linesOf } from "../support/tools.ts";

class Vec3 extends Struct {
  @field(c_double) x!: number;
  @field(c_double) y!: number;
  @field(c_double) z!: number;
}
class Joint extends Struct {
  @field(c_uint8) id!: number;
  @field(c_float) angle!: number;
}
class RobotArm extends MmapStructure {
  @field(enumOf(c_int32, { idle: 0, moving: 1 })) mode!: 0 | 1;
  @field(c_int64) serial!: bigint;
  @field(chars(20)) name!: string;
  @field(c_uint8) battery!: number;
  @nested(Vec3) position!: Vec3;
  @nested(Vec3) velocity!: Vec3;
  @nested(Joint, 6) joints!: StructArray<Joint>;
}
class MotorState extends MmapStructure {
  @field(c_double) current!: number;
}
class Frame extends Struct {
  @field(c_int32) width!: number;
  @field(array(c_uint8, 64)) pixels!: Uint8Array;
}
class Task extends Struct {
  @field(c_int32) id!: number;
}

const PLOTTED = ["position.x", "position.y", "position.z", "velocity.z"];
const WINDOW_MS = 16_000;
const file = resolve(process.argv[2] ?? "page.png");
const dir = mkdtempSync(join(tmpdir(), "shmstruct-photograph-"));
using stack = new DisposableStack();
stack.defer(() => rmSync(dir, { recursive: true, force: true }));
const arm = stack.use(new Manager(RobotArm, { dir, create: true }));
arm.edit((data) => {
  Object.assign(data, { mode: 1, serial: 880_021n, name: "left arm", battery: 87 });
});
const motors = ["m0", "m1", "m2", "m3"].map((tag) =>
  stack.use(new Manager(MotorState, { dir, tag, create: true })),
);
const frames = stack.use(new Publisher(Frame, { dir, create: true }));
const tasks = stack.use(new Queue(Task, { dir, create: true }));
for (let id = 0; id < 3; id++) tasks.push({ id });
const calibration = stack.use(
  new JsonMap<object>({ dir, file: "calibration.json", role: "master", create: true }),
);
calibration.update(() => ({ offset: 0.25 }));

function move(): void {
  const t = performance.now() / 1000;
  arm.edit(({ position, velocity, joints }) => {
    Object.assign(position, { x: Math.cos(t), y: Math.sin(t), z: 0.4 + 0.2 * Math.sin(3 * t) });
    Object.assign(velocity, { x: -Math.sin(t), y: Math.cos(t), z: 0.6 * Math.cos(3 * t) });
    for (let i = 0; i < 6; i++) joints.at(i)!.angle = Math.sin(t + i);
  });
  for (const motor of motors) motor.set("current", Math.sin(2 * t));
  frames.send({ width: Math.round(t * 10) });
}

const timer = setInterval(move, 10);
const server = Bun.spawn([process.execPath, MAIN, "serve", "--json", "--write", "--port", "0", dir], {
  stdout: "pipe",
  env: { ...process.env, XDG_RUNTIME_DIR: "" },
});
const { value: line = "{}" } = await linesOf(server.stdout).next();
const { address } = JSON.parse(line) as { address: string };
const browser = await Chromium.start();
try {
  const tab = await browser.open(`${address}#${encodeURIComponent(arm.path)}|Values`, {
    width: 1280,
    height: 820,
  });
  const named = (path: string): string =>
    `[...document.querySelectorAll('.tree .line:not([hidden])')].find((line) => line.querySelector('.name').title === ${JSON.stringify(path)})`;
  await tab.until(named("header"));
  await tab.click(`${named("header")}.querySelector('.name')`);
  for (const path of PLOTTED) await tab.click(`${named(path)}?.querySelector('.plot-mark')`);
  await Bun.sleep(WINDOW_MS);
  await tab.screenshot(file);
} finally {
  clearInterval(timer);
  await browser[Symbol.asyncDispose]();
  server.kill();
  await server.exited;
}

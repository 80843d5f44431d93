/** `shmstruct serve`: its server by requests, and its page in a real browser. */
import { afterAll, beforeAll, describe, expect, setDefaultTimeout, test } from "bun:test";
import { chmodSync, copyFileSync, mkdirSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import type {
  MessageRow,
  Row,
  SegmentRow,
  ServerMessage,
  TableAnswer,
  Value,
} from "../../src/cli/page/protocol.ts";
import { JsonMap } from "../../src/document/index.ts";
import { array, type CArray, field, Manager, MmapStructure } from "../../src/index.ts";
import { Chromium, type Tab } from "../support/chromium.ts";
import { hasTool, linesOf } from "../support/tools.ts";
import { MAIN, makeFixtures, Point, run } from "./fixtures.ts";

// A browser on a busy machine.
setDefaultTimeout(240_000);

const EVIL_HTML = "<img src=x onerror=window.isHacked=1>";

class Large extends MmapStructure {
  @field(array(Point, 3000)) points!: CArray<Point>;
}

const fixtures = makeFixtures();
const { dir, robot, frames, tasks, hostile, manager } = fixtures;
const tokenFile = join(dir, "token");
const evil = new JsonMap<unknown>({ dir, file: `${EVIL_HTML}.json`, role: "master", create: true });
evil.update(() => ({ [EVIL_HTML]: EVIL_HTML, port: 80 }));
const large = new Manager(Large, { dir, create: true });
afterAll(() => {
  evil.close();
  large.close();
  fixtures[Symbol.dispose]();
});

interface Served extends AsyncDisposable {
  /** Ends with the token and a slash. */
  readonly address: string;
  readonly port: number;
}

async function serve(...args: string[]): Promise<Served> {
  const child = Bun.spawn([process.execPath, MAIN, "serve", "--json", ...args], {
    stdout: "pipe",
    // Not the token of the user's own server.
    env: { ...process.env, XDG_RUNTIME_DIR: "" },
  });
  for await (const line of linesOf(child.stdout)) {
    const { address } = JSON.parse(line) as { address: string };
    const end = async (): Promise<void> => {
      child.kill();
      await child.exited;
    };
    return { address, port: Number(new URL(address).port), [Symbol.asyncDispose]: end };
  }
  throw new Error("shmstruct serve has ended");
}

const get = async <T>(address: string): Promise<T> => (await (await fetch(address)).json()) as T;

const about = (path: string): string => new URLSearchParams({ path }).toString();

const set = (address: string, body: object, headers: Record<string, string> = {}): Promise<Response> =>
  fetch(`${address}set`, {
    method: "POST",
    headers: { origin: new URL(address).origin, ...headers },
    body: JSON.stringify(body),
  });

/** Frames of a segment until one is as wanted. */
async function framesOf(
  address: string,
  watch: object,
  isLast: (frame: ServerMessage) => boolean,
): Promise<ServerMessage[]> {
  const socket = new WebSocket(`${address.replace("http", "ws")}socket`, {
    headers: { origin: new URL(address).origin },
  });
  const heard: ServerMessage[] = [];
  await new Promise<void>((resolve, reject) => {
    socket.addEventListener("open", () => socket.send(JSON.stringify({ do: "watch", ...watch })));
    socket.addEventListener("close", () => reject(new Error(`closed after ${JSON.stringify(heard)}`)));
    socket.addEventListener("message", ({ data }) => {
      const frame = JSON.parse(String(data)) as ServerMessage;
      heard.push(frame);
      if (isLast(frame)) resolve();
    });
  });
  socket.close();
  return heard;
}

describe("the server", () => {
  let reading: Served;
  let writing: Served;
  beforeAll(async () => {
    [reading, writing] = await Promise.all([
      serve("--port", "0", dir),
      serve("--port", "0", "--write", "--token-file", tokenFile, dir),
    ]);
  });
  afterAll(async () => {
    await Promise.all([reading[Symbol.asyncDispose](), writing[Symbol.asyncDispose]()]);
  });

  test("the server listens on the loopback address, and gives its page under a random token", async () => {
    expect(reading.address).toMatch(/^http:\/\/127\.0\.0\.1:\d+\/[\w-]{32}\/$/);
    expect(new URL(reading.address).pathname).not.toBe(new URL(writing.address).pathname);
    const page = await fetch(reading.address);
    expect([page.status, page.headers.get("content-type")]).toEqual([200, "text/html; charset=utf-8"]);
    const policy = page.headers.get("content-security-policy");
    expect(policy).toStartWith("default-src 'none'; script-src 'self'; style-src 'self'");
    expect(policy).toContain("frame-ancestors 'none'");
    expect(policy).not.toContain("unsafe");
  });

  test("the server refuses every request without the token", async () => {
    const { origin, pathname } = new URL(reading.address);
    const wrong = pathname.replace(/.\/$/, (end) => (end === "A/" ? "B/" : "A/"));
    for (const path of ["/", "/page.js", "/segments", wrong, `${wrong}segments`, `${pathname.slice(0, -2)}/`])
      expect([path, (await fetch(origin + path)).status]).toEqual([path, 403]);
  });

  test("the server refuses the names of foreign sites, which lead here by DNS rebinding", async () => {
    const statusFor = async (host: string): Promise<number> =>
      (await fetch(`${reading.address}segments`, { headers: { host } })).status;
    const { port } = reading;
    expect(await statusFor(`evil.example:${port}`)).toBe(403);
    expect(await statusFor(`127.0.0.1.evil.example:${port}`)).toBe(403);
    expect(await statusFor("127.0.0.1:1")).toBe(403);
    expect(await statusFor(`localhost:${port}`)).toBe(200);
    expect(await statusFor(`[::1]:${port}`)).toBe(200);
  });

  test("the server refuses pages of other origins, and those that do not say theirs where browsers do", async () => {
    const body = { path: robot, at: "speed", text: "1" };
    for (const origin of ["http://evil.example", "null", `http://127.0.0.1:${writing.port + 1}`])
      expect((await set(writing.address, body, { origin })).status).toBe(403);
    const bare = await fetch(`${writing.address}set`, { method: "POST", body: JSON.stringify(body) });
    expect(bare.status).toBe(403);
    const socket = new WebSocket(`${writing.address.replace("http", "ws")}socket`, {
      headers: { origin: "http://evil.example" },
    });
    await new Promise((resolve) => {
      socket.addEventListener("close", resolve);
    });
    expect(manager.get("speed")).toBe(7);
  });

  test("the server lists segments of every kind", async () => {
    const segments = await get<SegmentRow[]>(`${reading.address}segments`);
    const kinds = Object.fromEntries(segments.map(({ path, kind, struct }) => [path, `${kind} ${struct}`]));
    expect(kinds).toMatchObject({
      [robot]: "record Robot",
      [frames]: "channel Frame",
      [tasks]: "queue Task",
    });
    expect(segments.map(({ name }) => name)).toContain(`${EVIL_HTML}.json`);
  });

  test("the server gives values only of what it lists", async () => {
    const { value } = await get<{ value: unknown }>(`${reading.address}value?${about(robot)}`);
    expect(value).toMatchObject({ speed: 7, serial: String(2n ** 60n), pose: { x: 1.5, y: -2 } });
    const elsewhere = await fetch(`${reading.address}value?${about("/etc/passwd")}`);
    expect([elsewhere.status, await elsewhere.text()]).toEqual([
      400,
      "there is no such segment in the served directories\n",
    ]);
  });

  test("the server changes nothing without --write", async () => {
    const answer = await set(reading.address, { path: robot, at: "speed", text: "1" });
    expect([answer.status, await answer.text()]).toEqual([
      403,
      "this page is read-only: start it with shmstruct serve --write\n",
    ]);
    expect(manager.get("speed")).toBe(7);
  });

  test("the server sets a value under the lock, and says what is wrong with one", async () => {
    expect((await set(writing.address, { path: robot, at: "pose.y", text: "4.5" })).status).toBe(200);
    expect(manager.get("pose.y")).toBe(4.5);
    const wrong = await set(writing.address, { path: robot, at: "speed", text: "1e12" });
    expect([wrong.status, await wrong.text()]).toEqual([400, expect.stringContaining("speed")]);
    const missing = await set(writing.address, { path: robot, at: "nothing", text: "1" });
    expect([missing.status, await missing.text()]).toEqual([
      400,
      expect.stringContaining("there is no 'nothing'"),
    ]);
    const channel = await set(writing.address, { path: frames, at: "width", text: "1" });
    expect([channel.status, await channel.text()]).toEqual([400, expect.stringContaining("is a channel")]);
    using session = manager.lock();
    const locked = await set(writing.address, { path: robot, at: "speed", text: "1" });
    expect([locked.status, session.data.speed]).toEqual([400, 7]);
  });

  test("the server sends all rows with their places once, and then only what has changed", async () => {
    const watch = { path: robot, bytes: true, messages: false };
    let isSet = false;
    const heard = await framesOf(reading.address, watch, (frame) => {
      if (frame.do === "rows" && !isSet) {
        isSet = true;
        manager.edit((data) => {
          data.pose.x = 99;
        });
      }
      return frame.do === "values" && frame.changed.some(([, value]) => value === 99);
    });
    const trees = heard.filter((frame) => frame.do === "rows");
    expect(trees).toHaveLength(1);
    const { rows, values, size } = trees[0]!;
    const at = (path: string): [Row, Value] => {
      const i = rows.findIndex((row) => row.path === path);
      return [rows[i]!, values[i]!];
    };
    expect(at("serial")).toMatchObject([{ type: "c_int64", size: 8, isNumber: true }, String(2n ** 60n)]);
    expect(at("mode")).toMatchObject([{ labels: { 0: "idle", 1: "moving" } }, 1]);
    expect(at("path.2.y")).toMatchObject([{ depth: 2, type: "c_double", size: 8 }, 0]);
    expect(at("path.2.y")[0].offset! - at("path.0.x")[0].offset!).toBe(40);
    const bytes = heard.find((frame) => frame.do === "bytes")!;
    expect(Buffer.concat(bytes.changed.map(([, base64]) => Buffer.from(base64, "base64")))).toHaveLength(
      size,
    );
    const last = heard.findLast((frame) => frame.do === "values")!;
    expect(last.changed.map(([i]) => rows[i]!.path).sort()).toEqual(["header.time_stamp", "pose.x"]);
  });

  test("the server sends the messages of a channel", async () => {
    const messages: MessageRow[] = [];
    await framesOf(reading.address, { path: frames, bytes: false, messages: true }, (frame) => {
      if (frame.do === "messages") messages.push(...frame.messages);
      return messages.length >= 3;
    });
    expect(messages.map(({ index, missed }) => [index, missed])).toEqual([
      [0, 0],
      [1, 0],
      [2, 0],
    ]);
    expect(messages[2]!.text).toContain("width: 3");
  });

  test("the server tells of a segment that cannot be opened, and of one that is not listed", async () => {
    const isProblem = (frame: ServerMessage): boolean => frame.do === "problem";
    const path = "/etc/passwd";
    const heard = await framesOf(reading.address, { path, bytes: false, messages: false }, isProblem);
    expect(heard.at(-1)).toEqual({
      do: "problem",
      path,
      text: "there is no such segment in the served directories",
    });
  });

  test("the server closes on what is no message", async () => {
    const socket = new WebSocket(`${reading.address.replace("http", "ws")}socket`, {
      headers: { origin: new URL(reading.address).origin },
    });
    socket.addEventListener("open", () => socket.send("{"));
    const { code } = await new Promise<CloseEvent>((resolve) => {
      socket.addEventListener("close", resolve);
    });
    expect(code).toBe(1003);
    expect((await fetch(reading.address)).status).toBe(200);
  });

  test("the server tells who uses a segment", async () => {
    const rows = await get<TableAnswer>(`${reading.address}who?${about(robot)}`);
    expect(rows.map(({ pid }) => pid)).toContain(process.pid);
  });

  test("the server keeps its token in a file that only the user can read", () => {
    expect(statSync(tokenFile).mode & 0o777).toBe(0o600);
  });
});

test("a token that others can read, or that is none, is refused", async () => {
  const path = join(dir, "open-token");
  writeFileSync(path, "0123456789abcdef0123\n");
  chmodSync(path, 0o644);
  const open = await run(["serve", "--token-file", path, dir]);
  expect([open.code, open.err]).toEqual([
    2,
    expect.stringContaining("must be the user's own and have mode 0600"),
  ]);
  chmodSync(path, 0o600);
  writeFileSync(path, "short\n");
  const short = await run(["serve", "--token-file", path, dir]);
  expect([short.code, short.err]).toEqual([2, expect.stringContaining("holds no token")]);
});

test("a directory that is not there is an error", async () => {
  const { code, err } = await run(["serve", join(dir, "nowhere")]);
  expect([code, err]).toEqual([1, `shmstruct: there is no directory '${join(dir, "nowhere")}'\n`]);
});

describe.skipIf(!hasTool("chromium"))("the page (needs chromium)", () => {
  let browser: Chromium;
  let server: Served;
  let tab: Tab;
  const args = ["--write", "--token-file", tokenFile, dir];
  beforeAll(async () => {
    [browser, server] = await Promise.all([Chromium.start(), serve("--port", "0", ...args)]);
    tab = await browser.open(server.address);
  });
  afterAll(async () => {
    await Promise.all([browser[Symbol.asyncDispose](), server[Symbol.asyncDispose]()]);
  });

  const shown = "document.querySelectorAll('.segments .line:not([hidden])')";
  const segment = (path: string): string =>
    `[...${shown}].find((line) => line.querySelector('.name').textContent === ${JSON.stringify(path.slice(path.lastIndexOf("/") + 1))})`;
  const tabNamed = (name: string): string =>
    `[...document.querySelectorAll('.tabs button')].find((button) => button.textContent === '${name}')`;
  const row = (path: string): string =>
    `[...document.querySelectorAll('.tree .line:not([hidden])')].find((line) => line.querySelector('.name').title === ${JSON.stringify(path)})`;
  const value = (path: string): string => `${row(path)}?.querySelector('.value').textContent`;
  const choose = async (path: string, view: string): Promise<void> => {
    await tab.click(segment(path));
    await tab.until(`document.querySelector('h1').title === ${JSON.stringify(path)}`);
    await tab.click(tabNamed(view));
  };

  test("the page lists the segments, and finds them", async () => {
    await tab.until(`${shown}.length === 7`);
    await tab.press("s");
    await tab.type("robot");
    await tab.until(`${shown}.length === 1`);
    expect(await tab.evaluate<string>(`${shown}[0].textContent`)).toContain("Robot_.mmap");
    await tab.press("Escape");
    await tab.until(`${shown}.length === 7`);
  });

  test("the page shows values with types and labels as they change", async () => {
    await choose(robot, "Values");
    await tab.until(`${value("mode")} === '1  moving'`);
    expect(await tab.evaluate<string>(`${row("serial")}.querySelector('.type').textContent`)).toBe("c_int64");
    for (const speed of [11, 12]) {
      manager.set("speed", speed);
      await tab.until(`${value("speed")} === '${speed}'`);
    }
    expect(
      await tab.evaluate<boolean>(`${row("speed")}.querySelector('.value').classList.contains('lit')`),
    ).toBe(true);
  });

  test("the page finds fields, with what they are in", async () => {
    await tab.press("/");
    await tab.type("path.1.y");
    await tab.until(`document.querySelectorAll('.tree .line:not([hidden])').length === 3`);
    await tab.press("Escape");
    await tab.until(row("speed"));
  });

  test("the page edits a value in place, and keeps the editor open at a wrong one", async () => {
    await tab.click(`${row("speed")}?.querySelector('.value')`, 2);
    await tab.until("document.activeElement.className === 'edit'");
    await tab.type("not a number");
    await tab.press("Enter");
    await tab.until("document.querySelector('.edit.bad')");
    expect(await tab.evaluate<string>("document.querySelector('[role=alert]').textContent")).toContain(
      "is neither a number nor JSON",
    );
    await tab.evaluate("document.activeElement.select()");
    await tab.type("21");
    await tab.press("Enter");
    await tab.until(`document.querySelector('.edit') === null && ${value("speed")} === '21'`);
    expect(manager.get("speed")).toBe(21);
    await tab.click(`${row("name")}?.querySelector('.value')`, 2);
    await tab.type("left arm");
    await tab.press("Enter");
    await tab.until(`${value("name")} === '"left arm"'`);
    expect(manager.get("name")).toBe("left arm");
  });

  test("the page plots fields by click and by key", async () => {
    await tab.click(`${row("speed")}?.querySelector('.plot-mark')`);
    await tab.click(`${row("pose.x")}?.querySelector('.name')`);
    await tab.press("p");
    await tab.until("document.querySelectorAll('.legend div').length === 2");
    const pixels =
      "(() => { const c = document.querySelector('canvas'); return new Set(new Uint32Array(c.getContext('2d').getImageData(0, 0, c.width, c.height).data.buffer)).size; })()";
    for (let speed = 22; speed < 40; speed++) {
      manager.set("speed", speed);
      await Bun.sleep(20);
    }
    await tab.until(`document.querySelector('.legend .value').textContent === '39' && ${pixels} > 5`);
  });

  test("the page shows members, holes and bytes in colours that tie them", async () => {
    await choose(robot, "Layout");
    const members = "[...document.querySelectorAll('.members .line:not([hidden])')]";
    const member = `${members}.find((line) => line.querySelector('.name').textContent === 'serial')`;
    await tab.until(`${member} && ${members}.some((line) => line.classList.contains('hole'))`);
    const offset = await tab.evaluate<string>(`${member}.querySelector('.offset').textContent`);
    const byte = `document.querySelector('.bytes [data-offset="${offset}"]')`;
    await tab.until(byte);
    const color = await tab.evaluate<string>(`/\\bc\\d/.exec(${member}.className)[0]`);
    expect(await tab.evaluate<string>(`${byte}.className`)).toContain(color);
    await tab.click(byte);
    await tab.until(`${member}.classList.contains('selected')`);
    expect(await tab.evaluate<number>("document.querySelectorAll('.bytes .selected').length")).toBe(8);
  });

  test("the page shows messages, jobs by state, JSON and processes", async () => {
    const lines =
      "[...document.querySelectorAll('.place .line:not([hidden])')].map((line) => line.textContent)";
    await choose(frames, "Messages");
    await tab.until(`${lines}.some((text) => text.includes('width: 3'))`);
    await choose(tasks, "Jobs");
    await tab.click(
      "[...document.querySelectorAll('.place .bar button')].find((b) => b.textContent === 'ready 3')",
    );
    await tab.until(`${lines}.length === 3 && ${lines}[0].includes('{"id":10}')`);
    await choose(evil.path, "JSON");
    await tab.until(`${lines}.some((text) => text.includes('"port": 80'))`);
    await choose(robot, "Who");
    await tab.until(`${lines}.some((text) => text.startsWith('${process.pid}'))`);
  });

  test("the page shows hostile names as text, and is refused nothing by its own policy", async () => {
    await choose(evil.path, "Values");
    await tab.until(`document.querySelector('.tree').textContent.includes('<img')`);
    await choose(hostile, "Values");
    await tab.until(row("text"));
    expect(await tab.evaluate<string>(value("text"))).toBe('"\\u001b[2J\\u202e\\u0007"');
    expect(await tab.evaluate<number>("document.images.length")).toBe(0);
    expect(await tab.evaluate<unknown>("window.isHacked ?? null")).toBeNull();
    expect(browser.complaints).toEqual([]);
  });

  test("the page tells what is wrong with a damaged segment", async () => {
    const damaged = join(dir, "Damaged_.mmap");
    const bytes = readFileSync(robot);
    bytes[bytes.length - 100]! ^= 1;
    writeFileSync(damaged, bytes);
    await tab.click(segment(damaged));
    const lines = "[...document.querySelectorAll('.place .line:not([hidden])')]";
    await tab.until(`${lines}.some((line) => line.textContent.includes('Damaged_.mmap'))`);
    expect(await tab.evaluate<string>("document.querySelector('.about .bad').textContent")).toContain(
      "is damaged",
    );
    await tab.click(`${lines}.find((line) => line.textContent.includes('Damaged_.mmap'))`);
    await tab.until("document.querySelector('[role=alert]').textContent.includes('advice: ')");
    rmSync(damaged);
    await tab.until(`${segment(damaged)} === undefined`);
  });

  test("the page has thousands of fields, of which only those in sight are elements", async () => {
    await choose(large.path, "Values");
    await tab.until(row("points.0.x"));
    await tab.press("End");
    await tab.until(row("points.2999.y"));
    expect(await tab.evaluate<number>("document.querySelectorAll('.tree .line').length")).toBeLessThan(100);
    large.edit((data) => {
      data.points.at(2999)!.y = 0.25;
    });
    await tab.until(`${value("points.2999.y")} === '0.25'`);
  });

  test("the page comes back by itself when the server is restarted", async () => {
    await choose(robot, "Values");
    const { port } = server;
    await server[Symbol.asyncDispose]();
    await tab.until("document.body.classList.contains('closed')");
    server = await serve("--port", String(port), ...args);
    await tab.until("!document.body.classList.contains('closed')");
    manager.set("speed", 77);
    await tab.until(`${value("speed")} === '77'`);
    await tab.until(`${shown}.length === 7`);
  });

  test("the page refuses edits of a read-only server", async () => {
    await using reading = await serve("--port", "0", dir);
    const other = await browser.open(`${reading.address}#${encodeURIComponent(robot)}|Values`);
    await other.until(row("speed"));
    await other.click(`${row("speed")}?.querySelector('.value')`, 2);
    await other.until("document.querySelector('[role=alert]').textContent.includes('read-only')");
    expect(await other.evaluate<boolean>("document.querySelector('.edit') === null")).toBe(true);
    await other.close();
  });

  test("the page lists 500 segments", async () => {
    const many = join(dir, "many");
    mkdirSync(many);
    for (let i = 100; i < 600; i++) copyFileSync(robot, join(many, `Robot_${i}.mmap`));
    await using crowd = await serve("--port", "0", many);
    const other = await browser.open(crowd.address);
    await other.until("document.querySelector('aside .remark')?.textContent === '500 segments'");
    expect(await other.evaluate<number>("document.querySelectorAll('.segments .line').length")).toBeLessThan(
      60,
    );
    await other.evaluate("document.querySelector('.segments').scrollTop = 1e6");
    await other.until("document.querySelector('.segments').textContent.includes('Robot_599')");
    await other.close();
  });

  test("the page turns from light to dark", async () => {
    const scheme = "getComputedStyle(document.documentElement).colorScheme";
    const before = await tab.evaluate<string>(scheme);
    await tab.press("t");
    await tab.until(`${scheme} !== '${before}'`);
  });
});

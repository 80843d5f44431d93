/**
 * bun tests/soak/page.ts [seconds] [directory for screenshots]: the page in a headless browser with much to show: 50 fields plotted
 * at once, a struct of 10,000 fields, 500 segments. Prints the table of docs/internals/command.md: frames a second, and what a
 * frame takes of the page's thread, which tells more on a machine that draws without a graphics processor.
 */
import { copyFileSync, mkdirSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { array, type CArray, c_double, field, Manager, MmapStructure } from "../../src/index.ts";
import { MAIN, makeFixtures, Point } from "../cli/fixtures.ts";
import { Chromium, type Tab } from "../support/chromium.ts";
import { linesOf } from "../support/tools.ts";

const PLOTTED = 50;
const [seconds = 20, pictures] = [Number(process.argv[2] ?? 20), process.argv[3]];

class Waves extends MmapStructure {
  @field(array(c_double, PLOTTED)) waves!: Float64Array;
}
class Wide extends MmapStructure {
  @field(array(Point, 5000)) points!: CArray<Point>;
}

using fixtures = makeFixtures();
const { dir, robot } = fixtures;
using waves = new Manager(Waves, { dir, create: true });
using wide = new Manager(Wide, { dir, create: true });
const many = mkdtempSync(join(tmpdir(), "shmstruct-many-"));
for (let i = 100; i < 600; i++) copyFileSync(robot, join(many, `Robot_${i}.mmap`));

async function serve(...args: string[]): Promise<{ address: string; end(): Promise<void> }> {
  const child = Bun.spawn([process.execPath, MAIN, "serve", "--json", "--port", "0", ...args], {
    stdout: "pipe",
    env: { ...process.env, XDG_RUNTIME_DIR: "" },
  });
  const { value: line = "{}" } = await linesOf(child.stdout).next();
  const end = async (): Promise<void> => {
    child.kill();
    await child.exited;
  };
  return { ...(JSON.parse(line) as { address: string }), end };
}

async function picture(tab: Tab, name: string): Promise<void> {
  if (pictures === undefined) return;
  mkdirSync(pictures, { recursive: true });
  await tab.screenshot(join(pictures, `${name}.png`));
}

/** Frames a second, and milliseconds of the page's thread a frame: script, layout and style. */
async function measure(tab: Tab): Promise<string> {
  await tab.send("Performance.enable", { timeDomain: "threadTicks" });
  const metrics = async (): Promise<Map<string, number>> => {
    const { metrics: all } = await tab.send("Performance.getMetrics");
    return new Map((all as { name: string; value: number }[]).map(({ name, value }) => [name, value]));
  };
  const counted = tab.evaluate<number>(
    `new Promise((done) => { let frames = 0; const start = performance.now(); const turn = () => { frames++; const took = performance.now() - start; if (took < ${seconds * 1000}) requestAnimationFrame(turn); else done(frames * 1000 / took); }; requestAnimationFrame(turn); })`,
  );
  const before = await metrics();
  const rate = await counted;
  const after = await metrics();
  const busy = ["ScriptDuration", "LayoutDuration", "RecalcStyleDuration"].reduce(
    (sum, name) => sum + (after.get(name) ?? 0) - (before.get(name) ?? 0),
    0,
  );
  return `${rate.toFixed(1)} | ${((busy * 1000) / (rate * seconds)).toFixed(2)} ms`;
}

/**
 * What the browser itself takes for 50 lines by hand, without a page around them: on one canvas of the size that the page's has, or
 * each on its own. Each line has a point for every tick of the server in 15 s, and moves at each frame.
 */
async function floor(browser: Chromium, canvases: 1 | typeof PLOTTED): Promise<string> {
  const tab = await browser.open("about:blank", { width: 1600, height: 1000 });
  await tab.evaluate(`{
    const [all, points] = [${PLOTTED}, 450];
    const sizes = ${canvases} === 1 ? [1000, 215] : [120, 90];
    const contexts = Array.from({ length: ${canvases} }, () => {
      const canvas = document.createElement("canvas");
      [canvas.width, canvas.height] = sizes;
      document.body.append(canvas);
      return canvas.getContext("2d");
    });
    const data = Array.from({ length: all }, (_, i) => Float64Array.from({ length: points }, (_, k) => Math.sin(k / 20 + i / 4)));
    let frame = 0;
    const draw = () => {
      frame++;
      for (const [i, numbers] of data.entries()) {
        const context = contexts[i % contexts.length];
        const { width, height } = context.canvas;
        if (i < contexts.length) context.clearRect(0, 0, width, height);
        context.strokeStyle = "hsl(" + i * 7 + " 75% 42%)";
        context.lineWidth = 1.5;
        context.beginPath();
        for (let k = 0; k < points; k++) {
          const y = height * (0.5 + 0.45 * numbers[(k + frame) % points]);
          context.lineTo(k * width / points, contexts.length === 1 ? y / 4 + i * 3 : y);
        }
        context.stroke();
      }
      requestAnimationFrame(draw);
    };
    draw();
  }`);
  const measured = await measure(tab);
  await picture(tab, `floor-${canvases}`);
  await tab.close();
  return measured;
}

const row = (path: string): string =>
  `[...document.querySelectorAll('.tree .line:not([hidden])')].find((line) => line.querySelector('.name').title === ${JSON.stringify(path)})`;
const open = async (browser: Chromium, address: string, path: string, view: string): Promise<Tab> => {
  const tab = await browser.open(`${address}#${encodeURIComponent(path)}|${view}`, {
    width: 1600,
    height: 1000,
  });
  await tab.until("document.querySelector('.tabs button.on')");
  return tab;
};

let turn = 0;
const timer = setInterval(() => {
  turn++;
  waves.edit((data) => {
    for (let i = 0; i < PLOTTED; i++) data.waves[i] = i + Math.sin(turn / 20 + i / 4);
  });
  wide.edit((data) => {
    data.points.at(turn % 5000)!.x = turn;
  });
}, 10);

const server = await serve("--write", dir);
const crowd = await serve(many);
const browser = await Chromium.start();
try {
  console.log("| what the page shows | frames a second | its thread a frame |\n| --- | --- | --- |");
  const empty = await browser.open("about:blank", { width: 1600, height: 1000 });
  console.log(`| nothing (about:blank) | ${await measure(empty)} |`);
  await empty.close();

  const floors = [await floor(browser, PLOTTED), await floor(browser, 1)];
  console.log(`| ${PLOTTED} canvases, a line by hand on each | ${floors[0]} |`);
  console.log(`| one canvas, ${PLOTTED} lines by hand | ${floors[1]} |`);

  const plots = await open(browser, server.address, waves.path, "Values");
  await plots.click(`${row("waves")}?.querySelector('.name')`);
  await plots.press("ArrowRight");
  await plots.click(`${row("waves.0")}?.querySelector('.name')`);
  for (let i = 0; i < PLOTTED; i++) {
    await plots.press("p");
    await plots.press("ArrowDown");
  }
  await plots.until(`document.querySelectorAll('.legend div').length === ${PLOTTED}`);
  await Bun.sleep(3000);
  console.log(`| ${PLOTTED} fields plotted, a window of 15 s | ${await measure(plots)} |`);
  await picture(plots, "plots");
  await plots.click(
    "[...document.querySelectorAll('.plot .bar button')].find((b) => b.textContent === '60 s')",
  );
  console.log(`| the same, a window of 60 s | ${await measure(plots)} |`);
  await plots.close();

  const fields = await open(browser, server.address, wide.path, "Values");
  await fields.until(row("points.0.x"));
  console.log(`| a struct of 10,000 fields, live | ${await measure(fields)} |`);
  await picture(fields, "fields");
  await fields.close();

  const segments = await browser.open(crowd.address, { width: 1600, height: 1000 });
  await segments.until("document.querySelector('aside .remark')?.textContent === '500 segments'");
  console.log(`| 500 segments | ${await measure(segments)} |`);
  await picture(segments, "segments");
  await segments.close();

  const layout = await open(browser, server.address, robot, "Layout");
  await layout.until("document.querySelector('.bytes [data-offset]')");
  await picture(layout, "layout");
  await layout.press("t");
  await picture(layout, "dark");
} finally {
  clearInterval(timer);
  await Promise.all([browser[Symbol.asyncDispose](), server.end(), crowd.end()]);
  rmSync(many, { recursive: true, force: true });
}

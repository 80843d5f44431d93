/** Numbers over the last seconds, drawn at every frame of the screen on one canvas. */
import type { Row } from "../protocol.ts";
import { make, visible } from "./dom.ts";
import { padded, type Range, ticks } from "./range.ts";
import { type LinePoints, LineRaster, PER_COLUMN, rgbOf } from "./raster.ts";
import type { Live } from "./store.ts";

/** Points of one field, oldest overwritten first: a minute at 60 a second, and more. */
const CAPACITY = 8192;
const WINDOWS_S = [5, 15, 60] as const;
const MARGIN = { left: 64, right: 12, top: 10, bottom: 22 } as const;
const LEGEND_EVERY_MS = 200;
const GOLDEN_ANGLE = 137.508;
/** Of a line, in pixels of CSS. */
const THICKNESS = 1.5;

class Series {
  readonly live: Live;
  readonly path: string;
  readonly hue: number;
  readonly #times = new Float64Array(CAPACITY);
  readonly #numbers = new Float64Array(CAPACITY);
  readonly #columns = new Columns();
  /** Pixels a millisecond, and how many points are in the columns. */
  #perMs = 0;
  #added = 0;
  #count = 0;

  constructor(live: Live, path: string, hue: number) {
    this.live = live;
    this.path = path;
    this.hue = hue;
  }

  get last(): number {
    return this.#count === 0 ? Number.NaN : this.#numbers[(this.#count - 1) % CAPACITY]!;
  }

  /** @param before when the old value was seen last: a value that stood still until then is drawn as a step */
  sample(at: number, before: number): void {
    const row = this.live.indexOf(this.path);
    const number = row === undefined ? Number.NaN : Number(this.live.values[row]);
    if (!Number.isFinite(number) || number === this.last) return;
    const lastAt = this.#count === 0 ? at : this.#times[(this.#count - 1) % CAPACITY]!;
    if (before > lastAt) this.#push(before, this.last);
    this.#push(at, number);
  }

  #push(at: number, number: number): void {
    this.#times[this.#count % CAPACITY] = at;
    this.#numbers[this.#count % CAPACITY] = number;
    this.#count++;
  }

  /** How many points there have been: a change has to be drawn. */
  get count(): number {
    return this.#count;
  }

  /**
   * The points of a window in columns of one pixel, from the last one before it. Of each column the first, the least, the most
   * and the last are kept: more cannot be seen. Columns stand still in time, so that a frame adds only what is new.
   */
  columns({ windowMs, now, width }: Window): Columns {
    const columns = this.#columns;
    const perMs = width / windowMs;
    if (this.#perMs !== perMs) {
      this.#perMs = perMs;
      columns.reset(width);
      this.#added = 0;
    }
    const oldest = Math.max(this.#added, this.#count - CAPACITY);
    for (let i = oldest; i < this.#count; i++)
      columns.add(Math.floor(this.#times[i % CAPACITY]! * perMs), this.#numbers[i % CAPACITY]!);
    this.#added = this.#count;
    columns.moveTo(Math.floor(now * perMs) - width);
    return columns;
  }
}

interface Window {
  readonly windowMs: number;
  readonly now: number;
  /** Pixels. */
  readonly width: number;
}

/** Points by columns of pixels, which are counted from the beginning of time. */
class Columns implements LinePoints {
  first = 0;
  end = 0;
  origin = 0;
  least = Number.POSITIVE_INFINITY;
  most = Number.NEGATIVE_INFINITY;
  places = new Int32Array(0);
  numbers = new Float64Array(0);

  /** For a window of so many pixels, without points. */
  reset(width: number): void {
    this.first = 0;
    this.end = 0;
    // Those of a window are moved to the front when the room is used up.
    this.places = new Int32Array(2 * width + 4);
    this.numbers = new Float64Array(PER_COLUMN * this.places.length);
  }

  add(place: number, number: number): void {
    const { numbers, places, end } = this;
    // The server's clock was found to go a little earlier.
    if (end === this.first || place > places[end - 1]!) {
      if (end === places.length) this.#makeRoom();
      places[this.end] = place;
      numbers.fill(number, PER_COLUMN * this.end, PER_COLUMN * ++this.end);
      return;
    }
    const at = PER_COLUMN * (end - 1);
    if (number < numbers[at + 1]!) numbers[at + 1] = number;
    if (number > numbers[at + 2]!) numbers[at + 2] = number;
    numbers[at + 3] = number;
  }

  /** Half of it lies before every window that there will be. */
  #makeRoom(): void {
    const kept = this.places.length >> 1;
    const from = Math.max(this.first, this.end - kept);
    this.places.copyWithin(0, from, this.end);
    this.numbers.copyWithin(0, PER_COLUMN * from, PER_COLUMN * this.end);
    this.end -= from;
    this.first = 0;
  }

  /** The window begins there. */
  moveTo(origin: number): void {
    this.origin = origin;
    while (this.first + 1 < this.end && this.places[this.first + 1]! <= origin) this.first++;
    this.least = Number.POSITIVE_INFINITY;
    this.most = Number.NEGATIVE_INFINITY;
    for (let at = PER_COLUMN * this.first; at < PER_COLUMN * this.end; at += PER_COLUMN) {
      if (this.numbers[at + 1]! < this.least) this.least = this.numbers[at + 1]!;
      if (this.numbers[at + 2]! > this.most) this.most = this.numbers[at + 2]!;
    }
  }
}

export class Plot {
  readonly element: HTMLElement;
  readonly #canvas = make("canvas");
  /** In memory that the page writes to: no graphics processor draws there. */
  readonly #context = this.#canvas.getContext("2d", { alpha: false, willReadFrequently: true })!;
  #picture: Picture | undefined;
  readonly #legend = make("div", { class: "legend" });
  readonly #rate = make("span", { class: "dim" });
  readonly #onchange: () => void;
  #series: Series[] = [];
  #made = 0;
  #windowS: number = WINDOWS_S[1];
  #hasOwnScales = false;
  #isRunning = false;
  #frames = 0;
  #legendAt = 0;
  /** What was drawn last. */
  #drawn = "";

  constructor(onchange: () => void) {
    this.#onchange = onchange;
    const windows = WINDOWS_S.map((seconds) =>
      make("button", { text: `${seconds} s`, onclick: () => this.#setWindow(seconds) }),
    );
    const own = make("button", { text: "Own scales", title: "each field fills the height" });
    own.addEventListener("click", () => {
      this.#hasOwnScales = own.classList.toggle("on");
    });
    const clear = make("button", { text: "Clear", onclick: () => this.#remove(() => true) });
    const bar = make("div", { class: "bar", children: [...windows, own, clear, this.#rate] });
    const body = make("div", { class: "plot-body", children: [this.#canvas, this.#legend] });
    this.element = make("section", { class: "plot", children: [bar, body] });
    this.element.hidden = true;
    this.element.setAttribute("aria-label", "plot");
    this.#setWindow(this.#windowS);
  }

  /** Segments that have plotted fields. */
  get paths(): string[] {
    return [...new Set(this.#series.map(({ live }) => live.path))];
  }

  has(segment: string, path: string): boolean {
    return this.#series.some((series) => series.live.path === segment && series.path === path);
  }

  toggle(live: Live, { path }: Row): void {
    if (this.has(live.path, path))
      this.#remove((series) => series.live.path === live.path && series.path === path);
    else {
      const series = new Series(live, path, (210 + GOLDEN_ANGLE * this.#made++) % 360);
      series.sample(live.lookedAt, 0);
      this.#series.push(series);
      this.#changed();
    }
  }

  /** Values of a segment have come. */
  sample(live: Live): void {
    for (const series of this.#series)
      if (series.live === live) series.sample(live.lookedAt, live.lookedBefore);
  }

  #remove(isGone: (series: Series) => boolean): void {
    this.#series = this.#series.filter((series) => !isGone(series));
    this.#changed();
  }

  #changed(): void {
    this.element.hidden = this.#series.length === 0;
    this.#legend.replaceChildren(...this.#series.map((series) => this.#legendLine(series)));
    this.#onchange();
    if (this.#series.length > 0 && !this.#isRunning) {
      this.#isRunning = true;
      requestAnimationFrame(() => this.#frame());
    }
  }

  #legendLine(series: Series): HTMLElement {
    const swatch = make("i");
    swatch.style.background = colorOf(series.hue, isDark() ? LIGHTNESS.dark : LIGHTNESS.light);
    const name = make("span", {
      class: "name",
      text: visible(series.path),
      title: visible(`${series.live.path} ${series.path}`),
    });
    const remove = make("button", {
      text: "×",
      title: "remove",
      onclick: () => this.#remove((other) => other === series),
    });
    return make("div", { children: [swatch, name, make("span", { class: "value" }), remove] });
  }

  #setWindow(seconds: number): void {
    this.#windowS = seconds;
    for (const button of this.element.querySelectorAll(".bar button"))
      if (button.textContent?.endsWith(" s"))
        button.classList.toggle("on", button.textContent === `${seconds} s`);
  }

  #frame(): void {
    if (this.#series.length === 0) {
      this.#isRunning = false;
      return;
    }
    this.#frames++;
    const now = performance.now();
    this.#draw(now);
    if (now - this.#legendAt > LEGEND_EVERY_MS) this.#writeLegend(now);
    requestAnimationFrame(() => this.#frame());
  }

  #writeLegend(now: number): void {
    const rate = (this.#frames * 1000) / (now - this.#legendAt);
    this.#rate.textContent = `${this.#series.length} ${this.#series.length === 1 ? "field" : "fields"}, ${Math.round(rate)} frames/s`;
    this.#frames = 0;
    this.#legendAt = now;
    for (const [i, line] of [...this.#legend.children].entries())
      line.querySelector(".value")!.textContent = numberText(this.#series[i]!.last);
  }

  /** Nothing has come, and the window has not moved by a pixel. */
  #isDrawn(now: number): boolean {
    const { clientWidth: width, clientHeight: height } = this.#canvas;
    const points = this.#series.reduce((sum, { count }) => sum + count, 0);
    const shift = Math.floor((now * this.#width) / (this.#windowS * 1000));
    const state = [points, shift, width, height, this.#series.length, this.#hasOwnScales, isDark()].join();
    if (state === this.#drawn) return true;
    this.#drawn = state;
    return false;
  }

  /** Pixels of the window. */
  get #width(): number {
    return Math.max(
      1,
      Math.round((this.#canvas.clientWidth - MARGIN.left - MARGIN.right) * devicePixelRatio),
    );
  }

  #draw(now: number): void {
    if (this.#isDrawn(now)) return;
    const { clientWidth, clientHeight } = this.#canvas;
    const scale = devicePixelRatio;
    const width = this.#width;
    const window = { windowMs: this.#windowS * 1000, now, width };
    const lines = this.#series.map((series) => series.columns(window));
    const common: Range = padded({
      least: Math.min(...lines.map(({ least }) => least)),
      most: Math.max(...lines.map(({ most }) => most)),
    });
    const range = this.#hasOwnScales ? undefined : common;
    const { raster, image } = this.#background({ width: clientWidth, height: clientHeight, range });
    raster.clear();
    const height = (clientHeight - MARGIN.top - MARGIN.bottom) * scale;
    const lightness = isDark() ? LIGHTNESS.dark : LIGHTNESS.light;
    for (const [i, columns] of lines.entries()) {
      const { least, most } = range ?? padded(columns);
      const perUnit = height / (most - least);
      raster.draw(columns, {
        left: Math.round(MARGIN.left * scale),
        width,
        zeroY: MARGIN.top * scale + height + least * perUnit,
        perUnit,
        color: rgbOf(this.#series[i]!.hue, lightness),
        thickness: THICKNESS * scale,
      });
    }
    this.#context.putImageData(image, 0, 0);
  }

  /** Grid and numbers, drawn again only when they have changed. */
  #background(grid: Grid): Picture {
    const { width, height, range } = grid;
    const state = [
      width,
      height,
      range?.least,
      range?.most,
      this.#windowS,
      isDark(),
      devicePixelRatio,
    ].join();
    if (this.#picture?.state === state) return this.#picture;
    const [canvas, context] = [this.#canvas, this.#context];
    canvas.width = Math.max(1, Math.round(width * devicePixelRatio));
    canvas.height = Math.max(1, Math.round(height * devicePixelRatio));
    context.setTransform(devicePixelRatio, 0, 0, devicePixelRatio, 0, 0);
    context.fillStyle = getComputedStyle(this.element).getPropertyValue("--back");
    context.fillRect(0, 0, width, height);
    this.#drawGrid(context, grid);
    const image = context.createImageData(canvas.width, canvas.height);
    const raster = new LineRaster(context.getImageData(0, 0, canvas.width, canvas.height), image);
    this.#picture = { state, raster, image };
    return this.#picture;
  }

  #drawGrid(context: CanvasRenderingContext2D, { width, height, range }: Grid): void {
    const style = getComputedStyle(this.element);
    context.strokeStyle = style.getPropertyValue("--line");
    context.fillStyle = style.getPropertyValue("--dim");
    context.font = "11px system-ui, sans-serif";
    context.lineWidth = 1;
    const bottom = height - MARGIN.bottom;
    const tall = bottom - MARGIN.top;
    context.beginPath();
    context.textAlign = "right";
    for (const number of range === undefined ? [] : ticks(range)) {
      const y = Math.round(bottom - ((number - range!.least) / (range!.most - range!.least)) * tall) + 0.5;
      line(context, MARGIN.left, y, width - MARGIN.right, y);
      context.fillText(numberText(number), MARGIN.left - 8, y + 4);
    }
    context.textAlign = "center";
    for (let i = 0; i <= 5; i++) {
      const x = Math.round(MARGIN.left + ((width - MARGIN.left - MARGIN.right) * i) / 5) + 0.5;
      line(context, x, MARGIN.top, x, bottom);
      context.fillText(
        i === 5 ? "now" : `−${(this.#windowS * (5 - i)) / 5} s`,
        Math.min(x, width - 18),
        height - 6,
      );
    }
    context.stroke();
  }
}

/** The plot without its lines, and where they are drawn. */
interface Picture {
  /** What the grid depends on. */
  readonly state: string;
  readonly raster: LineRaster;
  readonly image: ImageData;
}

interface Grid {
  readonly width: number;
  readonly height: number;
  /** Undefined where each field has its own. */
  readonly range: Range | undefined;
}

function line(context: CanvasRenderingContext2D, x: number, y: number, toX: number, toY: number): void {
  context.moveTo(x, y);
  context.lineTo(toX, toY);
}

const isDark = (): boolean => getComputedStyle(document.documentElement).colorScheme === "dark";

const LIGHTNESS = { dark: 65, light: 42 } as const;
const colorOf = (hue: number, lightness: number): string => `hsl(${hue} 75% ${lightness}%)`;

function numberText(number: number): string {
  if (Number.isNaN(number)) return "–";
  if (number !== 0 && (Math.abs(number) >= 1e7 || Math.abs(number) < 1e-4)) return number.toExponential(3);
  return String(Number(number.toPrecision(7)));
}

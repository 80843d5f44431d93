/** Numbers over the last seconds, drawn at every frame of the screen on one canvas. */
import type { Row } from "../protocol.ts";
import { make, visible } from "./dom.ts";
import type { Live } from "./store.ts";

/** Points of one field, oldest overwritten first: a minute at 60 a second, and more. */
const CAPACITY = 8192;
const WINDOWS_S = [5, 15, 60] as const;
const MARGIN = { left: 64, right: 12, top: 10, bottom: 22 } as const;
const LEGEND_EVERY_MS = 200;
const GOLDEN_ANGLE = 137.508;

interface Range {
  readonly least: number;
  readonly most: number;
}

class Series {
  readonly live: Live;
  readonly path: string;
  readonly hue: number;
  readonly #times = new Float64Array(CAPACITY);
  readonly #numbers = new Float64Array(CAPACITY);
  readonly #columns = new Columns();
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

  /** The oldest point that is kept and not before `start`. */
  #firstFrom(start: number): number {
    let low = Math.max(0, this.#count - CAPACITY);
    let high = this.#count;
    while (low < high) {
      const middle = (low + high) >>> 1;
      if (this.#times[middle % CAPACITY]! < start) low = middle + 1;
      else high = middle;
    }
    return low;
  }

  /**
   * The points of a window in columns of one pixel: from the last one before it to the last value, as it still is. Of each
   * column the first, the least, the most and the last are kept: more cannot be seen.
   */
  columns({ start, now, width }: Window): Columns {
    const columns = this.#columns;
    columns.reset(width);
    if (this.#count === 0) return columns;
    const scale = width / (now - start);
    const oldest = Math.max(0, this.#count - CAPACITY);
    for (let i = Math.max(oldest, this.#firstFrom(start) - 1); i < this.#count; i++) {
      const at = this.#times[i % CAPACITY]!;
      columns.add(at <= start ? 0 : Math.round((at - start) * scale), this.#numbers[i % CAPACITY]!);
    }
    columns.add(width, this.last);
    return columns;
  }
}

interface Window {
  readonly start: number;
  readonly now: number;
  /** Pixels. */
  readonly width: number;
}

const PER_COLUMN = 4;

/** Points by columns of pixels. */
class Columns {
  count = 0;
  least = Number.POSITIVE_INFINITY;
  most = Number.NEGATIVE_INFINITY;
  places = new Int32Array(0);
  /** First, least, most, last of each. */
  numbers = new Float64Array(0);

  reset(width: number): void {
    this.count = 0;
    this.least = Number.POSITIVE_INFINITY;
    this.most = Number.NEGATIVE_INFINITY;
    if (this.places.length > width) return;
    this.places = new Int32Array(width + 1);
    this.numbers = new Float64Array(PER_COLUMN * (width + 1));
  }

  add(place: number, number: number): void {
    const { numbers, places } = this;
    if (number < this.least) this.least = number;
    if (number > this.most) this.most = number;
    const at = PER_COLUMN * (this.count - 1);
    if (this.count === 0 || places[this.count - 1] !== place) {
      places[this.count] = place;
      numbers.fill(number, PER_COLUMN * this.count, PER_COLUMN * ++this.count);
      return;
    }
    if (number < numbers[at + 1]!) numbers[at + 1] = number;
    if (number > numbers[at + 2]!) numbers[at + 2] = number;
    numbers[at + 3] = number;
  }
}

export class Plot {
  readonly element: HTMLElement;
  readonly #canvas = make("canvas");
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
      series.sample(performance.now(), 0);
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
    const shift = Math.floor((now * width) / (this.#windowS * 1000));
    const state = [points, shift, width, height, this.#series.length, this.#hasOwnScales, isDark()].join();
    if (state === this.#drawn) return true;
    this.#drawn = state;
    return false;
  }

  #draw(now: number): void {
    if (this.#isDrawn(now)) return;
    const { clientWidth, clientHeight } = this.#canvas;
    const context = this.#context(clientWidth, clientHeight);
    const width = Math.max(1, clientWidth - MARGIN.left - MARGIN.right);
    const window = { start: now - this.#windowS * 1000, now, width };
    const lines = this.#series.map((series) => series.columns(window));
    const common: Range = padded({
      least: Math.min(...lines.map(({ least }) => least)),
      most: Math.max(...lines.map(({ most }) => most)),
    });
    const range = this.#hasOwnScales ? undefined : common;
    this.#drawGrid(context, { width: clientWidth, height: clientHeight, range });
    const lightness = isDark() ? LIGHTNESS.dark : LIGHTNESS.light;
    for (const [i, columns] of lines.entries()) {
      context.strokeStyle = colorOf(this.#series[i]!.hue, lightness);
      drawLine(context, columns, range ?? padded(columns), clientHeight - MARGIN.top - MARGIN.bottom);
    }
  }

  #context(width: number, height: number): CanvasRenderingContext2D {
    const scale = devicePixelRatio;
    const context = this.#canvas.getContext("2d")!;
    if (
      this.#canvas.width !== Math.round(width * scale) ||
      this.#canvas.height !== Math.round(height * scale)
    ) {
      this.#canvas.width = Math.round(width * scale);
      this.#canvas.height = Math.round(height * scale);
    }
    context.setTransform(scale, 0, 0, scale, 0, 0);
    context.clearRect(0, 0, width, height);
    return context;
  }

  #drawGrid(
    context: CanvasRenderingContext2D,
    { width, height, range }: { width: number; height: number; range: Range | undefined },
  ): void {
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
    context.lineWidth = 1.5;
  }
}

function line(context: CanvasRenderingContext2D, x: number, y: number, toX: number, toY: number): void {
  context.moveTo(x, y);
  context.lineTo(toX, toY);
}

function drawLine(
  context: CanvasRenderingContext2D,
  { count, places, numbers }: Columns,
  { least, most }: Range,
  height: number,
): void {
  const scale = height / (most - least);
  const bottom = MARGIN.top + height + least * scale;
  context.beginPath();
  for (let i = 0; i < count; i++) {
    const x = MARGIN.left + places[i]!;
    const at = PER_COLUMN * i;
    context.lineTo(x, bottom - numbers[at]! * scale);
    if (numbers[at + 1] === numbers[at + 2]) continue;
    for (let k = 1; k < PER_COLUMN; k++) context.lineTo(x, bottom - numbers[at + k]! * scale);
  }
  context.stroke();
}

const isDark = (): boolean => getComputedStyle(document.documentElement).colorScheme === "dark";

const LIGHTNESS = { dark: 65, light: 42 } as const;
const colorOf = (hue: number, lightness: number): string => `hsl(${hue} 75% ${lightness}%)`;

/** With space above and below, also around a single value. */
function padded({ least, most }: Range): Range {
  if (!Number.isFinite(least)) return { least: 0, most: 1 };
  const space = (most - least) * 0.06 || Math.abs(most) * 0.1 || 1;
  return { least: least - space, most: most + space };
}

/** Round numbers in a range. */
function ticks({ least, most }: Range): number[] {
  const rough = (most - least) / 5;
  const power = 10 ** Math.floor(Math.log10(rough));
  const step = [1, 2, 5, 10].map((factor) => factor * power).find((candidate) => candidate >= rough)!;
  const found: number[] = [];
  for (let i = Math.ceil(least / step); i * step <= most; i++) found.push(i * step);
  return found.slice(0, 20);
}

function numberText(number: number): string {
  if (Number.isNaN(number)) return "–";
  if (number !== 0 && (Math.abs(number) >= 1e7 || Math.abs(number) < 1e-4)) return number.toExponential(3);
  return String(Number(number.toPrecision(7)));
}

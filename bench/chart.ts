/** Charts as SVG, drawn by hand: two logarithmic axes, lines, and a key. */

export interface Line {
  readonly name: string;
  readonly points: readonly (readonly [x: number, y: number])[];
}

export interface Chart {
  readonly title: string;
  readonly xTitle: string;
  readonly yTitle: string;
  readonly x: (value: number) => string;
  readonly y: (value: number) => string;
  readonly lines: readonly Line[];
}

const WIDTH = 420;
const HEIGHT = 280;
const MARGIN = { left: 62, right: 14, top: 34, bottom: 66 } as const;
const COLOURS = ["#0b6e99", "#c2410c", "#15803d", "#7e22ce"];

/** Maps powers of ten evenly onto a stretch of pixels. */
class LogScale {
  readonly #low: number;
  readonly #high: number;

  constructor(
    values: readonly number[],
    readonly from: number,
    readonly to: number,
  ) {
    this.#low = Math.floor(Math.log10(Math.min(...values)));
    this.#high = Math.max(this.#low + 1, Math.ceil(Math.log10(Math.max(...values))));
  }

  at(value: number): number {
    const part = (Math.log10(value) - this.#low) / (this.#high - this.#low);
    return Math.round((this.from + part * (this.to - this.from)) * 10) / 10;
  }

  /** Powers of ten, not more than nine of them. */
  get ticks(): number[] {
    const step = Math.ceil((this.#high - this.#low) / 8);
    const count = Math.floor((this.#high - this.#low) / step) + 1;
    return Array.from({ length: count }, (_, i) => 10 ** (this.#low + i * step));
  }
}

const escaped = (text: string): string => text.replaceAll("&", "&amp;").replaceAll("<", "&lt;");

const text = (x: number, y: number, content: string, more = ""): string =>
  `<text x="${x}" y="${y}" ${more}>${escaped(content)}</text>`;

function panel(chart: Chart): string {
  const all = chart.lines.flatMap(({ points }) => points);
  const bottom = HEIGHT - MARGIN.bottom;
  const x = new LogScale(
    all.map(([value]) => value),
    MARGIN.left,
    WIDTH - MARGIN.right,
  );
  const y = new LogScale(
    all.map(([, value]) => value),
    bottom,
    MARGIN.top,
  );
  const grid = [
    ...x.ticks.map(
      (t) =>
        `<path d="M${x.at(t)} ${MARGIN.top}V${bottom}" class="grid"/>${text(x.at(t), bottom + 14, chart.x(t), 'text-anchor="middle"')}`,
    ),
    ...y.ticks.map(
      (t) =>
        `<path d="M${MARGIN.left} ${y.at(t)}H${WIDTH - MARGIN.right}" class="grid"/>${text(MARGIN.left - 6, y.at(t) + 4, chart.y(t), 'text-anchor="end"')}`,
    ),
  ];
  const lines = chart.lines.map(({ name, points }, i) => {
    const colour = COLOURS[i % COLOURS.length];
    const dots = points.map(
      ([px, py]) => `<circle cx="${x.at(px)}" cy="${y.at(py)}" r="2.5" fill="${colour}"/>`,
    );
    const path = points.map(([px, py]) => `${x.at(px)} ${y.at(py)}`).join("L");
    const key = MARGIN.left + i * 118;
    return `<path d="M${path}" fill="none" stroke="${colour}" stroke-width="1.5"/>${dots.join("")}<path d="M${key} ${HEIGHT - 12}h14" stroke="${colour}" stroke-width="2"/>${text(key + 18, HEIGHT - 8, name)}`;
  });
  const titles = [
    text(MARGIN.left, 18, chart.title, 'font-weight="bold"'),
    text((MARGIN.left + WIDTH) / 2, HEIGHT - 32, chart.xTitle, 'text-anchor="middle"'),
    text(
      0,
      0,
      chart.yTitle,
      `text-anchor="middle" transform="translate(12 ${(MARGIN.top + bottom) / 2}) rotate(-90)"`,
    ),
  ];
  return [...grid, ...lines, ...titles].join("\n");
}

/** The charts, two in a row. */
export function drawCharts(charts: readonly Chart[]): string {
  const rows = Math.ceil(charts.length / 2);
  const panels = charts.map(
    (chart, i) =>
      `<g transform="translate(${(i % 2) * WIDTH} ${Math.floor(i / 2) * HEIGHT})">\n${panel(chart)}\n</g>`,
  );
  return `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${WIDTH * 2} ${HEIGHT * rows}" width="${WIDTH * 2}" font-family="sans-serif" font-size="11" fill="#24292f">
<style>.grid { stroke: #d0d7de; stroke-width: 0.5; }</style>
<rect width="100%" height="100%" fill="white"/>
${panels.join("\n")}
</svg>
`;
}

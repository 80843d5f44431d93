/** Which numbers a plot shows. */
export interface Range {
  readonly least: number;
  readonly most: number;
}

/** With space above and below, also around a single value, and in steps, so that it stands still while the values only tremble. */
export function padded({ least, most }: Range): Range {
  if (!Number.isFinite(least)) return { least: 0, most: 1 };
  const space = (most - least) * 0.06 || Math.abs(most) * 0.1 || 1;
  const step = 10 ** Math.floor(Math.log10(most - least + 2 * space)) / 20;
  return {
    least: Math.floor((least - space) / step) * step,
    most: Math.ceil((most + space) / step) * step,
  };
}

/** Numbers beside the grid. */
const MAX_TICKS = 20;

/** Round numbers in a range. */
export function ticks({ least, most }: Range): number[] {
  const rough = (most - least) / 5;
  const power = 10 ** Math.floor(Math.log10(rough));
  const step = [1, 2, 5, 10].map((factor) => factor * power).find((candidate) => candidate >= rough)!;
  const found: number[] = [];
  // From 2^53 steps on to add one is to add nothing.
  for (let i = Math.ceil(least / step); i * step <= most && found.length < MAX_TICKS; i++)
    found.push(i * step);
  return found;
}

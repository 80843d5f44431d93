/**
 * Lines drawn pixel by pixel over a picture that stays. A path that a canvas strokes costs the browser, without a graphics
 * processor, some ten times as much for the many short pieces of a plot.
 */

/** Points by columns of pixels, from left to right; the last number goes on to the end. */
export interface LinePoints {
  /** The columns that are drawn; the first may lie before the picture. */
  readonly first: number;
  readonly end: number;
  /** The place that is at the left edge. */
  readonly origin: number;
  /** Of each column. */
  readonly places: Int32Array;
  /** First, least, most and last of each column. */
  readonly numbers: Float64Array;
}

export const PER_COLUMN = 4;

/** Where a line goes in a picture, in its pixels. */
export interface LinePlace {
  readonly left: number;
  readonly width: number;
  /** Of the number 0, and of a number more. */
  readonly zeroY: number;
  readonly perUnit: number;
  readonly color: Rgb;
  readonly thickness: number;
}

export type Rgb = readonly [red: number, green: number, blue: number];

/** An ImageData of a canvas. */
export interface Picture {
  readonly width: number;
  readonly height: number;
  readonly data: { readonly buffer: ArrayBufferLike };
}

const OPAQUE = 0xff000000 | 0;
const RED_AND_BLUE = 0xff00ff;
const GREEN = 0x00ff00;
/** The parts of a pixel that are told apart. */
const PARTS = 256;

export class LineRaster {
  readonly #width: number;
  readonly #height: number;
  /** Whole pixels: the bytes of each are red, green, blue and alpha, on every machine with a browser of today. */
  readonly #pixels: Int32Array;
  readonly #background: Int32Array;
  /** How high the line goes in each column, and how low. */
  readonly #tops: Float64Array;
  readonly #bottoms: Float64Array;
  /** The colour of the line as a pixel. */
  #color = 0;

  /** @param background opaque @param image of the same size, which is drawn into */
  constructor(background: Picture, image: Picture) {
    this.#width = background.width;
    this.#height = background.height;
    this.#background = new Int32Array(background.data.buffer);
    this.#pixels = new Int32Array(image.data.buffer);
    this.#tops = new Float64Array(this.#width + 1);
    this.#bottoms = new Float64Array(this.#width + 1);
  }

  /** Only the background is left. */
  clear(): void {
    this.#pixels.set(this.#background);
  }

  draw(points: LinePoints, place: LinePlace): void {
    if (points.first === points.end) return;
    const [red, green, blue] = place.color;
    this.#color = OPAQUE | (blue << 16) | (green << 8) | red;
    this.#trace(points, place);
    const half = place.thickness / 2;
    const from = Math.max(points.places[points.first]! - points.origin, 0);
    const to = Math.min(place.width, this.#width - 1 - place.left);
    for (let x = from; x <= to; x++)
      this.#column(place.left + x, this.#tops[x]! - half, this.#bottoms[x]! + half);
  }

  /** The highest and the lowest place of the line in each column. */
  #trace({ first, end, origin, places, numbers }: LinePoints, { width, zeroY, perUnit }: LinePlace): void {
    this.#tops.fill(Number.POSITIVE_INFINITY);
    this.#bottoms.fill(Number.NEGATIVE_INFINITY);
    let lastX = places[first]! - origin;
    let lastY = zeroY - numbers[PER_COLUMN * first]! * perUnit;
    for (let i = first, at = PER_COLUMN * first; i < end; i++, at += PER_COLUMN) {
      const x = places[i]! - origin;
      this.#piece(lastX, lastY, x, zeroY - numbers[at]! * perUnit);
      if (x >= 0) this.#widen(x, zeroY - numbers[at + 2]! * perUnit, zeroY - numbers[at + 1]! * perUnit);
      lastX = x;
      lastY = zeroY - numbers[at + 3]! * perUnit;
    }
    this.#piece(lastX, lastY, width, lastY);
  }

  /** A straight line from the middle of a column to the middle of another. */
  #piece(fromX: number, fromY: number, toX: number, toY: number): void {
    if (fromX >= toX || toX < 0) return;
    const slope = (toY - fromY) / (toX - fromX);
    const start = Math.max(fromX, 0);
    // The first column has the half of it that is behind its middle.
    let y = fromX < 0 ? fromY - slope * (fromX + 0.5) : fromY;
    let next = fromY + slope * (start - fromX + 0.5);
    for (let x = start; x < toX; x++) {
      if (slope < 0) this.#widen(x, next, y);
      else this.#widen(x, y, next);
      y = next;
      next += slope;
    }
    this.#widen(toX, Math.min(y, toY), Math.max(y, toY));
  }

  #widen(x: number, top: number, bottom: number): void {
    if (top < this.#tops[x]!) this.#tops[x] = top;
    if (bottom > this.#bottoms[x]!) this.#bottoms[x] = bottom;
  }

  /** Pixels that are covered in part are mixed. */
  #column(x: number, top: number, bottom: number): void {
    if (!(bottom > 0 && top < this.#height)) return;
    const from = Math.floor(top);
    const to = Math.floor(bottom);
    if (from === to) {
      this.#mix(x, from, bottom - top);
      return;
    }
    this.#mix(x, from, from + 1 - top);
    const width = this.#width;
    const end = Math.min(to, this.#height) * width + x;
    for (let at = Math.max(0, from + 1) * width + x; at < end; at += width) this.#pixels[at] = this.#color;
    this.#mix(x, to, bottom - to);
  }

  #mix(x: number, y: number, part: number): void {
    if (y < 0 || y >= this.#height) return;
    const at = y * this.#width + x;
    const old = this.#pixels[at]!;
    const color = this.#color;
    const own = (part * PARTS) | 0;
    const rest = PARTS - own;
    // Red and blue at once: between them there is room for what the product is larger.
    const redAndBlue = (Math.imul(old & RED_AND_BLUE, rest) + Math.imul(color & RED_AND_BLUE, own)) >>> 8;
    const green = (Math.imul(old & GREEN, rest) + Math.imul(color & GREEN, own)) >>> 8;
    this.#pixels[at] = OPAQUE | (redAndBlue & RED_AND_BLUE) | (green & GREEN);
  }
}

/** A colour of hsl() with a saturation of 75 %. @param hue degrees @param lightness percent */
export function rgbOf(hue: number, lightness: number): Rgb {
  const light = lightness / 100;
  const amplitude = 0.75 * Math.min(light, 1 - light);
  const channel = (offset: number): number => {
    const k = (offset + hue / 30) % 12;
    return Math.round(255 * (light - amplitude * Math.max(-1, Math.min(k - 3, 9 - k, 1))));
  };
  return [channel(0), channel(8), channel(4)];
}

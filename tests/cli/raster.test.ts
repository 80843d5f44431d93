/** The lines of the page's plots, pixel by pixel. */
import { expect, test } from "bun:test";
import { padded, ticks } from "../../src/cli/page/client/range.ts";
import { LineRaster, PER_COLUMN, rgbOf } from "../../src/cli/page/client/raster.ts";

const WIDTH = 8;
const HEIGHT = 6;

/** How much of each pixel is the line's, in hexadecimal digits, `#` for all: black on white. */
function drawn(points: readonly (readonly [place: number, ...numbers: number[]])[], width = WIDTH): string[] {
  const picture = () => ({
    width: WIDTH,
    height: HEIGHT,
    data: new Uint8Array(4 * WIDTH * HEIGHT).fill(255),
  });
  const image = picture();
  const raster = new LineRaster(picture(), image);
  raster.clear();
  const numbers = new Float64Array(PER_COLUMN * points.length);
  for (const [i, [, first = 0, least = first, most = first, last = first]] of points.entries())
    numbers.set([first, least, most, last], PER_COLUMN * i);
  const places = Int32Array.from(points, ([place]) => place);
  raster.draw(
    { first: 0, end: points.length, origin: 0, places, numbers },
    { left: 0, width, zeroY: HEIGHT, perUnit: 1, color: [0, 0, 0], thickness: 1 },
  );
  const reds = Array.from({ length: WIDTH * HEIGHT }, (_, i) => 255 - image.data[4 * i]!);
  return Array.from({ length: HEIGHT }, (_, y) =>
    reds
      .slice(y * WIDTH, (y + 1) * WIDTH)
      .map((red) => (red >= 254 ? "#" : red < 2 ? "." : (red >> 4).toString(16)))
      .join(""),
  );
}

test("a level line fills its row, from its first point to the end of the window", () => {
  expect(drawn([[2, 2.5]], 6)).toEqual([
    "........",
    "........",
    "........",
    "..#####.",
    "........",
    "........",
  ]);
});

test("a line between two rows is half in each", () => {
  const rows = drawn([[0, 3]]);
  expect([rows[2], rows[3]]).toEqual(["88888888", "88888888"]);
});

test("a step up and down is a column, with all that lies between", () => {
  const rows = drawn([
    [0, 0.5],
    [4, 0.5, 0.5, 5.5, 0.5],
  ]);
  expect(rows.map((row) => row[4])).toEqual(["#", "#", "#", "#", "#", "#"]);
  expect(rows.map((row) => row[3])).toEqual([".", ".", ".", ".", ".", "#"]);
});

test("a slope has no hole, and what lies outside is left out", () => {
  const rows = drawn([
    [-100, -94.5],
    [100, 105.5],
  ]);
  expect([rows[0]?.[0], rows[1]?.[0], rows[0]?.[2]]).toEqual(["#", "8", "."]);
  const steep = drawn([
    [0, -1000],
    [7, 1000],
  ]);
  expect(steep.join("").match(/#/g)!.length).toBeGreaterThanOrEqual(HEIGHT);
  expect(drawn([])).toEqual(Array.from({ length: HEIGHT }, () => "........"));
});

test("colours are those of CSS", () => {
  expect([rgbOf(0, 50), rgbOf(120, 50), rgbOf(240, 50)]).toEqual([
    [223, 32, 32],
    [32, 223, 32],
    [32, 32, 223],
  ]);
});

test("numbers beside the grid are round, and few also where they are too large to count on by steps", () => {
  expect(ticks({ least: 0.3, most: 11 })).toEqual([5, 10]);
  expect(ticks(padded({ least: 2 ** 60, most: 2 ** 60 + 256 })).length).toBeLessThanOrEqual(20);
});

/** Documents that can be checked by themselves: everything in them follows from their number. */

export interface Numbered {
  n: number;
  items: { i: number; value: number }[];
  text: string;
}

const letters = ["a", "ß", "漢", "😀"];

/** Document `n`; sizes jump between 30 bytes and some 5 KB. */
export function documentOf(n: number): Numbered {
  const items = Array.from({ length: (n * 7) % 40 }, (_, i) => ({ i, value: n * i }));
  return { n, items, text: letters[n % 4]!.repeat((n * 7919) % 1000) };
}

/** Whether `document` is one that was written, and all of it. */
export const isWhole = (document: Numbered): boolean =>
  JSON.stringify(document) === JSON.stringify(documentOf(document.n));

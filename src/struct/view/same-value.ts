/** When two plain values are the same: what `equals` compares. */

const isPlain = (value: unknown): value is Record<string, unknown> =>
  typeof value === "object" && value !== null && Object.getPrototypeOf(value) === Object.prototype;

/** 0 equals -0, and NaN equals NaN. */
export function isSame(a: unknown, b: unknown): boolean {
  if (a === b || (Number.isNaN(a) && Number.isNaN(b))) return true;
  if (typeof a !== "object" || typeof b !== "object" || a === null || b === null) return false;
  if (Array.isArray(a) && Array.isArray(b)) return isSameList(a, b);
  return isPlain(a) && isPlain(b) ? hasSameMembers(a, b) : isSameObject(a, b);
}

function isSameList(a: ArrayLike<unknown>, b: ArrayLike<unknown>): boolean {
  if (a.length !== b.length) return false;
  for (let i = 0; i < a.length; i++) if (!isSame(a[i], b[i])) return false;
  return true;
}

function hasSameMembers(a: object, b: object): boolean {
  const names = Object.keys(a);
  if (names.length !== Object.keys(b).length) return false;
  return names.every((name) => Object.hasOwn(b, name) && isSame(a[name as never], b[name as never]));
}

/** Of what another author's type made: objects of one class with the same content. */
function isSameObject(a: object, b: object): boolean {
  if (Object.getPrototypeOf(a) !== Object.getPrototypeOf(b)) return false;
  if (a instanceof DataView) return isSame(bytesOf(a), bytesOf(b as DataView));
  if (ArrayBuffer.isView(a)) return isSameList(a as Uint8Array, b as Uint8Array);
  if (a instanceof ArrayBuffer) return isSame(new Uint8Array(a), new Uint8Array(b as ArrayBuffer));
  if (a instanceof Map || a instanceof Set) return isSame([...a], [...(b as Map<unknown, unknown>)]);
  // A Date is its time, a URL its text; of most objects this is the object itself, and says nothing.
  const [left, right] = [a.valueOf(), b.valueOf()];
  const isWrapped = left !== a && right !== b;
  return (isWrapped ? isSame(left, right) : String(a) === String(b)) && hasSameMembers(a, b);
}

const bytesOf = (view: DataView): Uint8Array => new Uint8Array(view.buffer, view.byteOffset, view.byteLength);

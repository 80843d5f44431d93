/** Enums in generated code: stored and read as their integers, and checked without a call. */
import { type ConvertedType, isScalar, type ScalarType } from "../declare/types.ts";

type MaybeEnum = Partial<ConvertedType<unknown>>;

/** The built-in integer that an `enumOf` is stored as; undefined for any other type. */
export function integerOfEnum(type: object): ScalarType<number | bigint, unknown> | undefined {
  const { labels, storedAs, base } = type as MaybeEnum & { readonly storedAs?: string };
  const isEnum = labels !== undefined && storedAs === "integer" && base !== undefined;
  return isEnum && isScalar(base) ? (base as ScalarType<number | bigint, unknown>) : undefined;
}

/**
 * An expression that is true for a value `v` that the enum does not have.
 * @param fits whether a value can be stored at all
 * @param constant gives a value a name in the source
 */
export function enumRefuses(
  { labels }: MaybeEnum,
  fits: (value: unknown) => boolean,
  constant: (values: ReadonlySet<unknown>) => string,
): string {
  const values = [...(labels?.keys() ?? [])].filter(fits);
  const range = rangeOf(values);
  if (range === undefined) return `!${constant(new Set(values))}.has(v)`;
  const [least, most] = range;
  return `typeof v !== "number" || (v | 0) !== v || v < ${least} || v > ${most}`;
}

/** The first and the last of values without a gap, as most enums have them. */
function rangeOf(values: readonly unknown[]): readonly [number, number] | undefined {
  if (values.length === 0 || !values.every((value) => typeof value === "number" && (value | 0) === value))
    return undefined;
  const numbers = values as readonly number[];
  // There may be too many for arguments of a call.
  const least = numbers.reduce((a, b) => Math.min(a, b));
  const most = numbers.reduce((a, b) => Math.max(a, b));
  return most - least === numbers.length - 1 ? [least, most] : undefined;
}

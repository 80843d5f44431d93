/** The JSON of a schema: looked at before it is parsed, as a few bytes of it can cost many times as much memory. */
import { StructDefinitionError } from "../../errors/errors.ts";
import { limitsInFile, MAX_DEPTH, type SchemaLimits } from "../declare/limits.ts";

/** Levels of JSON that one level of structs or arrays takes: `{ fields: { x: { type: { struct: …`. */
const LEVELS_A_STRUCT = 4;
const MAX_LEVELS = LEVELS_A_STRUCT * (MAX_DEPTH + 2);
/** Values that a member takes: its name, its object, type, offset, size, bits … */
const VALUES_A_MEMBER = 16;

const [QUOTE, BACKSLASH, COMMA, OPEN_ARRAY, CLOSE_ARRAY, OPEN_OBJECT, CLOSE_OBJECT] = [
  34, 92, 44, 91, 93, 123, 125,
];

/**
 * What JSON in private memory says.
 * @throws StructDefinitionError for more than the limits allow; SyntaxError for what is no JSON
 */
export function parseSchemaJson(bytes: Uint8Array, limits?: SchemaLimits): unknown {
  const { bytes: maxBytes, members, labels } = limitsInFile(limits);
  if (bytes.length > maxBytes) throw tooMuch(`${bytes.length} bytes of JSON`, `bytes: ${bytes.length}`);
  const { levels, values } = measure(bytes);
  if (levels > MAX_LEVELS) throw tooMuch(`JSON of ${levels} levels, at most ${MAX_LEVELS} are possible`);
  const maxValues = VALUES_A_MEMBER * members + 2 * labels;
  if (values > maxValues)
    throw tooMuch(`JSON of ${values} values`, `members: ${Math.ceil(values / VALUES_A_MEMBER)}`);
  return JSON.parse(new TextDecoder().decode(bytes));
}

const tooMuch = (what: string, option?: string): StructDefinitionError =>
  new StructDefinitionError(
    `the schema has ${what}${option === undefined ? "" : `; the option { limits: { ${option} } } accepts it`}`,
  );

/** How deep it is nested, and how many values it has, at most. */
function measure(bytes: Uint8Array): { levels: number; values: number } {
  let [level, levels, values] = [0, 0, 1];
  for (let i = 0; i < bytes.length; i++) {
    const byte = bytes[i];
    if (byte === QUOTE) i = endOfString(bytes, i);
    else if (byte === COMMA) values++;
    else if (byte === OPEN_ARRAY || byte === OPEN_OBJECT) {
      values++;
      levels = Math.max(levels, ++level);
    } else if (byte === CLOSE_ARRAY || byte === CLOSE_OBJECT) level--;
  }
  return { levels, values };
}

/** Where the closing quotation mark is. */
function endOfString(bytes: Uint8Array, start: number): number {
  let i = start + 1;
  while (i < bytes.length && bytes[i] !== QUOTE) i += bytes[i] === BACKSLASH ? 2 : 1;
  return i;
}

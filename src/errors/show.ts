/** Values in messages. */

const HUGE = 10n ** 59n;

/** Short and safe text for any value, for messages. */
export function show(value: unknown): string {
  switch (typeof value) {
    case "string":
      return value.length > 60
        ? `${JSON.stringify(value.slice(0, 60))}… (${value.length} characters)`
        : JSON.stringify(value);
    case "bigint":
      return value > HUGE || value < -HUGE ? "a huge bigint" : `${value}n`;
    case "function":
      return `function ${value.name}`;
    case "object":
      return value === null
        ? "null"
        : `${Array.isArray(value) ? `an array of ${value.length}` : objectName(value)}`;
    default:
      return Object.is(value, -0) ? "-0" : String(value);
  }
}

function objectName(value: object): string {
  const name: unknown = Object.getPrototypeOf(value)?.constructor?.name;
  if (typeof name !== "string" || name === "" || name === "Object") return "an object";
  return `${SPOKEN_WITH_AN.test(name) ? "an" : "a"} ${name}`;
}

/** Words that begin with a vowel, and single letters whose names do. */
const SPOKEN_WITH_AN = /^([AEIOaeio]|[AEFHILMNORSXaefhilmnorsx]$)/;

/** Options come from JavaScript, JSON and environment variables too: a misspelt or mistyped one is never ignored. */
import { show } from "./show.ts";

type Kind = "string" | "number" | "boolean" | "function" | "object" | "any";

/**
 * Checks an options object before anything is done with it; ranges are left to those who use the values.
 * @param where what the message begins with, e.g. `"new Manager"`
 * @param known the options there are, and the `typeof` of each (`"any"`: checked where it is used)
 * @param isRequired whether there must be options at all
 * @throws TypeError naming the option, what it should be, and what there is
 * @example checkOptions("lock", options, { timeoutMs: "number" });
 */
export function checkOptions(
  where: string,
  options: unknown,
  known: Readonly<Record<string, Kind>>,
  isRequired = false,
): void {
  if (options === undefined && !isRequired) return;
  // A signal or a number in the place of the options would silently mean no options at all.
  if (
    typeof options !== "object" ||
    options === null ||
    Array.isArray(options) ||
    options instanceof EventTarget
  ) {
    throw new TypeError(
      `${where}: expected options such as { ${Object.keys(known)[0]}: … }, got ${show(options)}`,
    );
  }
  for (const name in options) {
    const value = (options as Record<string, unknown>)[name];
    const kind = Object.hasOwn(known, name) ? known[name] : undefined;
    if (kind === undefined) {
      throw new TypeError(
        `${where}: there is no option ${JSON.stringify(name)}; the options are ${Object.keys(known).join(", ")}`,
      );
    }
    const fits = value === undefined || kind === "any" || (typeof value === kind && value !== null);
    if (!fits)
      throw new TypeError(
        `${where}: option ${name} must be ${kind === "object" ? "an" : "a"} ${kind}, got ${show(value)}`,
      );
  }
}

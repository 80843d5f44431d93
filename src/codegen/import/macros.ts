/** Macros of one header that may be numbers. */

/** One object-like macro. */
export interface Macro {
  readonly name: string;
  readonly body: string;
}

/**
 * What a header defines by itself, in order, the last definition of each.
 * @param preprocessed the output of `-dD -E`
 * @param header its path
 */
export function macrosOf(preprocessed: string, header: string): Macro[] {
  const macros = new Map<string, string>();
  let file = "";
  for (const line of preprocessed.split("\n")) {
    const marker = /^# \d+ "(.*)"/.exec(line);
    if (marker !== null) file = pathOf(marker[1] ?? "");
    if (file !== header) continue;
    const [, undefinedName] = /^#undef (\w+)/.exec(line) ?? [];
    if (undefinedName !== undefined) macros.delete(undefinedName);
    const [, name, body] = /^#define (\w+) (.+)$/.exec(line) ?? [];
    if (name !== undefined && body !== undefined && mayBeNumber(body)) macros.set(name, body);
  }
  return [...macros].map(([name, body]) => ({ name, body }));
}

/** A path in a line marker is a C string literal: clang writes each byte beyond ASCII as an octal number. */
function pathOf(literal: string): string {
  const bytes = Buffer.from(literal).toString("latin1");
  const plain = bytes.replace(/\\([0-7]{1,3}|.)/g, (_, escaped: string) =>
    /[0-7]/.test(escaped) ? String.fromCharCode(Number.parseInt(escaped, 8)) : escaped,
  );
  return Buffer.from(plain, "latin1").toString();
}

/** Whether a macro can be asked for in a line of its own without reaching out of it. */
function mayBeNumber(body: string): boolean {
  if (/["#{};\\]/.test(body) || !/[\w)]/.test(body)) return false;
  let open = 0;
  for (const letter of body) {
    if (letter === "(") open++;
    if (letter === ")") open--;
    if (open < 0) return false;
  }
  return open === 0;
}

/** A macro that is a floating-point literal: the compiler cannot answer it as an integer. */
export function floatOf({ body }: Macro): number | undefined {
  const [, text] = /^\(?([+-]?(?:\d+\.\d*|\.\d+|\d+(?=[eE]))(?:[eE][+-]?\d+)?)[fFlL]?\)?$/.exec(body) ?? [];
  return text === undefined ? undefined : Number(text);
}

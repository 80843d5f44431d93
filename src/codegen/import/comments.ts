/** The comment that stands with a declaration, found by its line. */
import { readFileSync } from "node:fs";
import type { SourceLocation } from "./debug-types.ts";

/** Reads each file once. */
export class Comments {
  readonly #files = new Map<string, readonly string[]>();

  /** The comment behind a declaration on its line, or the one that ends on the line before. */
  of({ file, line }: SourceLocation): string | undefined {
    if (file === undefined || line === undefined) return undefined;
    const lines = this.#lines(file);
    return trailing(lines, line - 1) ?? leading(lines, line - 2);
  }

  #lines(file: string): readonly string[] {
    const known = this.#files.get(file);
    if (known !== undefined) return known;
    let lines: readonly string[] = [];
    try {
      lines = readFileSync(file, "utf8").split("\n");
    } catch {
      // A header that is not there any more has no comments.
    }
    this.#files.set(file, lines);
    return lines;
  }
}

function trailing(lines: readonly string[], at: number): string | undefined {
  const code = lines[at] ?? "";
  const line = /[;,{]\s*\/\/(.*)$/.exec(code);
  if (line !== null) return clean([line[1] ?? ""]);
  const start = /[;,{}]\s*\/\*/.exec(code);
  if (start === null) return undefined;
  const text = [code.slice(start.index + start[0].length)];
  for (let i = at + 1; !text.at(-1)?.includes("*/") && i < lines.length; i++) text.push(lines[i] ?? "");
  return clean(text.map((part) => part.split("*/")[0] ?? ""));
}

function leading(lines: readonly string[], at: number): string | undefined {
  let first = at;
  if (/^\s*\/\//.test(lines[at] ?? "")) {
    while (/^\s*\/\//.test(lines[first - 1] ?? "")) first--;
    return clean(lines.slice(first, at + 1).map((line) => line.replace(/^\s*\/\//, "")));
  }
  if (!/\*\/\s*$/.test(lines[at] ?? "")) return undefined;
  while (first > 0 && !lines[first]?.includes("/*")) first--;
  // A comment that stands behind code belongs to that code.
  if (!/^\s*\/\*/.test(lines[first] ?? "")) return undefined;
  return clean(
    lines.slice(first, at + 1).map((line) => line.replace(/^\s*\/\*/, "").replace(/\*\/\s*$/, "")),
  );
}

function clean(lines: readonly string[]): string | undefined {
  const text = lines.map((line) => line.replace(/^\s*[*!/<]*\s?/, "").trim());
  const joined = text.join("\n").trim();
  return joined === "" ? undefined : joined;
}

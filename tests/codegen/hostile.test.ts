/** Names in a file of a stranger's are never code of what is exported. */
import { expect, test } from "bun:test";
import { exportLanguages, exportStruct } from "../../src/codegen/export.ts";
import { array, type CArray, c_int32, convert, field, layoutOf, MmapStructure } from "../../src/index.ts";

const CODE = "import os";
/** A new line, and what ends comments and text in each language; in C a backslash joins lines. */
const NAME = `odd\u001b[2J\u202e\n${CODE}\n*/ ${CODE} /*\n*\\\n/ ${CODE}\n""" ${CODE}\r${CODE}\u2028${CODE}`;

const type = convert(c_int32, { name: NAME, decode: (stored) => stored, encode: (value) => value as number });
class Odd extends MmapStructure {
  @field(type) n!: number;
  @field(array(type, 2)) list!: CArray<number>;
}

const languages = exportLanguages.filter((language) => language !== "ts");
test.each(languages)("a type's name that is code is only a remark in an export to %s", (language) => {
  // A line that is text of C from its first character to its last, with the layout as JSON.
  const text = exportStruct(layoutOf(Odd), language).replaceAll(/^ *"(?:[^"\\]|\\.)*";?$/gm, "");
  // biome-ignore lint/suspicious/noControlCharactersInRegex: it is what is looked for
  expect(text).not.toMatch(/[\u0000-\u0008\u000b-\u001f\u007f-\u009f\u2028\u202a-\u202e]/);
  const lines = text.split("\n").filter((line) => line.includes(CODE));
  // Where the name stands at all, it is one remark behind the member.
  for (const line of lines) expect(line).toMatch(/^ *(?:\S.*(?:#|\/\/|\/\*) |#|\/\/|\/\*).*import os/);
  expect(lines.filter((line) => line.trimStart().startsWith(CODE))).toEqual([]);
  expect(text.replaceAll(/\/\*.*?\*\//gs, "").replaceAll(/(?:\/\/|#).*/g, "")).not.toContain(CODE);
});

test("TypeScript has no place for a type that is code", () => {
  expect(() => exportStruct(layoutOf(Odd), "ts")).toThrow("is code of its class");
});

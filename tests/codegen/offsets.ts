/** Asks a C compiler where every member of a struct is, and compares. */
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import type { MemberSchema, StructSchema } from "../../src/struct/index.ts";
import { run } from "./peers.ts";

/** The members that C can name, those of anonymous members included. */
function membersOf(schema: StructSchema, base = 0): [name: string, member: MemberSchema, offset: number][] {
  return Object.entries(schema.fields).flatMap(([name, member]) => {
    const offset = base + member.offset;
    if (!member.anonymous) return [[name, member, offset] as [string, MemberSchema, number]];
    return membersOf((member.type as { struct: StructSchema }).struct, offset);
  });
}

/** How C names a struct: by its tag, or as a typedef. */
function typeOf(schema: StructSchema, header: string): string {
  const isTag = new RegExp(`\\b${schema.kind}\\s+(__attribute__\\S+\\s+)?${schema.name}\\b`).test(header);
  return isTag ? `${schema.kind} ${schema.name}` : schema.name;
}

/** What differs between the schemas and what the compiler says: nothing. */
export function offsetsInC(
  schemas: readonly StructSchema[],
  header: string,
  dir: string,
  compiler: string,
): string[] {
  writeFileSync(join(dir, "include.c"), `#include "${header}"\n`);
  const text = `${run([compiler, "-E", "include.c"], dir)}${readFileSync(header, "utf8")}`;
  const lines = schemas.flatMap((schema) => {
    const type = typeOf(schema, text);
    const checks = membersOf(schema).flatMap(([name, member, offset]) => {
      if (member.bits === undefined)
        return [`  CHECK("${schema.name}.${name}", offsetof(${type}, ${name}), ${offset});`];
      const at = (offset - member.offset) * 8 + member.bits.offset;
      return [`  BITS(${type}, ${name}, ${at}, ${member.bits.width});`];
    });
    return [
      `  CHECK("sizeof ${schema.name}", sizeof(${type}), ${schema.size});`,
      `  CHECK("alignof ${schema.name}", _Alignof(${type}), ${schema.align});`,
      ...checks,
    ];
  });
  writeFileSync(
    join(dir, "offsets.c"),
    [...HEAD, `#include "${header}"`, ...BODY, ...lines, "  return 0;", "}", ""].join("\n"),
  );
  run([compiler, "-w", "-o", "offsets", "offsets.c"], dir);
  return run([join(dir, "offsets")], dir)
    .split("\n")
    .filter((line) => line !== "");
}

const HEAD = ["#include <stddef.h>", "#include <stdio.h>", "#include <string.h>"];

const BODY = [
  "static union { unsigned char bytes[65536]; long double align; } memory;",
  '#define CHECK(what, found, expected) if ((size_t)(found) != (size_t)(expected)) printf("%s: %zu, not %zu\\n", what, (size_t)(found), (size_t)(expected))',
  "#define BITS(type, member, first, width) do { size_t n = 0, low = (size_t)-1; \\",
  "  memset(memory.bytes, 0, sizeof(type)); ((type *)memory.bytes)->member = -1; \\",
  "  if (width == 1) ((type *)memory.bytes)->member = 1; \\",
  "  for (size_t i = 0; i < sizeof(type) * 8; i++) if (memory.bytes[i / 8] >> (i % 8) & 1) { n++; if (low == (size_t)-1) low = i; } \\",
  '  CHECK(#type "." #member, low, first); CHECK(#type "." #member " width", n, width); } while (0)',
  "int main(void) {",
];

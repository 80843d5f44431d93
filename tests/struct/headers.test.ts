/** Real headers, declared in our own words, against gcc and against data that C wrote. */
import { describe, expect, test } from "bun:test";
import { existsSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { bytesOf, sizeof, viewOf } from "../../src/struct/index.ts";
import { layoutOfClass } from "../../src/struct/layout/layout.ts";
import { getPath, resolvePath, setPath } from "../../src/struct/view/path.ts";
import { type Header, headers } from "../support/headers.ts";
import { temporaryDirectory } from "../support/temporary.ts";
import { hasTool } from "../support/tools.ts";

const isThere = ({ include }: Header): boolean =>
  hasTool("gcc") && (include === undefined || existsSync(join("/usr/include", include)));

const literal = (value: number | bigint | string): string =>
  typeof value === "bigint" ? `${value}ull` : String(value);

/** Pointers want a cast, which every member but a bit-field takes. */
function store(header: Header, path: string, value: number | bigint | string): string {
  if (typeof value === "string") return `strcpy((char *)t.${path}, ${JSON.stringify(value)});`;
  const cast = isBits(header, path) ? "" : `(__typeof__(t.${path}))`;
  return `t.${path} = ${cast}${literal(value)};`;
}

/** `fmt.planes[3].x` as we write it. */
const ours = (path: string): string => path.replace(/\[(\d+)\]/g, ".$1");

const isBits = ({ cls }: Header, path: string): boolean =>
  layoutOfClass(cls).byName.get(path)?.bits !== undefined;

/** Prints the size, the offsets of the members and the bytes. */
function programFor(header: Header): string {
  const { type, include, declaration = "", values } = header;
  const offsets = Object.keys(values)
    .filter((path) => !isBits(header, path))
    .map((path) => `printf("%zu ", (size_t)((char *)&t.${path} - (char *)&t));`);
  return `
    #include <stdint.h>
    #include <stdio.h>
    #include <string.h>
    ${include === undefined ? "" : `#include <${include}>`}
    ${declaration}
    static ${type} t;
    int main(void) {
      printf("%zu ", sizeof t);
      ${offsets.join("\n")}
      ${Object.entries(values)
        .map(([path, value]) => store(header, path, value))
        .join("\n")}
      for (size_t i = 0; i < sizeof t; i++) printf("%02x", ((unsigned char *)&t)[i]);
      return 0;
    }`;
}

function ask(header: Header): { size: number; offsets: number[]; bytes: Uint8Array } {
  using dir = temporaryDirectory();
  const [source, program] = [join(dir.path, "header.c"), join(dir.path, "header")];
  writeFileSync(source, programFor(header));
  const { stderr, success } = Bun.spawnSync(["gcc", "-std=gnu11", "-w", "-o", program, source]);
  if (!success) throw new Error(stderr.toString());
  const words = Bun.spawnSync([program]).stdout.toString().split(" ");
  const [size, ...offsets] = words.slice(0, -1).map(Number);
  return { size: size as number, offsets, bytes: Uint8Array.fromHex(words.at(-1) as string) };
}

describe.each(headers.map((header) => [header.type, header] as const))("%s", (_, header) => {
  test.skipIf(!isThere(header))(
    `${header.type} is laid out as by gcc, and read and written as in C (needs gcc and its header)`,
    () => {
      const { size, offsets, bytes } = ask(header);
      const { cls, values, whole } = header;
      const layout = layoutOfClass(cls);
      if (whole) expect(sizeof(cls)).toBe(size);
      else expect(sizeof(cls)).toBeLessThanOrEqual(size);
      const addressed = Object.keys(values).filter((path) => !isBits(header, path));
      expect(addressed.map((path) => [path, resolvePath(layout, ours(path)).offset])).toEqual(
        addressed.map((path, i) => [path, offsets[i] as number]),
      );
      const theirs = viewOf(cls, bytes);
      const written = viewOf(cls, new Uint8Array(size));
      for (const [path, value] of Object.entries(values)) {
        const resolved = resolvePath(layout, ours(path));
        expect([path, getPath(theirs, resolved)]).toEqual([path, value]);
        setPath(written, resolved, value);
      }
      expect(bytesOf(written)).toEqual(bytes.slice(0, sizeof(cls)));
    },
  );
});

test.skipIf(!existsSync("/proc/self/exe"))(
  "a view of the running program's ELF header reads its fields",
  async () => {
    const { ElfHeader } = await import("../support/headers.ts");
    const bytes = new Uint8Array(await Bun.file("/proc/self/exe").slice(0, 64).arrayBuffer());
    const header = viewOf(ElfHeader, bytes);
    expect([...header.e_ident.slice(0, 4), header.e_ehsize, header.e_phentsize]).toEqual([
      0x7f, 69, 76, 70, 64, 56,
    ]);
  },
);

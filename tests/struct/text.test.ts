import { describe, expect, test } from "bun:test";
import { join } from "node:path";
import { bytesOf, c_longdouble, chars, create, field, Struct, viewOf } from "../../src/struct/index.ts";
import { Region } from "../../src/struct/memory/memory.ts";
import { temporaryDirectory } from "../support/temporary.ts";
import { hasTool } from "../support/tools.ts";

class Names extends Struct {
  @field(chars(8)) utf8!: string;
  @field(chars(4, { encoding: "latin1" })) latin1!: string;
  @field(chars(6, { encoding: "utf16le" })) utf16!: string;
}
type Name = "utf8" | "latin1" | "utf16";

function set(name: Name, value: unknown): Names {
  const names = create(Names);
  Object.assign(names, { [name]: value });
  return names;
}

describe("chars", () => {
  test.each<[Name, string, string]>([
    ["utf8", "", ""],
    ["utf8", "h\u00e4llo", "68c3a46c6c6f"],
    ["utf8", "12345678", "3132333435363738"],
    ["utf8", "\ufeffab", "efbbbf6162"],
    ["utf8", "\u{1f600}", "f09f9880"],
    ["latin1", "\u00e9\u00ff", "e9ff"],
    ["utf16", "a\u20ac", "6100ac20"],
    ["utf16", "\u{1f600}\u00e9", "3dd800dee900"],
  ])("chars in %s keeps %j", (name, text, hex) => {
    const names = set(name, text);
    expect(names[name]).toBe(text);
    expect(Buffer.from(bytesOf(names)).toString("hex")).toContain(hex);
  });

  test("storing chars zeroes the bytes behind the text, whatever was there", () => {
    const names = viewOf(Names, Buffer.alloc(18, 0xee));
    names.utf8 = "ab";
    expect([...bytesOf(names)].slice(0, 9)).toEqual([0x61, 0x62, 0, 0, 0, 0, 0, 0, 0xee]);
  });

  test("chars ends at its first NUL, or where the field ends", () => {
    const names = viewOf(Names, Buffer.from("ab\0cdefgwxyzA\0B\0C\0", "latin1"));
    expect([names.utf8, names.latin1, names.utf16]).toEqual(["ab", "wxyz", "ABC"]);
  });

  test.each(["utf8", "latin1", "utf16le"] as const)(
    "chars in %s reads text of any length in a field of any length",
    (encoding) => {
      const unit = encoding === "utf16le" ? 2 : 1;
      for (const size of [2, 6, 8, 14, 16, 126, 128, 130, 136, 1024, 1026, 65_536, 65_538, 200_000]) {
        const type = chars(size, { encoding });
        for (const length of [
          0,
          1,
          3,
          4,
          7,
          8,
          62,
          64,
          65,
          127,
          128,
          129,
          1023,
          1024,
          1025,
          65_536,
          70_000,
          size / unit,
        ]) {
          if (length * unit > size) continue;
          const memory = Buffer.alloc(size + 12, 0x41);
          memory.fill(0, 3, 3 + size);
          memory.fill(0x62, 3, 3 + length * unit);
          if (unit === 2) for (let i = 4; i < 3 + length * 2; i += 2) memory[i] = 0;
          const region = new Region(memory.buffer as ArrayBuffer, memory.byteOffset, memory.length, 0);
          expect(type.read(region, 3)).toBe("b".repeat(length));
        }
      }
    },
  );

  test("chars ends within its field while another thread changes the last byte", async () => {
    class Long extends Struct {
      @field(chars(4096)) text!: string;
      @field(chars(8)) next!: string;
    }
    const memory = new SharedArrayBuffer(4104);
    const bytes = new Uint8Array(memory).fill(0x61);
    const toggle = `onmessage = ({ data: bytes }) => {
      postMessage("begun");
      for (;;) { bytes[4095] = 0; bytes[4095] = 0x61; }
    }`;
    const worker = new Worker(URL.createObjectURL(new Blob([toggle])));
    try {
      const begun = new Promise((resolve) => worker.addEventListener("message", resolve));
      worker.postMessage(bytes);
      await begun;
      const long = viewOf(Long, memory);
      const lengths = new Set<number>();
      for (const end = performance.now() + 200; performance.now() < end; ) lengths.add(long.text.length);
      expect([...lengths].filter((length) => length !== 4095 && length !== 4096)).toEqual([]);
    } finally {
      worker.terminate();
    }
  });

  test("chars reads bytes that are no text in the encoding as U+FFFD", () => {
    expect(viewOf(Names, Buffer.from([0x61, 0xff, 0x62, ...Buffer.alloc(15)])).utf8).toBe("a\ufffdb");
  });

  test.each([40, 200, 256, 300, 1024, 1100])(
    "chars(%i) reads bytes beyond ASCII as TextDecoder does, wherever they stand",
    (size) => {
      const type = chars(size);
      for (const odd of [[0x80], [0xff], [0xc3, 0xa4], [0xe2, 0x82], [0xf0, 0x9f, 0x98, 0x80]]) {
        for (let at = 0; at < size; at += at > 130 && at < size - 8 ? 17 : 1) {
          const bytes = new Uint8Array(size).fill(0x61, 0, at + 8);
          bytes.set(odd.slice(0, size - at), at);
          const text = new TextDecoder().decode(bytes).replace(/\0.*/s, "");
          expect(type.read(new Region(bytes.buffer, 0, size, 0), 0)).toBe(text);
        }
      }
    },
  );

  test.each<[Name, unknown, typeof RangeError, string]>([
    ["utf8", "123456789", RangeError, 'expected text of at most 8 bytes (this takes 9), got "123456789"'],
    ["utf8", "\u{1f600}\u{1f600}\u{1f600}", RangeError, "expected text of at most 8 bytes (this takes 12)"],
    ["utf8", "1234567\u00e4", RangeError, "expected text of at most 8 bytes (this takes 9)"],
    ["utf8", "x".repeat(1000), RangeError, `got "${"x".repeat(60)}"… (1000 characters)`],
    ["utf8", "a\0b", RangeError, "expected text without NUL (U+0000), which would end it when read"],
    ["utf8", "\ud83d", RangeError, "expected well-formed text (no lone surrogate)"],
    ["utf8", 5, TypeError, "expected a string, got 5"],
    ["utf8", undefined, TypeError, "expected a string, got undefined"],
    ["utf8", new String("a"), TypeError, "expected a string, got a String"],
    ["utf8", Buffer.from("a"), TypeError, "expected a string, got a Buffer"],
    ["latin1", "\u20ac", RangeError, "expected characters up to U+00FF (Latin-1)"],
    ["latin1", "12345", RangeError, "expected text of at most 4 bytes (this takes 5)"],
    ["utf16", "abcd", RangeError, "expected text of at most 6 bytes (this takes 8)"],
    ["utf16", "\udc00", RangeError, "expected well-formed text (no lone surrogate)"],
  ])("chars in %s refuses %j and stays as it was", (name, value, kind, message) => {
    const names = create(Names, { utf8: "before", latin1: "be4", utf16: "bef" });
    const before = bytesOf(names).slice();
    const act = () => Object.assign(names, { [name]: value });
    expect(act).toThrow(kind);
    expect(act).toThrow(`Names.${name}: `);
    expect(act).toThrow(message);
    expect(bytesOf(names)).toEqual(before);
  });

  test.each([
    [() => chars(0), "chars(0): expected a positive whole number of bytes"],
    [() => chars(1.5), "chars(1.5): expected a positive whole number of bytes"],
    [
      () => chars(3, { encoding: "utf16le" }),
      "chars(3): expected a positive whole number of bytes, even for utf16le",
    ],
    [
      () => chars(4, { encoding: "ascii" as never }),
      'chars: unknown encoding "ascii"; use utf8, latin1, utf16le',
    ],
  ])("chars refuses a definition that makes no sense (%#)", (act, message) => {
    expect(act).toThrow(message);
  });
});

test("chars refuses options that it would have to ignore", () => {
  expect(() => chars(5, "latin1" as never)).toThrow(
    'chars(5): expected options such as { encoding: … }, got "latin1"',
  );
  expect(() => chars(5, { encodign: "latin1" } as never)).toThrow('there is no option "encodign"');
  expect(() => chars(5, { encoding: "toString" as never })).toThrow('unknown encoding "toString"');
});

describe("c_longdouble", () => {
  class Wide extends Struct {
    @field(c_longdouble) value!: number;
  }
  const values = [
    0,
    -0,
    1,
    -1.5,
    Math.PI,
    Number.MAX_VALUE,
    Number.MIN_VALUE,
    2 ** -1030 * 3,
    Infinity,
    -Infinity,
  ];

  test.each([...values, Number.NaN])("c_longdouble keeps %p", (value) => {
    expect(create(Wide, { value }).value).toBe(value);
  });

  test.skipIf(!hasTool("gcc"))("c_longdouble reads as C converts it to double (needs gcc)", async () => {
    // Halfway cases, more bits than a double has, below and beyond its range.
    const literals = [
      "1.0L + 0x1p-53L",
      "1.0L + 0x3p-53L",
      "1.0L + 0x1p-53L + 0x1p-63L",
      "0.1L",
      "-1.0L / 3",
      "0x1.fffffffffffffp1023L",
      "0x1.fffffffffffff7ffp1023L",
      "0x1.fffffffffffff8p1023L",
      "0x1p1024L",
      "-0x1p16383L",
      "0x1p-1074L",
      "0x1p-1075L",
      "0x1.8p-1075L",
      "-0x1.000001p-1075L",
      "0x1.8p-1074L",
      "0x1.fffffffffffffffep-1023L",
      "0x1p-16445L",
      "0x1.234567p-1060L",
    ];
    const source = `#include <float.h>\n#include <stdio.h>\n#include <string.h>\nint main(void) { long double v[] = {${literals}};
      for (unsigned i = 0; i < sizeof v / sizeof *v; i++) { unsigned char b[16] = {0}; memcpy(b, v + i, LDBL_MANT_DIG == 64 ? 10 : sizeof *v);
        for (int k = 0; k < 16; k++) printf("%02x", b[k]); printf(" %.17g\\n", (double)v[i]); } }`;
    using dir = temporaryDirectory();
    const program = join(dir.path, "longdouble");
    const gcc = Bun.spawn(["gcc", "-x", "c", "-", "-o", program], { stdin: Buffer.from(source) });
    expect(await gcc.exited).toBe(0);
    const lines = (await new Response(Bun.spawn([program]).stdout).text()).trim().split("\n");
    expect(lines.length).toBe(literals.length);
    for (const line of lines) {
      const [hex = "", shown] = line.split(" ");
      expect(viewOf(Wide, Buffer.from(hex, "hex")).value).toBe(Number(shown?.replace("inf", "Infinity")));
    }
  });
});

/** Copies of unions through plain objects are exact, or refused. */
import { describe, expect, test } from "bun:test";
import {
  anonymous,
  array,
  assign,
  bytes,
  bytesOf,
  c_float,
  c_uint8,
  c_uint16,
  c_uint32,
  chars,
  create,
  field,
  nested,
  struct,
  structOf,
  toObject,
  Union,
  viewOf,
} from "../../src/struct/index.ts";
import { layoutOfClass } from "../../src/struct/layout/layout.ts";
import { plainPath, resolvePath, setPath } from "../../src/struct/view/path.ts";

class Slot extends Union {
  @field(bytes(8)) raw!: Uint8Array;
  @field(chars(8)) text!: string;
}
class Word extends Union {
  @field(c_uint32) raw!: number;
  @field(c_float) f!: number;
  @field(array(c_uint16, 2)) halves!: Uint16Array;
}
class Frame extends structOf({ kind: c_uint8, word: anonymous(Word), slots: nested(Slot, 2) }) {}
@struct({ endian: "big" })
class BigWord extends Word {}

const TEXT_AND_MORE = [97, 98, 0, 99, 100, 0, 1, 2];
/** A NaN whose bits JavaScript does not keep. */
const SIGNALING = 0x7fa12345;

describe("what toObject made is copied exactly", () => {
  test("a plain copy of a union keeps text with something behind its NUL", () => {
    const slot = create(Slot, { raw: TEXT_AND_MORE });
    const plain = toObject(slot);
    expect(plain).toEqual({ raw: TEXT_AND_MORE, text: "ab" });
    expect([...bytesOf(create(Slot, plain))]).toEqual(TEXT_AND_MORE);
  });

  test("a plain copy of a union keeps a NaN's payload, also through an anonymous member, an array and a path", () => {
    const frame = create(Frame, { kind: 7, raw: SIGNALING, slots: [{ raw: TEXT_AND_MORE }, { text: "x" }] });
    const copy = create(Frame, toObject(frame));
    expect(bytesOf(copy)).toEqual(bytesOf(frame));
    const path = (text: string) => resolvePath(layoutOfClass(Frame), text);
    setPath(frame, path("slots.1"), plainPath(frame, path("slots.0")));
    expect([...frame.slots.at(1).raw]).toEqual(TEXT_AND_MORE);
  });

  test("a member changed in a plain copy of a union is stored upon the rest", () => {
    const frame = create(Frame, { raw: SIGNALING });
    const plain = toObject(frame);
    plain.halves[1] = 0x1111;
    expect(create(Frame, plain).raw).toBe(0x11112345);
    plain.f = 1.5;
    plain.halves[1] = 0x7fa1;
    expect(create(Frame, plain).f).toBe(1.5);
  });

  test("a plain copy of a union is stored in the other byte order if its members agree", () => {
    const plain = toObject(create(Word, { f: 1.5 }));
    expect(() => create(BigWord, plain)).toThrow("BigWord.raw: it shares its bytes with f, halves");
    expect(create(BigWord, { raw: plain.raw, f: plain.f }).f).toBe(1.5);
  });
});

describe("where nothing is carried", () => {
  test("members of a union that agree are taken", () => {
    const word = create(Word, { f: 1.5 });
    expect(create(Word, { ...toObject(word) }).f).toBe(1.5);
    expect(create(Frame, { ...toObject(create(Frame, { f: 1.5 })) }).f).toBe(1.5);
  });

  test("members of a union that contradict each other are refused, and nothing is stored", () => {
    const slot = create(Slot, { raw: TEXT_AND_MORE });
    const target = viewOf(Slot, new Uint8Array(8).fill(9));
    for (const lost of [
      { ...toObject(slot) },
      structuredClone(toObject(slot)),
      JSON.parse(JSON.stringify(slot)),
    ])
      expect(() => assign(target, lost)).toThrow(
        new RangeError(
          "Slot.raw: it shares its bytes with text, which say something else: give one of them, or copy the struct itself (assign and create take structs, and what toObject and get made of them)",
        ),
      );
    expect(() => create(Frame, { raw: 1, f: 2 })).toThrow("Frame.raw: it shares its bytes with f");
    expect([...target.raw]).toEqual(Array(8).fill(9));
  });

  test("one member of a union is always enough", () => {
    expect(create(Frame, { f: 2 }).raw).toBe(0x40000000);
    const { text, ...rest } = toObject(create(Slot, { raw: TEXT_AND_MORE }));
    expect([text, create(Slot, rest).text]).toEqual(["ab", "ab"]);
  });
});

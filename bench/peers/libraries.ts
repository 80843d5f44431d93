/** Struct libraries from npm, each with the struct of many.ts; installed by `bun run bench` in bench/node_modules. */

import { Missing } from "../harness.ts";
import { hasPackage } from "../prepare.ts";

export interface Library {
  /** An object with members a (int32), b (double) and c (int32) behind `i` single bytes. */
  readonly make: (i: number) => unknown;
  /** Members are reached by get(name) and set(name, value), not as properties. */
  readonly methods?: true;
}

/** The package, without its types, as it may be missing. */
async function load(name: string): Promise<Record<string, never>> {
  if (hasPackage(name)) return await import(name);
  throw new Missing(`${name} is not installed`);
}

const padding = (i: number): string[] => Array.from({ length: i }, (_, k) => `pad${k}`);

type Descriptor = () => unknown;
interface Chain {
  UInt8(name: string): Chain;
  Int32LE(name: string): Chain;
  Float64LE(name: string): Chain;
  compile(): new () => unknown;
}

export const libraries: Readonly<Record<string, () => Promise<Library>>> = {
  structview: async () => {
    const { defineStruct, u8, i32, f64 } = (await load("@rotu/structview")) as unknown as {
      defineStruct(fields: object): { alloc?: unknown } & (new (memory: object) => unknown);
      u8(at: number): unknown;
      i32(at: number): unknown;
      f64(at: number): unknown;
    };
    return {
      make: (i) => {
        const pads = padding(i).map((name, k) => [name, u8(k)]);
        const Robot = defineStruct({ ...Object.fromEntries(pads), a: i32(i), b: f64(i + 4), c: i32(i + 12) });
        return new Robot({ buffer: new ArrayBuffer(64), byteOffset: 0, byteLength: 64 });
      },
    };
  },

  structurae: async () => {
    const { View } = (await load("structurae")) as unknown as {
      View: new () => { create(schema: object): { from(value: object): unknown } };
    };
    return {
      methods: true,
      make: (i) => {
        const type = (btype: string) => ({ type: "number", btype });
        const properties = {
          ...Object.fromEntries(padding(i).map((name) => [name, type("uint8")])),
          a: type("int32"),
          b: type("float64"),
          c: type("int32"),
        };
        return new View().create({ $id: `Robot${i}`, type: "object", properties }).from({});
      },
    };
  },

  "buffer-backed-object": async () => {
    const { BufferBackedObject, Uint8, Int32, Float64 } = (await load("buffer-backed-object")) as unknown as {
      BufferBackedObject(buffer: ArrayBuffer, descriptors: object): unknown;
      Uint8: Descriptor;
      Int32: Descriptor;
      Float64: Descriptor;
    };
    return {
      make: (i) =>
        BufferBackedObject(new ArrayBuffer(64), {
          ...Object.fromEntries(padding(i).map((name) => [name, Uint8()])),
          a: Int32(),
          b: Float64(),
          c: Int32(),
        }),
    };
  },

  "typed-struct": async () => {
    const { Struct } = (await load("typed-struct")) as unknown as { Struct: new (name: string) => Chain };
    return {
      make: (i) => {
        const start = padding(i).reduce((chain, name) => chain.UInt8(name), new Struct(`Robot${i}`));
        const Robot = start.Int32LE("a").Float64LE("b").Int32LE("c").compile();
        return new Robot();
      },
    };
  },
};

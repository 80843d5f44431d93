import { array, c_double, c_uint8, c_uint32, c_uint64, field, Struct } from "../../src/index.ts";

/** 64 bytes, all of which depend on one number: half of one and half of another shows. */
export class Tick extends Struct {
  @field(array(c_uint32, 16)) words!: Uint32Array & { at(i: number): number };
}

export class Price extends Struct {
  @field(c_uint32) id!: number;
  @field(c_double) price!: number;
}

export class Frame extends Struct {
  @field(c_uint64) number!: bigint;
  @field(array(c_uint8, 4096)) pixels!: Uint8Array;
}

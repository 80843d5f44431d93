import { c_uint32, field, Struct } from "../../src/index.ts";

/** A job whose words all depend on its number: half of one and half of another shows. */
export class Work extends Struct {
  @field(c_uint32) id!: number;
  @field(c_uint32) twice!: number;
  @field(c_uint32) inverse!: number;
}

export const fillWork = (id: number) => (work: Work) => {
  work.id = id;
  work.twice = (2 * id) >>> 0;
  work.inverse = ~id >>> 0;
};

export const isWhole = ({ id, twice, inverse }: Work): boolean =>
  twice === (2 * id) >>> 0 && inverse === ~id >>> 0;

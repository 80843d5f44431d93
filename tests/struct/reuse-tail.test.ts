/** Where g++ begins the members of a derived class: behind a plain base's padding, in that of any other base. */
import { expect, test } from "bun:test";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import {
  bits,
  c_double,
  c_int16,
  c_int32,
  c_int64,
  c_uint8,
  field,
  layoutOf,
  type MemberSchema,
  Struct,
  type StructClass,
  sizeof,
  struct,
} from "../../src/struct/index.ts";
import { type Random, randomFrom, seedOfRun } from "../support/random.ts";
import { temporaryDirectory } from "../support/temporary.ts";
import { hasTool } from "../support/tools.ts";

const types = { c_uint8, c_int16, c_int32, c_int64, c_double } as const;
type TypeName = keyof typeof types;
const inC: Readonly<Record<TypeName, string>> = {
  c_uint8: "unsigned char",
  c_int16: "short",
  c_int32: "int",
  c_int64: "long long",
  c_double: "double",
};

interface MemberModel {
  readonly name: string;
  readonly type: TypeName;
  readonly width?: number;
}

/** A base, and two classes that derive from each other. */
interface Chain {
  /** What makes the base no plain C struct. */
  readonly isPlain: boolean;
  readonly members: readonly (readonly MemberModel[])[];
}

function membersOf(random: Random, prefix: string): MemberModel[] {
  return Array.from({ length: random.whole(1, 3) }, (_, i) => {
    const name = `${prefix}${i}`;
    if (random.oneIn(4)) return { name, type: "c_int32", width: random.whole(1, 12) } as const;
    return { name, type: random.pick(Object.keys(types) as TypeName[]) };
  });
}

const chain = (random: Random): Chain => ({
  isPlain: random.oneIn(2),
  members: ["a", "b", "c"].map((prefix) => membersOf(random, prefix)),
});

/** The classes in our words: a class with a base is not plain itself, so the last one always reuses. */
function classesOf({ isPlain, members }: Chain): StructClass[] {
  const classes: StructClass[] = [];
  for (const [depth, own] of members.entries()) {
    const Base = (classes.at(-1) ?? Struct) as typeof Struct;
    class Derived extends Base {}
    for (const { name, type, width } of own) {
      const decorate = width === undefined ? field(types[type] as typeof c_uint8) : bits(c_int32, width);
      (decorate as (prototype: object, name: string) => void)(Derived.prototype, name);
    }
    const reuseTail = depth === 2 || (depth === 1 && !isPlain);
    struct({ reuseTail, name: `D${depth}` })(Derived as never);
    classes.push(Derived as unknown as StructClass);
  }
  return classes;
}

const declared = ({ name, type, width }: MemberModel): string =>
  `${inC[type]} ${name}${width === undefined ? "" : ` : ${width}`};`;

function classesInC({ isPlain, members }: Chain, i: number): string {
  const init = isPlain ? "" : `S${i}_0() {}`;
  return members
    .map((own, depth) => {
      const base = depth === 0 ? "" : ` : S${i}_${depth - 1}`;
      return `struct S${i}_${depth}${base} { ${depth === 0 ? init : ""} ${own.map(declared).join(" ")} };`;
    })
    .join("\n");
}

/** Prints sizes, and the bytes of an object whose members are all ones, one member at a time. */
function printed({ members }: Chain, i: number): string {
  const all = members.flat();
  const stores = all.map(
    ({ name, type }) =>
      `{ S${i}_2 *s = new (memory) S${i}_2; memset(memory, 0, sizeof memory); s->${name} = ${type === "c_double" ? "ones" : "-1"}; print(sizeof *s); }`,
  );
  return `printf("${i} %zu %zu %zu", sizeof(S${i}_0), sizeof(S${i}_1), sizeof(S${i}_2)); ${stores.join(" ")} puts("");`;
}

const program = (chains: readonly Chain[]): string => `
  #include <cstdio>
  #include <cstring>
  #include <new>
  alignas(16) static unsigned char memory[256];
  static void print(size_t n) { putchar(' '); for (size_t i = 0; i < n; i++) printf("%02x", memory[i]); }
  ${chains.map(classesInC).join("\n")}
  int main() {
    double ones; memset(&ones, 0xff, sizeof ones);
    ${chains.map(printed).join("\n")}
  }`;

async function askGxx(chains: readonly Chain[]): Promise<string[]> {
  using dir = temporaryDirectory();
  const [source, binary] = [join(dir.path, "chains.cpp"), join(dir.path, "chains")];
  writeFileSync(source, program(chains));
  const child = Bun.spawn(["g++", "-std=c++17", "-w", "-O0", "-o", binary, source], { stderr: "pipe" });
  if ((await child.exited) !== 0) throw new Error(await new Response(child.stderr).text());
  return Bun.spawnSync([binary]).stdout.toString().trimEnd().split("\n");
}

/** The bytes of a struct of which one member is all ones, as our layout has it. */
function onesOf(cls: StructClass, name: string): string {
  const fields: Readonly<Record<string, MemberSchema>> = layoutOf(cls).fields;
  const {
    offset,
    size,
    bits: range = { offset: offset * 8, width: size * 8 },
  } = fields[name] as MemberSchema;
  const bytes = new Uint8Array(sizeof(cls));
  for (let bit = range.offset; bit < range.offset + range.width; bit++)
    bytes[bit >> 3] = (bytes[bit >> 3] as number) | (1 << (bit & 7));
  return bytes.toHex();
}

test.skipIf(!hasTool("g++"))(
  "reuseTail puts members of random classes where g++ does (needs g++)",
  async () => {
    const seed = seedOfRun();
    console.log(`SEED=${seed}`);
    const random = randomFrom(seed);
    const chains = Array.from({ length: 40 }, () => chain(random));
    const answers = await askGxx(chains);
    for (const [i, one] of chains.entries()) {
      const classes = classesOf(one);
      const last = classes.at(-1) as StructClass;
      const names = one.members.flat().map(({ name }) => name);
      const ours = [i, ...classes.map(sizeof), ...names.map((name) => onesOf(last, name))].join(" ");
      expect(`${ours}\n${classesInC(one, i)}`).toBe(`${answers[i]}\n${classesInC(one, i)}`);
    }
  },
);

/**
 * Random layouts, exported to Kaitai Struct, are compiled by its own compiler to Python and read bytes: the members that are whole
 * numbers must have the values that a view has. In a directory of its own:
 *
 *     npm install kaitai-struct-compiler && python3 -m pip install --target python kaitaistruct
 *     KAITAI=<that directory> bun tests/soak/kaitai.ts [layouts]        SEED repeats a run
 */
import { mkdirSync, writeFileSync } from "node:fs";
import { createRequire } from "node:module";
import { join } from "node:path";
import { exportStruct } from "../../src/codegen/index.ts";
import { type StructSchema, structFromSchema, viewOf } from "../../src/struct/index.ts";
import { randomSchemas } from "../codegen/random.ts";
import { randomFrom, seedOfRun } from "../support/random.ts";
import { temporaryDirectory } from "../support/temporary.ts";

interface Spec {
  seq?: { id: string; "-orig-id"?: string }[];
  instances?: Record<string, unknown>;
}
interface Compiler {
  compile(
    language: string,
    spec: unknown,
    importer: undefined,
    debug: boolean,
  ): Promise<Record<string, string>>;
}

const home = process.env.KAITAI ?? ".";
const loaded = createRequire(join(home, "index.js"))("kaitai-struct-compiler") as
  | Compiler
  | (new () => Compiler);
// Until 0.10 it is a class.
const compiler = typeof loaded === "function" ? new loaded() : loaded;
const count = Number(process.argv[2] ?? 200);
const seed = seedOfRun();
const random = randomFrom(seed);
console.log(`${count} layouts from SEED=${seed}`);
using dir = temporaryDirectory();

const READER = `
import json, sys
from importlib import import_module
from io import BytesIO
from kaitaistruct import KaitaiStream
for line in sys.stdin:
    module, data, ids = json.loads(line)
    try:
        module = import_module(module)
        cls = [value for value in vars(module).values() if isinstance(value, type) and value.__module__ == module.__name__][0]
        stream = KaitaiStream(BytesIO(bytes.fromhex(data)))
        parsed = cls(stream)
        values = [getattr(parsed, id) for id in ids]
        print(json.dumps([str(int(value)) if isinstance(value, (int, bool)) and not isinstance(value, __import__('enum').Enum) else None for value in values] + [stream.pos() == stream.size()]))
    except Exception as error:
        print(json.dumps(repr(error)))
`;

/** Conversions refuse some bytes. */
function memberOf(view: Record<string, unknown>, name: string): unknown {
  try {
    return view[name];
  } catch {
    return undefined;
  }
}

const tested: { schema: StructSchema; bytes: Uint8Array; names: string[]; text: string }[] = [];
const lines: string[] = [];
let [refused, notLoaded] = [0, 0];
mkdirSync(join(dir.path, "modules"));
for (const schema of await randomSchemas(seed, count, dir.path)) {
  let text: string;
  try {
    text = exportStruct(schema, "ksy");
  } catch {
    refused++;
    continue;
  }
  // The compiler takes numbers of JavaScript, in which those beyond 2^53 lose their last digits.
  if (/\d{16,}/.test(text.replace(/^#.*$/gm, ""))) {
    notLoaded++;
    continue;
  }
  const spec = Bun.YAML.parse(text) as Spec;
  const files = await compiler.compile("python", spec, undefined, false);
  for (const [name, code] of Object.entries(files)) writeFileSync(join(dir.path, "modules", name), code);
  const module = Object.keys(files)[0]?.replace(/\.py$/, "");
  const bytes = Uint8Array.from({ length: schema.size }, () => random.whole(0, 127));
  // An array that goes on to the end of the stream has no elements here.
  const end =
    text.includes("repeat: eos") || text.includes("size-eos")
      ? Object.values(schema.fields).at(-1)?.offset
      : undefined;
  // Not each word is a character.
  if (text.includes("UTF-32")) bytes.fill(0);
  const members = (spec.seq ?? []).filter(({ id }) => !id.startsWith("gap_"));
  const ids = members.map(({ id }) =>
    id.endsWith("_raw") && spec.instances?.[id.slice(0, -4)] ? id.slice(0, -4) : id,
  );
  tested.push({ schema, bytes, names: members.map((member) => member["-orig-id"] ?? member.id), text });
  lines.push(JSON.stringify([module, Buffer.from(bytes.subarray(0, end)).toString("hex"), ids]));
}

const reader = Bun.spawnSync(["python3", "-c", READER], {
  stdin: Buffer.from(`${lines.join("\n")}\n`),
  env: {
    ...process.env,
    PYTHONPATH: [join(home, "python"), join(dir.path, "modules")].join(":"),
    PYTHONDONTWRITEBYTECODE: "1",
  },
});
let [compared, faults] = [0, 0];
const fault = (what: string, text: string): void => {
  faults++;
  console.log(what);
  if (faults === 1) console.log(text);
};
for (const [i, line] of reader.stdout.toString().trim().split("\n").entries()) {
  const { schema, bytes, names, text } = tested[i] as (typeof tested)[number];
  const found = JSON.parse(line) as (string | null | boolean)[] | string;
  if (typeof found === "string") {
    fault(`${schema.name}: ${found}`, text);
    continue;
  }
  // The members of a union are read where they are asked for.
  if (found.at(-1) !== true && schema.kind !== "union")
    fault(`${schema.name}: not all of its bytes are read`, text);
  const view = viewOf(structFromSchema(schema), bytes) as unknown as Record<string, unknown>;
  for (const [k, name] of names.entries()) {
    const [theirs, ours] = [found[k], memberOf(view, name)];
    if (typeof theirs !== "string" || !["number", "bigint", "boolean"].includes(typeof ours)) continue;
    compared++;
    const isSame = typeof ours === "boolean" ? ours === (theirs !== "0") : String(ours) === theirs;
    if (!isSame) fault(`${schema.name}.${name}: ${theirs} in Kaitai Struct, ${ours} here`, text);
  }
}
console.log(
  `${tested.length} compiled and read, ${refused} refused, ${notLoaded} with numbers that JavaScript lacks, ${compared} numbers compared, ${faults} faults`,
);
if (reader.exitCode !== 0) console.log(reader.stderr.toString().slice(-2000));
process.exit(faults > 0 || reader.exitCode !== 0 ? 1 : 0);

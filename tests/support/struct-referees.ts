/** gcc and ctypes as referees: do they lay out, write and read random structs as we do? */
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import {
  alignof,
  assign,
  bytesOf,
  equals,
  layoutOf,
  type Struct,
  type StructClass,
  sizeof,
  structFromSchema,
  viewOf,
} from "../../src/struct/index.ts";
import { layoutOfClass } from "../../src/struct/layout/layout.ts";
import { fingerprintOf } from "../../src/struct/schema/schema.ts";
import { getPath, resolvePath, setPath } from "../../src/struct/view/path.ts";
import { declarationsOf, type Leaf, Models, type StructModel } from "./struct-models.ts";
import {
  beyondPython,
  type Case,
  hasBits,
  hasLongDouble,
  moduleInTypeScript,
  programInC,
  programInPython,
  structInC,
  structInTypeScript,
} from "./struct-sources.ts";
import { temporaryDirectory } from "./temporary.ts";

/** What a run showed, beside that nothing was wrong. */
export interface Tally {
  structs: number;
  /** Laid out, written and read by ctypes too. */
  ctypes: number;
  /** Structs with bit-fields for which ctypes and gcc differ. */
  ctypesDiffers: number;
}

/**
 * Makes `count` random structs and asks both.
 * @throws Error that shows the first struct on which we and gcc, or ctypes, do not agree
 */
export async function refereeStructs(seed: number, count: number): Promise<Tally> {
  using temporary = temporaryDirectory();
  const dir = temporary.path;
  const models = new Models(seed, `${seed}_`);
  const drafts = Array.from({ length: count }, () => draft(models));
  const classes = await classesOf(drafts, dir);
  const cases = drafts.map((one) => ({ ...one, bytes: writeOurs(one, classOf(classes, one.model)) }));
  const [gcc, ctypes] = await Promise.all([askGcc(cases, dir), askPython(cases, dir)]);
  const tally = { structs: count, ctypes: 0, ctypesDiffers: 0 };
  for (const [i, one] of cases.entries()) {
    const cls = classOf(classes, one.model);
    compareWithGcc(one, cls, gcc[i] as Answer);
    comparePython(one, cls, gcc[i] as Answer, ctypes[i], tally);
    compareSchema(one, cls);
  }
  return tally;
}

function draft(models: Models): Case {
  const model = models.struct();
  return { model, theirs: models.leaves(model), ours: models.leaves(model) };
}

type Classes = Record<string, StructClass>;

async function classesOf(cases: readonly Case[], dir: string): Promise<Classes> {
  const path = join(dir, "structs.ts");
  writeFileSync(path, moduleInTypeScript(cases, join(import.meta.dir, "../../src/struct/index.ts")));
  return await import(path);
}

const classOf = (classes: Classes, { name }: StructModel): StructClass => classes[name] as StructClass;

/** Bytes of the struct with its flexible array, if it has one. */
function byteLengthOf({ flexible, name }: StructModel, cls: StructClass): number {
  if (flexible === undefined) return sizeof(cls);
  const member = layoutOfClass(cls).byName.get(flexible.member.name);
  if (member === undefined) throw new Error(`${name} has no ${flexible.member.name}`);
  const element = resolvePath(layoutOfClass(cls), `${flexible.member.name}.1`).offset - member.offset;
  return Math.max(sizeof(cls), member.offset + flexible.length * element);
}

const pathOf = (leaf: Leaf): string => leaf.path.join(".");

/** By paths where there is a flexible array, else as one assignment of nested objects. */
function writeOurs({ model, ours }: Case, cls: StructClass): Uint8Array {
  const bytes = new Uint8Array(byteLengthOf(model, cls));
  const view = viewOf(cls, bytes);
  if (model.flexible === undefined) assign(view, initFrom(ours) as never);
  else for (const leaf of ours) setPath(view, resolvePath(layoutOfClass(cls), pathOf(leaf)), leaf.value);
  return bytes;
}

function initFrom(leaves: readonly Leaf[]): unknown {
  const root: Record<string, unknown> = {};
  for (const { path, value } of leaves) {
    let node: Record<string | number, unknown> = root;
    for (const [i, step] of path.entries()) {
      const isLast = i === path.length - 1;
      node[step] ??= isLast ? value : typeof path[i + 1] === "number" ? [] : {};
      node = node[step] as typeof node;
    }
  }
  return root;
}

/** What a referee printed about one case. */
interface Answer {
  size: number;
  align: number;
  offsets: Map<number, number>;
  bytes: string;
  /** Leaves that did not hold what we wrote. */
  wrong: number[];
}

function answersFrom(text: string, count: number): Answer[] {
  const answers = Array.from({ length: count }, () => ({
    size: -1,
    align: -1,
    offsets: new Map(),
    bytes: "",
    wrong: [] as number[],
  }));
  for (const line of text.trimEnd().split("\n")) {
    const [kind, index, ...rest] = line.split(" ");
    const answer = answers[Number(index)] as Answer;
    if (kind === "L") [answer.size, answer.align] = rest.map(Number) as [number, number];
    if (kind === "O") answer.offsets.set(Number(rest[0]), Number(rest[1]));
    if (kind === "B") answer.bytes = rest[0] ?? "";
    if (kind === "W") answer.wrong.push(Number(rest[0]));
  }
  return answers;
}

async function run(command: string[], cwd: string): Promise<string> {
  const child = Bun.spawn(command, { cwd, stdout: "pipe", stderr: "pipe" });
  const [out, err] = await Promise.all([
    new Response(child.stdout).text(),
    new Response(child.stderr).text(),
  ]);
  const status = await child.exited;
  if (status !== 0) throw new Error(`${command.join(" ")} ended with ${status}:\n${err.slice(0, 4000)}`);
  return out;
}

async function askGcc(cases: readonly Case[], dir: string): Promise<Answer[]> {
  writeFileSync(join(dir, "structs.c"), programInC(cases));
  // Unnamed members of a named struct type are how C has it that ours are classes of their own.
  await run(["gcc", "-std=gnu11", "-fms-extensions", "-w", "-O0", "-o", "structs", "structs.c"], dir);
  return answersFrom(await run([join(dir, "structs")], dir), cases.length);
}

async function askPython(cases: readonly Case[], dir: string): Promise<Answer[]> {
  writeFileSync(join(dir, "structs.py"), programInPython(cases));
  return answersFrom(await run(["python3", "structs.py"], dir), cases.length);
}

const declaration = (model: StructModel): string =>
  [...declarationsOf(model).map(structInTypeScript), ...declarationsOf(model).map(structInC)].join("\n");

function disagree(one: Case, what: string, ours: unknown, theirs: unknown): never {
  throw new Error(`${what}: ours ${ours}, theirs ${theirs}, for\n${declaration(one.model)}`);
}

function compareWithGcc(one: Case, cls: StructClass, answer: Answer): void {
  const { theirs, ours, bytes } = one;
  if (sizeof(cls) !== answer.size) disagree(one, "sizeof (gcc)", sizeof(cls), answer.size);
  if (alignof(cls) !== answer.align) disagree(one, "alignof (gcc)", alignof(cls), answer.align);
  for (const [i, offset] of answer.offsets) {
    const leaf = theirs[i] as Leaf;
    const resolved = resolvePath(layoutOfClass(cls), pathOf(leaf));
    if (resolved.offset !== offset) disagree(one, `offsetof ${pathOf(leaf)} (gcc)`, resolved.offset, offset);
  }
  for (const i of answer.wrong) {
    const leaf = ours[i] as Leaf;
    const hex = Buffer.from(bytes ?? []).toString("hex");
    disagree(
      one,
      `gcc does not read ${pathOf(leaf)} as we wrote it`,
      `${leaf.value} in ${hex}`,
      "another value",
    );
  }
  compareBytes(one, cls, answer.bytes, "gcc");
}

/** We read every value that the referee wrote, and writing the same values gives the same bytes. */
function compareBytes(one: Case, cls: StructClass, hex: string, referee: string): void {
  const layout = layoutOfClass(cls);
  const view = viewOf(cls, Buffer.from(hex, "hex"));
  const again = viewOf(cls, Buffer.alloc(hex.length / 2));
  for (const leaf of one.theirs) {
    const resolved = resolvePath(layout, pathOf(leaf));
    const got = readable(getPath(view, resolved));
    const expected = expectedOf(leaf);
    if (!Object.is(got, expected))
      disagree(one, `${pathOf(leaf)} as ${referee} wrote it in ${hex}`, String(got), String(expected));
    setPath(again, resolved, leaf.value);
  }
  const written = Buffer.from(bytesOf(again)).toString("hex");
  const padded = referee === "ctypes" && hasLongDouble(one.theirs);
  if (!padded && written !== hex) disagree(one, `the bytes (${referee})`, written, hex);
  // A union shows that padding by its other members.
  if (!padded && !equals(view, again)) disagree(one, `equals (${referee})`, false, true);
}

const readable = (value: unknown): unknown =>
  typeof value === "object" && value !== null && "load" in value
    ? (value as { load(): unknown }).load()
    : value;

/** What reading gives: of -0 in an integer, say, there is no -0. */
const expectedOf = ({ value }: Leaf): unknown => value;

function comparePython(
  one: Case,
  cls: StructClass,
  gcc: Answer,
  python: Answer | undefined,
  tally: Tally,
): void {
  if (python === undefined || beyondPython(one.model) !== undefined) return;
  const same = python.size === gcc.size && python.align === gcc.align && python.bytes === gcc.bytes;
  if (hasBits(one.model) && !(same && python.wrong.length === 0)) {
    tally.ctypesDiffers++;
    return;
  }
  if (sizeof(cls) !== python.size) disagree(one, "sizeof (ctypes)", sizeof(cls), python.size);
  if (alignof(cls) !== python.align) disagree(one, "alignof (ctypes)", alignof(cls), python.align);
  compareBytes(one, cls, python.bytes, "ctypes");
  for (const i of python.wrong) {
    const leaf = one.ours[i] as Leaf;
    disagree(one, `ctypes does not read ${pathOf(leaf)} as we wrote it`, leaf.value, "another value");
  }
  tally.ctypes++;
}

/** A class made from the schema alone reads the same values at the same places. */
function compareSchema(one: Case, cls: StructClass): void {
  const schema = JSON.parse(JSON.stringify(layoutOf(cls as StructClass<Struct>)));
  const again = structFromSchema(schema);
  if (fingerprintOf(layoutOfClass(again)) !== fingerprintOf(layoutOfClass(cls)))
    disagree(one, "the fingerprint of its schema", JSON.stringify(schema), JSON.stringify(layoutOf(again)));
  const [ours, theirs] = [cls, again].map((c) => viewOf(c as StructClass, one.bytes as Uint8Array));
  for (const leaf of one.ours) {
    const path = pathOf(leaf);
    const got = readable(getPath(theirs as Struct, resolvePath(layoutOfClass(again), path)));
    const expected = readable(getPath(ours as Struct, resolvePath(layoutOfClass(cls), path)));
    if (!Object.is(got, expected)) disagree(one, `${path} by its schema`, String(got), String(expected));
  }
}

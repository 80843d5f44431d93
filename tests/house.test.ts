/** The house: which room may import which, and which words it may know. */
import { describe, expect, test } from "bun:test";
import { readFileSync } from "node:fs";
import { dirname, join, normalize } from "node:path";
import { NODE_MODULES } from "../scripts/build/node.ts";
import { exportedNames } from "../scripts/build/source.ts";

const root = join(import.meta.dir, "..");

/** The layers from the bottom up. A room imports only from lower layers. */
const LAYERS: readonly (readonly string[])[] = [
  ["errors"],
  ["struct", "sys"],
  ["sync"],
  ["segment"],
  ["record", "document", "channel", "queue", "mmap", "posix"],
  // node: what Node.js gets in the place of other modules.
  ["codegen", "mirror", "node"],
  ["cli"],
  ["index"],
];

/** Imports within a layer, and why. */
const SIDEWAYS: Readonly<Record<string, RegExp>> = {
  // POSIX objects are maps with a name.
  posix: /^src\/mmap\//,
  // What struct leaves open, so that it runs without sys, is filled in here.
  sys: /^src\/struct\/(?:memory\/|view\/atomic\.ts)/,
};

/** Rooms by what users call their objects: words that a lower room must not know. */
const NAMES: Readonly<Record<string, readonly string[]>> = {
  record: ["Manager", "Editor", "Reader", "IPMMAP"],
  document: ["JsonMap", "jsonmmap", "master", "follower"],
  channel: ["Publisher", "Subscriber"],
  queue: ["Queue"],
  mmap: ["MemoryMap"],
  posix: ["SharedMemory", "Semaphore", "MessageQueue"],
  mirror: ["Mirror"],
};

const levelOf = (room: string): number => LAYERS.findIndex((rooms) => rooms.includes(room));

/** A file directly in src/ belongs to the top. @example roomOf("src/sys/libc/ffi.ts") // "sys" */
const roomOf = (path: string): string => /^src\/([^/]+)\//.exec(path)?.[1] ?? "index";

interface Source {
  readonly path: string;
  readonly room: string;
  /** Without types and comments, which may name anything. */
  readonly code: string;
  readonly imports: readonly string[];
  /** What must be loaded before it is: no types, and nothing that is required later. */
  readonly importsAtLoad: readonly string[];
}

/** Of import and export statements (also those of types), import(), require() and new URL() of a worker. */
const SPECIFIERS =
  /^\s*(?:import|export)\b(?:[^;"'`=(]*?\bfrom)?\s*["']([^"']+)["']|(?:\bimport|\brequire|new URL)\(\s*["']([^"']+)["']/gm;

function read(path: string): Source {
  const text = readFileSync(join(root, path), "utf8").replace(/^#!.*/, "");
  const imports = [...text.matchAll(SPECIFIERS)].map(([, statement, call]) => (statement ?? call) as string);
  const transpiler = new Bun.Transpiler({ loader: path.endsWith(".ts") ? "ts" : "js" });
  const importsAtLoad = transpiler
    .scanImports(text)
    .filter(({ kind }) => kind === "import-statement")
    .map(({ path: specifier }) => specifier);
  return { path, room: roomOf(path), code: transpiler.transformSync(text), imports, importsAtLoad };
}

const sources = [...new Bun.Glob("src/**/*.{ts,js,mjs}").scanSync(root)].toSorted().map(read);

/** Where a relative import leads; undefined for packages and built-in modules. */
const targetOf = (from: string, specifier: string): string | undefined =>
  specifier.startsWith(".") ? normalize(join(dirname(from), specifier)) : undefined;

const isAllowed = (from: Source, target: string): boolean => {
  const room = roomOf(target);
  if (room === from.room || levelOf(room) < levelOf(from.room)) return true;
  return levelOf(room) === levelOf(from.room) && SIDEWAYS[from.room]?.test(target) === true;
};

test("every file lies in a room that has a layer", () => {
  expect(sources.length).toBeGreaterThan(80);
  expect(sources.filter(({ room }) => levelOf(room) < 0).map(({ path }) => path)).toEqual([]);
});

test("every relative import leads to a file", async () => {
  for (const { path, importsAtLoad } of sources)
    for (const specifier of importsAtLoad) {
      const target = targetOf(path, specifier);
      if (target === undefined) continue;
      expect([path, target, await Bun.file(join(root, target)).exists()]).toEqual([path, target, true]);
    }
});

test("no import runs up or sideways", () => {
  const wrong = sources.flatMap((source) =>
    source.imports
      .map((specifier) => targetOf(source.path, specifier))
      .filter((target) => target !== undefined && !isAllowed(source, target))
      .map((target) => `${source.path} imports ${target}`),
  );
  expect(wrong).toEqual([]);
});

test("no room imports src/node: the build puts its modules in the place of others", () => {
  const importers = sources.filter(
    ({ path, room, imports }) =>
      room !== "node" && imports.some((specifier) => targetOf(path, specifier)?.startsWith("src/node/")),
  );
  expect(importers.map(({ path }) => path)).toEqual([]);
});

/** What is exported for modules that Node.js has no use for: threads, descriptors of other threads. */
const ONLY_WITH_MAPPINGS: Readonly<Record<string, readonly string[]>> = {
  "sync/waker.ts": ["CONTROL"],
};

test("a module for Node.js exports what the one exports that it stands for", () => {
  for (const [module, other] of Object.entries(NODE_MODULES)) {
    const names = exportedNames(join(root, "src", module)).filter(
      (name) => !ONLY_WITH_MAPPINGS[module]?.includes(name),
    );
    const missing = names.filter((name) => !exportedNames(join(root, "src/node", other)).includes(name));
    expect([module, missing]).toEqual([module, []]);
  }
});

test("only sys/libc imports bun:ffi", () => {
  const importers = sources.filter(({ imports }) => imports.includes("bun:ffi")).map(({ path }) => path);
  expect(importers).toEqual(["src/sys/libc/ffi.ts"]);
});

test("struct and errors use no global of Bun's or Node's and no module of theirs", () => {
  const wrong = sources
    .filter(({ room }) => room === "struct" || room === "errors")
    .flatMap(({ path, code }) =>
      [...code.matchAll(/\bBun\b|["'](?:node|bun):[^"']*|\bprocess\.|\bBuffer\b|\brequire\(/g)].map(
        ([use]) => `${path} uses ${use}`,
      ),
    );
  expect(wrong).toEqual([]);
});

test("@throws lists the errors themselves, and does not send the reader elsewhere", () => {
  const elsewhere = /@throws (?:[^*]*?(?:; |, | and )(?:also )?)?(?:\([^)]*\) )?as (?:`|the |new |[A-Z])/;
  const found = sources.map(({ path }) =>
    readFileSync(join(root, path), "utf8")
      .replaceAll(/\n\s*\*(?! @) */g, " ")
      .split("\n")
      .filter((line) => elsewhere.test(line))
      .map((line) => `${path}: ${line.trim()}`),
  );
  expect(found.flat()).toEqual([]);
});

/** Where a type is asked what class it is of, and not its `kind`: who gives one may have made it up. */
const ASKS_FOR_CLASSES = ["src/struct/declare/composite.ts"];

test("types of fields are told apart by their kind alone, once they are known to be types", () => {
  const asks =
    /\binstanceof (?:\w+Type|Composite)\b|"(?:kind|element|integer|cls|inline|open)" in (?:type|element)\b/;
  const found = sources.filter(({ path, code }) => path.startsWith("src/struct/") && asks.test(code));
  expect(found.map(({ path }) => path)).toEqual(ASKS_FOR_CLASSES);
});

test("no file is in a circle of files that must be loaded before each other", () => {
  const graph = new Map(
    sources.map(({ path, importsAtLoad }) => {
      const targets = importsAtLoad.map((specifier) => targetOf(path, specifier));
      return [path, targets.filter((target) => target !== undefined)] as const;
    }),
  );
  expect(circlesIn(graph)).toEqual([]);
});

function circlesIn(graph: ReadonlyMap<string, readonly string[]>): string[] {
  const done = new Set<string>();
  const circles: string[] = [];
  const visit = (file: string, way: readonly string[]): void => {
    if (way.includes(file)) circles.push([...way.slice(way.indexOf(file)), file].join(" -> "));
    if (done.has(file) || way.includes(file)) return;
    for (const next of graph.get(file) ?? []) visit(next, [...way, file]);
    done.add(file);
  };
  for (const file of graph.keys()) visit(file, []);
  return circles;
}

describe("no room knows what a higher one calls its objects", () => {
  const higherNames = (room: string): string[] =>
    Object.entries(NAMES)
      .filter(([other]) => levelOf(other) > levelOf(room))
      .flatMap(([, names]) => names);

  test.each(["errors", "struct", "sys", "sync", "segment"])(
    "no file of %s knows what a higher room calls its objects",
    (room) => {
      const words = new RegExp(`\\b(?:${higherNames(room).join("|")})s?\\b`, "g");
      const wrong = sources
        .filter((source) => source.room === room)
        .flatMap(({ path, code }) => [...code.matchAll(words)].map(([word]) => `${path}: ${word}`));
      expect(wrong).toEqual([]);
    },
  );
});

test("the tables of rooms are right: a wrong import is found", () => {
  const forged = (path: string, specifier: string): boolean => {
    const source: Source = { path, room: roomOf(path), code: "", imports: [specifier], importsAtLoad: [] };
    return isAllowed(source, targetOf(path, specifier) as string);
  };
  expect(forged("src/sync/rw-lock.ts", "../sys/file.ts")).toBeTrue();
  expect(forged("src/posix/shared-memory.ts", "../mmap/named.ts")).toBeTrue();
  expect(forged("src/mmap/named.ts", "../posix/names.ts")).toBeFalse();
  expect(forged("src/sync/rw-lock.ts", "../segment/place.ts")).toBeFalse();
  expect(forged("src/record/core.ts", "../document/place.ts")).toBeFalse();
  expect(forged("src/struct/index.ts", "../sys/file.ts")).toBeFalse();
  expect(forged("src/segment/place.ts", "../index.ts")).toBeFalse();
});

/**
 * Words of the glossary, and names that had several meanings once: each is declared in one place only. (`mode` are the
 * permissions of a file and the mode of a lock; a region of memory has traits.)
 */
const ONCE = ["Place", "Region", "placeOf", "openNamed", "problemWith", "checkedStatus"];

test("a name that the glossary explains is declared once", () => {
  const declared = (name: string): string[] =>
    sources
      .filter(({ path }) =>
        new RegExp(`^(?:export )?(?:abstract )?(?:interface|class|type|const|function) ${name}\\b`, "m").test(
          readFileSync(join(root, path), "utf8"),
        ),
      )
      .map(({ path }) => path);
  expect(ONCE.map((name) => [name, declared(name).length > 1 ? declared(name) : []])).toEqual(
    ONCE.map((name) => [name, []]),
  );
});

test("a message that advises force: true says that it erases the content", () => {
  const advises = sources.flatMap(({ path, code }) =>
    code
      .split("\n")
      // Of messages, not of code that passes the option.
      .filter((line) => /(["'`]).*force: true.*\1/.test(line))
      .map((line) => `${path}: ${line.trim()}`),
  );
  expect(advises.length).toBeGreaterThan(5);
  expect(advises.filter((line) => !/erases|is lost/.test(line))).toEqual([]);
});

/** A test that says how long something takes at most fails on a busy machine; what is quick stands in bench/. */
const ASSERTS_SPEED =
  /expect\([^;]*(?:performance\.now|nanoseconds|monotonicMs|Date\.now|elapsed|tookMs)[^;]*\)\s*\.toBeLessThan(?:OrEqual)?\((?!60_000)/;

test("no test asserts how long something takes at most", () => {
  const tests = [...new Bun.Glob("tests/**/*.test.ts").scanSync(root)];
  const found = tests.filter((path) => ASSERTS_SPEED.test(readFileSync(join(root, path), "utf8")));
  // The text of the control is the only one.
  expect(found).toEqual(["tests/house.test.ts"]);
  expect("expect(performance.now() - start).toBeLessThan(1500);").toMatch(ASSERTS_SPEED);
});

test("a row of the bench says what it measures without the row before it", () => {
  const benches = [...new Bun.Glob("bench/*.bench.ts").scanSync(root)];
  const found = benches.flatMap((path) =>
    [
      ...readFileSync(join(root, path), "utf8").matchAll(
        /\b(?:what|headline): ["`](?:the same|likewise).*/gi,
      ),
    ].map(([text]) => `${path}: ${text}`),
  );
  expect(benches.length).toBeGreaterThan(10);
  expect(found).toEqual([]);
});

import { expect, setDefaultTimeout, test } from "bun:test";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type } from "arktype";
import * as v from "valibot";
import { z } from "zod";
import { JsonMap } from "../../src/document/index.ts";
import { checkSchema, type StandardSchema, validate } from "../../src/document/standard-schema.ts";
import { InvalidDocumentError } from "../../src/errors/errors.ts";

// Children, threads and long loops take their time on a busy machine.
setDefaultTimeout(240_000);

const schemaOf = (run: StandardSchema["~standard"]["validate"]): StandardSchema => ({
  "~standard": { version: 1, vendor: "own", validate: run },
});

const what = "the document in '/x'";

test("the value that the schema makes is what is written and read", () => {
  expect(
    validate(
      schemaOf((value) => ({ value: [value] })),
      1,
      "/x",
      what,
    ),
  ).toEqual([1]);
});

test("all issues of a schema are told, with the path of the value", () => {
  const schema = schemaOf(() => ({
    issues: [{ message: "Expected number", path: ["ports", 3, { key: "a b" }] }, { message: "Too few" }],
  }));
  try {
    validate(schema, {}, "/x", what);
    expect.unreachable();
  } catch (error) {
    expect(error).toBeInstanceOf(InvalidDocumentError);
    expect(error).toMatchObject({
      code: "INVALID_DOCUMENT",
      path: "/x",
      issues: ['$.ports[3]["a b"]: Expected number', "$: Too few"],
      message: `${what} does not fit its own schema: $.ports[3]["a b"]: Expected number; $: Too few`,
    });
  }
});

test("a schema that validates asynchronously is refused, and its failure ends nothing", async () => {
  const schema = schemaOf(async () => {
    throw new Error("nobody listens");
  });
  try {
    validate(schema, {}, "/x", what);
    expect.unreachable();
  } catch (error) {
    expect(error).toBeInstanceOf(TypeError);
    expect((error as Error).message).toBe(
      "the own schema of '/x' returned a promise: it validates asynchronously, which JsonMap cannot wait for, or one of its functions has thrown (then see this error's cause, a moment later)",
    );
    await Bun.sleep(1);
    expect((error as Error).cause).toEqual(new Error("nobody listens"));
  }
});

test("what a function of a zod schema throws is the cause", async () => {
  const schema = z.number().refine(() => {
    throw new RangeError("a bug of the schema");
  });
  try {
    validate(schema, 1, "/x", what);
    expect.unreachable();
  } catch (error) {
    await Bun.sleep(1);
    expect((error as Error).cause).toEqual(new RangeError("a bug of the schema"));
  }
});

test("a schema's result that is malformed is refused", () => {
  for (const result of [null, undefined, 5])
    expect(() =>
      validate(
        schemaOf(() => result as never),
        {},
        "/x",
        what,
      ),
    ).toThrow(
      new TypeError(`the own schema of '/x' returned ${result}, which is no result of a Standard Schema`),
    );
});

test("an object that is not a Standard Schema is refused; functions can be one", () => {
  expect(checkSchema(undefined)).toBeUndefined();
  const callable = Object.assign(
    () => {},
    schemaOf((value) => ({ value })),
  );
  expect(checkSchema(callable)).toBe(callable);
  for (const none of [null, {}, { "~standard": { version: 2, validate() {} } }, { parse() {} }, "zod"]) {
    expect(() => checkSchema(none as never)).toThrow("schema must be a Standard Schema, version 1");
  }
});

test("a schema that refuses what it made itself is told so at the write, and nothing is written", () => {
  const dir = mkdtempSync(join(tmpdir(), "shmstruct-schema-"));
  try {
    const schema = z.object({ port: z.string().transform(Number) });
    using master = new JsonMap({ role: "master", dir, file: "config", schema });
    expect(() => master.write({ port: "80" })).toThrow(InvalidDocumentError);
    expect(() => master.update(() => ({ port: "80" }))).toThrow(
      /^the document to write to '.*' could not be read again: what its schema makes of it does not fit its zod schema: \$\.port: /,
    );
    expect([master.read(), master.version]).toEqual([undefined, 0]);
  } finally {
    rmSync(dir, { recursive: true });
  }
});

const Config = {
  zod: z.object({ port: z.number() }),
  valibot: v.object({ port: v.number() }),
  arktype: type({ port: "number" }),
};

test.each(Object.entries(Config))("a schema of %s types and checks both directions", (_, schema) => {
  const dir = mkdtempSync(join(tmpdir(), "shmstruct-schema-"));
  try {
    using master = new JsonMap({ role: "master", dir, file: "config", schema });
    using follower = new JsonMap({ role: "follower", dir, file: "config", schema });
    master.write({ port: 8080 });
    const port: number | undefined = follower.read()?.port;
    expect(port).toBe(8080);
    expect(() => master.write({ port: "80" as never })).toThrow(InvalidDocumentError);
    expect(follower.read()).toEqual({ port: 8080 });
  } finally {
    rmSync(dir, { recursive: true });
  }
});

test("a document of an older form is migrated by its schema: read as the new one, and stored so by the next update", () => {
  const dir = mkdtempSync(join(tmpdir(), "shmstruct-schema-"));
  const file = join(dir, "config");
  const Old = z.object({ host: z.string() });
  const New = z.object({ hosts: z.array(z.string()) });
  const schema = z.union([New, Old.transform(({ host }) => ({ hosts: [host] }))]);
  new JsonMap({ file, role: "master", initial: { host: "a" } }).close();
  using master = new JsonMap({ file, role: "master", schema });
  using follower = new JsonMap({ file, role: "follower" });
  expect(master.read()).toEqual({ hosts: ["a"] });
  expect(follower.read()).toEqual({ host: "a" });
  master.update((config) => config);
  expect(follower.read()).toEqual({ hosts: ["a"] });
  rmSync(dir, { recursive: true, force: true });
});

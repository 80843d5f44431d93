import { expect, setDefaultTimeout, test } from "bun:test";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type } from "arktype";
import * as v from "valibot";
import { z } from "zod";
import { InvalidDocumentError } from "../../src/errors.ts";
import { JsonMap } from "../../src/json/index.ts";
import { checkSchema, type StandardSchema, validate } from "../../src/json/standard-schema.ts";

// Children, threads and long loops take their time on a busy machine.
setDefaultTimeout(60_000);

const schemaOf = (run: StandardSchema["~standard"]["validate"]): StandardSchema => ({
  "~standard": { version: 1, vendor: "own", validate: run },
});

const what = "the document in '/x'";

test("the value that the schema makes is what counts", () => {
  expect(
    validate(
      schemaOf((value) => ({ value: [value] })),
      1,
      "/x",
      what,
    ),
  ).toEqual([1]);
});

test("all issues are told, with the path of the value", () => {
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
  expect(() => validate(schema, {}, "/x", what)).toThrow(
    new TypeError("the own schema of '/x' validates asynchronously: JsonMap needs a synchronous one"),
  );
  await Bun.sleep(1);
});

test("what is no Standard Schema is refused; functions can be one", () => {
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

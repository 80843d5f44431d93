/** Schemas of any library that speaks Standard Schema (https://standardschema.dev): zod, valibot, arktype … */
import { InvalidDocumentError } from "../errors/errors.ts";
import { escapeText, show } from "../errors/show.ts";
import { spellPath } from "./json-value.ts";

/**
 * What we need of a Standard Schema, version 1 (https://standardschema.dev). Its libraries' schemas are assignable to
 * this: those of zod, valibot, arktype …
 * @example const schema: StandardSchema = z.object({ port: z.number() });
 */
export interface StandardSchema<Input = unknown, Output = Input> {
  /** What the libraries agreed upon; `validate` must not return a promise. */
  readonly "~standard": {
    readonly version: 1;
    readonly vendor: string;
    readonly validate: (value: unknown) => SchemaResult<Output> | Promise<SchemaResult<Output>>;
    readonly types?: { readonly input: Input; readonly output: Output } | undefined;
  };
}

/**
 * What a schema says of a value: what it makes of it, or what is wrong with it.
 * @example const result: SchemaResult<number> = { issues: [{ message: "expected a number" }] };
 */
export type SchemaResult<Output> =
  | { readonly value: Output; readonly issues?: undefined }
  | { readonly issues: readonly SchemaIssue[] };

/**
 * One thing that is wrong with a value.
 * @example const issue: SchemaIssue = { message: "expected a number", path: ["port"] };
 */
export interface SchemaIssue {
  /** What, in words. */
  readonly message: string;
  /** The keys that lead to the place, the outermost first; none for the value itself. */
  readonly path?: readonly (PropertyKey | { readonly key: PropertyKey })[] | undefined;
}

/**
 * What a schema takes.
 * @example type Written = InputOf<typeof Config>;
 */
export type InputOf<S extends StandardSchema> = NonNullable<S["~standard"]["types"]>["input"];
/**
 * What comes out of it: defaults filled in, unknown keys gone, as the schema says.
 * @example type Read = OutputOf<typeof Config>;
 */
export type OutputOf<S extends StandardSchema> = NonNullable<S["~standard"]["types"]>["output"];

/** @throws TypeError for what is no Standard Schema */
export function checkSchema(schema: StandardSchema | undefined): StandardSchema | undefined {
  if (schema === undefined) return undefined;
  const standard = (schema as Partial<StandardSchema> | null)?.["~standard"];
  if (standard?.version === 1 && typeof standard.validate === "function") return schema;
  throw new TypeError("schema must be a Standard Schema, version 1: one of zod, valibot, arktype …");
}

/**
 * What the schema makes of `value`.
 * @param what for the message: `"the document to write to '/run/config'"`
 * @throws InvalidDocumentError with all issues; TypeError for a schema that validates asynchronously, or not at all
 */
export function validate(schema: StandardSchema, value: unknown, path: string, what: string): unknown {
  const { vendor, validate: run } = schema["~standard"];
  const result = run(value);
  if (typeof result !== "object" || result === null) {
    throw new TypeError(
      `the ${vendor} schema of '${path}' returned ${show(result)}, which is no result of a Standard Schema`,
    );
  }
  if ("then" in result) throw promised(result, `the ${vendor} schema of '${path}'`);
  // Without `strict`, as in some users' projects, the compiler does not see it.
  if (result.issues === undefined) return (result as { readonly value: unknown }).value;
  const issues = result.issues.map(spellIssue);
  throw new InvalidDocumentError(
    path,
    issues,
    `${what} does not fit its ${vendor} schema: ${issues.join("; ")}`,
  );
}

/** zod gives a promise also when a function of the schema throws: it tries once more, asynchronously. */
function promised(result: Promise<unknown>, schema: string): TypeError {
  const error = new TypeError(
    `${schema} returned a promise: it validates asynchronously, which JsonMap cannot wait for, or one of its functions has thrown (then see this error's cause, a moment later)`,
  );
  // Without this a failure that is not awaited would end the process.
  result.then(undefined, (cause: unknown) => {
    error.cause = cause;
  });
  return error;
}

function spellIssue({ path = [], message }: SchemaIssue): string {
  const keys = path.map((part) => (typeof part === "object" ? part.key : part));
  return escapeText(`${spellPath(keys)}: ${message}`);
}

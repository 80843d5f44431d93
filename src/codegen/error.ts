/** What this room throws. */
import { ShmError } from "../errors/errors.ts";

/**
 * A language cannot express a member, or a declaration cannot be read. Code `"CODEGEN"`.
 * @example try { exportStruct(Robot, "rust") } catch (error) { if (error instanceof CodegenError) console.error(error.path); }
 */
export class CodegenError extends ShmError {
  /** The member, from the struct asked for: `Robot.at.x`; for an import the struct or the file. */
  readonly path: string;

  /**
   * @param path see `path`
   * @param reason why, in one clause
   * @param options the `cause`, if there is one
   */
  constructor(path: string, reason: string, options?: ErrorOptions) {
    super("CODEGEN", `${path}: ${reason}`, options);
    this.path = path;
  }
}

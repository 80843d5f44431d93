/** Writes source text with indentation, so that generated code can be printed and read. */
export class SourceWriter {
  readonly #lines: string[] = [];
  #indent = "";

  /** Adds lines. */
  line(...lines: readonly string[]): void {
    for (const line of lines) this.#lines.push(line === "" ? "" : this.#indent + line);
  }

  /** Adds `head {`, what `body` adds, and `}`; on one line if the body is one short line. */
  block(head: string, body: readonly string[] | (() => void)): void {
    if (typeof body !== "function" && body.length === 1 && head.length + (body[0] as string).length < 100) {
      this.line(`${head} { ${body[0]} }`);
      return;
    }
    this.line(`${head} {`);
    this.#indent += "  ";
    if (typeof body === "function") body();
    else this.line(...body);
    this.#indent = this.#indent.slice(2);
    this.line("}");
  }

  toString(): string {
    return this.#lines.join("\n");
  }
}

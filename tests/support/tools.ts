/** Tests that need a tool from outside skip visibly without it, except in CI, where a missing tool is a failure. */

/**
 * Whether `name` is an executable in the PATH.
 * @throws Error when it is missing and the environment variable CI is set
 * @example test.skipIf(!hasTool("gcc"))("agrees with gcc (needs gcc)", () => …);
 */
export function hasTool(name: string): boolean {
  const found = toolPath(name) !== undefined;
  const ci = process.env.CI;
  if (!found && ci !== undefined && ci !== "" && ci !== "false") {
    throw new Error(`${name} is not in the PATH, and in CI no test is skipped`);
  }
  return found;
}

/** Where a tool is; servers are in /usr/sbin, which is not in every user's PATH. */
export const toolPath = (name: string): string | undefined =>
  Bun.which(name, { PATH: `${process.env.PATH}:/usr/sbin` }) ?? undefined;

/** The lines that a child program prints, as they come. */
export async function* linesOf(stream: ReadableStream<Uint8Array>): AsyncGenerator<string> {
  const decoder = new TextDecoder();
  let pending = "";
  for await (const chunk of stream) {
    const lines = (pending + decoder.decode(chunk, { stream: true })).split("\n");
    pending = lines.pop()!;
    yield* lines;
  }
}

/** What an editor shows of types: asked of the compiler's own language server, over its protocol. */
import { expect, test } from "bun:test";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { temporaryDirectory } from "../support/temporary.ts";

const root = join(import.meta.dir, "../..");

const CODE = `import { c_double, c_int32, chars, field, MmapStructure, nested, Reader, Struct, toObject } from ${JSON.stringify(join(root, "src/index.ts"))};
class Point extends Struct {
  @field(c_double) x!: number;
}
class Robot extends MmapStructure {
  @field(c_int32) tick!: number;
  @field(chars(16)) state!: string;
  @nested(Point) position!: Point;
}
using reader = new Reader(Robot);
using session = reader.lock();
const data = session.data;
const live = reader.live;
const plain = toObject(reader.snapshot());
const position = reader.get("position");
`;

/** A language server: messages with a head that has their length (Language Server Protocol 3.17). */
class LanguageServer implements Disposable {
  readonly #process = Bun.spawn(
    [process.execPath, join(root, "node_modules/typescript/bin/tsc"), "--lsp", "--stdio"],
    {
      stdin: "pipe",
      stdout: "pipe",
      stderr: "ignore",
    },
  );
  readonly #waiting = new Map<number, (result: unknown) => void>();
  #count = 0;

  constructor() {
    void this.#hear();
  }

  send(method: string, params: unknown, id?: number): void {
    this.#write({ method, params, ...(id !== undefined && { id }) });
  }

  ask<T>(method: string, params: unknown): Promise<T> {
    const id = ++this.#count;
    this.send(method, params, id);
    return new Promise((resolve) => this.#waiting.set(id, resolve as (result: unknown) => void));
  }

  #write(message: object): void {
    const text = JSON.stringify({ jsonrpc: "2.0", ...message });
    this.#process.stdin.write(`Content-Length: ${Buffer.byteLength(text)}\r\n\r\n${text}`);
    this.#process.stdin.flush();
  }

  async #hear(): Promise<void> {
    let pending = Buffer.alloc(0);
    for await (const chunk of this.#process.stdout) {
      pending = Buffer.concat([pending, chunk]);
      for (;;) {
        const head = pending.indexOf("\r\n\r\n");
        const length = Number(
          /Content-Length: (\d+)/i.exec(pending.subarray(0, Math.max(head, 0)).toString())?.[1],
        );
        if (head < 0 || pending.length < head + 4 + length) break;
        const message = JSON.parse(pending.subarray(head + 4, head + 4 + length).toString()) as {
          id?: number;
          method?: string;
          result?: unknown;
        };
        pending = pending.subarray(head + 4 + length);
        // What the server asks for, such as settings, it gets no answer to but this one.
        if (message.method !== undefined && message.id !== undefined)
          this.#write({ id: message.id, result: null });
        else if (message.id !== undefined) this.#waiting.get(message.id)?.(message.result);
      }
    }
  }

  [Symbol.dispose](): void {
    this.#process.kill();
  }
}

test("editors show the fields of a Reader's data and of toObject, and not the name of a type", async () => {
  using directory = temporaryDirectory();
  const path = join(directory.path, "user.ts");
  writeFileSync(path, CODE);
  const compilerOptions = {
    types: [join(root, "node_modules/bun-types")],
    typeRoots: [join(root, "node_modules")],
  };
  const settings = { extends: join(root, "tsconfig.json"), compilerOptions, include: [path] };
  writeFileSync(join(directory.path, "tsconfig.json"), JSON.stringify(settings));
  using server = new LanguageServer();
  await server.ask("initialize", {
    processId: null,
    rootUri: `file://${directory.path}`,
    capabilities: { textDocument: { hover: { contentFormat: ["plaintext"] } } },
  });
  server.send("initialized", {});
  const uri = `file://${path}`;
  server.send("textDocument/didOpen", {
    textDocument: { uri, languageId: "typescript", version: 1, text: CODE },
  });
  const hover = async (name: string): Promise<string> => {
    const lines = CODE.split("\n");
    const line = lines.findIndex((text) => text.startsWith(`const ${name} `));
    const asked = { textDocument: { uri }, position: { line, character: "const ".length } };
    const found = await server.ask<{ contents: { value: string } }>("textDocument/hover", asked);
    // Marks that tell structs from other objects.
    return found.contents.value.replaceAll(/\s+readonly \[\w+\]\?:[^\n]*/g, "");
  };
  for (const name of ["data", "live"]) {
    const shown = await hover(name);
    expect(shown).toMatch(
      /readonly tick: number;\s+readonly state: string;\s+readonly position: \{\s+readonly x: number;/,
    );
    expect(shown).not.toContain("DeepReadonly");
  }
  expect(await hover("plain")).toMatch(
    /tick: number;\s+state: string;\s+position: \{\s+x: number;\s+\};?\s+\}/,
  );
  expect(await hover("position")).toMatch(/position: \{\s+x: number;\s+\}/);
}, 240_000);

/** What one program stores another one loads whole, field by field, with no lock between them. */
import { expect, test } from "bun:test";
import { join } from "node:path";
import { compileExchange, exchangeAll, tearing } from "../support/exchange.ts";
import { rounds } from "../support/platform.ts";
import { temporaryDirectory } from "../support/temporary.ts";
import { hasTool } from "../support/tools.ts";

const COUNT = rounds(10_000);

test.skipIf(!hasTool("gcc"))(
  "TypeScript and C only ever load values that the other one stored (needs gcc)",
  async () => {
    using dir = temporaryDirectory();
    const exchange = compileExchange(dir.path);
    expect(tearing()).toEqual([]);
    for await (const { kind, by, wrong } of exchangeAll(exchange, join(dir.path, "a"), COUNT))
      expect({ kind, by, wrong }).toEqual({ kind, by, wrong: 0 });
  },
  240_000,
);

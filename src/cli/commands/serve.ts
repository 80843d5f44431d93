import { join } from "node:path";
import { exists } from "../../sys/paths.ts";
import { type Command, define, NotFoundError, numberOption, TRUST, UsageError } from "../command.ts";
import { DIRECTORIES } from "../open.ts";
import { escapeText } from "../output.ts";
import { newToken, tokenInFile } from "../page/guard.ts";
import { type PageOptions, PageServer } from "../page/server.ts";

const DEFAULT_PORT = 7315;
const PORT_MAX = 65_535;
const DEFAULT_HZ = 30;
const MAX_HZ = 60;

export const command: Command = define({
  args: "[DIR…]",
  count: [0, 100],
  details: `A page of live values, plots, layouts, messages and jobs of all segments in DIR (default ${DIRECTORIES.join(" and ")}).
It is for this machine only, and only for who has its address, as that contains a token. The token is kept in
$XDG_RUNTIME_DIR, so that open pages find the server again when it is restarted; without that directory it is a new one
each time. The server looks at what pages show and takes no lock but to edit.`,
  options: {
    write: { type: "boolean", help: "values may be edited" },
    port: { type: "string", value: "PORT", help: `default ${DEFAULT_PORT}, or one that is free` },
    host: {
      type: "string",
      value: "ADDRESS",
      help: "listen there, not on 127.0.0.1; the traffic is not encrypted",
    },
    hz: { type: "string", value: "N", help: `looks a second (default ${DEFAULT_HZ}, at most ${MAX_HZ})` },
    "token-file": { type: "string", value: "FILE", help: "where the token is kept; made if it is not there" },
    ...TRUST,
  },
  examples: ["shmstruct serve", "shmstruct serve --write /run/robot", "shmstruct serve --port 0 --json"],
  async run(directories, { write, port, host, hz, "token-file": tokenFile, ...trust }, out) {
    for (const directory of directories)
      if (!exists(directory)) throw new NotFoundError(`there is no directory '${escapeText(directory)}'`);
    const options = {
      directories: directories.length > 0 ? directories : DIRECTORIES,
      host: host ?? "127.0.0.1",
      token: tokenOf(tokenFile),
      canWrite: write === true,
      hz: Math.min(MAX_HZ, numberOption("hz", hz, 0.1) ?? DEFAULT_HZ),
      trust,
    };
    using server = listen(options, portOption(port));
    if (out.isJson) out.json({ address: server.address, canWrite: options.canWrite });
    else
      out.line(
        `${server.address}\n${out.paint("dim", write ? "with edits; Ctrl-C ends it" : "read-only; Ctrl-C ends it")}`,
      );
    await new Promise<void>((resolve) => {
      process.once("SIGINT", resolve);
      process.once("SIGTERM", resolve);
    });
    return undefined;
  },
});

function tokenOf(file: string | undefined): string {
  const runtime = process.env.XDG_RUNTIME_DIR;
  if (file !== undefined) return tokenInFile(file);
  return runtime && exists(runtime) ? tokenInFile(join(runtime, "shmstruct.token")) : newToken();
}

/** @throws UsageError */
function portOption(text: string | undefined): number | undefined {
  const port = text?.trim() === "" ? Number.NaN : Number(text);
  if (text === undefined) return undefined;
  if (Number.isInteger(port) && port >= 0 && port <= PORT_MAX) return port;
  throw new UsageError(
    `--port must be a whole number from 1 to ${PORT_MAX}, or 0 for one that is free, got '${escapeText(text)}'`,
  );
}

/** A port that was not asked for may be another one. */
function listen(options: Omit<PageOptions, "port">, port: number | undefined): PageServer {
  if (port !== undefined) return new PageServer({ ...options, port });
  try {
    return new PageServer({ ...options, port: DEFAULT_PORT });
  } catch (error) {
    if ((error as { code?: string }).code !== "EADDRINUSE") throw error;
    return new PageServer({ ...options, port: 0 });
  }
}

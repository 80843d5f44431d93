import { basename, join } from "node:path";
import { Mirror } from "../../mirror/index.ts";
import { sleepOr } from "../../mirror/wait.ts";
import { type Command, define, EXIT, numberOption, TRUST, UsageError } from "../command.ts";
import { findFile } from "../open.ts";
import { escapeText, type Output } from "../output.ts";

const DEFAULT_BUCKET = "shmstruct";
const TELL_EVERY_MS = 1000;

interface Place {
  readonly servers: string;
  readonly bucket: string;
}

export const command: Command = define({
  args: "publish|follow FILE…",
  count: [2, 1000],
  details:
    "publish: each FILE under its name as key. follow: each FILE is a key, kept as a file of that name in DIR.\nGoes on until it is interrupted.",
  options: {
    to: { type: "string", value: "URL", help: "publish: the server, nats://host:port" },
    from: { type: "string", value: "URL", help: "follow: the server" },
    bucket: { type: "string", value: "NAME", help: `the key-value bucket (default ${DEFAULT_BUCKET})` },
    dir: { type: "string", value: "DIR", help: "follow: where the files go (default ./.mmap)" },
    hz: { type: "string", value: "N", help: "publish: states a second at most" },
    ...TRUST,
  },
  examples: [
    "shmstruct mirror publish ./.mmap/Robot_.mmap --to nats://10.0.0.1:4222",
    "shmstruct mirror follow Robot_.mmap --from nats://10.0.0.1:4222 --dir /run/robot",
  ],
  async run(
    [what = "", ...files],
    { to, from, bucket = DEFAULT_BUCKET, dir = "./.mmap", hz, ...trust },
    out,
  ) {
    const options = {
      shared: trust.shared,
      trustOwner: numberOption("trust-owner", trust["trust-owner"]),
    };
    if (what === "publish") {
      const place = { servers: needed("to", to), bucket };
      await publish(out, files, { ...place, ...options, maxHz: numberOption("hz", hz, 0.001) });
    } else if (what === "follow")
      await follow(out, files, { servers: needed("from", from), bucket, ...options }, dir);
    else throw new UsageError(`expected publish or follow, got '${escapeText(what)}'`);
    return EXIT.done;
  },
});

function needed(option: string, value: string | undefined): string {
  if (value !== undefined) return value;
  throw new UsageError(`--${option} is needed: the server, nats://host:port`);
}

async function publish(
  out: Output,
  files: readonly string[],
  options: Place & { readonly maxHz: number | undefined },
): Promise<void> {
  const publishers = await Promise.all(
    files.map(findFile).map((path) => Mirror.publish(path, { ...options, key: basename(path) })),
  );
  const stop = new AbortController();
  const over = Promise.all(publishers.map(({ ended }) => ended));
  process.once("SIGINT", () => stop.abort()).once("SIGTERM", () => stop.abort());
  try {
    await Promise.race([over, tell(out, () => publishers.map((publisher) => publisher.info()), stop.signal)]);
  } finally {
    for (const publisher of publishers) await publisher[Symbol.asyncDispose]();
  }
}

async function follow(out: Output, keys: readonly string[], options: Place, dir: string): Promise<void> {
  for (const key of keys)
    if (key.includes("/")) throw new UsageError(`a key is the name of a file, got '${escapeText(key)}'`);
  const followers = await Promise.all(keys.map((key) => Mirror.follow(join(dir, key), { ...options, key })));
  const stop = new AbortController();
  process.once("SIGINT", () => stop.abort()).once("SIGTERM", () => stop.abort());
  try {
    await tell(out, () => followers.map((follower) => follower.info()), stop.signal);
  } finally {
    for (const follower of followers) await follower[Symbol.asyncDispose]();
  }
}

/** What publishers and followers know of themselves. */
interface Told {
  readonly path: string;
  readonly version: number | undefined;
  readonly epoch: number | undefined;
  readonly disconnectedSince: number | undefined;
  readonly problem?: string | undefined;
}

/** A line for each that has changed, every second. */
async function tell(out: Output, infos: () => readonly Told[], signal: AbortSignal): Promise<void> {
  const told = new Map<string, string>();
  while (!signal.aborted) {
    for (const info of infos()) {
      const { path, version, epoch, disconnectedSince, problem } = info;
      const state = problem ?? (disconnectedSince === undefined ? "connected" : "cut off");
      const text = `${escapeText(path)} epoch ${epoch ?? "-"} version ${version ?? "-"} ${escapeText(state)}`;
      if (told.get(path) === text) continue;
      told.set(path, text);
      if (out.isJson) out.json(info);
      else out.line(text);
    }
    await sleepOr(signal, TELL_EVERY_MS);
  }
}

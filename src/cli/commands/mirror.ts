import { readFileSync } from "node:fs";
import { basename, dirname, join } from "node:path";
import { type FollowerInfo, MirrorFollower } from "../../mirror/follower.ts";
import { connectNats, type NatsOptions, type NatsTransport, type ServerWait } from "../../mirror/nats.ts";
import { beginNats, type PendingTransport } from "../../mirror/pending.ts";
import { MirrorPublisher, type PublisherInfo, type StartOptions } from "../../mirror/publisher.ts";
import { sleepOr } from "../../mirror/wait.ts";
import { segmentAt } from "../../segment/list.ts";
import { isSideFile } from "../../segment/place.ts";
import { type Command, define, EXIT, NotFoundError, numberOption, TRUST, UsageError } from "../command.ts";
import { DIRECTORIES, findFile } from "../open.ts";
import { escapeText, type Output } from "../output.ts";

const DEFAULT_BUCKET = "shmstruct";
const TELL_EVERY_MS = 1000;
/** New keys of a pattern are looked for this often. */
const LOOK_EVERY_MS = 2000;
const IS_PATTERN = /[*?[{]/;
/** Of keys that stand beside others. */
const IS_LEASE = /\.lease$/;

export const command: Command = define({
  args: "publish|follow FILE…",
  count: [2, 1000],
  details:
    "publish: each FILE under its name as key. follow: each FILE is a key, kept as a file of that name in DIR.\nA FILE may be a pattern, in quotes: of files that are there, or of keys, also of those that come later.\nGoes on until it is interrupted.",
  options: {
    to: { type: "string", value: "URL", help: "publish: the server, nats://host:port; several with commas" },
    from: { type: "string", value: "URL", help: "follow: the server" },
    bucket: { type: "string", value: "NAME", help: `the key-value bucket (default ${DEFAULT_BUCKET})` },
    dir: { type: "string", value: "DIR", help: "follow: where the files go (default ./.mmap)" },
    hz: { type: "string", value: "N", help: "publish: states a second at most" },
    "max-bytes": { type: "string", value: "N", help: "a larger file is refused (67108864)" },
    replicas: { type: "string", value: "N", help: "copies in a cluster (default 1)" },
    "ack-wait": {
      type: "string",
      value: "MS",
      help: "follow: a silent machine's job goes back after (30000)",
    },
    prefetch: { type: "string", value: "N", help: "follow: jobs in hand at most (16)" },
    creds: { type: "string", value: "FILE", help: "a file of credentials" },
    nkey: { type: "string", value: "FILE", help: "a file with an nkey's seed" },
    user: { type: "string", value: "NAME", help: "a user; needs --password-file" },
    "password-file": { type: "string", value: "FILE", help: "the user's password" },
    "token-file": { type: "string", value: "FILE", help: "a token" },
    tls: { type: "boolean", help: "encrypt, and trust the authorities of the system" },
    "tls-ca": { type: "string", value: "FILE", help: "encrypt, and trust these authorities" },
    "tls-cert": { type: "string", value: "FILE", help: "a certificate of one's own, with --tls-key" },
    "tls-key": { type: "string", value: "FILE", help: "its key" },
    timeout: {
      type: "string",
      value: "MS",
      help: "publish: for a lock that a copy needs (default: no limit)",
    },
    ...TRUST,
  },
  examples: [
    "shmstruct mirror publish ./.mmap/Robot_.mmap --to nats://10.0.0.1:4222",
    "shmstruct mirror publish './.mmap/*' --to tls://10.0.0.1:4222 --tls-ca ca.pem --creds robot.creds",
    "shmstruct mirror follow Robot_.mmap --from nats://10.0.0.1:4222 --dir /run/robot",
  ],
  async run([what = "", ...names], values, out) {
    if (what !== "publish" && what !== "follow")
      throw new UsageError(`expected publish or follow, got '${escapeText(what)}'`);
    const server = what === "publish" ? "to" : "from";
    const maxBytes = numberOption("max-bytes", values["max-bytes"], 1);
    const trustOwner = numberOption("trust-owner", values["trust-owner"]);
    const common = { shared: values.shared, trustOwner, maxBytes };
    const files = what === "publish" ? filesOf(names) : [];
    if (what === "follow") names.forEach(checkKey);
    const stop = new AbortController();
    process.once("SIGINT", () => stop.abort()).once("SIGTERM", () => stop.abort());
    const connection = connectionOf(needed(server, values[server]), values);
    const onWait = (wait: ServerWait): void => tellWait(out, wait);
    if (what === "publish") {
      const maxHz = numberOption("hz", values.hz, 0.001);
      const timeoutMs = numberOption("timeout", values.timeout);
      const connect = () => connectNats({ ...connection, onWait }, stop.signal);
      await publish(out, files, { connect, stop, options: { ...common, maxHz, timeoutMs, onWait } });
    } else {
      const ackWaitMs = numberOption("ack-wait", values["ack-wait"], 1);
      const prefetch = numberOption("prefetch", values.prefetch, 1);
      const options = { ...common, ackWaitMs, prefetch };
      const connect = () => beginNats({ ...connection, onWait });
      await follow(out, names, values.dir ?? "./.mmap", { connect, stop, options });
    }
    return EXIT.done;
  },
});

interface Values {
  readonly bucket?: string;
  readonly replicas?: string;
  readonly creds?: string;
  readonly nkey?: string;
  readonly user?: string;
  readonly "password-file"?: string;
  readonly "token-file"?: string;
  readonly tls?: boolean;
  readonly "tls-ca"?: string;
  readonly "tls-cert"?: string;
  readonly "tls-key"?: string;
}

function connectionOf(servers: string, values: Values): NatsOptions {
  const { bucket = DEFAULT_BUCKET, creds: credsFile, nkey: nkeyFile, user } = values;
  const [password, token] = [secret(values["password-file"]), secret(values["token-file"])];
  if (user !== undefined && password === undefined) throw new UsageError("--user needs --password-file");
  const isKnown = [credsFile, nkeyFile, user, token].some((value) => value !== undefined);
  const [caFile, certFile, keyFile] = [values["tls-ca"], values["tls-cert"], values["tls-key"]];
  if ((certFile === undefined) !== (keyFile === undefined))
    throw new UsageError("--tls-cert and --tls-key belong together");
  const isEncrypted = values.tls === true || caFile !== undefined || certFile !== undefined;
  return {
    servers: servers.split(","),
    bucket,
    replicas: numberOption("replicas", values.replicas, 1),
    ...(isKnown && { credentials: { credsFile, nkeyFile, user, password, token } }),
    ...(isEncrypted && { tls: { caFile, certFile, keyFile } }),
  };
}

/** A secret on the command line is seen by all users of the machine, so it stands in a file. */
const secret = (file: string | undefined): string | undefined =>
  file === undefined ? undefined : readFileSync(file, "utf8").trim();

function needed(option: string, value: string | undefined): string {
  if (value !== undefined) return value;
  throw new UsageError(`--${option} is needed: the server, nats://host:port`);
}

function checkKey(key: string): void {
  if (key.includes("/")) throw new UsageError(`a key is the name of a file, got '${escapeText(key)}'`);
}

/** The segments that names and patterns stand for. @throws NotFoundError, UsageError */
function filesOf(names: readonly string[]): string[] {
  const files = [
    ...new Set(names.flatMap((name) => (IS_PATTERN.test(name) ? matching(name) : [findFile(name)]))),
  ];
  const keys = files.map((file) => basename(file));
  const twice = keys.find((key, i) => keys.indexOf(key) !== i);
  if (twice === undefined) return files;
  throw new UsageError(`two files have the name '${escapeText(twice)}', which is their key`);
}

function matching(pattern: string): string[] {
  const directories = pattern.includes("/") ? [dirname(pattern)] : DIRECTORIES;
  const glob = new Bun.Glob(basename(pattern));
  const found = directories
    .flatMap((cwd) =>
      filesIn(cwd)
        .filter((name) => glob.match(name))
        .map((name) => join(cwd, name)),
    )
    .filter((file) => !isSideFile(basename(file)) && segmentAt(file)?.state === "ok");
  if (found.length > 0) return found;
  throw new NotFoundError(`no segment matches '${escapeText(pattern)}'`);
}

function filesIn(directory: string): string[] {
  try {
    return [...new Bun.Glob("*").scanSync({ cwd: directory, onlyFiles: true, dot: true })].sort();
  } catch {
    return [];
  }
}

/** What all mirrors of a command have in common. */
interface Running<T, O> {
  readonly connect: () => Promise<T>;
  readonly stop: AbortController;
  readonly options: O;
}

async function publish(
  out: Output,
  files: readonly string[],
  { connect, stop, options }: Running<NatsTransport, Omit<StartOptions, "key">>,
): Promise<void> {
  const transport = await connect().catch((error) => {
    if (stop.signal.aborted) return undefined;
    throw error;
  });
  if (transport === undefined) return;
  const start = (path: string): Promise<MirrorPublisher> =>
    MirrorPublisher.start(path, transport.share(), {
      ...options,
      key: basename(path),
      signal: stop.signal,
    });
  const started = await Promise.allSettled(files.map(start));
  const publishers = started.flatMap((result) => (result.status === "fulfilled" ? [result.value] : []));
  try {
    const failed = started.find((result) => result.status === "rejected");
    if (failed !== undefined && !stop.signal.aborted) throw failed.reason;
    const over = Promise.all(publishers.map(({ ended }) => ended));
    const infos = (): PublisherInfo[] => publishers.map((publisher) => publisher.info());
    await Promise.race([over, tell(out, infos, stop.signal)]);
  } finally {
    await Promise.all(publishers.map((publisher) => publisher[Symbol.asyncDispose]()));
    await transport.close();
  }
}

async function follow(
  out: Output,
  names: readonly string[],
  dir: string,
  { connect, stop, options }: Running<PendingTransport, object>,
): Promise<void> {
  const transport = await connect();
  const followers = new Map<string, MirrorFollower>();
  const start = (key: string): void => {
    if (!followers.has(key) && !key.includes("/"))
      followers.set(key, new MirrorFollower(join(dir, key), transport.share(), { ...options, key }));
  };
  const patterns = names.filter((name) => IS_PATTERN.test(name)).map((name) => new Bun.Glob(name));
  names.filter((name) => !IS_PATTERN.test(name)).forEach(start);
  const look = async (): Promise<void> => {
    while (patterns.length > 0 && !stop.signal.aborted) {
      const keys = await transport.keys().catch(() => []);
      const isWanted = (key: string): boolean =>
        !IS_LEASE.test(key) && patterns.some((glob) => glob.match(key));
      if (!stop.signal.aborted) keys.filter(isWanted).forEach(start);
      await sleepOr(stop.signal, LOOK_EVERY_MS);
    }
  };
  try {
    const infos = (): FollowerInfo[] => [...followers.values()].map((follower) => follower.info());
    await Promise.all([look(), tell(out, infos, stop.signal)]);
  } finally {
    await Promise.all([...followers.values()].map((follower) => follower[Symbol.asyncDispose]()));
    await transport.close();
  }
}

/** No server is there yet. */
function tellWait(out: Output, { since, problem }: ServerWait): void {
  if (out.isJson) out.json({ waitingSince: since, problem });
  else out.line(`waiting since ${timeOf(since)}: ${escapeText(problem)}`);
}

/** A line for each that has changed, every second. */
async function tell(
  out: Output,
  infos: () => readonly (PublisherInfo | FollowerInfo)[],
  signal: AbortSignal,
): Promise<void> {
  const told = new Map<string, string>();
  while (!signal.aborted) {
    for (const info of infos()) {
      const { path, version, epoch } = info;
      const text = `${escapeText(path)} epoch ${epoch ?? "-"} version ${version ?? "-"} ${escapeText(stateOf(info))}`;
      if (told.get(path) === text) continue;
      told.set(path, text);
      if (out.isJson) out.json(info);
      else out.line(text);
    }
    await sleepOr(signal, TELL_EVERY_MS);
  }
}

/** Connected, or stale since when; lag; what was backed up. */
function stateOf(info: PublisherInfo | FollowerInfo): string {
  if (!("staleSince" in info)) {
    const since = info.disconnectedSince;
    const left = info.version - (info.confirmedVersion ?? 0);
    return `${since === undefined ? "connected" : `cut off since ${timeOf(since)}`}${left > 0 ? `, ${left} not confirmed` : ""}`;
  }
  const { problem, staleSince, lagMs, lagVersions, missed = 0, jobs, fenced } = info;
  const parts = [
    problem ?? (staleSince === undefined ? "connected" : `stale since ${timeOf(staleSince)}`),
    ...(lagVersions > 0 ? [`${lagVersions} versions behind`] : []),
    ...(lagMs === undefined ? [] : [`took ${Math.round(lagMs)} ms`]),
    ...(missed > 0 ? [`${missed} missed`] : []),
    ...(jobs === undefined ? [] : [`${jobs} jobs in hand`]),
    ...(fenced === undefined
      ? []
      : [
          `version ${fenced.version} of before is in '${fenced.backup}' (${fenced.confirmedVersion ?? "nothing"} had arrived)`,
        ]),
  ];
  return parts.join(", ");
}

const timeOf = (ms: number): string => new Date(ms).toISOString();

/** The server of the page: its files, values as JSON, edits, and a WebSocket for what changes. */
import type { Server, ServerWebSocket } from "bun";
import { ShmError } from "../../errors/errors.ts";
import type { Inspector } from "../../segment/inspector.ts";
import { type ListedSegment, listSegments } from "../../segment/list.ts";
import { exists } from "../../sys/paths.ts";
import { NotFoundError, UsageError } from "../command.ts";
import { commands } from "../commands.ts";
import { type OpenValues, openForWriting, openInspector } from "../open.ts";
import { Output, toJson } from "../output.ts";
import { setText } from "../set-text.ts";
import { clientCode, html, icon } from "./files.ts";
import { Guard } from "./guard.ts";
import { LiveView } from "./live.ts";
import type { ClientMessage, SegmentRow, ServerMessage, SetRequest } from "./protocol.ts";
import { styles } from "./styles.ts";

export interface PageOptions {
  readonly directories: readonly string[];
  readonly host: string;
  /** 0: any that is free. */
  readonly port: number;
  readonly token: string;
  readonly canWrite: boolean;
  /** Looks a second. */
  readonly hz: number;
  readonly trust: OpenValues;
}

/** What one open page has. */
interface Visitor {
  readonly views: Map<string, LiveView>;
  segments: ReadonlyMap<string, string>;
}

const SEGMENTS_EVERY_MS = 1000;
/** Bytes that a slow page has not taken yet; beyond that it gets nothing new, and later only the newest. */
const MAX_WAITING = 1 << 20;
const MAX_BODY = 1 << 20;
const MAX_VISITORS = 64;
const MAX_VIEWS = 100;
/** An edit waits so long for the lock, and the page stands still meanwhile. */
const LOCK_TIMEOUT = "1000";

/** RFC 6455, section 7.4.1. */
const UNSUPPORTED_DATA = 1003;

/** Commands whose rows the page shows as tables, where they exist. */
const TABLES = ["who", "doctor"].filter((name) => Object.hasOwn(commands, name));

export class PageServer implements Disposable {
  readonly #options: PageOptions;
  readonly #server: Server<Visitor>;
  readonly #guard: Guard;
  readonly #visitors = new Set<ServerWebSocket<Visitor>>();
  /** While there is a page to look for. */
  #timer: Timer | undefined;
  #listed = new Map<string, ListedSegment>();
  #nextList = 0;

  constructor(options: PageOptions) {
    this.#options = options;
    this.#server = Bun.serve<Visitor>({
      hostname: options.host,
      port: options.port,
      maxRequestBodySize: MAX_BODY,
      fetch: (request, server) => this.#answer(request, server),
      websocket: {
        maxPayloadLength: 1 << 16,
        open: (socket) => this.#open(socket),
        message: (socket, text) => this.#hear(socket, String(text)),
        close: (socket) => this.#close(socket),
      },
    });
    this.#guard = new Guard({ ...options, port: this.#server.port! });
  }

  /** With the token. */
  get address(): string {
    const { host, token } = this.#options;
    const name = { "0.0.0.0": "127.0.0.1", "::": "[::1]" }[host] ?? (host.includes(":") ? `[${host}]` : host);
    return `http://${name}:${this.#server.port}/${token}/`;
  }

  [Symbol.dispose](): void {
    for (const socket of this.#visitors) this.#close(socket);
    this.#server.stop(true);
  }

  async #answer(request: Request, server: Server<Visitor>): Promise<Response | undefined> {
    const path = this.#guard.pathOf(request);
    // Not what was wrong: a stranger learns nothing.
    if (path === undefined) return reply("refused: open the address that shmstruct serve printed\n", 403);
    try {
      if (path === "socket") return this.#upgrade(request, server);
      if (path === "set") return await this.#set(request);
      return request.method === "GET" ? await this.#get(path, request) : reply("GET only\n", 405);
    } catch (error) {
      return problem(error);
    }
  }

  #upgrade(request: Request, server: Server<Visitor>): Response | undefined {
    if (this.#visitors.size >= MAX_VISITORS) return reply("too many pages\n", 503);
    const data: Visitor = { views: new Map(), segments: new Map() };
    return server.upgrade(request, { data }) ? undefined : reply("a WebSocket only\n", 426);
  }

  async #get(path: string, request: Request): Promise<Response> {
    const url = new URL(request.url);
    const host = request.headers.get("host")!;
    if (path === "") return file(html, "text/html", host);
    if (path === "page.css") return file(styles, "text/css", host);
    if (path === "page.js") return file(await clientCode(), "text/javascript", host);
    if (path === "icon.svg") return file(icon, "image/svg+xml", host);
    if (path === "segments") return json([...this.#list().values()].map(segmentRow));
    if (path === "value") return json(this.#value(url.searchParams.get("path") ?? ""));
    if (TABLES.includes(path)) return await this.#table(path, url.searchParams.get("path") ?? "");
    return reply("not found\n", 404);
  }

  /** A page may name only what is listed, and not any file of the machine. */
  #isListed(path: string): boolean {
    return this.#listed.has(path) || this.#list().has(path);
  }

  #inspector(path: string): Inspector {
    if (!this.#isListed(path)) throw new UsageError("there is no such segment in the served directories");
    return openInspector(path, this.#options.trust);
  }

  #value(path: string): { version: number; value: unknown } {
    using inspector = this.#inspector(path);
    const { version, value } = inspector.look();
    return { version, value: value ?? null };
  }

  async #table(name: string, path: string): Promise<Response> {
    if (path !== "" && !this.#isListed(path))
      throw new UsageError("there is no such segment in the served directories");
    const out = new Lines();
    const command = commands[name as keyof typeof commands].load();
    await command.run(path === "" ? this.#options.directories : [path], this.#options.trust as never, out);
    return json(out.values);
  }

  async #set(request: Request): Promise<Response> {
    if (request.method !== "POST") return reply("POST only\n", 405);
    if (!this.#options.canWrite)
      return reply("this page is read-only: start it with shmstruct serve --write\n", 403);
    const { path, at, text } = (await request.json()) as SetRequest;
    if (!this.#isListed(path)) throw new UsageError("there is no such segment in the served directories");
    using inspector = openForWriting(path, { ...this.#options.trust, timeout: LOCK_TIMEOUT });
    setText(inspector, String(at), String(text));
    return json({ version: inspector.version });
  }

  #open(socket: ServerWebSocket<Visitor>): void {
    this.#visitors.add(socket);
    this.#timer ??= setInterval(() => this.#tick(), 1000 / this.#options.hz);
    const { canWrite, hz } = this.#options;
    send(socket, { do: "hello", canWrite, hz, views: TABLES });
    this.#nextList = 0;
  }

  #close(socket: ServerWebSocket<Visitor>): void {
    this.#visitors.delete(socket);
    if (this.#visitors.size === 0) this.#rest();
    for (const view of socket.data.views.values()) view[Symbol.dispose]();
    socket.data.views.clear();
  }

  #rest(): void {
    clearInterval(this.#timer);
    this.#timer = undefined;
  }

  #hear(socket: ServerWebSocket<Visitor>, text: string): void {
    const { views } = socket.data;
    const message = parsed(text);
    const view = views.get(message?.path ?? "");
    if (message === undefined) socket.close(UNSUPPORTED_DATA);
    else if (message.do === "unwatch") {
      view?.[Symbol.dispose]();
      views.delete(message.path);
    } else if (view !== undefined) view.change(message);
    else if (views.size < MAX_VIEWS)
      views.set(message.path, new LiveView(message, () => this.#inspector(message.path)));
  }

  /** A page that does not keep up is passed over: nothing is lost, as what is sent is the difference to what it has. */
  #tick(): void {
    const listed = performance.now() >= this.#nextList ? this.#list() : undefined;
    for (const socket of this.#visitors) {
      if (socket.getBufferedAmount() > MAX_WAITING) continue;
      if (listed !== undefined) sendSegments(socket, listed);
      for (const view of socket.data.views.values()) for (const frame of view.frames()) send(socket, frame);
    }
  }

  #list(): ReadonlyMap<string, ListedSegment> {
    const start = performance.now();
    const segments = this.#options.directories.filter((directory) => exists(directory)).flatMap(listSegments);
    this.#listed = new Map(segments.map((segment) => [segment.path, segment]));
    this.#nextList = start + Math.max(SEGMENTS_EVERY_MS, 10 * (performance.now() - start));
    return this.#listed;
  }
}

/** What a command prints as JSON, kept. */
class Lines extends Output {
  readonly values: unknown[] = [];

  constructor() {
    super(true);
  }

  override json(value: unknown): void {
    this.values.push(value);
  }

  override write(): void {}
}

const send = (socket: ServerWebSocket<Visitor>, message: ServerMessage): void => {
  socket.sendText(JSON.stringify(message));
};

const segmentRow = ({ path, kind, struct, bytes, version, state, problem }: ListedSegment): SegmentRow => ({
  path,
  name: path.slice(path.lastIndexOf("/") + 1),
  kind: kind ?? "",
  struct: struct?.slice(0, 200) ?? "",
  bytes,
  version,
  state,
  problem: problem ?? "",
});

function parsed(text: string): ClientMessage | undefined {
  try {
    const message = JSON.parse(text) as ClientMessage | null;
    return typeof message?.path === "string" ? message : undefined;
  } catch {
    return undefined;
  }
}

/** Those that are new or other than the page knows, and those that are gone. */
function sendSegments(socket: ServerWebSocket<Visitor>, listed: ReadonlyMap<string, ListedSegment>): void {
  const known = socket.data.segments;
  const rows = [...listed.values()].map(segmentRow);
  const texts = new Map(rows.map((row) => [row.path, JSON.stringify(row)]));
  const set = rows.filter(({ path }) => known.get(path) !== texts.get(path));
  const gone = [...known.keys()].filter((path) => !texts.has(path));
  socket.data.segments = texts;
  send(socket, { do: "segments", set, gone });
}

/** Nothing but the page's own files is loaded, and no text of a file can become markup or code. */
const securityHeaders = (host: string): Record<string, string> => ({
  "content-security-policy": [
    "default-src 'none'",
    "script-src 'self'",
    "style-src 'self'",
    "img-src 'self'",
    `connect-src 'self' ws://${host}`,
    "base-uri 'none'",
    "form-action 'none'",
    "frame-ancestors 'none'",
    "require-trusted-types-for 'script'",
  ].join("; "),
  "cross-origin-opener-policy": "same-origin",
});

const HEADERS = {
  "cache-control": "no-store",
  "referrer-policy": "no-referrer",
  "x-content-type-options": "nosniff",
  "cross-origin-resource-policy": "same-origin",
} as const;

const file = (text: string, type: string, host: string): Response =>
  new Response(text, {
    headers: { ...HEADERS, ...securityHeaders(host), "content-type": `${type}; charset=utf-8` },
  });

const json = (value: unknown): Response =>
  new Response(toJson(value), { headers: { ...HEADERS, "content-type": "application/json" } });

const reply = (text: string, status: number): Response =>
  new Response(text, { status, headers: { ...HEADERS, "content-type": "text/plain; charset=utf-8" } });

/** What the user did wrong, or what the file is; faults of ours are thrown on. */
function problem(error: unknown): Response {
  const isTold =
    error instanceof ShmError ||
    error instanceof UsageError ||
    error instanceof NotFoundError ||
    error instanceof TypeError ||
    error instanceof RangeError ||
    error instanceof SyntaxError;
  if (isTold) return reply(`${error.message}\n`, 400);
  return reply(`${error instanceof Error ? (error.stack ?? error.message) : error}\n`, 500);
}

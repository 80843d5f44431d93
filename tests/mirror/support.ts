/** A NATS server of the tests' own, and a wire between it and a client that can be cut. */
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { Socket } from "bun";
import { toolPath } from "../support/tools.ts";

const READY_MS = 120_000;

export class Server implements AsyncDisposable {
  readonly directory = mkdtempSync(join(tmpdir(), "shmstruct-nats-"));
  readonly port: number;
  readonly #args: readonly string[];
  #child: Bun.Subprocess | undefined;

  private constructor(port: number, args: readonly string[]) {
    this.port = port;
    this.#args = args;
  }

  /** @param args of nats-server, beside those for JetStream, interface and port */
  static async start(args: readonly string[] = []): Promise<Server> {
    const server = new Server(freePort(), args);
    await server.run();
    return server;
  }

  /** One that does not run yet. */
  static planned(): Server {
    return new Server(freePort(), []);
  }

  /** Three servers that know each other. */
  static async cluster(): Promise<Server[]> {
    const ports = [freePort(), freePort(), freePort()];
    const routes = ports.map((port) => `nats://127.0.0.1:${port}`);
    const servers = ports.map(
      (port, i) =>
        new Server(freePort(), [
          ...["--server_name", `n${i}`, "--cluster_name", "three"],
          ...["--cluster", `nats://127.0.0.1:${port}`, "--routes", routes.join(",")],
        ]),
    );
    await Promise.all(servers.map((server) => server.run()));
    return servers;
  }

  get url(): string {
    return `nats://127.0.0.1:${this.port}`;
  }

  file(name: string): string {
    return join(this.directory, name);
  }

  async run(): Promise<void> {
    const args = [
      "-js",
      "-a",
      "127.0.0.1",
      "-p",
      String(this.port),
      "-sd",
      join(this.directory, "jetstream"),
    ];
    this.#child = Bun.spawn([toolPath("nats-server")!, ...args, ...this.#args], {
      stdout: "ignore",
      stderr: "ignore",
    });
    const end = Date.now() + READY_MS;
    while (!(await answers(this.port))) {
      if (Date.now() > end) throw new Error("nats-server does not answer");
      await Bun.sleep(20);
    }
  }

  async kill(): Promise<void> {
    this.#child?.kill(9);
    await this.#child?.exited;
  }

  /** All that it knew is gone: it starts without any history. */
  forget(): void {
    rmSync(join(this.directory, "jetstream"), { recursive: true, force: true });
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.kill();
    rmSync(this.directory, { recursive: true, force: true });
  }
}

/** A port that is free now; who asked for it then has it to itself, on the loopback interface. */
function freePort(): number {
  using probe = Bun.listen({ hostname: "127.0.0.1", port: 0, socket: { data() {} } });
  return probe.port;
}

async function answers(port: number): Promise<boolean> {
  try {
    const socket = await Bun.connect({ hostname: "127.0.0.1", port, socket: { data() {} } });
    socket.end();
    return true;
  } catch {
    return false;
  }
}

/** How bytes pass: they do; stay where they are and arrive later; or are gone, as on a network that drops packets. */
type WireState = "open" | "stalled" | "cut";

/** What lies between a client and a server. */
export class Wire implements Disposable {
  readonly #listener: Bun.TCPSocketListener<Peer>;
  readonly #sockets = new Set<Socket<Peer>>();
  /** Bytes that wait, with the socket that they go to. */
  #held: [Socket<Peer>, Uint8Array][] = [];
  #state: WireState = "open";
  /** Milliseconds that bytes take. */
  delayMs = 0;

  constructor(target: number) {
    const handlers = {
      data: (socket: Socket<Peer>, data: Uint8Array) => this.#pass(socket, Uint8Array.from(data)),
      close: (socket: Socket<Peer>) => {
        this.#sockets.delete(socket);
        socket.data.other?.end();
      },
      drain,
    };
    this.#listener = Bun.listen<Peer>({
      hostname: "127.0.0.1",
      port: 0,
      socket: { ...handlers, open: (socket) => void this.#connect(socket, target, handlers) },
    });
  }

  async #connect(socket: Socket<Peer>, port: number, handlers: Bun.SocketHandler<Peer>): Promise<void> {
    socket.data = { other: undefined, waiting: [], pending: [] };
    this.#sockets.add(socket);
    if (this.#state === "cut") {
      socket.end();
      return;
    }
    try {
      const data = { other: socket, waiting: [], pending: [] };
      const other = await Bun.connect<Peer>({ hostname: "127.0.0.1", port, socket: handlers, data });
      this.#sockets.add(other);
      socket.data.other = other;
      for (const early of socket.data.waiting) this.#pass(socket, early);
    } catch {
      socket.end();
    }
  }

  #pass(socket: Socket<Peer>, data: Uint8Array): void {
    const { other, waiting } = socket.data;
    if (this.#state === "cut") return;
    if (other === undefined) waiting.push(data);
    else if (this.#state === "stalled") this.#held.push([other, data]);
    // Timers of one length keep their order.
    else if (this.delayMs > 0) setTimeout(() => write(other, data), this.delayMs);
    else write(other, data);
  }

  get url(): string {
    return `nats://127.0.0.1:${this.#listener.port}`;
  }

  /** Bytes stay where they are, until it is healed. */
  stall(): void {
    this.#state = "stalled";
  }

  /** Bytes are gone. */
  cut(): void {
    this.#state = "cut";
  }

  /** Connections that were cut are gone, new ones work; what was stalled arrives. */
  heal(): void {
    const wasCut = this.#state === "cut";
    this.#state = "open";
    for (const [socket, data] of this.#held) write(socket, data);
    this.#held = [];
    if (wasCut) this.drop();
  }

  /** Ends all connections. */
  drop(): void {
    for (const socket of this.#sockets) socket.end();
  }

  /** Ends one direction of each connection: its other end may go on sending. */
  halfClose(): void {
    for (const socket of this.#sockets) socket.shutdown(true);
  }

  [Symbol.dispose](): void {
    this.#listener.stop(true);
  }
}

interface Peer {
  other: Socket<Peer> | undefined;
  /** What came before the other side was there. */
  waiting: Uint8Array[];
  /** What the system did not take yet. */
  pending: Uint8Array[];
}

function write(socket: Socket<Peer>, data: Uint8Array): void {
  socket.data.pending.push(data);
  drain(socket);
}

function drain(socket: Socket<Peer>): void {
  const { pending } = socket.data;
  for (let first = pending[0]; first !== undefined; first = pending[0]) {
    const written = socket.write(first);
    if (written < first.length) {
      pending[0] = first.subarray(Math.max(0, written));
      return;
    }
    pending.shift();
  }
}

/** Waits until something is so. */
export async function until(
  isSo: () => boolean | Promise<boolean>,
  what: string,
  timeoutMs = 120_000,
): Promise<void> {
  const end = Date.now() + timeoutMs;
  while (!(await isSo())) {
    if (Date.now() > end) throw new Error(`not within ${timeoutMs} ms: ${what}`);
    await Bun.sleep(10);
  }
}

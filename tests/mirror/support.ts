/** A NATS server of the tests' own, and a wire between it and a client that can be cut. */
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { Socket } from "bun";
import { toolPath } from "../support/tools.ts";

const READY_MS = 30_000;

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

/** Passes bytes on until it is cut; then they stay where they are, as on a network that drops packets. */
export class Wire implements Disposable {
  readonly #listener: Bun.TCPSocketListener<Peer>;
  readonly #sockets = new Set<Socket<Peer>>();
  isCut = false;

  constructor(target: number) {
    const sockets = this.#sockets;
    const isCut = (): boolean => this.isCut;
    const pass = (socket: Socket<Peer>, data: Uint8Array): void => {
      if (isCut()) return;
      if (socket.data.other === undefined) socket.data.waiting.push(Uint8Array.from(data));
      else write(socket.data.other, data);
    };
    const close = (socket: Socket<Peer>): void => {
      sockets.delete(socket);
      socket.data.other?.end();
    };
    this.#listener = Bun.listen<Peer>({
      hostname: "127.0.0.1",
      port: 0,
      socket: {
        open(socket) {
          socket.data = { other: undefined, waiting: [], pending: [] };
          sockets.add(socket);
          if (isCut()) {
            socket.end();
            return;
          }
          void Bun.connect<Peer>({
            hostname: "127.0.0.1",
            port: target,
            socket: { data: pass, close, drain },
            data: { other: socket, waiting: [], pending: [] },
          }).then(
            (other) => {
              sockets.add(other);
              socket.data.other = other;
              for (const data of socket.data.waiting) write(other, data);
            },
            () => socket.end(),
          );
        },
        data: pass,
        close,
        drain,
      },
    });
  }

  get url(): string {
    return `nats://127.0.0.1:${this.#listener.port}`;
  }

  cut(): void {
    this.isCut = true;
  }

  /** The connections that were cut are gone; new ones work. */
  heal(): void {
    this.isCut = false;
    for (const socket of this.#sockets) socket.end();
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
  socket.data.pending.push(Uint8Array.from(data));
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
  timeoutMs = 30_000,
): Promise<void> {
  const end = Date.now() + timeoutMs;
  while (!(await isSo())) {
    if (Date.now() > end) throw new Error(`not within ${timeoutMs} ms: ${what}`);
    await Bun.sleep(10);
  }
}

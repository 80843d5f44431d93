/** The connection to the server, which comes back by itself. */
import type { ClientMessage, ServerMessage, TableAnswer, ValueAnswer } from "../protocol.ts";

const FIRST_RETRY_MS = 250;
const MAX_RETRY_MS = 4000;

export class Connection {
  readonly #hear: (message: ServerMessage) => void;
  readonly #tell: (isOpen: boolean) => void;
  readonly #watched = new Map<string, ClientMessage>();
  #socket: WebSocket | undefined;
  #retryMs = FIRST_RETRY_MS;

  constructor(hear: (message: ServerMessage) => void, tell: (isOpen: boolean) => void) {
    this.#hear = hear;
    this.#tell = tell;
    this.#connect();
  }

  /** What is shown of a segment; undefined when nothing is. */
  watch(path: string, parts: { bytes: boolean; messages: boolean } | undefined): void {
    const known = this.#watched.get(path);
    const message: ClientMessage =
      parts === undefined ? { do: "unwatch", path } : { do: "watch", path, ...parts };
    if (JSON.stringify(known) === JSON.stringify(message) || (known === undefined && parts === undefined))
      return;
    if (parts === undefined) this.#watched.delete(path);
    else this.#watched.set(path, message);
    this.#send(message);
  }

  #connect(): void {
    const address = new URL("socket", location.href);
    address.protocol = "ws:";
    const socket = new WebSocket(address);
    this.#socket = socket;
    socket.addEventListener("open", () => {
      this.#retryMs = FIRST_RETRY_MS;
      this.#tell(true);
      for (const message of this.#watched.values()) this.#send(message);
    });
    socket.addEventListener("message", ({ data }) => this.#hear(JSON.parse(String(data))));
    socket.addEventListener("close", () => {
      this.#tell(false);
      setTimeout(() => this.#connect(), this.#retryMs);
      this.#retryMs = Math.min(MAX_RETRY_MS, this.#retryMs * 2);
    });
  }

  #send(message: ClientMessage): void {
    if (this.#socket?.readyState === WebSocket.OPEN) this.#socket.send(JSON.stringify(message));
  }
}

async function ask(address: string, options?: RequestInit): Promise<unknown> {
  const response = await fetch(address, options);
  if (!response.ok) throw new Error((await response.text()).trim());
  return response.json();
}

const about = (view: string, path: string): string => `${view}?${new URLSearchParams({ path })}`;

export const askValue = (path: string): Promise<ValueAnswer> =>
  ask(about("value", path)) as Promise<ValueAnswer>;

export const askTable = (view: string, path: string): Promise<TableAnswer> =>
  ask(about(view, path)) as Promise<TableAnswer>;

/** @throws Error with what was wrong */
export const setValue = (path: string, at: string, text: string): Promise<unknown> =>
  ask("set", { method: "POST", body: JSON.stringify({ path, at, text }) });

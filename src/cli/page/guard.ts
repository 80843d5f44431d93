/** Who may talk to the page's server: those who have the token, and come from the page itself. */
import { randomBytes, timingSafeEqual } from "node:crypto";
import { closeSync, constants, fstatSync, openSync, readFileSync, writeFileSync } from "node:fs";
import { isIP } from "node:net";
import { hostname } from "node:os";
import { escapeText } from "../../errors/show.ts";
import { UsageError } from "../command.ts";

const TOKEN_BYTES = 24;

export const newToken = (): string => randomBytes(TOKEN_BYTES).toString("base64url");

/**
 * The token in a file, which is made if it is not there: a server that is started again is then the one that open pages
 * know.
 * @throws UsageError for a file that others can read, or that holds no token
 */
export function tokenInFile(path: string): string {
  try {
    writeFileSync(path, `${newToken()}\n`, { mode: 0o600, flag: "wx" });
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== "EEXIST") throw error;
  }
  const token = readPrivately(path).trim();
  if (/^[\w-]{16,128}$/.test(token)) return token;
  throw new UsageError(
    `'${escapeText(path)}' holds no token: 16 or more letters, digits, - and _; remove it`,
  );
}

function readPrivately(path: string): string {
  const fd = openSync(path, constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK);
  try {
    const { uid, mode } = fstatSync(fd);
    if (uid === process.getuid?.() && (mode & 0o077) === 0) return readFileSync(fd, "utf8");
    throw new UsageError(
      `'${escapeText(path)}' must be the user's own and have mode 0600: others could read the token`,
    );
  } finally {
    closeSync(fd);
  }
}

/** What a request must show. */
export interface GuardOptions {
  readonly token: string;
  /** What the server listens on. */
  readonly host: string;
  readonly port: number;
}

export class Guard {
  readonly #token: Uint8Array;
  readonly #host: string;
  readonly #port: number;

  constructor({ token, host, port }: GuardOptions) {
    this.#token = Buffer.from(token);
    this.#host = host.toLowerCase();
    this.#port = port;
  }

  /**
   * The path behind the token.
   * @returns undefined for a request that must be refused
   */
  pathOf(request: Request): string | undefined {
    const [, token = "", ...rest] = new URL(request.url).pathname.split("/");
    const isRight = this.#isToken(token) && this.#isHost(request) && this.#isOrigin(request);
    return isRight ? rest.join("/") : undefined;
  }

  /** In a time that does not depend on where the texts differ. */
  #isToken(text: string): boolean {
    const bytes = Buffer.from(text);
    return bytes.length === this.#token.length && timingSafeEqual(bytes, this.#token);
  }

  /**
   * A page of a foreign site whose name was made to lead here (DNS rebinding) gives that name as Host. An address is no
   * name, and the machine's own names lead nowhere else.
   */
  #isHost(request: Request): boolean {
    const host = request.headers.get("host")?.toLowerCase() ?? "";
    const [, name = "", port = "80"] = /^(\[[^\]]*\]|[^:]*)(?::(\d+))?$/.exec(host) ?? [];
    if (Number(port) !== this.#port) return false;
    const address = name.replace(/^\[|\]$/g, "");
    return isIP(address) !== 0 || [this.#host, "localhost", hostname().toLowerCase()].includes(name);
  }

  /** Browsers tell where a request comes from when it writes, and when it opens a WebSocket. */
  #isOrigin(request: Request): boolean {
    const { headers, method } = request;
    const origin = headers.get("origin");
    const isNeeded = method !== "GET" || headers.get("upgrade") !== null;
    return origin === null ? !isNeeded : origin === `http://${headers.get("host")}`;
  }
}

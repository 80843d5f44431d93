/** A headless browser, driven over its DevTools protocol (https://chromedevtools.github.io/devtools-protocol/). */
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { linesOf } from "./tools.ts";

const ARGUMENTS = [
  "--headless=new",
  // In containers the tests run as root, and /dev/shm may be small.
  "--no-sandbox",
  "--disable-dev-shm-usage",
  "--disable-gpu",
  "--no-first-run",
  "--disable-extensions",
  "--disable-background-networking",
  "--disable-component-update",
  "--remote-debugging-port=0",
];

const UNTIL_MS = 60_000;
const POLL_MS = 20;

interface Answer {
  readonly id?: number;
  readonly method?: string;
  readonly result?: Record<string, unknown>;
  readonly error?: { readonly message: string };
  readonly params?: unknown;
}

/** An answer of the server with an error is no fault of the page. */
const isOfNetwork = (params: unknown): boolean =>
  (params as { entry: { source: string } }).entry.source === "network";

export class Chromium implements AsyncDisposable {
  readonly #process: Bun.Subprocess;
  readonly #profile: string;
  readonly #socket: WebSocket;
  readonly #waiting = new Map<number, (answer: Answer) => void>();
  /** Errors of pages, and what the browser refused them. */
  readonly complaints: string[] = [];
  #last = 0;

  private constructor(browser: Bun.Subprocess, profile: string, socket: WebSocket) {
    this.#process = browser;
    this.#profile = profile;
    this.#socket = socket;
    socket.addEventListener("message", ({ data }) => this.#hear(JSON.parse(String(data)) as Answer));
  }

  static async start(): Promise<Chromium> {
    const profile = mkdtempSync(join(tmpdir(), "shmstruct-chromium-"));
    const browser = Bun.spawn(["chromium", ...ARGUMENTS, `--user-data-dir=${profile}`, "about:blank"], {
      stdout: "ignore",
      stderr: "pipe",
    });
    for await (const line of linesOf(browser.stderr)) {
      const address = /DevTools listening on (ws:\S+)/.exec(line)?.[1];
      if (address === undefined) continue;
      const socket = new WebSocket(address);
      await new Promise((resolve) => {
        socket.addEventListener("open", resolve);
      });
      return new Chromium(browser, profile, socket);
    }
    throw new Error("chromium has ended");
  }

  async open(address: string, { width = 1280, height = 800 } = {}): Promise<Tab> {
    const { targetId } = await this.send("Target.createTarget", { url: "about:blank" });
    const { sessionId } = await this.send("Target.attachToTarget", { targetId, flatten: true });
    const tab = new Tab(this, sessionId as string);
    await tab.send("Runtime.enable");
    await tab.send("Log.enable");
    await tab.send("Page.enable");
    await tab.send("Emulation.setDeviceMetricsOverride", {
      width,
      height,
      deviceScaleFactor: 1,
      mobile: false,
    });
    await tab.send("Page.navigate", { url: address });
    return tab;
  }

  send(method: string, params: object = {}, sessionId?: string): Promise<Record<string, unknown>> {
    const id = ++this.#last;
    this.#socket.send(JSON.stringify({ id, method, params, sessionId }));
    return new Promise((resolve, reject) => {
      this.#waiting.set(id, ({ result, error }) =>
        error === undefined ? resolve(result ?? {}) : reject(new Error(`${method}: ${error.message}`)),
      );
    });
  }

  #hear(answer: Answer): void {
    const { id, method, params } = answer;
    if (id !== undefined) {
      this.#waiting.get(id)?.(answer);
      this.#waiting.delete(id);
    } else if (method === "Runtime.exceptionThrown" || (method === "Log.entryAdded" && !isOfNetwork(params)))
      this.complaints.push(JSON.stringify(params));
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#socket.close();
    this.#process.kill();
    await this.#process.exited;
    rmSync(this.#profile, { recursive: true, force: true, maxRetries: 5 });
  }
}

const KEY_CODES: Readonly<Record<string, number>> = { Enter: 13, Escape: 27, ArrowUp: 38, ArrowDown: 40 };

/** One page. */
export class Tab {
  readonly #browser: Chromium;
  readonly #session: string;

  constructor(browser: Chromium, session: string) {
    this.#browser = browser;
    this.#session = session;
  }

  send(method: string, params?: object): Promise<Record<string, unknown>> {
    return this.#browser.send(method, params, this.#session);
  }

  /** The value of an expression, which must be JSON. */
  async evaluate<T>(expression: string): Promise<T> {
    const answer = await this.send("Runtime.evaluate", {
      expression,
      returnByValue: true,
      awaitPromise: true,
    });
    if (answer.exceptionDetails !== undefined) throw new Error(JSON.stringify(answer.exceptionDetails));
    return (answer.result as { value: T }).value;
  }

  /** Waits until an expression is true. @throws Error with the page's text */
  async until(expression: string): Promise<void> {
    const end = performance.now() + UNTIL_MS;
    while (!(await this.evaluate<boolean>(`!!(${expression})`))) {
      if (performance.now() > end)
        throw new Error(`not true in time: ${expression}\n${await this.evaluate("document.body.innerText")}`);
      await Bun.sleep(POLL_MS);
    }
  }

  /** Clicks in the middle of the first element that an expression gives. */
  async click(expression: string, clickCount = 1): Promise<void> {
    await this.until(expression);
    const { x, y } = await this.evaluate<{ x: number; y: number }>(
      `(() => { const r = (${expression}).getBoundingClientRect(); return { x: r.x + r.width / 2, y: r.y + r.height / 2 }; })()`,
    );
    for (let count = 1; count <= clickCount; count++)
      for (const type of ["mousePressed", "mouseReleased"])
        await this.send("Input.dispatchMouseEvent", { type, x, y, button: "left", clickCount: count });
  }

  async press(key: string): Promise<void> {
    const code = KEY_CODES[key] ?? key.toUpperCase().charCodeAt(0);
    const text = key === "Enter" ? "\r" : key.length === 1 ? key : undefined;
    await this.send("Input.dispatchKeyEvent", { type: "keyDown", key, text, windowsVirtualKeyCode: code });
    await this.send("Input.dispatchKeyEvent", { type: "keyUp", key, windowsVirtualKeyCode: code });
  }

  /** Into what has the focus, in the place of what is selected. */
  async type(text: string): Promise<void> {
    await this.send("Input.insertText", { text });
  }

  async close(): Promise<void> {
    await this.send("Page.close");
  }

  async screenshot(path: string): Promise<void> {
    const { data } = await this.send("Page.captureScreenshot", { format: "png" });
    await Bun.write(path, Buffer.from(data as string, "base64"));
  }
}

/** The page of `shmstruct serve`. */
import type { Row, ServerMessage, TableAnswer } from "../protocol.ts";
import { askTable, askValue, Connection, setValue } from "./connection.ts";
import { bytesText, make, onceAFrame, visible } from "./dom.ts";
import { LayoutView } from "./layout.ts";
import { Plot } from "./plot.ts";
import { SegmentList, versionText } from "./segments.ts";
import { Live } from "./store.ts";
import { JsonView, MessagesView, TableView } from "./tables.ts";
import { TreeView } from "./tree.ts";

const ASK_EVERY_MS = 250;
/** Processes come and go; what is wrong takes longer to find, and to change. */
const TABLE_EVERY_MS: Readonly<Record<string, number>> = { Who: 1500, Doctor: 10_000 };
/** Stands for all segments in the place of a path. */
const ALL = "";
const SAY_MS = 6000;

interface View {
  readonly element: HTMLElement;
  readonly search?: HTMLInputElement;
  /** Values of the segment have come. */
  update?(): void;
  /** @returns whether the key was for it */
  key?(event: KeyboardEvent): boolean;
}

const KEYS_HELP =
  "/ search · s segments · J K next, previous segment · ↑ ↓ ← → Enter in values · p plot · 1–6 views · t dark or light";

class Page {
  readonly #connection: Connection;
  readonly #segments = new SegmentList((path) => this.choose(path));
  readonly #plot = new Plot(() => this.#watch());
  readonly #lives = new Map<string, Live>();
  readonly #status = make("span", { class: "status" });
  readonly #doctor = make("button", {
    text: "Doctor",
    title: "what is wrong with any segment, or with the machine",
  });
  readonly #title = make("h1");
  readonly #about = make("p", { class: "remark" });
  readonly #tabs = make("nav", { class: "tabs" });
  readonly #place = make("div", { class: "place" });
  readonly #said = make("div", { class: "said" });
  readonly #update = onceAFrame(() => this.#show());
  #canWrite = false;
  #tables: readonly string[] = [];
  #chosen: Live | undefined;
  #viewName = "";
  #view: View | undefined;
  #isAsking = false;
  #askedAt = 0;
  #askedVersion = -1;
  #sayTimer = 0;

  constructor() {
    this.#said.setAttribute("role", "alert");
    this.#said.hidden = true;
    const theme = make("button", { text: "◐", title: "dark or light (t)", onclick: turnTheme });
    this.#doctor.addEventListener("click", () => this.choose(ALL));
    const help = make("button", { text: "?", title: KEYS_HELP, onclick: () => this.#say(KEYS_HELP) });
    const brand = make("strong", { text: "shmstruct" });
    const header = make("header", { children: [brand, this.#status, this.#doctor, theme, help] });
    const about = make("div", { class: "about", children: [this.#title, this.#about] });
    const main = make("main", { children: [about, this.#tabs, this.#place, this.#plot.element, this.#said] });
    document.body.replaceChildren(header, this.#segments.element, main);
    document.addEventListener("keydown", (event) => this.#key(event));
    setInterval(() => this.#ask(), ASK_EVERY_MS);
    this.#connection = new Connection(
      (message) => this.#hear(message),
      (isOpen) => this.#tell(isOpen),
    );
  }

  /** Shows a segment. */
  choose(path: string, view = ""): void {
    this.#chosen = this.#live(path);
    this.#segments.chosen = path;
    this.#viewName = view;
    this.#open();
  }

  #live(path: string): Live {
    const live = this.#lives.get(path) ?? new Live(path);
    this.#lives.set(path, live);
    return live;
  }

  #tell(isOpen: boolean): void {
    document.body.classList.toggle("closed", !isOpen);
    this.#status.textContent = isOpen ? "" : "no connection: trying again …";
    if (isOpen) return;
    this.#segments.clear();
    for (const live of this.#lives.values()) live.forgetClock();
  }

  #hear(message: ServerMessage): void {
    if (message.do === "hello") {
      this.#canWrite = message.canWrite;
      this.#tables = message.views;
      this.#doctor.hidden = !message.views.includes("doctor");
      this.#status.textContent = message.canWrite ? "live, with edits" : "live, read-only";
    } else if (message.do === "segments") this.#hearSegments(message);
    else {
      const live = this.#live(message.path);
      const kind = live.kind;
      live.hear(message);
      this.#plot.sample(live);
      if (live !== this.#chosen) return;
      if (live.kind !== kind || this.#view === undefined) this.#open();
      this.#update();
    }
  }

  #hearSegments({ set, gone }: Extract<ServerMessage, { do: "segments" }>): void {
    this.#segments.hear(set, gone);
    if (this.#chosen !== undefined) return;
    const [path = "", view = ""] = location.hash.slice(1).split("|").map(decodeURIComponent);
    const first = this.#segments.get(path)?.path ?? this.#segments.first;
    if (first !== undefined) this.choose(first, first === path ? view : "");
  }

  /** The views that a segment has, its own first. */
  #views(live: Live): Readonly<Record<string, () => View>> {
    const tree = { Values: () => new TreeView(live, this.#treeActions(live)) };
    const json = { JSON: () => new JsonView() };
    const isDocument = live.kind === "document";
    const say = (text: string): void => this.#say(text);
    const doctor = this.#tables.includes("doctor") && {
      Doctor: () => new TableView({ label: "findings", empty: "nothing is wrong", say }),
    };
    // Of what cannot be opened, and of all together, only that can be told.
    if (live.kind === "") return live.path === ALL || live.problem !== "" ? { ...doctor } : {};
    return {
      ...(live.hasMessages && { Messages: () => new MessagesView(live) }),
      ...(live.kind === "queue" && {
        Jobs: () => new TableView({ label: "jobs", groupBy: "state", empty: "no jobs", say }),
      }),
      ...(isDocument ? { ...json, ...tree } : tree),
      ...(live.size > 0 && { Layout: () => new LayoutView(live) }),
      ...(!isDocument && json),
      ...(this.#tables.includes("who") && {
        Who: () => new TableView({ label: "processes", empty: "no process uses it", say }),
      }),
      ...doctor,
    };
  }

  #treeActions(live: Live): ConstructorParameters<typeof TreeView>[1] {
    return {
      canWrite: () => this.#canWrite,
      isPlotted: (path) => this.#plot.has(live.path, path),
      togglePlot: (row: Row) => this.#plot.toggle(live, row),
      set: async (row, text) => {
        await setValue(live.path, row.path, text);
        this.#say(`${row.path} is set`);
      },
      say: (text) => this.#say(text),
    };
  }

  /** Makes the view that was chosen, of the segment that was chosen. */
  #open(): void {
    const live = this.#chosen;
    if (live === undefined) return;
    this.#watch();
    const views = this.#views(live);
    const names = Object.keys(views);
    if (!names.includes(this.#viewName) && names.length > 0) this.#viewName = names[0]!;
    const buttons = names.map((name) =>
      make("button", {
        text: name,
        class: name === this.#viewName ? "on" : "",
        onclick: () => this.#turn(name),
      }),
    );
    this.#tabs.replaceChildren(...buttons);
    this.#view = views[this.#viewName]?.();
    this.#place.replaceChildren(...(this.#view === undefined ? [] : [this.#view.element]));
    this.#askedAt = Number.NEGATIVE_INFINITY;
    this.#askedVersion = -1;
    if (names.length > 0)
      history.replaceState(null, "", `#${[live.path, this.#viewName].map(encodeURIComponent).join("|")}`);
    this.#watch();
    this.#update();
    this.#ask();
  }

  #turn(name: string): void {
    this.#viewName = name;
    this.#open();
  }

  /** The server looks at what is shown and what is plotted, and at nothing else. */
  #watch(): void {
    const chosen = this.#chosen?.path;
    const plotted = this.#plot.paths;
    for (const path of this.#lives.keys()) {
      if (path === ALL) continue;
      const isShown = path === chosen;
      const parts = {
        bytes: isShown && this.#viewName === "Layout",
        messages: isShown && this.#viewName === "Messages",
      };
      this.#connection.watch(path, isShown || plotted.includes(path) ? parts : undefined);
    }
  }

  #show(): void {
    const live = this.#chosen;
    if (live === undefined) return;
    const { path, kind, struct, size, version, rate, problem } = live;
    this.#title.textContent = path === ALL ? "All segments" : visible(path.slice(path.lastIndexOf("/") + 1));
    this.#title.title = visible(path);
    const facts = [
      kind,
      visible(struct),
      size > 0 ? bytesText(size) : "",
      ...(kind === "" ? [] : [versionText(version), `${rate.toFixed(rate < 10 ? 1 : 0)}/s`]),
    ];
    this.#about.textContent =
      problem === "" ? facts.filter((fact) => fact !== "").join(" · ") : visible(problem);
    this.#about.classList.toggle("bad", problem !== "");
    this.#view?.update?.();
  }

  /** Views that are asked for, and not told. */
  #ask(): void {
    const live = this.#chosen;
    const view = this.#view;
    const now = performance.now();
    if (live === undefined || this.#isAsking || document.hidden) return;
    if (view instanceof JsonView || (view instanceof TableView && this.#viewName === "Jobs")) {
      if (live.version === this.#askedVersion) return;
      this.#askedVersion = live.version;
      this.#answer(askValue(live.path), ({ value }) => showValue(view, value));
    } else if (view instanceof TableView && now - this.#askedAt > (TABLE_EVERY_MS[this.#viewName] ?? 0)) {
      this.#askedAt = now;
      this.#answer(askTable(this.#viewName.toLowerCase(), live.path), (rows) => {
        view.rows = rows;
      });
    }
    // The rate falls also when nothing comes.
    this.#update();
  }

  #answer<T>(asked: Promise<T>, show: (answer: T) => void): void {
    this.#isAsking = true;
    asked
      .then(show, () => {
        // The connection is gone, or the file: it is asked again.
        this.#askedVersion = -1;
      })
      .finally(() => {
        this.#isAsking = false;
      });
  }

  #say(text: string): void {
    this.#said.textContent = text.split("\n").map(visible).join("\n");
    this.#said.hidden = false;
    clearTimeout(this.#sayTimer);
    this.#sayTimer = setTimeout(() => {
      this.#said.hidden = true;
    }, SAY_MS);
  }

  #key(event: KeyboardEvent): void {
    const { key, target } = event;
    if (event.ctrlKey || event.metaKey || event.altKey || (target as Element).closest("input") !== null)
      return;
    const isTaken = this.#view?.key?.(event) === true || this.#ownKey(key);
    if (isTaken) event.preventDefault();
  }

  #ownKey(key: string): boolean {
    if (key === "/") this.#view?.search?.focus();
    else if (key === "s") this.#segments.search.focus();
    else if (key === "J" || key === "K") this.choose(this.#segments.neighbour(key === "J" ? 1 : -1) ?? "");
    else if (key === "t") turnTheme();
    else if (key === "?") this.#say(KEYS_HELP);
    else if (/^[1-6]$/.test(key)) (this.#tabs.children[Number(key) - 1] as HTMLElement | undefined)?.click();
    else return false;
    return true;
  }
}

/** Jobs are the rows of a queue's value. */
function showValue(view: JsonView | TableView, value: unknown): void {
  if (view instanceof JsonView) view.value = value;
  else view.rows = (value as { jobs: TableAnswer }).jobs;
}

function turnTheme(): void {
  const { documentElement: root } = document;
  const isDark = getComputedStyle(root).colorScheme === "dark";
  root.dataset.theme = isDark ? "light" : "dark";
  localStorage.setItem("theme", root.dataset.theme);
}

const theme = localStorage.getItem("theme");
if (theme !== null) document.documentElement.dataset.theme = theme;
new Page();

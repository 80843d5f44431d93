/** Lists of messages, jobs, processes and findings, and JSON. */
import type { MessageRow, TableAnswer } from "../protocol.ts";
import { bytesText, make, searchField, visible } from "./dom.ts";
import { VirtualList } from "./list.ts";
import type { Live } from "./store.ts";

const ROW_HEIGHT = 24;

/** The messages of a channel, the newest at the end, which it follows unless it is scrolled away. */
export class MessagesView {
  readonly element: HTMLElement;
  readonly #live: Live;
  readonly #list: VirtualList;
  readonly #head = make("p", { class: "remark" });

  constructor(live: Live) {
    this.#live = live;
    this.#list = new VirtualList({
      class: "table messages",
      label: "messages",
      rowHeight: ROW_HEIGHT,
      create: (line) => addCells(line, 5),
      fill: (line, index) => fillMessage(line, this.#live.messages[index]!),
    });
    this.element = make("section", { class: "view", children: [this.#head, this.#list.element] });
    this.update();
  }

  update(): void {
    const { messages, missed, rate } = this.#live;
    const isFollowing = this.#list.isAtEnd;
    this.#list.count = messages.length;
    if (isFollowing && messages.length > 0) this.#list.reveal(messages.length - 1);
    this.#head.textContent = `${rate.toFixed(rate < 10 ? 1 : 0)} messages/s · ${missed} missed by this page · the last ${messages.length} are shown`;
  }
}

function addCells(line: HTMLElement, count: number): void {
  for (let i = 0; i < count; i++) line.append(make("span"));
}

function fillMessage(line: HTMLElement, { index, missed, sentAt, type, length, text }: MessageRow): void {
  const cells = line.children;
  line.classList.toggle("missed", missed > 0);
  cells[0]!.textContent = `#${index}`;
  cells[1]!.textContent = timeText(sentAt);
  cells[2]!.textContent = `${bytesText(length)}${type === 0 ? "" : ` type ${type}`}`;
  cells[3]!.textContent = missed > 0 ? `${missed} missed` : "";
  cells[4]!.textContent = visible(text);
  (cells[4] as HTMLElement).title = visible(text);
}

function timeText(ms: number): string {
  const date = new Date(ms);
  return Number.isNaN(date.getTime()) ? String(ms) : date.toISOString().slice(11, 23);
}

/** Rows with the same members, under a line of their names; `groupBy` gives a button for each value of one of them. */
export interface TableOptions {
  readonly label: string;
  readonly groupBy?: string;
  /** Stands there when there are no rows. */
  readonly empty: string;
  /** Shows a row whole, when it is clicked. */
  readonly say: (text: string) => void;
}

export class TableView {
  readonly element: HTMLElement;
  readonly search: HTMLInputElement;
  readonly #groupBy: string | undefined;
  readonly #empty: string;
  readonly #groups = make("div", { class: "bar" });
  readonly #head = make("div", { class: "head" });
  readonly #list: VirtualList;
  #rows: TableAnswer = [];
  #shown: TableAnswer = [];
  #columns: readonly string[] = [];
  #group = "";
  #filter = "";

  constructor({ label, groupBy, empty, say }: TableOptions) {
    this.#groupBy = groupBy;
    this.#empty = empty;
    this.search = searchField(`search ${label}`, "Search  /", (text) => {
      this.#filter = text;
      this.#arrange();
    });
    this.#list = new VirtualList({
      class: "table",
      label,
      rowHeight: ROW_HEIGHT,
      create: () => {},
      fill: (line, index) => this.#fill(line, this.#shown[index]!),
      onclick: (index) => say(this.#whole(this.#shown[index]!)),
    });
    const children = [this.search, this.#groups, this.#head, this.#list.element];
    this.element = make("section", { class: "view", children });
  }

  set rows(rows: TableAnswer) {
    this.#rows = rows;
    this.#columns = [...new Set(rows.flatMap((row) => Object.keys(row)))];
    this.#arrange();
  }

  #arrange(): void {
    this.#fillGroups();
    this.#shown = this.#rows.filter((row) => this.#isShown(row));
    const width = this.#columns
      .map((name, i) => columnWidth(this.#rows, name, i === this.#columns.length - 1))
      .join(" ");
    this.element.style.setProperty("--columns", width || "1fr");
    const names = this.#columns.length > 0 ? this.#columns : [this.#empty];
    this.#head.replaceChildren(...names.map((name) => make("span", { text: visible(name) })));
    this.#list.count = this.#shown.length;
  }

  #whole(row: TableAnswer[number]): string {
    return this.#columns.map((name) => visible(`${name}: ${textIn(row, name)}`)).join("\n");
  }

  #isShown(row: TableAnswer[number]): boolean {
    if (this.#group !== "" && String(row[this.#groupBy ?? ""]) !== this.#group) return false;
    return this.#filter === "" || cellText(row).toLowerCase().includes(this.#filter);
  }

  #fillGroups(): void {
    if (this.#groupBy === undefined) return;
    const counts = new Map<string, number>([["", this.#rows.length]]);
    for (const row of this.#rows) {
      const group = String(row[this.#groupBy]);
      counts.set(group, (counts.get(group) ?? 0) + 1);
    }
    const buttons = [...counts].map(([group, count]) => {
      const text = `${group === "" ? "all" : visible(group)} ${count}`;
      const choose = (): void => {
        this.#group = group;
        this.#arrange();
      };
      return make("button", { text, class: group === this.#group ? "on" : "", onclick: choose });
    });
    this.#groups.replaceChildren(...buttons);
  }

  #fill(line: HTMLElement, row: TableAnswer[number]): void {
    while (line.childElementCount > this.#columns.length) line.lastElementChild!.remove();
    addCells(line, this.#columns.length - line.childElementCount);
    for (const [i, name] of this.#columns.entries()) {
      const cell = line.children[i] as HTMLElement;
      const text = visible(textIn(row, name));
      cell.textContent = text;
      cell.title = text;
    }
  }
}

const MAX_WIDTH = 28;
const MAX_MEASURED = 500;

/** As wide as what stands in it; the last column, and what is long, take the rest. */
function columnWidth(rows: TableAnswer, name: string, isLast: boolean): string {
  const lengths = rows.slice(0, MAX_MEASURED).map((row) => textIn(row, name).length);
  const width = Math.max(name.length, ...lengths) + 1;
  return isLast || width > MAX_WIDTH ? `minmax(${Math.min(width, MAX_WIDTH)}ch, 1fr)` : `${width}ch`;
}

const textIn = (row: TableAnswer[number], name: string): string =>
  name.endsWith("At") ? dateText(row[name]) : cellText(row[name]);

function cellText(value: unknown): string {
  if (value === undefined || value === null) return "";
  if (Array.isArray(value) && value.every((item) => typeof item === "string")) return value.join(", ");
  return typeof value === "object" ? JSON.stringify(value) : String(value);
}

function dateText(value: unknown): string {
  const date = typeof value === "number" ? new Date(value) : undefined;
  if (date === undefined || Number.isNaN(date.getTime())) return cellText(value);
  return date.toISOString().replace("T", " ").slice(0, 19);
}

/** A value as JSON. */
export class JsonView {
  readonly element: HTMLElement;
  readonly search: HTMLInputElement;
  readonly #list: VirtualList;
  #lines: readonly string[] = [];
  #shown: readonly string[] = [];
  #filter = "";

  constructor() {
    this.search = searchField("search lines", "Search lines  /", (text) => {
      this.#filter = text;
      this.#arrange();
    });
    this.#list = new VirtualList({
      class: "json",
      label: "JSON",
      rowHeight: 20,
      create: (line) => addCells(line, 2),
      fill: (line, index) => {
        const [, key = "", value = ""] = /^(\s*"(?:[^"\\]|\\.)*": )?(.*)$/.exec(this.#shown[index]!) ?? [];
        line.children[0]!.textContent = visible(key);
        line.children[1]!.textContent = visible(value);
      },
    });
    this.element = make("section", { class: "view", children: [this.search, this.#list.element] });
  }

  set value(value: unknown) {
    this.#lines = JSON.stringify(value, null, 2).split("\n");
    this.#arrange();
  }

  #arrange(): void {
    this.#shown =
      this.#filter === ""
        ? this.#lines
        : this.#lines.filter((line) => line.toLowerCase().includes(this.#filter));
    this.#list.count = this.#shown.length;
  }
}

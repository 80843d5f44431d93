/** The values of a segment as a tree: search, folding, editing in place, and a mark for what is plotted. */
import type { Row, Value } from "../protocol.ts";
import { make, searchField, visible } from "./dom.ts";
import { VirtualList } from "./list.ts";
import type { Live } from "./store.ts";

const ROW_HEIGHT = 24;
/** Pixels: a deeper name is narrower, so that types and values stand in columns. */
const NAME_WIDTH = 230;
const INDENT = 16;
const LIT_MS = 500;
/** Longer arrays are folded at first. */
const MAX_UNFOLDED = 16;
/** Elements that stand in the line of a folded array. */
const MAX_INLINE = 12;

export interface TreeActions {
  readonly canWrite: () => boolean;
  readonly isPlotted: (path: string) => boolean;
  readonly togglePlot: (row: Row) => void;
  /** Resolves when it is set. */
  readonly set: (row: Row, text: string) => Promise<void>;
  readonly say: (text: string) => void;
}

export class TreeView {
  readonly element: HTMLElement;
  readonly search: HTMLInputElement;
  readonly #list: VirtualList;
  readonly #actions: TreeActions;
  #live: Live;
  #rows: readonly Row[] = [];
  /** Indexes of the rows that are shown. */
  #shown: number[] = [];
  /** Folded against, or unfolded against, what is so at first. */
  readonly #turned = new Set<string>();
  #filter = "";
  #selected = 0;
  #dimming: ReturnType<typeof setTimeout> | undefined;
  #editor: { readonly row: number; readonly input: HTMLInputElement } | undefined;

  constructor(live: Live, actions: TreeActions) {
    this.#live = live;
    this.#actions = actions;
    this.search = searchField("search fields", "Search fields  /", (text) => {
      this.#filter = text;
      this.#arrange();
    });
    this.#list = new VirtualList({
      class: "tree",
      label: "values",
      rowHeight: ROW_HEIGHT,
      create: createLine,
      fill: (line, index) => this.#fill(line, index),
      onclick: (index, event) => this.#click(index, event),
      ondblclick: (index, event) => {
        if ((event.target as Element).closest(".value") !== null) this.#edit(index);
      },
    });
    this.element = make("section", { class: "view", children: [this.search, this.#list.element] });
    this.update();
  }

  /** New values, or new rows. */
  update(): void {
    if (this.#rows !== this.#live.rows) this.#arrange();
    this.#list.refresh();
  }

  /** @returns whether the key was for it */
  key(event: KeyboardEvent): boolean {
    const act = KEYS[event.key];
    if (act === undefined) return false;
    act(this);
    return true;
  }

  move(by: number): void {
    this.#selected = Math.max(0, Math.min(this.#shown.length - 1, this.#selected + by));
    this.#list.reveal(this.#selected);
  }

  fold(isFolded: boolean): void {
    const row = this.#rowAt(this.#selected);
    if (row?.isBranch && this.#isFolded(row) !== isFolded) this.#turn(row);
  }

  editSelected(): void {
    const row = this.#rowAt(this.#selected);
    if (row?.isBranch) this.#turn(row);
    else this.#edit(this.#selected);
  }

  plotSelected(): void {
    const row = this.#rowAt(this.#selected);
    if (row?.isNumber) this.#plot(row);
  }

  #plot(row: Row): void {
    this.#actions.togglePlot(row);
    this.#list.refresh();
  }

  #rowAt(index: number): Row | undefined {
    return this.#rows[this.#shown[index] ?? -1];
  }

  #turn({ path }: Row): void {
    if (!this.#turned.delete(path)) this.#turned.add(path);
    this.#arrange();
  }

  #isFolded(row: Row): boolean {
    const isLong = row.isRun === true && this.#lengthOf(row) > MAX_UNFOLDED;
    return isLong !== this.#turned.has(row.path);
  }

  #lengthOf(row: Row): number {
    const known = lengths.get(row);
    if (known !== undefined) return known;
    const start = this.#live.indexOf(row.path)! + 1;
    let end = start;
    while ((this.#rows[end]?.depth ?? -1) > row.depth) end++;
    lengths.set(row, end - start);
    return end - start;
  }

  #arrange(): void {
    this.#rows = this.#live.rows;
    this.#shown = this.#filter === "" ? this.#unfolded() : this.#found();
    this.#selected = Math.max(0, Math.min(this.#selected, this.#shown.length - 1));
    this.#list.count = this.#shown.length;
  }

  #unfolded(): number[] {
    const shown: number[] = [];
    let foldedDepth = Number.POSITIVE_INFINITY;
    for (const [i, row] of this.#rows.entries()) {
      if (row.depth > foldedDepth) continue;
      foldedDepth = row.isBranch && this.#isFolded(row) ? row.depth : Number.POSITIVE_INFINITY;
      shown.push(i);
    }
    return shown;
  }

  /** What matches, and what it is in. */
  #found(): number[] {
    const shown = new Set<number>();
    const parents: number[] = [];
    for (const [i, { depth, path, type }] of this.#rows.entries()) {
      parents[depth] = i;
      if (!path.toLowerCase().includes(this.#filter) && !type.toLowerCase().includes(this.#filter)) continue;
      for (const parent of parents.slice(0, depth + 1)) shown.add(parent);
    }
    return [...shown].sort((a, b) => a - b);
  }

  #click(index: number, event: MouseEvent): void {
    const row = this.#rowAt(index);
    if (row === undefined) return;
    this.#selected = index;
    const target = event.target as Element;
    if (row.isBranch) this.#turn(row);
    else if (target.closest(".plot-mark") !== null && row.isNumber) this.#plot(row);
    this.#list.refresh();
  }

  #fill(line: HTMLElement, index: number): void {
    const at = this.#shown[index]!;
    const row = this.#rows[at]!;
    const [mark, name, type, value] = line.children as unknown as HTMLElement[];
    line.classList.toggle("selected", index === this.#selected);
    if (filled.get(line) !== row) {
      filled.set(line, row);
      line.style.paddingLeft = `${8 + row.depth * INDENT}px`;
      mark!.className = row.isNumber ? "mark plot-mark" : "mark";
      mark!.title = row.isNumber ? "plot (p)" : "";
      name!.textContent = visible(row.name);
      name!.title = visible(row.path);
      name!.style.flexBasis = `${Math.max(80, NAME_WIDTH - row.depth * INDENT)}px`;
      type!.textContent = visible(row.type);
    }
    const sign = row.isBranch ? (this.#isFolded(row) ? "▸" : "▾") : row.isNumber ? "∿" : "";
    if (mark!.textContent !== sign) mark!.textContent = sign;
    mark!.classList.toggle("on", row.isNumber === true && this.#actions.isPlotted(row.path));
    this.#fillValue(value!, at, row);
  }

  #fillValue(cell: HTMLElement, at: number, row: Row): void {
    const editor = this.#editor;
    if (editor?.row === at) {
      if (editor.input.parentElement !== cell) cell.replaceChildren(editor.input);
      return;
    }
    const text = row.isBranch ? this.#inline(at, row) : valueText(this.#live.values[at] ?? null, row);
    setText(cell, text);
    const age = performance.now() - (this.#live.changedAt[at] ?? 0);
    cell.classList.toggle("lit", age < LIT_MS);
    cell.classList.toggle("number", row.isNumber === true);
    if (age < LIT_MS) this.#dimLater();
  }

  /** One timer for all: values that change all the time stay lit. */
  #dimLater(): void {
    this.#dimming ??= setTimeout(() => {
      this.#dimming = undefined;
      this.#list.refresh();
    }, LIT_MS / 2);
  }

  /** The first elements of a folded array. */
  #inline(at: number, row: Row): string {
    if (!row.isRun || !this.#isFolded(row)) return "";
    const length = this.#lengthOf(row);
    const first = this.#live.values.slice(at + 1, at + 1 + Math.min(length, MAX_INLINE));
    return `[${first.join(", ")}${length > MAX_INLINE ? `, … ${length} in all` : ""}]`;
  }

  #edit(index: number): void {
    const at = this.#shown[index];
    const row = this.#rowAt(index);
    if (at === undefined || row === undefined || row.isBranch) return;
    if (!this.#actions.canWrite()) {
      this.#actions.say("This page is read-only: start it with shmstruct serve --write");
      return;
    }
    this.#selected = index;
    const input = make("input", { class: "edit" });
    input.value = this.#textToEdit(at, row);
    input.title = Object.values(row.labels ?? {}).join(", ");
    input.setAttribute("aria-label", `new value of ${row.path}`);
    input.addEventListener("keydown", (event) => this.#editorKey(event, row, input));
    input.addEventListener("blur", () => this.#endEdit(input));
    this.#editor = { row: at, input };
    const cell = this.#list.lineOf(index)?.querySelector(".value");
    cell?.replaceChildren(input);
    input.select();
  }

  /** Text without its quotation marks; a document takes JSON. */
  #textToEdit(at: number, { labels }: Row): string {
    const value = this.#live.values[at] ?? null;
    const label = labels?.[String(value)];
    if (label !== undefined) return label;
    const isQuoted = typeof value === "string" && value.startsWith('"') && this.#live.kind !== "document";
    return isQuoted ? (JSON.parse(value) as string) : String(value);
  }

  #editorKey(event: KeyboardEvent, row: Row, input: HTMLInputElement): void {
    event.stopPropagation();
    if (event.key === "Escape") this.#endEdit(input);
    if (event.key !== "Enter") return;
    this.#actions.set(row, input.value).then(
      () => this.#endEdit(input),
      (error: Error) => {
        input.classList.add("bad");
        this.#actions.say(error.message);
      },
    );
  }

  #endEdit(input: HTMLInputElement): void {
    if (this.#editor?.input !== input) return;
    this.#editor = undefined;
    input.remove();
    this.#list.refresh();
  }
}

const KEYS: Readonly<Record<string, (tree: TreeView) => void>> = {
  ArrowDown: (tree) => tree.move(1),
  ArrowUp: (tree) => tree.move(-1),
  PageDown: (tree) => tree.move(20),
  PageUp: (tree) => tree.move(-20),
  Home: (tree) => tree.move(Number.NEGATIVE_INFINITY),
  End: (tree) => tree.move(Number.POSITIVE_INFINITY),
  ArrowLeft: (tree) => tree.fold(true),
  ArrowRight: (tree) => tree.fold(false),
  Enter: (tree) => tree.editSelected(),
  p: (tree) => tree.plotSelected(),
};

/** How many rows are in a row. */
const lengths = new WeakMap<Row, number>();

/** The row whose name and type stand in a line already. */
const filled = new WeakMap<HTMLElement, Row>();

/** The text node stays where there is one: another one would be laid out and painted anew. */
function setText(cell: HTMLElement, text: string): void {
  const [node] = cell.childNodes;
  if (cell.childNodes.length !== 1 || !(node instanceof Text)) cell.textContent = text;
  else if (node.data !== text) node.data = text;
}

function createLine(line: HTMLElement): void {
  for (const part of ["mark", "name", "type", "value"]) line.append(make("span", { class: part }));
}

/** A value with the label or the time that it stands for. */
export function valueText(value: Value, { labels, isTime }: Row): string {
  const label = labels?.[String(value)];
  if (label !== undefined) return `${value}  ${visible(label)}`;
  const date = isTime && typeof value === "number" ? new Date(value * 1000) : undefined;
  if (date === undefined || value === 0 || Number.isNaN(date.getTime())) return visible(String(value));
  return `${value}  ${date.toISOString()}`;
}

/** The members of a struct with the holes between them, and the bytes beside them in the same colours. */
import type { Row } from "../protocol.ts";
import { make, visible } from "./dom.ts";
import { VirtualList } from "./list.ts";
import type { Live } from "./store.ts";
import { valueText } from "./tree.ts";

const COLORS = 8;
const PER_LINE = 16;
const CACHE_LINE = 64;

interface Entry {
  /** Undefined for a hole. */
  readonly row: number | undefined;
  readonly offset: number;
  readonly size: number;
}

export class LayoutView {
  readonly element: HTMLElement;
  readonly #live: Live;
  readonly #members: VirtualList;
  readonly #bytes: VirtualList;
  #rows: readonly Row[] | undefined;
  #entries: readonly Entry[] = [];
  /** The entry that each byte belongs to. */
  #owners = new Int32Array(0);
  #hovered: number | undefined;

  constructor(live: Live) {
    this.#live = live;
    this.#members = new VirtualList({
      class: "members",
      label: "members",
      rowHeight: 24,
      create: (line) => {
        for (const part of ["offset", "size", "name", "type", "value"])
          line.append(make("span", { class: part }));
      },
      fill: (line, index) => this.#fillMember(line, index),
      onhover: (index) => this.#hover(index),
      onclick: (index) => this.#bytes.reveal(Math.floor(this.#entries[index]!.offset / PER_LINE)),
    });
    this.#bytes = new VirtualList({
      class: "bytes",
      label: "bytes",
      rowHeight: 22,
      create: createBytes,
      fill: (line, index) => this.#fillBytes(line, index),
      onclick: () => this.#hovered !== undefined && this.#members.reveal(this.#hovered),
    });
    this.#bytes.element.addEventListener("mouseover", ({ target }) => {
      const offset = (target as HTMLElement).dataset.offset;
      this.#hover(offset === undefined ? undefined : this.#owners[Number(offset)]);
    });
    this.element = make("section", {
      class: "view side",
      children: [this.#members.element, this.#bytes.element],
    });
    this.update();
  }

  update(): void {
    if (this.#rows !== this.#live.rows) {
      this.#rows = this.#live.rows;
      this.#entries = entriesOf(this.#rows, this.#live.size);
      this.#owners = ownersOf(this.#entries, this.#live.size);
      this.#members.count = this.#entries.length;
    }
    this.#bytes.count = Math.ceil(this.#live.bytes.length / PER_LINE);
    this.#members.refresh();
  }

  #hover(entry: number | undefined): void {
    if (entry === this.#hovered) return;
    this.#hovered = entry;
    this.#members.refresh();
    this.#bytes.refresh();
  }

  #fillMember(line: HTMLElement, index: number): void {
    const { row: at, offset, size } = this.#entries[index]!;
    const [place, bytes, name, type, value] = line.children as unknown as HTMLElement[];
    const row = at === undefined ? undefined : this.#rows![at]!;
    line.className = `line ${row === undefined ? "hole" : `c${index % COLORS}`}`;
    line.classList.toggle("selected", index === this.#hovered);
    line.classList.toggle("cache-line", offset % CACHE_LINE === 0 && offset > 0);
    place!.textContent = row?.bits === undefined ? String(offset) : `${offset}:${row.bits[0]}`;
    bytes!.textContent = row?.bits === undefined ? String(size) : `:${row.bits[1]}`;
    name!.textContent = row === undefined ? "hole" : visible(row.path);
    type!.textContent = row === undefined ? "" : visible(row.type);
    value!.textContent =
      row === undefined || row.isBranch ? "" : valueText(this.#live.values[at!] ?? null, row);
  }

  #fillBytes(line: HTMLElement, index: number): void {
    const start = index * PER_LINE;
    const { bytes } = this.#live;
    const cells = line.children as unknown as HTMLElement[];
    line.classList.toggle("cache-line", start % CACHE_LINE === 0 && start > 0);
    cells[0]!.textContent = start.toString(16).padStart(6, "0");
    let text = "";
    for (let i = 0; i < PER_LINE; i++) {
      const byte = bytes[start + i];
      this.#fillByte(cells[i + 1]!, start + i, byte);
      if (byte !== undefined) text += byte >= 0x20 && byte < 0x7f ? String.fromCharCode(byte) : "·";
    }
    cells[PER_LINE + 1]!.textContent = text;
  }

  #fillByte(cell: HTMLElement, offset: number, byte: number | undefined): void {
    const owner = this.#owners[offset] ?? -1;
    const isHole = owner < 0 || this.#entries[owner]!.row === undefined;
    cell.textContent = byte === undefined ? "" : byte.toString(16).padStart(2, "0");
    cell.dataset.offset = String(offset);
    cell.className = byte === undefined ? "" : isHole ? "hole" : `c${owner % COLORS}`;
    cell.classList.toggle("selected", owner >= 0 && owner === this.#hovered);
  }
}

function createBytes(line: HTMLElement): void {
  line.append(make("b"));
  for (let i = 0; i < PER_LINE; i++) line.append(make("span"));
  line.append(make("i"));
}

/** Members that have bytes of their own; an array of single values is one. */
function entriesOf(rows: readonly Row[], size: number): Entry[] {
  const entries: Entry[] = [];
  let end = 0;
  let runDepth = Number.POSITIVE_INFINITY;
  for (const [i, row] of rows.entries()) {
    if (row.depth > runDepth) continue;
    runDepth = row.isRun ? row.depth : Number.POSITIVE_INFINITY;
    if (row.offset === undefined || (row.isBranch && !row.isRun)) continue;
    if (row.offset > end) entries.push({ row: undefined, offset: end, size: row.offset - end });
    entries.push({ row: i, offset: row.offset, size: row.size ?? 0 });
    const [start, width] = row.bits ?? [0, 0];
    const used = row.bits === undefined ? (row.size ?? 0) : Math.ceil((start + width) / 8);
    end = Math.max(end, row.offset + used);
  }
  if (size > end) entries.push({ row: undefined, offset: end, size: size - end });
  return entries;
}

function ownersOf(entries: readonly Entry[], size: number): Int32Array<ArrayBuffer> {
  const owners = new Int32Array(Math.min(size, 1 << 18)).fill(-1);
  for (const [i, { offset, size: bytes }] of entries.entries())
    if (owners[offset] === -1) owners.fill(i, offset, offset + bytes);
  return owners;
}

/** The segments at the left. */
import type { SegmentRow } from "../protocol.ts";
import { bytesText, make, searchField, visible } from "./dom.ts";
import { VirtualList } from "./list.ts";

const ROW_HEIGHT = 46;

export class SegmentList {
  readonly element: HTMLElement;
  readonly search: HTMLInputElement;
  readonly #list: VirtualList;
  readonly #count = make("p", { class: "remark" });
  readonly #segments = new Map<string, SegmentRow>();
  #shown: readonly SegmentRow[] = [];
  #filter = "";
  #chosen = "";

  constructor(choose: (path: string) => void) {
    this.search = searchField("search segments", "Search segments  s", (text) => {
      this.#filter = text;
      this.#arrange();
    });
    this.search.addEventListener("keydown", ({ key }) => {
      if (key === "Enter" && this.#shown[0] !== undefined) choose(this.#shown[0].path);
    });
    this.#list = new VirtualList({
      class: "segments",
      label: "segments",
      rowHeight: ROW_HEIGHT,
      create: (line) => {
        for (const part of ["badge", "name", "state", "about"]) line.append(make("span", { class: part }));
      },
      fill: (line, index) => this.#fill(line, this.#shown[index]!),
      onclick: (index) => choose(this.#shown[index]!.path),
    });
    this.element = make("aside", { children: [this.search, this.#list.element, this.#count] });
  }

  get(path: string): SegmentRow | undefined {
    return this.#segments.get(path);
  }

  get first(): string | undefined {
    return this.#shown[0]?.path;
  }

  set chosen(path: string) {
    this.#chosen = path;
    this.#list.refresh();
  }

  /** The path of the one so many lines from the chosen one. */
  neighbour(by: number): string | undefined {
    const at = this.#shown.findIndex(({ path }) => path === this.#chosen);
    const next = Math.max(0, Math.min(this.#shown.length - 1, at + by));
    this.#list.reveal(next);
    return this.#shown[next]?.path;
  }

  /** All are told anew when the server was restarted. */
  clear(): void {
    this.#segments.clear();
  }

  hear(set: readonly SegmentRow[], gone: readonly string[]): void {
    for (const segment of set) this.#segments.set(segment.path, segment);
    for (const path of gone) this.#segments.delete(path);
    this.#arrange();
  }

  #arrange(): void {
    const all = [...this.#segments.values()].sort((a, b) => (a.path < b.path ? -1 : 1));
    this.#shown = all.filter(({ path, struct, kind }) =>
      `${path} ${struct} ${kind}`.toLowerCase().includes(this.#filter),
    );
    this.#count.textContent =
      this.#shown.length === all.length
        ? `${all.length} ${all.length === 1 ? "segment" : "segments"}`
        : `${this.#shown.length} of ${all.length} segments`;
    this.#list.count = this.#shown.length;
  }

  #fill(line: HTMLElement, segment: SegmentRow): void {
    const { path, name, kind, struct, bytes, version, state, problem } = segment;
    const [badge, title, mark, about] = line.children as unknown as HTMLElement[];
    line.title = visible(problem === "" ? path : `${path}\n${problem}`);
    line.classList.toggle("selected", path === this.#chosen);
    badge!.textContent = kind === "" ? "?" : kind[0]!.toUpperCase();
    badge!.className = `badge ${kind}`;
    title!.textContent = visible(name);
    mark!.textContent = state === "ok" ? "" : state;
    mark!.className = `state ${state === "damaged" || state === "other format" ? "bad" : ""}`;
    about!.textContent = [
      visible(struct || kind || state),
      bytesText(bytes),
      version > 0 ? versionText(version) : "",
    ]
      .filter((part) => part !== "")
      .join(" · ");
  }
}

const COMMITS = 2 ** 32;

/** Commits, and the file's generation where it is not the first. */
export function versionText(version: number): string {
  const generation = Math.floor(version / COMMITS);
  const commits = `v${version % COMMITS}`;
  return generation === 0 ? commits : `${commits} of file ${generation + 1}`;
}

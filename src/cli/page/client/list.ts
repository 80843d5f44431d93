/** A list of any length of which only the lines in sight are elements. */
import { make, onceAFrame } from "./dom.ts";

/** Lines above and below what is in sight. */
const MARGIN = 6;

export interface ListOptions {
  readonly class: string;
  readonly label: string;
  readonly rowHeight: number;
  /** Makes the parts of an empty line. */
  readonly create: (line: HTMLElement) => void;
  /** Fills a line. */
  readonly fill: (line: HTMLElement, index: number) => void;
  readonly onclick?: (index: number, event: MouseEvent) => void;
  readonly ondblclick?: (index: number, event: MouseEvent) => void;
  readonly onhover?: (index: number | undefined) => void;
}

export class VirtualList {
  readonly element: HTMLElement;
  readonly #options: ListOptions;
  readonly #space = make("div", { class: "space" });
  readonly #lines: HTMLElement[] = [];
  #count = 0;
  readonly refresh = onceAFrame(() => this.#draw());

  constructor(options: ListOptions) {
    this.#options = options;
    this.element = make("div", { class: `list ${options.class}`, children: [this.#space] });
    this.element.setAttribute("aria-label", options.label);
    this.element.addEventListener("scroll", this.refresh, { passive: true });
    new ResizeObserver(this.refresh).observe(this.element);
    this.#listen();
  }

  get count(): number {
    return this.#count;
  }

  set count(count: number) {
    this.#count = count;
    this.#space.style.height = `${count * this.#options.rowHeight}px`;
    this.refresh();
  }

  /** Scrolls as little as needed. */
  reveal(index: number): void {
    const { rowHeight } = this.#options;
    const { scrollTop, clientHeight } = this.element;
    const top = index * rowHeight;
    if (top < scrollTop) this.element.scrollTop = top;
    else if (top + rowHeight > scrollTop + clientHeight)
      this.element.scrollTop = top + rowHeight - clientHeight;
    this.refresh();
  }

  /** Whether the end is in sight. */
  get isAtEnd(): boolean {
    const { scrollTop, clientHeight } = this.element;
    return scrollTop + clientHeight >= (this.#count - 1) * this.#options.rowHeight;
  }

  lineOf(index: number): HTMLElement | undefined {
    return this.#lines.find((line) => !line.hidden && Number(line.dataset.index) === index);
  }

  #listen(): void {
    const { onclick, ondblclick, onhover } = this.#options;
    const indexOf = (event: Event): number | undefined => {
      const line = (event.target as Element).closest<HTMLElement>(".line");
      return line === null ? undefined : Number(line.dataset.index);
    };
    const on = (name: "click" | "dblclick", call: ListOptions["onclick"]): void =>
      this.element.addEventListener(name, (event) => {
        const index = indexOf(event);
        if (index !== undefined) call?.(index, event);
      });
    on("click", onclick);
    on("dblclick", ondblclick);
    if (onhover === undefined) return;
    this.element.addEventListener("mouseover", (event) => onhover(indexOf(event)));
    this.element.addEventListener("mouseleave", () => onhover(undefined));
  }

  #draw(): void {
    const { rowHeight, fill } = this.#options;
    const { scrollTop, clientHeight } = this.element;
    const first = Math.max(0, Math.floor(scrollTop / rowHeight) - MARGIN);
    const end = Math.min(this.#count, Math.ceil((scrollTop + clientHeight) / rowHeight) + MARGIN);
    while (this.#lines.length < end - first) this.#lines.push(this.#newLine());
    for (const [i, line] of this.#lines.entries()) {
      const index = first + i;
      line.hidden = index >= end;
      if (line.hidden) continue;
      line.dataset.index = String(index);
      line.style.transform = `translateY(${index * rowHeight}px)`;
      fill(line, index);
    }
  }

  #newLine(): HTMLElement {
    const line = make("div", { class: "line" });
    this.#options.create(line);
    this.#space.append(line);
    return line;
  }
}
